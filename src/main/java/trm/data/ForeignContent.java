package trm.data;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;

/** What people give for a table of text and is none: found out by its first bytes, and refused with what to do about it. */
final class ForeignContent {
    /** Bytes that are enough to tell. */
    static final int HEAD = 512;

    private static final int TAR_AT = 257;

    /**
     * @param magic the first bytes, one a character
     * @param what  the file is
     * @param todo  about it
     */
    private record Kind(String magic, String what, String todo) {}

    private static final String AS_CSV = "save it as CSV (UTF-8)";
    private static final String UNPACK = "unpack it first";

    private static final List<Kind> KINDS = List.of(
            new Kind("PAR1", "a Parquet file", byPandas("parquet")),
            new Kind("ARROW1", "an Arrow file", byPandas("feather")),
            new Kind("FEA1", "a Feather file", byPandas("feather")),
            new Kind("\u0089HDF", "an HDF5 file", byPandas("hdf")),
            new Kind("SQLite format 3", "a database of SQLite", AS_CSV),
            new Kind("\u00d0\u00cf\u0011\u00e0", "an Excel workbook", AS_CSV),
            new Kind("\u0093NUMPY", "an array of NumPy", AS_CSV),
            new Kind("%PDF", "a PDF document", AS_CSV),
            new Kind("{\\rtf", "an RTF document", "save it as plain text (UTF-8)"),
            new Kind("BZh", "packed by bzip2", UNPACK),
            new Kind("\u00fd7zXZ", "packed by xz", UNPACK),
            new Kind("(\u00b5/\u00fd", "packed by Zstandard", UNPACK),
            new Kind("7z\u00bc\u00af", "a 7z archive", UNPACK),
            new Kind("Rar!", "a RAR archive", UNPACK),
            new Kind("PK\u0003\u0004", "a zip archive", UNPACK),
            new Kind("\u001f\u008b", "packed by gzip", UNPACK),
            new Kind(
                    "version https://git-lfs",
                    "a pointer of Git LFS in the place of the data",
                    "get the data by: git lfs pull"));

    private ForeignContent() {}

    private static String byPandas(String format) {
        return "write it as CSV, with pandas: read_" + format + "(FILE).to_csv('x.csv', index=False)";
    }

    static boolean isGzip(byte[] head) {
        return latin(head).startsWith("\u001f\u008b");
    }

    static boolean isZip(byte[] head) {
        return latin(head).startsWith("PK\u0003\u0004");
    }

    /**
     * Accepts what may be text.
     *
     * @param where what messages call the content
     * @param head  its first bytes, {@link #HEAD} of them if there are so many
     * @throws DataException saying what the file is instead, and what to do
     */
    static void refuse(String where, byte[] head) {
        String text = latin(head);
        for (Kind kind : KINDS) {
            if (text.startsWith(kind.magic)) {
                throw refused(where, kind.what, kind.todo);
            }
        }
        if (text.startsWith("ustar", TAR_AT)) {
            throw refused(where, "a tar archive", UNPACK);
        }
        String shown = text.replace("\u00ef\u00bb\u00bf", "").stripLeading().toLowerCase(Locale.ROOT);
        if (shown.startsWith("<!doctype") || shown.startsWith("<html") || shown.startsWith("<?xml")) {
            throw refused(
                    where, "a web page or XML", "download the file itself, not the page that shows it; or " + AS_CSV);
        }
    }

    static DataException refused(String where, String what, String todo) {
        return new DataException(where + ": is " + what + ", expected puzzles as text (CSV or JSON): " + todo);
    }

    private static String latin(byte[] head) {
        return new String(head, StandardCharsets.ISO_8859_1);
    }
}
