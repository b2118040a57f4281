package ai.winnow.io;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/** Names in messages: quoted, clipped, and compared with what the reader may have meant. */
final class Names {

    private static final int SHOWN = 120;
    private static final int COMPARED = 200;
    private static final int CANDIDATES = 20_000;

    private record Match(String name, int edits) {}

    private Names() {}

    /** {@code 'name'}, without control characters and clipped: a name from a file can be anything, and 100 MB long. */
    static String quoted(String name) {
        return "'" + clipped(name, SHOWN) + "'";
    }

    static String clipped(String text, int length) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().limit(length).forEach(c -> shown.appendCodePoint(isShown(c) ? c : '?'));
        return text.codePointCount(0, text.length()) > length
                ? shown.append('…').toString()
                : shown.toString();
    }

    /** Whether {@code text} can be written in UTF-8: every surrogate has its partner. */
    static boolean isUnicode(String text) {
        return text.codePoints().noneMatch(Names::isSurrogate);
    }

    /** What there is instead of {@code wanted}: up to three names that are close, else how many there are. */
    static String instead(String wanted, Collection<String> names) {
        if (names.isEmpty()) {
            return "there are none";
        }
        int bound = Math.max(3, Math.min(wanted.length(), COMPARED) / 3);
        List<Match> close = names.stream()
                .limit(CANDIDATES)
                .map(name -> new Match(name, edits(wanted, name)))
                .filter(match -> match.edits <= bound)
                .sorted(Comparator.comparingInt(Match::edits))
                .limit(3)
                .toList();
        if (close.isEmpty()) {
            return "there are " + names.size() + ", the first is "
                    + quoted(names.iterator().next());
        }
        return "close matches: "
                + close.stream().map(match -> quoted(match.name)).collect(Collectors.joining(", "));
    }

    /** Levenshtein distance of the first {@value #COMPARED} characters. */
    private static int edits(String a, String b) {
        int columns = Math.min(b.length(), COMPARED);
        int[] above = new int[columns + 1];
        int[] row = new int[columns + 1];
        for (int j = 0; j <= columns; j++) {
            above[j] = j;
        }
        for (int i = 1; i <= Math.min(a.length(), COMPARED); i++) {
            row[0] = i;
            for (int j = 1; j <= columns; j++) {
                int replaced = above[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(replaced, 1 + Math.min(above[j], row[j - 1]));
            }
            int[] done = above;
            above = row;
            row = done;
        }
        return above[columns];
    }

    private static boolean isShown(int codePoint) {
        return !Character.isISOControl(codePoint) && !isSurrogate(codePoint);
    }

    private static boolean isSurrogate(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }
}
