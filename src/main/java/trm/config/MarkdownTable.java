package trm.config;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A table in Markdown, whose columns are as wide as their longest cell, but for the last. */
public final class MarkdownTable {
    private MarkdownTable() {}

    /** @param rows each with a cell for every title */
    public static String of(List<String> titles, List<List<String>> rows) {
        List<List<String>> lines = new ArrayList<>();
        lines.add(titles);
        lines.add(titles.stream().map(title -> "---").toList());
        lines.addAll(rows);
        int last = titles.size() - 1;
        int[] widths = IntStream.range(0, last)
                .map(i -> lines.stream()
                        .mapToInt(line -> line.get(i).length())
                        .max()
                        .orElse(0))
                .toArray();
        StringBuilder table = new StringBuilder();
        for (List<String> line : lines) {
            for (int i = 0; i < last; i++) {
                table.append("| ").append(line.get(i));
                table.append(" ".repeat(widths[i] - line.get(i).length() + 1));
            }
            table.append("| ").append(line.get(last)).append(" |\n");
        }
        return table.toString();
    }
}
