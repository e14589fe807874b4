package trm.data;

import java.nio.charset.StandardCharsets;

/** What a file is that is not what its name says, by its first bytes, and what to do about it. */
enum FileKind {
    LFS("a Git LFS pointer in place of the file, expected the file: run git lfs pull where it comes from"),
    HTML("an HTML page, expected the file that the page is about: download that"),
    GZIP("gzip data, expected the file unpacked: run gunzip"),
    ZIP("a zip archive (.npz or .zip), expected one array of its own: unpack it, or save each by numpy.save"),
    PICKLE("a Python pickle, which may run code and is not read, expected the values themselves"),
    EMPTY("an empty file"),
    OTHER(null);

    /** Bytes that are needed to tell. */
    static final int START = 64;

    private final String text;

    FileKind(String text) {
        this.text = text;
    }

    /** What was found and what to do; null for {@link #OTHER}. */
    String text() {
        return text;
    }

    /** @param start the first bytes of the file, {@link #START} if it has as many */
    static FileKind of(byte[] start) {
        String text = new String(start, StandardCharsets.ISO_8859_1);
        String word = text.stripLeading().toLowerCase(java.util.Locale.ROOT);
        if (start.length == 0) {
            return EMPTY;
        }
        if (text.startsWith("version https://git-lfs")) {
            return LFS;
        }
        if (word.startsWith("<!doctype") || word.startsWith("<html")) {
            return HTML;
        }
        if (text.startsWith("\u001f\u008b")) {
            return GZIP;
        }
        if (text.startsWith("PK\u0003\u0004") || text.startsWith("PK\u0005\u0006")) {
            return ZIP;
        }
        if (start.length > 1 && start[0] == (byte) 0x80 && start[1] >= 2 && start[1] <= 5) {
            return PICKLE;
        }
        return OTHER;
    }
}
