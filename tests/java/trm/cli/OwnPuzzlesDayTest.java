package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.LatinSquares;

/** The commands of docs/own-puzzles.md as they stand there, in a folder of their own, in one process. */
class OwnPuzzlesDayTest {
    private static final Path PAGE = Path.of("docs/own-puzzles.md");

    @TempDir
    private static Path folder;

    private static String out;
    private static List<String> questions;

    /** Runs commands, each the arguments in a line, until one fails. */
    public static void main(String[] files) throws IOException {
        for (String line : Files.readAllLines(Path.of(files[0]))) {
            int code = Main.execute(line.split(" +"));
            if (code != 0) {
                System.exit(code);
            }
        }
    }

    /** What follows {@code ./trm} in the block of six commands, without the remarks. */
    private static List<String> commands() throws IOException {
        for (String block : Files.readString(PAGE).split("(?m)^```.*$")) {
            List<String> commands = block.lines()
                    .filter(line -> line.startsWith("./trm "))
                    .map(line -> line.substring("./trm ".length()).replaceAll(" +#.*", ""))
                    .toList();
            if (commands.size() == 6) {
                return commands;
            }
        }
        throw new AssertionError(PAGE + " has no block of six commands");
    }

    @BeforeAll
    static void day() throws IOException, InterruptedException {
        String csv = LatinSquares.csv(5, 12, 600, 1);
        Files.writeString(folder.resolve("latin.csv"), csv);
        questions = csv.lines().skip(1).map(line -> line.substring(0, 25)).toList();
        Trm.copy(Path.of("configs"), folder.resolve("configs"));
        Files.write(folder.resolve("commands"), commands());
        List<String> command = new ArrayList<>(Trm.command("512m", "commands"));
        command.set(command.size() - 2, OwnPuzzlesDayTest.class.getName());
        int classes = command.indexOf("-cp") + 1;
        command.set(
                classes,
                Stream.of(command.get(classes).split(File.pathSeparator))
                        .map(entry -> Path.of(entry).toAbsolutePath().toString())
                        .collect(Collectors.joining(File.pathSeparator)));
        Path err = folder.resolve("err");
        int code = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(err.toFile())
                .start()
                .waitFor();
        assertEquals(0, code, Files.readString(err));
        out = Files.readString(folder.resolve("out"));
    }

    @Test
    void unseenSquaresAreSolved() throws IOException {
        List<NamedCsvRecord> rows = table();
        long exact = rows.stream()
                .filter(row -> row.getField("exact").equals("true"))
                .count();
        assertTrue(exact > 0.5 * rows.size(), exact + " of " + rows.size());
        assertTrue(rows.size() > 40 && rows.size() <= 60, rows.size() + " held out");
        for (NamedCsvRecord row : rows) {
            assertTrue(questions.contains(row.getField("input")), row.toString());
            assertEquals(
                    row.getField("answer").equals(row.getField("label")),
                    row.getField("exact").equals("true"));
        }
    }

    private static List<NamedCsvRecord> table() throws IOException {
        try (CsvReader<NamedCsvRecord> csv = CsvReader.builder().ofNamedCsvRecord(folder.resolve("answers.csv"))) {
            return csv.stream().toList();
        }
    }

    @Test
    void allFormatsSayTheSame() throws IOException {
        List<NamedCsvRecord> rows = table();
        List<String> lines = Files.readAllLines(folder.resolve("answers.jsonl"));
        assertEquals(rows.size(), lines.size());
        for (int i = 0; i < rows.size(); i++) {
            JsonNode line = new ObjectMapper().readTree(lines.get(i));
            for (String key : List.of("index", "input", "label", "answer", "exact", "halting_step", "steps")) {
                assertEquals(rows.get(i).getField(key), line.get(key).asText(), key);
            }
        }
        try (ZipFile npz = new ZipFile(folder.resolve("answers.npz").toFile())) {
            assertEquals(
                    List.of("answer", "answers", "exact", "halting_probabilities"),
                    npz.stream()
                            .map(ZipEntry::getName)
                            .map(name -> name.replace(".npy", ""))
                            .filter(name -> name.matches("answers?|exact|halting_probabilities"))
                            .sorted()
                            .toList());
        }
    }

    /** The board of {@code trm solve}, letter by letter. */
    @Test
    void drawnInTheAuthorsLetters() throws IOException {
        List<String> lines = out.lines().toList();
        List<NamedCsvRecord> rows = table();
        for (int example = 0; example < 2; example++) {
            int at = lines.indexOf("test example " + example) + 3;
            String drawn = lines.subList(at, at + 5).stream()
                    .map(line -> line.substring(0, 10).replace(" ", ""))
                    .collect(Collectors.joining());
            assertEquals(rows.get(example).getField("input"), drawn);
            assertTrue(
                    lines.subList(at, at + 8)
                            .contains("answer  " + rows.get(example).getField("answer")),
                    out);
        }
    }

    /** Where Python has NumPy. */
    @Test
    void numpyLoadsThem() throws IOException, InterruptedException {
        assumeTrue(python("import numpy").equals(""), "no Python with NumPy");
        String read = python("import numpy as np\nd = np.load('answers.npz')\n"
                + "for i in range(len(d['index'])): print(''.join(d['symbols'][d['answer'][i]]), bool(d['exact'][i]),"
                + " (d['answers'][i, -1] == d['answer'][i]).all())\n");
        assertEquals(
                table().stream()
                        .map(row -> row.getField("answer")
                                + (row.getField("exact").equals("true") ? " True" : " False") + " True")
                        .toList(),
                Arrays.asList(read.split("\n")));
    }

    private static String python(String program) throws IOException, InterruptedException {
        Path output = folder.resolve("python");
        try {
            new ProcessBuilder("python3", "-c", program)
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start()
                    .waitFor();
        } catch (IOException e) {
            return "none";
        }
        return Files.readString(output);
    }
}
