package trm.input;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;

/**
 * What a file is, by its first bytes and whatever its name says: the one place that knows signatures. What is done about a kind
 * is for each reader to say.
 */
public enum FileKind {
    EMPTY,
    GIT_LFS("version https://git-lfs"),
    GZIP("\u001f\u008b"),
    BZIP2("BZh"),
    XZ("\u00fd7zXZ"),
    ZSTD("(\u00b5/\u00fd"),
    SEVEN_ZIP("7z\u00bc\u00af"),
    RAR("Rar!"),
    ZIP("PK\u0003\u0004", "PK\u0005\u0006"),
    NUMPY("\u0093NUMPY"),
    HDF5("\u0089HDF"),
    PARQUET("PAR1"),
    ARROW("ARROW1"),
    FEATHER("FEA1"),
    SQLITE("SQLite format 3"),
    EXCEL("\u00d0\u00cf\u0011\u00e0"),
    PDF("%PDF"),
    RTF("{\\rtf"),
    GGUF("GGUF"),
    ONNX("\u0008\u0003\u0012\u0006"),
    /** Of protocol 2 or later; earlier ones have no signature. */
    PICKLE("\u0080\u0002", "\u0080\u0003", "\u0080\u0004", "\u0080\u0005"),
    TAR,
    HTML,
    XML,
    /** None of these. */
    OTHER;

    /** First bytes that are enough to tell. */
    public static final int HEAD_BYTES = 512;

    private static final int USTAR_AT = 257;
    private static final int CHECKSUM_AT = 148;
    private static final int CHECKSUM_END = 156;

    private final List<String> signatures; // one byte a character

    FileKind(String... signatures) {
        this.signatures = List.of(signatures);
    }

    /** @param head the first bytes of the file, {@link #HEAD_BYTES} if it has as many */
    public static FileKind of(byte[] head) {
        String text = new String(head, StandardCharsets.ISO_8859_1);
        if (text.isEmpty()) {
            return EMPTY;
        }
        for (FileKind kind : values()) {
            if (kind.signatures.stream().anyMatch(text::startsWith)) {
                return kind;
            }
        }
        if (text.startsWith("ustar", USTAR_AT) || hasTarChecksum(text)) {
            return TAR;
        }
        String word = text.replace("\u00ef\u00bb\u00bf", "").stripLeading().toLowerCase(Locale.ROOT);
        if (word.startsWith("<!doctype") || word.startsWith("<html")) {
            return HTML;
        }
        return word.startsWith("<?xml") ? XML : OTHER;
    }

    /** An archive of before ustar: a header of 512 bytes with the sum of its bytes, in octal, where that itself counts as blanks. */
    private static boolean hasTarChecksum(String head) {
        if (head.length() < HEAD_BYTES || head.charAt(0) == 0) {
            return false;
        }
        String sum = head.substring(CHECKSUM_AT, CHECKSUM_END);
        String digits = sum.replace('\0', ' ').strip();
        int expected = head.chars().sum() - sum.chars().sum() + 8 * ' ';
        return !digits.isEmpty()
                && digits.chars().allMatch(c -> c >= '0' && c <= '7')
                && Integer.parseInt(digits, 8) == expected;
    }
}
