package trm.input;

/**
 * How text that came from a file appears in a message: on one line, cut where it is long, and so that two texts that differ
 * look different. Whatever is neither printable ASCII nor a letter, digit or mark of a script is written {@code \}{@code uXXXX}:
 * control characters, byte order marks, blanks of no width or of another width, signs that change the direction of writing.
 */
public final class Shown {
    /** Characters of a single value that are shown. */
    private static final int VALUE = 80;

    /** Characters of a whole message. */
    private static final int LINE = 2000;

    private Shown() {}

    /** A value in quotes: {@code 'step_4'}, {@code '\}{@code ufeffsource'}; long ones end in their length. */
    public static String quoted(String text) {
        return text == null ? "null" : "'" + escaped(text, VALUE, true) + "'" + rest(text, VALUE);
    }

    /** A message as one line; quotes and backslashes stay as they are. */
    public static String line(String message) {
        return message == null ? null : escaped(message, LINE, false) + rest(message, LINE);
    }

    private static String rest(String text, int most) {
        return text.length() <= most ? "" : "... (" + text.length() + " characters)";
    }

    private static String escaped(String text, int most, boolean value) {
        StringBuilder shown = new StringBuilder();
        for (int i = 0; i < Math.min(text.length(), most); ) {
            int c = text.codePointAt(i);
            i += Character.charCount(c);
            if (value && (c == '\\' || c == '\'')) {
                shown.append('\\').append((char) c);
            } else if (isPlain(c)) {
                shown.appendCodePoint(c);
            } else if (c == '\n' || c == '\r' || c == '\t') {
                shown.append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
            } else if (c <= 0xffff) {
                shown.append("\\u").append(hex(c, 4));
            } else {
                shown.append("\\U").append(hex(c, 8));
            }
        }
        return shown.toString();
    }

    private static boolean isPlain(int c) {
        return switch (Character.getType(c)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR -> false;
            case Character.SPACE_SEPARATOR -> c == ' ';
            default -> true;
        };
    }

    private static String hex(int c, int digits) {
        String hex = Integer.toHexString(c);
        return "0".repeat(Math.max(0, digits - hex.length())) + hex;
    }
}
