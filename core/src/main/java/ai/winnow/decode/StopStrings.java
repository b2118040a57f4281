package ai.winnow.decode;

import java.util.List;

/**
 * Finds the first stop string in text that comes in pieces. Holds back what may be the beginning of one. What it finds does not
 * depend on how the text is cut.
 */
final class StopStrings {

    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private boolean found;

    StopStrings(List<String> stops) {
        this.stops = stops;
    }

    boolean found() {
        return found;
    }

    /** The text that can go out now that {@code piece} came. */
    String append(String piece) {
        if (stops.isEmpty()) {
            return piece;
        }
        int before = held.length();
        held.append(piece);
        for (int end = before + 1; end <= held.length(); end++) {
            int length = longestEndingAt(end);
            if (length > 0) {
                found = true;
                String text = held.substring(0, end - length);
                held.setLength(0);
                return text;
            }
        }
        int keep = beginning();
        String text = held.substring(0, held.length() - keep);
        held.delete(0, text.length());
        return text;
    }

    /** The text that was held back, when no more comes. */
    String finish() {
        String text = held.toString();
        held.setLength(0);
        return text;
    }

    private int longestEndingAt(int end) {
        int longest = 0;
        for (String stop : stops) {
            int start = end - stop.length();
            if (stop.length() > longest && start >= 0 && held.indexOf(stop, start) == start) {
                longest = stop.length();
            }
        }
        return longest;
    }

    /** The length of the longest end of the held text that a stop string begins with. */
    private int beginning() {
        int longest = 0;
        for (String stop : stops) {
            int most = Math.min(stop.length() - 1, held.length());
            for (int length = most; length > longest; length--) {
                if (stop.startsWith(held.substring(held.length() - length))) {
                    longest = length;
                }
            }
        }
        return longest;
    }
}
