package trm.data.table;

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import trm.input.Budget;
import trm.input.DataException;
import trm.input.FileKind;
import trm.input.Shown;

/**
 * Text that a user brings in a file. By its content, not by its name, it is unpacked (gzip, or a zip archive of one file) and
 * decoded: UTF-8, or what a byte order mark says. What is no text is refused ({@link ForeignContent}), and so is a small file
 * that unpacks to very much ({@link Budget}).
 */
final class TextFile {
    private static final int BUFFER = 1 << 13;
    private static final int NAMES_SHOWN = 4;

    private TextFile() {}

    /**
     * Opens a file.
     *
     * @return its characters, without a byte order mark; reading throws {@link DataException} or
     *         {@link trm.input.InputException}, naming the line of text that cannot be decoded
     * @throws DataException if there is no such file, it cannot be read, or it is not text
     */
    static BufferedReader open(Path path) {
        InputStream in = bytes(path);
        try {
            byte[] mark = head(in, 4);
            Charset charset = StandardCharsets.UTF_8;
            if (startsWith(mark, 0xff, 0xfe, 0, 0) || startsWith(mark, 0, 0, 0xfe, 0xff)) {
                charset = Charset.forName("UTF-32"); // takes the mark itself, as UTF-16 does
            } else if (startsWith(mark, 0xff, 0xfe) || startsWith(mark, 0xfe, 0xff)) {
                charset = StandardCharsets.UTF_16;
            }
            while (startsWith(head(in, 3), 0xef, 0xbb, 0xbf)) { // some programs put a second one before the first
                in.skipNBytes(3);
            }
            return new BufferedReader(new TextDecoder(path.toString(), in, charset), BUFFER);
        } catch (IOException e) {
            throw unreadable(path, e);
        }
    }

    /**
     * A file's bytes, unpacked.
     *
     * @throws DataException as {@link #open}; reading throws it too, instead of an {@link IOException}
     */
    static InputStream bytes(Path path) {
        if (Files.isDirectory(path)) {
            throw new DataException(path + ": is a folder, expected a file");
        }
        if (!Files.isRegularFile(path)) {
            throw new DataException(
                    path + (Files.exists(path) ? ": is no regular file, expected one" : ": file not found"));
        }
        InputStream file = null;
        try {
            Budget budget = new Budget(path.toString(), Files.size(path));
            file = new BufferedInputStream(Files.newInputStream(path), BUFFER);
            FileKind kind = FileKind.of(head(file, FileKind.HEAD_BYTES));
            if (kind == FileKind.GZIP) {
                InputStream unpacked = new GZIPInputStream(file, BUFFER);
                return checked(path + " (unpacked)", new Source(path, unpacked, budget));
            }
            if (kind == FileKind.ZIP) {
                file.close();
                return zipped(path, budget);
            }
            return checked(path.toString(), new Source(path, file, null));
        } catch (IOException e) {
            close(file);
            throw unreadable(path, e);
        } catch (RuntimeException e) {
            close(file);
            throw e;
        }
    }

    /** The one file of a zip archive; what macOS puts beside it does not count. */
    private static InputStream zipped(Path path, Budget budget) throws IOException {
        ZipFile zip = new ZipFile(path.toFile());
        try {
            if (zip.getEntry("[Content_Types].xml") != null || zip.getEntry("mimetype") != null) {
                throw ForeignContent.refused(
                        path.toString(), "a workbook or document of an office program", "save it as CSV (UTF-8)");
            }
            List<ZipEntry> files = new ArrayList<>();
            zip.stream()
                    .filter(entry -> !entry.isDirectory() && !isHidden(entry.getName()))
                    .forEach(files::add);
            if (files.size() != 1) {
                List<String> names = files.stream()
                        .limit(NAMES_SHOWN)
                        .map(entry -> Shown.quoted(entry.getName()))
                        .toList();
                throw new DataException(path + ": is a zip archive of " + files.size() + " files " + names
                        + (files.size() > NAMES_SHOWN ? " ..." : "")
                        + ", expected one: unpack it and give one of them");
            }
            InputStream unpacked = zip.getInputStream(files.get(0));
            return checked(path + " (unpacked)", new Source(path, unpacked, budget) {
                @Override
                public void close() throws IOException {
                    super.close();
                    zip.close();
                }
            });
        } catch (IOException | RuntimeException e) {
            zip.close();
            throw e;
        }
    }

    private static boolean isHidden(String name) {
        return name.startsWith("__MACOSX/")
                || name.substring(name.lastIndexOf('/') + 1).startsWith(".");
    }

    private static InputStream checked(String where, InputStream in) throws IOException {
        InputStream buffered = new BufferedInputStream(in, BUFFER);
        ForeignContent.refuse(where, FileKind.of(head(buffered, FileKind.HEAD_BYTES)));
        return buffered;
    }

    private static byte[] head(InputStream in, int bytes) throws IOException {
        in.mark(bytes);
        byte[] head = in.readNBytes(bytes);
        in.reset();
        return head;
    }

    private static boolean startsWith(byte[] head, int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            if (i >= head.length || (head[i] & 0xff) != bytes[i]) {
                return false;
            }
        }
        return true;
    }

    private static void close(InputStream in) {
        try {
            if (in != null) {
                in.close();
            }
        } catch (IOException e) {
            // what went wrong before is what counts
        }
    }

    static DataException unreadable(Path path, IOException e) {
        String reason = e instanceof AccessDeniedException ? "permission denied" : e.getMessage();
        return new DataException(path + ": cannot be read: " + (reason == null ? "damaged or cut off" : reason), e);
    }

    /** Counts unpacked bytes, and says which file cannot be read. */
    private static class Source extends FilterInputStream {
        private final Path path;
        private final Budget budget; // null if nothing is unpacked

        Source(Path path, InputStream in, Budget budget) {
            super(in);
            this.path = path;
            this.budget = budget;
        }

        @Override
        public int read() {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int at, int length) {
            try {
                int count = in.read(into, at, length);
                if (budget != null && count > 0) {
                    budget.bytes(count);
                }
                return count;
            } catch (IOException e) {
                if (budget == null) {
                    throw unreadable(path, e);
                }
                throw new DataException(path + ": cannot be unpacked: the file is damaged or cut off", e);
            }
        }

        @Override
        public boolean markSupported() {
            return false;
        }
    }
}
