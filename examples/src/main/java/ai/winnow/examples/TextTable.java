package ai.winnow.examples;

import java.util.ArrayList;
import java.util.List;

/** A table as lines of text: the first column left-aligned, all others right. */
final class TextTable {

    private final List<List<String>> rows = new ArrayList<>();

    TextTable(String... header) {
        rows.add(List.of(header));
    }

    void row(String... cells) {
        if (cells.length != rows.getFirst().size()) {
            throw new IllegalArgumentException(
                    cells.length + " cells, the header has " + rows.getFirst().size());
        }
        rows.add(List.of(cells));
    }

    @Override
    public String toString() {
        int[] widths = new int[rows.getFirst().size()];
        for (List<String> row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (int line = 0; line < rows.size(); line++) {
            for (int i = 0; i < widths.length; i++) {
                String cell = rows.get(line).get(i);
                String blanks = " ".repeat(widths[i] - cell.length());
                text.append(i == 0 ? cell + blanks : "  " + blanks + cell);
            }
            text.append('\n');
            if (line == 0) {
                for (int i = 0; i < widths.length; i++) {
                    text.append(i == 0 ? "" : "  ").append("-".repeat(widths[i]));
                }
                text.append('\n');
            }
        }
        return text.toString();
    }
}
