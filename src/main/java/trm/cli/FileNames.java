package trm.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import trm.input.Shown;

/**
 * Names of files in the encoding that Java took from the locale: ASCII where there is none. Letters outside of it are
 * replaced in what the program is given, so that it would look for other files.
 */
final class FileNames {
    private static final String ENCODING = "sun.jnu.encoding";

    private FileNames() {}

    /** Why the command line or the current folder cannot be read as they are; null if they can. */
    static String obstacle() {
        Charset encoding = Charset.forName(System.getProperty(ENCODING, "UTF-8"));
        try {
            byte[] line = Files.readAllBytes(Path.of("/proc/self/cmdline"));
            String folder = Files.readSymbolicLink(Path.of("/proc/self/cwd")).toString();
            return obstacle(line, folder, encoding);
        } catch (IOException e) {
            return null; // a system that does not tell
        }
    }

    /**
     * @param line arguments, each followed by a zero
     * @param folder the current one, as Java reads it
     */
    static String obstacle(byte[] line, String folder, Charset encoding) {
        int from = 0;
        for (int i = 0; i < line.length; i++) {
            if (line[i] == 0) {
                byte[] argument = Arrays.copyOfRange(line, from, i);
                from = i + 1;
                if (!isText(argument, encoding)) {
                    return Shown.quoted(new String(argument, StandardCharsets.UTF_8)) + hint(encoding);
                }
            }
        }
        return folder.contains("\ufffd") ? "the name of the current folder" + hint(encoding) : null;
    }

    private static boolean isText(byte[] bytes, Charset encoding) {
        try {
            encoding.newDecoder().decode(ByteBuffer.wrap(bytes));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    /** What is wrong with a name that no file can have here. */
    static String describe(InvalidPathException e) {
        String name = Shown.quoted(e.getInput());
        return e.getInput().indexOf('\0') >= 0
                ? name + " is no name of a file: it has a character NUL"
                : name + hint(Charset.forName(System.getProperty(ENCODING, "UTF-8")));
    }

    private static String hint(Charset encoding) {
        return " is not text in the encoding " + encoding + " of this locale (" + locale(System::getenv)
                + "), so no file is found by it: set LC_ALL=C.UTF-8, or another locale of the names' encoding";
    }

    /** The variable that decides, and its value. */
    static String locale(UnaryOperator<String> environment) {
        for (String variable : new String[] {"LC_ALL", "LC_CTYPE", "LANG"}) {
            String value = environment.apply(variable);
            if (value != null && !value.isEmpty()) {
                return variable + "=" + value;
            }
        }
        return "LC_ALL, LC_CTYPE and LANG are not set";
    }
}
