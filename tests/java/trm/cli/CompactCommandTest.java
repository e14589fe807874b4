package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compact data sets on the command line. Oracle: the same commands on the expanded form. */
class CompactCommandTest {
    @TempDir
    private Path temp;

    private Path sudoku(String name, Object... more) throws IOException {
        Path csv = temp.resolve("few.csv");
        Files.write(csv, Files.readAllLines(Path.of("data/sudoku/train.csv")).subList(0, 9));
        Path out = temp.resolve(name);
        List<Object> arguments = new ArrayList<>(List.of("data", "sudoku", "--train", csv, "--test", csv, "--aug=7"));
        arguments.addAll(List.of("--out", out));
        arguments.addAll(List.of(more));
        Trm.Result result = Trm.execute(arguments.toArray()).assertDone();
        assertEquals(
                out + ": 64 training examples (8 puzzles, 7 shuffled copies each), 8 test puzzles",
                result.err().strip());
        return out;
    }

    @Test
    void trainEvaluateAndPlan() throws IOException {
        Path expanded = sudoku("expanded");
        Path compact = sudoku("compact", "--compact");
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), compact);
        Path run = temp.resolve("run");
        Trm.execute("train", config, "epochs=8", "--run", run, "--device", "cpu")
                .assertDone();
        JsonNode own = evaluate(run, "--split", "train");
        assertEquals(64, own.get("puzzles").asInt());
        JsonNode other = evaluate(run, "--split", "train", "--data", expanded);
        assertEquals(other.get("accuracy"), own.get("accuracy"));
        assertEquals(other.get("exact_accuracy"), own.get("exact_accuracy"));
        assertTrue(own.get("accuracy").asDouble() > 0);

        JsonNode plan = Trm.execute("plan", config, "--device", "cpu", "--json")
                .assertDone()
                .json();
        long tasks = 2 * padded(8 * 81);
        long train = tasks + padded(64 * 4) + padded(64 * 2 * 4) + padded(57 * 30); // identifiers, origins, records
        long test = tasks + padded(8 * 4);
        assertEquals(train + test, plan.get("parts").get("data").asLong());
    }

    private static long padded(long bytes) {
        return (bytes + 255) / 256 * 256;
    }

    private static JsonNode evaluate(Path run, Object... more) throws IOException {
        List<Object> arguments = new ArrayList<>(List.of("eval", run, "--device", "cpu", "--json"));
        arguments.addAll(List.of(more));
        return Trm.execute(arguments.toArray()).assertDone().json();
    }

    @Test
    void compactOfAnExpandedFolder() throws IOException {
        Path maze = Path.of("tests/golden/datasets/maze_small/expected");
        Path out = temp.resolve("maze");
        Trm.Result result = Trm.execute("data", "compact", maze, "--out", out).assertDone();
        String[] lines = result.err().lines().toArray(String[]::new);
        assertEquals(2, lines.length, result.err());
        assertTrue(lines[0].startsWith(out.resolve("train") + ": 48 examples of 6 stored, "), lines[0]);
        Trm.execute("data", "compact", maze, "--out", out).assertFails(1, out + ": exists");
        Trm.execute("data", "compact", out, "--out", temp.resolve("again"))
                .assertFails(1, out.resolve("train") + ": found the compact form, expected the expanded one");
        Trm.execute("data", "compact", sudoku("sudoku"), "--out", temp.resolve("again"))
                .assertFails(1, "found no example that is one of the 8 symmetries of the first one of its group");
        Trm.execute("data", "compact", temp.resolve("none"), "--out", temp.resolve("again"))
                .assertFails(1, temp.resolve("none") + ": found none of the folders [train, test]");
        Trm.execute("data", "compact", maze).assertFails(2, "--out");
    }

    @Test
    void nothingToBeCompactAbout() {
        Path csv = Path.of("data/sudoku/test.csv");
        Trm.execute("data", "sudoku", "--train", csv, "--test", csv, "--out", temp.resolve("out"), "--compact")
                .assertFails(2, "--compact with --aug 0: expected copies");
        Trm.execute("data", "maze", "--train", csv, "--test", csv, "--out", temp.resolve("out"), "--compact")
                .assertFails(2, "--compact without --aug: expected copies");
        assertTrue(Files.notExists(temp.resolve("out")));
    }

    @Test
    void damagedFolder() throws IOException {
        Path data = sudoku("data", "--compact");
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), data);
        Path records = data.resolve("train/all__augmentations.npy");
        byte[] bytes = Files.readAllBytes(records);
        bytes[bytes.length - 1] = 11;
        Files.write(records, bytes);
        Trm.execute("train", config, "--run", temp.resolve("run"), "--device", "cpu")
                .assertFails(1, records + ": record 56: tokens[10]: found 11, expected a permutation of 0 .. 10");
    }
}
