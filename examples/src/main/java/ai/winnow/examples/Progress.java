package ai.winnow.examples;

import java.io.Console;
import java.io.PrintStream;
import java.util.Locale;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** What a program says while it works: lines with the time since the start, and bars for what takes long. */
final class Progress {

    private final PrintStream out;
    private final long start = System.nanoTime();

    Progress(PrintStream out) {
        this.out = out;
    }

    /** One line, with the seconds since the start before it. */
    void say(String format, Object... values) {
        out.printf(Locale.ROOT, "[%5.1f s] ", (System.nanoTime() - start) / 1e9);
        out.printf(Locale.ROOT, format + "%n", values);
        out.flush();
    }

    /** A bar on stderr; close it when done. Where nobody watches (a pipe, a log), it speaks up every few seconds only. */
    static ProgressBar bar(String task, String unit, long unitSize, long total) {
        boolean watched =
                Optional.ofNullable(System.console()).map(Console::isTerminal).orElse(false);
        return new ProgressBarBuilder()
                .setTaskName(task)
                .setUnit(unit, unitSize)
                .setInitialMax(total)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(watched ? 200 : 2500)
                .setMaxRenderedLength(100)
                .build();
    }
}
