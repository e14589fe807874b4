package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Commands under locales with digits of their own (Arabic, Persian), other letters (Turkish: the capital of i is not I)
 * and other signs (German: a decimal comma), in a folder whose name has blanks and an umlaut. Oracle: the same commands
 * under the root locale. Bound: none; files are compared byte for byte. Whole processes: {@link MachineTest}.
 */
class LocaleTest {
    @TempDir
    private static Path temp;

    private static Map<String, byte[]> expected;

    private Locale before;
    private Locale beforeFormat;

    @BeforeEach
    void remember() {
        before = Locale.getDefault(Locale.Category.DISPLAY);
        beforeFormat = Locale.getDefault(Locale.Category.FORMAT);
    }

    @AfterEach
    void restore() {
        Locale.setDefault(Locale.Category.DISPLAY, before);
        Locale.setDefault(Locale.Category.FORMAT, beforeFormat);
    }

    private static Path folder() throws IOException {
        return Files.createDirectories(temp.resolve("mit blank größe"));
    }

    /** Makes data, trains, resumes, evaluates, inspects, explains: all files, and what was printed. */
    private static Map<String, byte[]> work(Locale locale) throws IOException {
        Locale.setDefault(locale);
        Path data = folder().resolve("daten");
        Path run = folder().resolve("lauf");
        String rows = "1234,4321\n1221,1221\n2143,3412\nIiıİ,iIİı\n";
        Path table = Files.writeString(folder().resolve("tabelle.csv"), "question,answer\n" + rows);
        Path own = folder().resolve("eigene");
        Map<String, byte[]> files = new TreeMap<>();
        print(files, "csv", "data", "csv", "--train", table, "--test", table, "--out", own);
        print(
                files,
                "sudoku-mini",
                "data",
                "sudoku-mini",
                "--side",
                4,
                "--train-size",
                64,
                "--test-size",
                16,
                "--out",
                data);
        Path config = Trm.tinyConfig(folder().resolve("klein.yaml"), data);
        Files.writeString(
                config, Files.readString(config) + "checkpoint_every_steps: 2\ncheckpoint_keep: 3\nlr: 1e-3\n");
        Trm.execute("train", config, "--run", run, "--device", "cpu").assertDone();
        Files.delete(run.resolve("checkpoints/step-00000004.safetensors")); // as if killed after step 2
        Trm.execute("train", "--resume", run, "--device", "cpu").assertDone();
        print(files, "inspect", "data", "inspect", data);
        print(files, "plan", "plan", config, "--memory", "24GB");
        Trm.Result eval = Trm.execute("eval", run, "--device", "cpu").assertDone();
        files.put("exact accuracy", eval.out().replaceAll("[0-9.,]+ s\\b.*", "").getBytes(StandardCharsets.UTF_8));
        collect(files, folder());
        delete(folder());
        return files;
    }

    private static void print(Map<String, byte[]> files, String name, Object... arguments) {
        Trm.Result result = Trm.execute(arguments).assertDone();
        files.put("output of " + name, result.out().getBytes(StandardCharsets.UTF_8));
    }

    /** Files by name; without the clock's columns, and all that have the time in their names by one without it. */
    private static void collect(Map<String, byte[]> files, Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                String name = folder.relativize(file).toString().replaceFirst("tfevents\\..*", "tfevents");
                if (name.endsWith("metrics.csv")) {
                    String rows = Files.readString(file).replaceAll(",[^,\n]*,[^,\n]*\n", "\n");
                    files.put(name, rows.getBytes(StandardCharsets.UTF_8));
                } else if (name.endsWith("heartbeat.json")) { // any moment, in ASCII's digits
                    String text =
                            Files.readString(file).replaceAll("[0-9]+", "0").replaceAll("0\\.0", "0");
                    files.put(name, text.getBytes(StandardCharsets.UTF_8));
                } else {
                    boolean hasTimes = name.contains("tfevents") || name.endsWith("log.txt");
                    files.put(name, hasTimes ? new byte[0] : Files.readAllBytes(file));
                }
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path file : all.sorted(java.util.Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"ar-EG", "fa-IR", "tr-TR", "de-DE", "hi-IN-u-nu-deva"})
    void everyFileIsThatOfTheRootLocale(String tag) throws IOException {
        if (expected == null) {
            expected = work(Locale.ROOT);
            assertTrue(expected.keySet().stream().anyMatch(name -> name.contains("step-00000004.safetensors")));
        }
        Map<String, byte[]> found = work(Locale.forLanguageTag(tag));
        assertEquals(expected.keySet(), found.keySet());
        for (Map.Entry<String, byte[]> file : expected.entrySet()) {
            assertArrayEquals(
                    file.getValue(),
                    found.get(file.getKey()),
                    () -> file.getKey() + ":\n"
                            + new String(file.getValue(), StandardCharsets.UTF_8) + "\n"
                            + new String(found.get(file.getKey()), StandardCharsets.UTF_8));
        }
    }

    private static byte[] line(String arguments, Charset charset) {
        return arguments.replace(' ', '\0').concat("\0").getBytes(charset);
    }

    @Test
    void argumentsThatTheEncodingCannotHold() {
        byte[] utf8 = line("java -jar trm.jar eval größe", StandardCharsets.UTF_8);
        String ascii = FileNames.obstacle(utf8, "/tmp", StandardCharsets.US_ASCII);
        assertTrue(ascii.startsWith("'größe' is not text in the encoding US-ASCII of this locale ("), ascii);
        assertTrue(ascii.contains("set LC_ALL=C.UTF-8"), ascii);
        assertNull(FileNames.obstacle(utf8, "/tmp/größe", StandardCharsets.UTF_8));
        assertNull(FileNames.obstacle(utf8, "/tmp", StandardCharsets.ISO_8859_1));
        assertNull(FileNames.obstacle(line("java a ?", StandardCharsets.UTF_8), "/tmp/?", StandardCharsets.US_ASCII));
        byte[] latin1 = line("java größe", StandardCharsets.ISO_8859_1);
        String other = FileNames.obstacle(latin1, "/tmp", StandardCharsets.UTF_8);
        assertTrue(other.startsWith("'gr\\ufffd") || other.startsWith("'gr\ufffd"), other);
        String folder =
                FileNames.obstacle(line("java", StandardCharsets.UTF_8), "/tmp/gr\ufffd", StandardCharsets.US_ASCII);
        assertTrue(folder.startsWith("the name of the current folder is not text in "), folder);
    }

    @Test
    void namesThatNoFileCanHave() {
        String nul = FileNames.describe(new InvalidPathException("a\0b", "Nul character not allowed"));
        assertEquals("'a\\u0000b' is no name of a file: it has a character NUL", nul);
        String letters = FileNames.describe(new InvalidPathException("größe", "Malformed input"));
        assertTrue(letters.startsWith("'größe' is not text in the encoding "), letters);
    }

    @ParameterizedTest
    @CsvSource({"C,x,y,LC_ALL=C", "'',x,y,LC_CTYPE=x", ",,y,LANG=y", ",,,'LC_ALL, LC_CTYPE and LANG are not set'"})
    void theVariableThatDecides(String all, String type, String lang, String expected) {
        Map<String, String> environment = new TreeMap<>();
        environment.put("LC_ALL", all);
        environment.put("LC_CTYPE", type);
        environment.put("LANG", lang);
        assertEquals(expected, FileNames.locale(environment::get));
    }
}
