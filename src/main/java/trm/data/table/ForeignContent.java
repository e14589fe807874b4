package trm.data.table;

import java.util.EnumMap;
import java.util.Map;
import trm.input.DataException;
import trm.input.FileKind;

/** What people give for a table of text and is none: refused with what to do about it. */
final class ForeignContent {
    /** @param todo about the file */
    private record Refusal(String what, String todo) {}

    private static final String AS_CSV = "save it as CSV (UTF-8)";
    private static final String UNPACK = "unpack it first";
    private static final Refusal PAGE =
            new Refusal("a web page or XML", "download the file itself, not the page that shows it; or " + AS_CSV);

    private static final Map<FileKind, Refusal> REFUSALS = new EnumMap<>(Map.ofEntries(
            Map.entry(FileKind.PARQUET, new Refusal("a Parquet file", byPandas("parquet"))),
            Map.entry(FileKind.ARROW, new Refusal("an Arrow file", byPandas("feather"))),
            Map.entry(FileKind.FEATHER, new Refusal("a Feather file", byPandas("feather"))),
            Map.entry(FileKind.HDF5, new Refusal("an HDF5 file", byPandas("hdf"))),
            Map.entry(FileKind.SQLITE, new Refusal("a database of SQLite", AS_CSV)),
            Map.entry(FileKind.EXCEL, new Refusal("an Excel workbook", AS_CSV)),
            Map.entry(FileKind.NUMPY, new Refusal("an array of NumPy", AS_CSV)),
            Map.entry(FileKind.PDF, new Refusal("a PDF document", AS_CSV)),
            Map.entry(FileKind.RTF, new Refusal("an RTF document", "save it as plain text (UTF-8)")),
            Map.entry(FileKind.BZIP2, new Refusal("packed by bzip2", UNPACK)),
            Map.entry(FileKind.XZ, new Refusal("packed by xz", UNPACK)),
            Map.entry(FileKind.ZSTD, new Refusal("packed by Zstandard", UNPACK)),
            Map.entry(FileKind.SEVEN_ZIP, new Refusal("a 7z archive", UNPACK)),
            Map.entry(FileKind.RAR, new Refusal("a RAR archive", UNPACK)),
            Map.entry(FileKind.ZIP, new Refusal("a zip archive", UNPACK)),
            Map.entry(FileKind.GZIP, new Refusal("packed by gzip", UNPACK)),
            Map.entry(FileKind.TAR, new Refusal("a tar archive", UNPACK)),
            Map.entry(
                    FileKind.GIT_LFS,
                    new Refusal("a pointer of Git LFS in the place of the data", "get the data by: git lfs pull")),
            Map.entry(FileKind.HTML, PAGE),
            Map.entry(FileKind.XML, PAGE)));

    private ForeignContent() {}

    private static String byPandas(String format) {
        return "write it as CSV, with pandas: read_" + format + "(FILE).to_csv('x.csv', index=False)";
    }

    /**
     * Accepts what may be text.
     *
     * @param where what messages call the content
     * @throws DataException saying what the file is instead, and what to do
     */
    static void refuse(String where, FileKind kind) {
        Refusal refusal = REFUSALS.get(kind);
        if (refusal != null) {
            throw refused(where, refusal.what, refusal.todo);
        }
    }

    static DataException refused(String where, String what, String todo) {
        return new DataException(where + ": is " + what + ", expected puzzles as text (CSV or JSON): " + todo);
    }
}
