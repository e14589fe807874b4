package trm.data.format;

import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import trm.input.DataException;
import trm.input.Shown;

/**
 * What a NumPy file says of its array. The header is a Python dictionary with three keys in any order:
 *
 * <pre>
 *   {'descr': '&lt;i4', 'fortran_order': False, 'shape': (7, 81), }
 *   descr: byte order &lt; little, &gt; big, | or = none; kind u, i or b (booleans); bytes of an element
 * </pre>
 *
 * @param type    of the elements
 * @param order   of their bytes
 * @param fortran the first extent runs fastest, not the last
 * @param shape   extents, outermost first; empty for a scalar
 * @param bytes   of the data
 */
record NpyHeader(Type type, ByteOrder order, boolean fortran, long[] shape, long bytes) {
    /** Bytes of a header that is read; NumPy's own are a few hundred at most. */
    static final int MOST = 1 << 16;

    private static final String EXPECTED =
            "expected {'descr': '<i4', 'fortran_order': False, 'shape': (7, 81), } or the like";
    private static final int DIMENSIONS = 32; // NumPy's limit

    /** Of elements: integers of a number of bytes, i with a sign, u without; b1 are booleans. */
    enum Type {
        B1(1),
        U1(1),
        I1(1),
        U2(2),
        I2(2),
        U4(4),
        I4(4),
        U8(8),
        I8(8);

        final int bytes;

        Type(int bytes) {
            this.bytes = bytes;
        }

        /** As NumPy writes it, without the byte order. */
        String text() {
            return name().toLowerCase(java.util.Locale.ROOT);
        }
    }

    /**
     * Reads a header.
     *
     * @param path for messages
     * @throws DataException if it is none, its dtype is not one of integers, or the array is too large to address
     */
    static NpyHeader parse(Path path, byte[] header) {
        return new Scanner(path, new String(header, StandardCharsets.ISO_8859_1)).header();
    }

    /** Reads the text from left to right, without going back: its cost is that of its length. */
    private static final class Scanner {
        private final Path path;
        private final String text;
        private int at;
        private String descr;
        private Boolean fortran;
        private List<String> extents;

        Scanner(Path path, String text) {
            this.path = path;
            this.text = text;
        }

        NpyHeader header() {
            expect('{');
            while (peek() != '}') {
                String key = string();
                expect(':');
                switch (key) {
                    case "descr" -> descr = descr == null ? descr() : none();
                    case "fortran_order" -> fortran = fortran == null ? bool() : none();
                    case "shape" -> extents = extents == null ? tuple() : none();
                    default -> none();
                }
                if (peek() != '}') {
                    expect(',');
                }
            }
            at++;
            if (!text.substring(at).isBlank() || descr == null || fortran == null || extents == null) {
                none();
            }
            Type type = type();
            long[] shape = new long[extents.size()];
            long bytes = type.bytes;
            try {
                for (int i = 0; i < shape.length; i++) {
                    shape[i] = Long.parseLong(extents.get(i));
                    bytes = Math.multiplyExact(bytes, shape[i]);
                }
            } catch (NumberFormatException | ArithmeticException e) {
                throw new DataException(
                        path + ": shape: found " + Shown.quoted(extents.toString()) + ", too large to address", e);
            }
            ByteOrder order = descr.startsWith(">") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
            return new NpyHeader(type, order, fortran, shape, bytes);
        }

        private Type type() {
            String name = descr.isEmpty() || "<>|=".indexOf(descr.charAt(0)) < 0 ? descr : descr.substring(1);
            for (Type type : Type.values()) {
                if (type.text().equals(name)) {
                    return type;
                }
            }
            String what =
                    switch (name.isEmpty() ? ' ' : name.charAt(0)) {
                        case 'f' -> "floating-point numbers; save whole ones by array.astype(numpy.uint8)";
                        case 'c' -> "complex numbers";
                        case 'O' ->
                            "Python objects, which may run code and are not read; save rows of equal length by"
                                    + " numpy.array(rows, dtype=numpy.uint8)";
                        case 'S', 'a', 'U' -> "text";
                        case 'M', 'm' -> "dates";
                        case 'V' -> "records";
                        default -> "of a kind that is not read";
                    };
            throw new DataException(path + ": descr: found dtype " + Shown.quoted(descr) + ", " + what
                    + "; expected integers of 1, 2, 4 or 8 bytes, or booleans");
        }

        /** The element type: text, or a list of fields, which is refused. */
        private String descr() {
            if (peek() == '[' || peek() == '(') {
                throw new DataException(path + ": descr: found a structured array, expected integers: save each of its"
                        + " fields as an array");
            }
            return string();
        }

        private boolean bool() {
            for (boolean value : new boolean[] {true, false}) {
                String word = value ? "True" : "False";
                if (text.startsWith(word, start())) {
                    at += word.length();
                    return value;
                }
            }
            return none();
        }

        /** Digits of each extent; Python 2 wrote an L after large ones. */
        private List<String> tuple() {
            List<String> values = new ArrayList<>();
            expect('(');
            while (peek() != ')') {
                int from = start();
                while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
                    at++;
                }
                if (at == from || values.size() == DIMENSIONS) {
                    return none();
                }
                values.add(text.substring(from, at));
                if (at < text.length() && text.charAt(at) == 'L') {
                    at++;
                }
                if (peek() != ')') {
                    expect(',');
                }
            }
            at++;
            return values;
        }

        private String string() {
            char quote = peek();
            if (quote != '\'' && quote != '"') {
                return none();
            }
            int from = at + 1;
            int end = text.indexOf(quote, from);
            if (end < 0) {
                return none();
            }
            at = end + 1;
            return text.substring(from, end);
        }

        private void expect(char c) {
            if (peek() != c) {
                none();
            }
            at++;
        }

        /** The next character that is no blank; 0 at the end. */
        private char peek() {
            return start() < text.length() ? text.charAt(at) : 0;
        }

        private int start() {
            while (at < text.length() && (text.charAt(at) == ' ' || text.charAt(at) == '\n')) {
                at++;
            }
            return at;
        }

        private <T> T none() {
            throw new DataException(path + ": header: found " + Shown.quoted(text.strip()) + ", " + EXPECTED);
        }
    }

    /** The shape as Python writes it. */
    String shapeText() {
        return Arrays.toString(shape);
    }
}
