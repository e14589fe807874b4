package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.sudoku.MiniSudokuBuilder;

/** The models that come with the program: those of the repository, and copies of them that are damaged. */
class ModelsTest {
    private static final Path MODELS = Path.of("models");
    private static final String PUZZLE = "1..4.2....3.3..2";

    @TempDir
    private Path temp;

    private String home;

    /** An installation whose models can be changed. */
    @BeforeEach
    void install() throws IOException {
        home = System.getProperty("trm.home");
        Trm.copy(MODELS, temp.resolve("models"));
        System.setProperty("trm.home", temp.toString());
    }

    @AfterEach
    void restore() {
        if (home == null) {
            System.clearProperty("trm.home");
        } else {
            System.setProperty("trm.home", home);
        }
    }

    /** What the repository ships is whole, small, and as its card says. */
    @Test
    void shippedModels() throws IOException {
        List<BundledModel> all = BundledModels.all();
        assertTrue(all.size() >= 2, all.toString());
        JsonNode listed = Trm.execute("models", "--json").assertDone().json().get("models");
        assertEquals(all.size(), listed.size());
        for (int i = 0; i < all.size(); i++) {
            BundledModel model = all.get(i);
            assertTrue(Files.size(model.weights()) < 12_000_000, model.name());
            assertEquals(model.name(), listed.get(i).get("name").asText());
            String card = Files.readString(MODELS.resolve(model.name()).resolve("card.md"));
            for (String fact : List.of("data", "seed", "command", "time", "licence", "cannot")) {
                assertTrue(card.contains("| " + fact + " |"), model.name() + "'s card has no row '" + fact + "'");
            }
        }
        String table = Trm.execute("models").assertDone().out();
        assertEquals(all.size(), table.lines().count());
        assertTrue(table.contains("sudoku-4x4") && table.contains("4 x 4"), table);
    }

    @Test
    void solvesWithTheBestThatFits() throws IOException {
        Trm.Result result = Trm.execute("solve", "--puzzle", PUZZLE, "--json", "--device", "cpu")
                .assertDone();
        assertTrue(result.err().contains("\nsudoku-4x4 (bundled): "), result.out());
        assertTrue(result.json().get("legal").asBoolean(), result.out());
        assertEquals("1324421324313142", solved(PUZZLE));
    }

    /** By the name of a model, too. */
    private static String solved(String puzzle) throws IOException {
        return Trm.execute("solve", "sudoku-4x4", "--puzzle", puzzle, "--json", "--device", "cpu")
                .assertDone()
                .json()
                .get("answer")
                .asText();
    }

    /** The one of the highest rank; a folder is all that a model needs. */
    @Test
    void ranks() throws IOException {
        Path better = Trm.copy(temp.resolve("models/sudoku-4x4"), temp.resolve("models/a-better-one"));
        String card = Files.readString(better.resolve("card.md"));
        Files.writeString(better.resolve("card.md"), card.replaceAll("\\| rank \\| \\d+ \\|", "| rank | 99 |"));
        assertEquals("a-better-one", BundledModels.best("sudoku", 4, "", "").name());
        Files.createDirectories(temp.resolve("models/of-the-user/checkpoints")); // no card, no model
        assertEquals(
                BundledModels.all().size(),
                Trm.execute("models").assertDone().out().lines().count());
    }

    @Test
    void evaluatesByName() throws IOException {
        Path data = temp.resolve("data");
        MiniSudokuBuilder.build(data, 4, 20, 30, 5, 8);
        JsonNode score = Trm.execute("eval", "sudoku-4x4", "--data", data, "--json", "--device", "cpu")
                .assertDone()
                .json();
        assertEquals(30, score.get("puzzles").asInt());
        assertTrue(score.get("exact_accuracy").asDouble() > 0.8, score.toString());
        Trm.execute("eval", "sudoku-4x5", "--data", data).assertFails(1, "sudoku-4x5: ", "checkpoint");
    }

    @Test
    void whatIsDamagedOrMissingIsNamed() throws IOException {
        Path model = temp.resolve("models/sudoku-4x4");
        Path weights = model.resolve("weights.safetensors");
        byte[] good = Files.readAllBytes(weights);
        byte[] bad = good.clone();
        bad[bad.length - 5] ^= 1;
        Files.write(weights, bad);
        Trm.Result solve = Trm.execute("solve", "--puzzle", PUZZLE);
        solve.assertFails(1, "bundled model sudoku-4x4: damaged: " + weights + " has SHA-256 ", ", its card says ");
        Trm.execute("eval", "sudoku-4x4").assertFails(1, "bundled model sudoku-4x4: damaged: ");
        Files.delete(weights);
        Trm.execute("solve", "--puzzle", PUZZLE)
                .assertFails(1, "bundled model sudoku-4x4: its weights cannot be read: " + weights + ": no such file");
        Files.write(weights, good);
        Path card = model.resolve("card.md");
        String text = Files.readString(card);
        Files.writeString(card, text.replaceAll("\\| SHA-256 \\| `.", "| SHA-256 | `x"));
        Trm.execute("models")
                .assertFails(1, card + ": damaged: found ", "in the row 'SHA-256', expected | SHA-256 | ... |");
        Files.writeString(card, text.replaceAll("\\| side \\| 4 \\|\n", ""));
        Trm.execute("solve", "--puzzle", PUZZLE).assertFails(1, card + ": damaged: found no row 'side'");
    }

    @Test
    void aPuzzleThatNoneFits() throws IOException {
        for (Path folder : List.of(Path.of("models/sudoku-9x9"), Path.of("models/sudoku-9x9-small"))) {
            Path there = temp.resolve(folder);
            if (Files.isDirectory(there)) {
                Files.delete(there.resolve("card.md"));
            }
        }
        String nine = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
        Trm.execute("solve", "--puzzle", nine)
                .assertFails(
                        1,
                        "no bundled model fits a sudoku of 9 x 9: there are ",
                        "sudoku-4x4 (sudoku, side 4)",
                        "name a checkpoint");
    }

    /** In a jar, where the weights have to be copied to be mapped. */
    @Test
    void inAJar() throws IOException {
        Path jar = temp.resolve("models.jar");
        try (FileSystem zip = FileSystems.newFileSystem(URI.create("jar:" + jar.toUri()), Map.of("create", "true"))) {
            Path folder = Files.createDirectories(zip.getPath("trm/models/sudoku-4x4"));
            for (String file : List.of("card.md", "weights.safetensors")) {
                Files.copy(MODELS.resolve("sudoku-4x4").resolve(file), folder.resolve(file));
            }
        }
        try (FileSystem zip = FileSystems.newFileSystem(jar)) {
            BundledModel model = BundledModel.of(zip.getPath("trm/models/sudoku-4x4"));
            assertEquals("sudoku-4x4", model.name());
            Path copy = model.weights();
            assertEquals(-1, Files.mismatch(MODELS.resolve("sudoku-4x4/weights.safetensors"), copy));
            assertFalse(copy.toString().startsWith("trm"), copy.toString());
            Files.delete(copy);
        }
    }

    /** Exported for the box: half as many bytes, and what bfloat16 leaves of each value. */
    @Test
    void exportedAsBfloat16() {
        Path out = temp.resolve("w.safetensors");
        Trm.execute("export", "sudoku-4x4", "--dtype", "bfloat16", "--out", out).assertDone();
        assertEquals(
                BundledModels.named("sudoku-4x4").orElseThrow().bytes(),
                out.toFile().length(),
                4096);
        Trm.execute("export", "sudoku-4x4", "--dtype", "int8", "--out", out)
                .assertFails(2, "--dtype int8: expected bfloat16");
        Trm.execute("export", "sudoku-4x4", "--dtype", "bfloat16", "--out", temp.resolve("w.pt"))
                .assertFails(2, "--dtype bfloat16 with ", "expected a .safetensors file");
    }
}
