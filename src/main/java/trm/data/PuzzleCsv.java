package trm.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.zip.GZIPInputStream;

/** Puzzles as CSV with a header, {@code source,question,answer,rating} as published, plain or gzipped (".gz"). */
final class PuzzleCsv {
    static final String HEADER = "source,question,answer,rating";

    private PuzzleCsv() {}

    /** Sees one row. */
    interface Sink {
        /**
         * @param where "file:line: ", for messages
         * @param fields without their quotes
         */
        void row(String where, List<String> fields);
    }

    /**
     * Hands each row of a published file to the sink, in order, holding one at a time.
     *
     * @throws DataException naming file:line, if the file cannot be read, the header is another one, or a row has not
     *                       four fields
     */
    static void read(Path path, Sink sink) {
        read(path, HEADER::equals, "'" + HEADER + "'", (header, where, fields) -> sink.row(where, fields));
    }

    /**
     * Hands two columns of each row to the sink, by the names that the header gives them.
     *
     * @throws DataException naming file:line, if the file cannot be read, a column is missing, or a row has another number
     *                       of fields than the header
     */
    static void read(Path path, String first, String second, Sink sink) {
        read(
                path,
                header -> fields(header).containsAll(List.of(first, second)),
                "columns '" + first + "' and '" + second + "'",
                (header, where, fields) -> sink.row(
                        where, List.of(fields.get(header.indexOf(first)), fields.get(header.indexOf(second)))));
    }

    private interface Row {
        void take(List<String> header, String where, List<String> fields);
    }

    private static void read(Path path, Predicate<String> accepts, String expected, Row row) {
        if (!Files.isRegularFile(path)) {
            throw new DataException(path + ": file not found");
        }
        try (InputStream in = open(path);
                BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
            String first = lines.readLine();
            if (first == null || !accepts.test(first)) {
                throw new DataException(path + ":1: header: found "
                        + (first == null ? "an empty file" : "'" + first + "'") + ", expected " + expected);
            }
            List<String> header = fields(first);
            int number = 1;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String where = path + ":" + ++number + ": ";
                List<String> fields = fields(line);
                if (fields.size() != header.size()) {
                    throw new DataException(where + "found " + fields.size() + " fields, expected " + header.size()
                            + " (" + first + ")");
                }
                row.take(header, where, fields);
            }
        } catch (IOException e) {
            throw new DataException(path + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /** A file's content, unpacked if its name ends in ".gz". */
    static InputStream open(Path path) throws IOException {
        InputStream file = Files.newInputStream(path);
        if (!path.toString().endsWith(".gz")) {
            return file;
        }
        try {
            return new GZIPInputStream(file, 1 << 16);
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    /** Splits at commas; a field in double quotes may hold commas, and "" for a quote. */
    private static List<String> fields(String line) {
        List<String> fields = new ArrayList<>(4);
        StringBuilder field = new StringBuilder();
        boolean quoted = false;
        for (int i = 0; i < line.length(); i++) {
            char c = line.charAt(i);
            if (c == '"' && quoted && i + 1 < line.length() && line.charAt(i + 1) == '"') {
                field.append('"');
                i++;
            } else if (c == '"' && (quoted || field.length() == 0)) {
                quoted = !quoted;
            } else if (c == ',' && !quoted) {
                fields.add(field.toString());
                field.setLength(0);
            } else {
                field.append(c);
            }
        }
        fields.add(field.toString());
        return fields;
    }
}
