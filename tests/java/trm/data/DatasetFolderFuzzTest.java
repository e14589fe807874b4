package trm.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;
import trm.LatinSquares;
import trm.data.format.Identifiers;
import trm.data.maze.MazeBuilder;
import trm.data.own.PuzzleJson;
import trm.data.puzzle.Puzzle;
import trm.data.random.LegacyRandom;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.table.ColumnNames;

/**
 * Folders in which one file is any bytes: dataset.json, identifiers.json, an array of either form. What opens can be trained
 * on, inspected and counted by all the numbers that it gives; else there is one refusal.
 */
@Tag("fuzz")
class DatasetFolderFuzzTest {
    private static final List<String> WORDS = List.of(
            "\"sets\": [\"all\"]",
            "null",
            "-100",
            "255",
            "1.0",
            "\"all\", \"b\"",
            "\"../a\"",
            "\\u0000",
            "\"total_puzzles\":",
            "\"seq_len\": 16",
            "\"vocab_size\": 256",
            "\"ignore_label_id\": -100",
            "'>i4'",
            "'|u1'",
            "True",
            "(1, 16)",
            "{",
            "}",
            "[",
            "]",
            "\u0000\u0000\u0000\u0001");

    @TempDir
    private Path temp;

    /** An input is the number of a file, in one byte, and its content. */
    private void fuzz(String name, Path folder) throws IOException {
        List<Path> files = new ArrayList<>();
        List<byte[]> seeds = new ArrayList<>();
        for (Path file : Golden.files(folder)) {
            if (file.startsWith("train") || file.endsWith(Identifiers.FILE) || file.endsWith(PuzzleJson.FILE)) {
                ByteArrayOutputStream seed = new ByteArrayOutputStream();
                seed.write(files.size());
                seed.writeBytes(Files.readAllBytes(folder.resolve(file)));
                files.add(file);
                seeds.add(seed.toByteArray());
            }
        }
        Fuzz.run(name, seeds, WORDS, input -> {
            int number = input.length == 0 ? 0 : (input[0] & 0xFF) % files.size();
            Path file = folder.resolve(files.get(number));
            byte[] good = java.util.Arrays.copyOfRange(seeds.get(number), 1, seeds.get(number).length);
            Files.write(file, input.length == 0 ? input : java.util.Arrays.copyOfRange(input, 1, input.length));
            try {
                use(folder);
            } finally {
                Files.write(file, good);
            }
        });
    }

    private static void use(Path folder) {
        DataFolders folders = DataFolders.of(folder);
        folders.identifiers();
        Dataset data = folders.open("train");
        int[] totals = new int[2];
        for (int e = 0; e < data.examples(); e++) {
            data.identifierOf(e);
            data.groupOf(e);
            data.inputRow(e);
            data.labelRow(e);
        }
        for (List<ByteBuffer> chunks : List.of(data.inputChunks(), data.labelChunks())) {
            chunks.forEach(chunk -> totals[0] += chunk.remaining());
        }
        if (totals[0] != 2 * data.storedRows() * data.seqLen()) {
            throw new AssertionError(totals[0] + " bytes");
        }
        TrainLoader loader = new TrainLoader(data, 1, new LegacyRandom(1), 3, 2);
        for (int i = 0; i < 50; i++) {
            int[] rows = loader.nextBatch();
            for (int r = 0; rows != null && r < rows.length; r++) {
                data.inputRow(rows[r]);
            }
        }
        Puzzle kind = Puzzles.of(data);
        for (int token : data.inputRow(0)) {
            kind.cell(token);
        }
        kind.text(data.labelRow(0));
        Inspection.of(folder);
        Grouping.of(folders, "train", data);
    }

    @Test
    void expandedForm() throws IOException {
        Path folder = temp.resolve("mini");
        MiniSudokuBuilder.build(folder, 4, 12, 4, 1, 8);
        fuzz("dataset", folder);
    }

    @Test
    void ownPuzzles() throws IOException {
        Path csv = Files.writeString(temp.resolve("latin.csv"), LatinSquares.csv(4, 6, 8, 1));
        Path folder = temp.resolve("own");
        OwnPuzzles.Look look = new OwnPuzzles.Look(null, null, null, null, true, "ABCD");
        OwnPuzzles.build(csv, csv, folder, ColumnNames.USUAL, look, OwnPuzzles.Split.PLAIN, note -> {});
        fuzz("dataset-own", folder);
    }

    @Test
    void compactForm() throws IOException {
        Path folder = temp.resolve("maze");
        MazeBuilder.generate(folder, 3, 2, 5, 3, 0, true, true);
        Files.write(folder.resolve(Identifiers.FILE), "[\"<blank>\"]".getBytes(StandardCharsets.US_ASCII));
        fuzz("dataset-compact", folder);
    }
}
