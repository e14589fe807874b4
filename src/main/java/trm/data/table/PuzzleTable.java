package trm.data.table;

import de.siegmar.fastcsv.reader.CommentStrategy;
import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.CsvRecord;
import de.siegmar.fastcsv.reader.CsvRecordHandler;
import de.siegmar.fastcsv.reader.FieldMismatchStrategy;
import de.siegmar.fastcsv.reader.FieldModifier;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import trm.data.table.ColumnNames.Role;
import trm.input.DataException;
import trm.input.Shown;

/**
 * A table of puzzles in a file: the one reader of all commands. What the file is shows in its content:
 *
 * <pre>
 *   CSV         a header, then a row a puzzle; columns in any order, separated by ',' ';' tab or '|', the one under which the
 *               header has the columns that are wanted; quotes, line breaks within quotes, blank lines; lines of '#' before
 *               the header; a first line "sep=;" as Excel reads it; a blank after each separator, where the header has it too
 *   JSON        a list of objects, or an object a line ({@link JsonPuzzles})
 *   a list      of questions, where {@code lists}: one a line without a header, '#' begins a comment
 * </pre>
 *
 * plain, gzipped or the one file of a zip archive ({@link TextFile}). Rows are read one at a time.
 *
 * @param names    of the columns
 * @param required columns that the table must have
 * @param optional columns that it may have
 * @param lists    whether a file without a header is a list of questions, unless a column is named or required besides
 */
public record PuzzleTable(Path file, ColumnNames names, Set<Role> required, Set<Role> optional, boolean lists) {
    /** Characters of a row, in all of its fields: thousands of times what a puzzle has. */
    static final int LONGEST_ROW = 1 << 20;

    private static final int LONGEST_HEADER = 1 << 15;
    private static final int LEAST_BOARD = 16;
    private static final int MOST_COLUMNS = 1000;
    private static final char[] SEPARATORS = {',', ';', '\t', '|'};
    private static final char NO_SEPARATOR = 0; // TextFile lets none through

    /** Sees the rows. */
    public interface Sink {
        void row(PuzzleRow row);
    }

    /**
     * Where the rows begin.
     *
     * @param header    null for a list
     * @param separator of fields
     * @param padded    columns whose fields begin with a blank that belongs to the separator
     * @param line      of the header, 0 without one
     * @param offset    characters before the first row
     */
    private record Start(TableHeader header, char separator, boolean[] padded, int line, int offset) {}

    /**
     * Hands each row to the sink, in order.
     *
     * @throws DataException naming file:line, if the file cannot be read or is no table, a column is missing, or a row is not
     *                       as the header says
     * @throws trm.input.InputException if a small file unpacks to very much
     */
    public void read(Sink sink) {
        try (BufferedReader text = TextFile.open(file)) {
            text.mark(LONGEST_HEADER + 1);
            char[] begin = new char[LONGEST_HEADER];
            int length = 0;
            for (int n = 0; n >= 0 && length < begin.length; length += Math.max(0, n)) {
                n = text.read(begin, length, begin.length - length);
            }
            text.reset();
            String head = new String(begin, 0, length);
            if (head.stripLeading().startsWith("{") || head.stripLeading().startsWith("[")) {
                Set<Role> wanted = new HashSet<>(required);
                wanted.addAll(optional);
                new JsonPuzzles(file, names, required, wanted).read(text, sink);
                return;
            }
            Start start = start(head);
            text.skip(start.offset);
            rows(text, start, sink);
        } catch (IOException e) {
            throw TextFile.unreadable(file, e);
        }
    }

    /** @throws DataException if there is no header; lines of '#' may come before it, and count as one if none follows */
    private Start start(String head) {
        char given = NO_SEPARATOR;
        DataException comment = null;
        int at = 0;
        for (int number = 1; at < head.length(); number++) {
            int end = at;
            while (end < head.length() && head.charAt(end) != '\n' && head.charAt(end) != '\r') {
                end++;
            }
            if (end == LONGEST_HEADER) {
                throw new DataException(file + ":" + number + ": header: found no end of the line within "
                        + LONGEST_HEADER + " characters, expected names of columns");
            }
            String line = head.substring(at, end);
            at = end + (head.startsWith("\r\n", end) ? 2 : 1);
            boolean separator = line.length() == 5 && line.startsWith("sep=");
            if (separator) {
                given = line.charAt(4);
            } else if (!line.isBlank()) {
                try {
                    return header(line, number, Math.min(at, head.length()), given);
                } catch (DataException e) {
                    if (!line.startsWith("#")) {
                        throw e;
                    }
                    comment = comment == null ? e : comment;
                }
            }
        }
        if (comment != null) {
            throw comment;
        }
        throw new DataException(file + ":1: header: found "
                + (head.length() < LONGEST_HEADER ? "an empty file" : "none within " + LONGEST_HEADER + " characters")
                + ", expected a header" + (lists ? ", or lines of cells" : "") + ", and puzzles");
    }

    private Start header(String line, int number, int offset, char given) {
        String where = file + ":" + number + ": ";
        Set<Role> wanted = new HashSet<>(required);
        wanted.addAll(optional);
        Start best = null;
        for (char separator : given == NO_SEPARATOR ? SEPARATORS : new char[] {given}) {
            List<String> fields = fields(where, line, separator);
            TableHeader header = TableHeader.of(where, fields, names, wanted);
            if (best == null
                    || header.matched() > best.header.matched()
                    || header.matched() == best.header.matched() && header.size() > best.header.size()) {
                boolean[] padded = new boolean[fields.size()];
                for (int i = 1; i < padded.length; i++) {
                    padded[i] = fields.get(i).startsWith(" ");
                }
                best = new Start(header, separator, padded, number, offset);
            }
        }
        if (best.header.has(required)) {
            String alike = best.header.lookalike(names, wanted);
            if (!alike.isEmpty()) {
                throw new DataException(
                        where + "header: found " + Shown.quoted(line) + alike + ", expected names in plain letters");
            }
            return best;
        }
        boolean named = names.given(Role.QUESTION) != null || required.size() > 1;
        if (lists && !named && BoardText.isSigns(withoutComment(line))) {
            return new Start(null, NO_SEPARATOR, null, 0, 0);
        }
        boolean cells = fields(where, line, best.separator).stream()
                .anyMatch(field -> BoardText.isSigns(field) && field.length() >= LEAST_BOARD);
        throw best.header.missing(
                where, line, names, required, cells ? "; is the line of names missing before the puzzles?" : "");
    }

    /** The fields of a header; one field, if it cannot be split in this way. */
    private static List<String> fields(String where, String line, char separator) {
        if (separator == '"' || separator < ' ' && separator != '\t' || Character.isLetterOrDigit(separator)) {
            throw new DataException(where + "the separator given before it is " + Shown.quoted("" + separator)
                    + ", expected ',', ';', '|' or a tab");
        }
        try {
            CsvRecord record = CsvReader.builder()
                    .fieldSeparator(separator)
                    .trimWhitespacesAroundQuotes(true)
                    .ofSingleCsvRecord(line);
            return record.getFields();
        } catch (CsvParseException e) {
            return List.of(line);
        }
    }

    private void rows(BufferedReader text, Start start, Sink sink) throws IOException {
        FieldModifier unpadded = new FieldModifier() {
            @Override
            public String modify(long line, int column, boolean quoted, String field) {
                boolean pad = !quoted && column < start.padded.length && start.padded[column] && field.startsWith(" ");
                return pad ? field.substring(1) : field;
            }
        };
        CsvRecordHandler handler = CsvRecordHandler.of(limits -> {
            limits.maxFields(MOST_COLUMNS).maxFieldSize(LONGEST_ROW).maxRecordSize(LONGEST_ROW);
            if (start.header != null) {
                limits.fieldModifier(unpadded);
            }
        });
        long[] line = {start.line + 1L};
        try (CsvReader<CsvRecord> records = CsvReader.builder()
                .fieldSeparator(start.separator)
                .trimWhitespacesAroundQuotes(true)
                .allowUnclosedQuote(false)
                .extraFieldStrategy(FieldMismatchStrategy.IGNORE)
                .missingFieldStrategy(FieldMismatchStrategy.IGNORE)
                .commentStrategy(start.header == null ? CommentStrategy.SKIP : CommentStrategy.NONE)
                .maxBufferSize(LONGEST_ROW)
                .build(handler, text)) {
            for (CsvRecord record : records) {
                line[0] = start.line + record.getStartingLineNumber();
                if (record.getFieldCount() > 1 || !record.getField(0).isBlank()) {
                    row(record, line[0], start, sink);
                }
            }
        } catch (CsvParseException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            if (e.getCause() instanceof Error cause) {
                throw cause;
            }
            throw new DataException(file + ":" + lineOf(e, start, line[0]) + ": " + fault(e.getMessage()), e);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private void row(CsvRecord record, long line, Start start, Sink sink) {
        PuzzleRow row = new PuzzleRow(file, line, 0);
        if (start.header == null) {
            String board = withoutComment(record.getField(0));
            if (!board.isBlank()) {
                row.texts()[Role.QUESTION.ordinal()] = board;
                sink.row(row);
            }
            return;
        }
        if (record.getFieldCount() != start.header.size()) {
            throw new DataException(row.where() + "found " + record.getFieldCount() + " fields, expected "
                    + start.header.size() + " as in the header");
        }
        for (Role role : Role.values()) {
            int column = start.header.column(role);
            row.texts()[role.ordinal()] = column < 0 ? null : record.getField(column);
        }
        sink.row(row);
    }

    private static String withoutComment(String line) {
        int comment = line.indexOf('#');
        return comment < 0 ? line : line.substring(0, comment);
    }

    /** The line on which the row at fault begins, which only the message of the parser tells. */
    private static long lineOf(CsvParseException e, Start start, long last) {
        String words = "starting at line ";
        int at = e.getMessage().indexOf(words);
        long line = 0;
        for (int i = at + words.length(); at >= 0 && i < e.getMessage().length(); i++) {
            int digit = Character.digit(e.getMessage().charAt(i), 10);
            if (digit < 0) {
                break;
            }
            line = 10 * line + digit;
        }
        return line == 0 ? last : start.line + line;
    }

    private static String fault(String message) {
        if (message.startsWith("Unclosed")) {
            return "found a quote that is not closed";
        }
        if (message.startsWith("Unexpected character after closing quote")) {
            return "found text after a closing quote, expected the end of the field (within quotes, a quote is doubled)";
        }
        if (message.contains("fields")) {
            return "found more than " + MOST_COLUMNS + " fields";
        }
        return "found more than " + LONGEST_ROW + " characters in a row, expected a puzzle (is a quote not closed?)";
    }
}
