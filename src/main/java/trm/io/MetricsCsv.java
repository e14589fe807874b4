package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A table of numbers, one row per logged step, as comma-separated text. The first column is {@code step}. Every row
 * reaches the system when it is appended. A run that was interrupted calls {@link #truncateAfter} with the step it
 * resumes from, so that its file ends up the same as that of a run without interruption. For one thread.
 */
public final class MetricsCsv implements AutoCloseable {
    private final Path file;
    private final List<String> columns;
    private final String header;
    private FileChannel out;
    private String torn; // a row that was dropped, null if none

    /**
     * Opens a table, or begins one. Rows already there are kept; an unfinished last row, left by a crash, is dropped.
     *
     * @param columns names, the first of them {@code step}
     * @throws FormatException if the file has columns that are not among these or cannot be written; columns that it lacks
     *     are added, empty
     */
    public MetricsCsv(Path file, List<String> columns) {
        if (columns.isEmpty() || !columns.get(0).equals("step")) {
            throw new IllegalArgumentException("columns are " + columns + "; the first must be 'step'");
        }
        for (String column : columns) {
            if (!column.matches("[^,\"\\r\\n]+")) {
                throw new IllegalArgumentException("column name '" + column + "' is empty or needs quoting");
            }
        }
        this.file = file;
        this.columns = List.copyOf(columns);
        this.header = String.join(",", columns);
        truncateAfter(Long.MAX_VALUE);
    }

    /** A row that was there in part and was dropped: a crash has torn it. */
    public Optional<String> torn() {
        return Optional.ofNullable(torn);
    }

    /**
     * Appends a row.
     *
     * @param values one per column; null leaves a cell empty
     * @throws FormatException if the row cannot be written; nothing of it is then there
     */
    public void append(Number... values) {
        if (values.length != columns.size()) {
            throw new IllegalArgumentException(values.length + " values for " + columns.size() + " columns");
        }
        if (!isWhole(values[0])) {
            throw new IllegalArgumentException("step is " + values[0] + "; must be a whole number");
        }
        StringBuilder row = new StringBuilder();
        for (Number value : values) {
            row.append(row.length() == 0 ? "" : ",");
            if (value != null) {
                row.append(isWhole(value) ? Long.toString(value.longValue()) : Double.toString(value.doubleValue()));
            }
        }
        try {
            Appended.whole(out, ByteBuffer.wrap(row.append('\n').toString().getBytes(StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    /**
     * The rows of a table, each as its cells that are not empty, by column. An unfinished last row is left out.
     *
     * @throws FormatException if the file cannot be read or a cell is not a number
     */
    public static List<Map<String, Double>> read(Path file) {
        String text;
        try {
            text = Files.readString(file);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
        List<String> lines =
                text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
        List<Map<String, Double>> rows = new ArrayList<>();
        for (int i = 1; i < lines.size(); i++) {
            rows.add(row(file, i + 1, lines.get(0).split(",", -1), lines.get(i).split(",", -1)));
        }
        return rows;
    }

    private static Map<String, Double> row(Path file, int line, String[] titles, String[] cells) {
        if (cells.length != titles.length) {
            throw new FormatException(
                    file + ":" + line + ": found " + cells.length + " cells, expected " + titles.length);
        }
        Map<String, Double> row = new HashMap<>();
        for (int c = 0; c < cells.length; c++) {
            try {
                if (!cells[c].isEmpty()) {
                    row.put(titles[c], Double.parseDouble(cells[c]));
                }
            } catch (NumberFormatException e) {
                throw new FormatException(
                        file + ":" + line + ": " + titles[c] + " is '" + cells[c] + "'; expected a number", e);
            }
        }
        return row;
    }

    private static boolean isWhole(Number value) {
        return value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte;
    }

    /**
     * Drops the rows of later steps.
     *
     * @param step the last step kept; a negative number drops all
     * @throws FormatException if a row does not begin with a step, or the file cannot be written
     */
    public void truncateAfter(long step) {
        try {
            if (file.toAbsolutePath().getParent() != null) {
                Files.createDirectories(file.toAbsolutePath().getParent());
            }
            rewrite(kept(step));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be opened for writing: " + FormatException.reason(e), e);
        }
    }

    /**
     * Drops the rows of one step that have a value in a column, such as those of an evaluation that will be repeated.
     *
     * @return whether there were any
     * @throws FormatException if the file cannot be written
     */
    public boolean dropRows(long step, int column) {
        try {
            String text = Files.readString(file);
            StringBuilder kept = new StringBuilder();
            for (String line : text.lines().toList()) {
                String[] cells = line.split(",", -1);
                if (!cells[0].equals(Long.toString(step)) || cells[column].isEmpty()) {
                    kept.append(line).append('\n');
                }
            }
            rewrite(kept.toString());
            return kept.length() < text.length();
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be rewritten: " + FormatException.reason(e), e);
        }
    }

    /** Replaces the content as a whole: whoever is killed in the midst of it leaves the old rows or the new ones. */
    private void rewrite(String content) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                || !Files.readString(file).equals(content)) {
            AtomicFile.replace(file, content);
        }
        if (out != null) {
            out.close();
        }
        out = FileChannel.open(
                file, Set.of(StandardOpenOption.WRITE, StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS));
    }

    /** Brings every row to the disk: what follows from them, as a checkpoint, may then be written. */
    public void force() {
        try {
            out.force(true);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    private String kept(long step) throws IOException {
        String text = Files.exists(file) ? Files.readString(file) : "";
        int end = text.lastIndexOf('\n') + 1;
        if (end == 0) {
            if (!(header + "\n").startsWith(text)) {
                throw new FormatException(file + ": begins with '" + text + "'; expected '" + header + "'");
            }
            return header + "\n";
        }
        torn = end < text.length() ? text.substring(end) : torn;
        List<String> lines = text.substring(0, end).lines().toList();
        if (!lines.get(0).equals(header)) {
            lines = widened(lines);
        }
        StringBuilder kept = new StringBuilder(header).append('\n');
        for (int i = 1; i < lines.size(); i++) {
            String first = lines.get(i).split(",", 2)[0];
            try {
                boolean whole = lines.get(i).split(",", -1).length == columns.size(); // else torn by a crash
                torn = whole ? torn : lines.get(i);
                if (Long.parseLong(first) <= step && whole) {
                    kept.append(lines.get(i)).append('\n');
                }
            } catch (NumberFormatException e) {
                throw new FormatException(file + ":" + (i + 1) + ": step is '" + first + "'; expected an integer", e);
            }
        }
        return kept.toString();
    }

    /** The lines of a file that lacks some of the columns, as an earlier version wrote it, with empty cells for those. */
    private List<String> widened(List<String> lines) {
        List<String> old = List.of(lines.get(0).split(",", -1));
        List<String> common = columns.stream().filter(old::contains).toList();
        if (!common.equals(old)) {
            throw new FormatException(file + ": columns are '" + lines.get(0) + "'; expected '" + header + "'");
        }
        return lines.stream()
                .map(line -> {
                    String[] cells = line.split(",", -1);
                    return columns.stream()
                            .map(column -> old.contains(column) && old.indexOf(column) < cells.length
                                    ? cells[old.indexOf(column)]
                                    : "")
                            .collect(Collectors.joining(","));
                })
                .toList();
    }

    @Override
    public void close() {
        try {
            out.close();
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be closed: " + FormatException.reason(e), e);
        }
    }
}
