package trm.data.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;
import trm.input.Budget;
import trm.input.DataException;
import trm.input.FileKind;

/** JSON files of data sets and tasks, plain or gzip by their content, read as a tree. */
public final class JsonFile {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private static final int BRIEF = 60;

    private JsonFile() {}

    /** @throws DataException if the file is missing, is not JSON, or has a key of an object twice */
    public static JsonNode read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new DataException(file + ": file not found");
        }
        return read(file + "", () -> open(file));
    }

    /**
     * The same of a text that is there, plain or gzip.
     *
     * @param name what messages call it
     */
    public static JsonNode read(String name, byte[] content) {
        byte[] head = Arrays.copyOf(content, Math.min(content.length, FileKind.HEAD_BYTES));
        return read(
                name,
                () -> FileKind.of(head) == FileKind.GZIP
                        ? new Unpacked(
                                new GZIPInputStream(new ByteArrayInputStream(content)),
                                new Budget(name, content.length))
                        : new ByteArrayInputStream(content));
    }

    /** Where a text comes from. */
    @FunctionalInterface
    private interface Source {
        InputStream open() throws IOException;
    }

    private static JsonNode read(String file, Source source) {
        try (InputStream in = source.open()) {
            JsonNode json = JSON.readTree(in);
            if (json.isMissingNode()) {
                throw new DataException(file + ": not valid JSON: the file is empty");
            }
            return json;
        } catch (StreamConstraintsException e) {
            throw new DataException(
                    file + ": not valid JSON: nested more than 1000 deep, or a name or number of unheard-of length", e);
        } catch (JsonProcessingException e) {
            String where =
                    e.getLocation() == null ? "" : " (line " + e.getLocation().getLineNr() + ")";
            throw new DataException(file + ": not valid JSON: " + reason(e.getOriginalMessage()) + where, e);
        } catch (IOException e) {
            throw new DataException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /** What the parser says, without the advice that it has for programmers. */
    private static String reason(String message) {
        String reason = message;
        for (String rest : new String[] {"\n", " (start marker", ": enable ", " at [Source", " (from `"}) {
            int at = reason.indexOf(rest);
            reason = at < 0 ? reason : reason.substring(0, at);
        }
        return reason.length() <= 160 ? reason : reason.substring(0, 157) + "...";
    }

    private static InputStream open(Path file) throws IOException {
        BufferedInputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16);
        try {
            in.mark(FileKind.HEAD_BYTES);
            FileKind kind = FileKind.of(in.readNBytes(FileKind.HEAD_BYTES));
            in.reset();
            if (kind == FileKind.GZIP) {
                return new Unpacked(new GZIPInputStream(in, 1 << 16), new Budget(file.toString(), Files.size(file)));
            }
            if (kind != FileKind.EMPTY) { // that is said as of JSON
                ForeignFile.refuse(file, kind);
            }
            return in;
        } catch (IOException | RuntimeException e) {
            in.close();
            throw e;
        }
    }

    /** Counts what a packed file becomes. */
    private static final class Unpacked extends FilterInputStream {
        private final Budget budget;

        Unpacked(InputStream in, Budget budget) {
            super(in);
            this.budget = budget;
        }

        @Override
        public int read() throws IOException {
            int value = super.read();
            budget.bytes(value < 0 ? 0 : 1);
            return value;
        }

        @Override
        public int read(byte[] to, int from, int count) throws IOException {
            int read = super.read(to, from, count);
            budget.bytes(Math.max(0, read));
            return read;
        }
    }

    /** A value for a message, cut where it is long. */
    public static String brief(JsonNode json) {
        String text = json.isMissingNode() ? "nothing" : json.toString();
        return text.length() <= BRIEF ? text : text.substring(0, BRIEF - 3) + "...";
    }
}
