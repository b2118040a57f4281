package ai.winnow.examples;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The command line: {@code winnow doctor}, {@code winnow generate --model DIR --policy teal:0.4 "Once upon a time"}, …. */
@Command(
        name = "winnow",
        mixinStandardHelpOptions = true,
        description = "Transformer inference on the JVM, faster by not computing what does not matter.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            Doctor.class,
            GenerateCommand.class,
            CalibrateCommand.class,
            PerplexityCommand.class,
            ExplainCommand.class,
            LoadTime.class,
            WriteCheckpoint.class
        })
public final class WinnowCli {

    private WinnowCli() {}

    static void main(String... arguments) {
        CommandErrors.runAndExit(commandLine(), arguments);
    }

    static CommandLine commandLine() {
        // Converters are handed down to subcommands that are there already.
        return new CommandLine(new WinnowCli())
                .registerConverter(WriteCheckpoint.Size.class, WriteCheckpoint.Size::of)
                .setUsageHelpAutoWidth(true);
    }
}
