package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.sudoku.SudokuPuzzle;

/**
 * Answers as data. Oracles: what {@code trm solve} says of a puzzle after as many steps, the scores of the evaluation, and the
 * data set itself. What is answered when is the matter of EvaluationsTest.
 */
class PredictionsTest {
    private static final String OUTPUTS =
            "inputs, labels, puzzle_identifiers, logits, preds, q_halt_logits, q_continue_logits";

    private static final int PUZZLES = 20;
    private static final int CELLS = 16;
    private static final int STEPS = 3;

    @TempDir
    private static Path shared;

    private static Path data;
    private static Path run;
    private static JsonNode scores;

    @TempDir
    private Path temp;

    /** Of some puzzles the answer is right, of others it is not. */
    @BeforeAll
    static void train() throws IOException {
        data = shared.resolve("data");
        MiniSudokuBuilder.build(data, 4, 24, PUZZLES, 1, 8);
        StringBuilder sources = new StringBuilder("source,rating\n");
        for (int i = 0; i < PUZZLES; i++) {
            sources.append(i % 2 == 0 ? "even" : "\u00f6dd").append(",\n");
        }
        Files.writeString(data.resolve("test/all__sources.csv"), sources);
        run = shared.resolve("run");
        Path config = Trm.tinyConfig(shared.resolve("tiny.yaml"), data);
        Trm.execute(
                        "train",
                        config,
                        "epochs=150",
                        "lr=5e-3",
                        "lr_warmup_steps=5",
                        "ema_rate=0.9",
                        "arch.puzzle_emb_ndim=32", // so that logits have a prefix
                        "eval_save_outputs=[" + OUTPUTS + "]",
                        "--run",
                        run,
                        "--device",
                        "cpu")
                .assertDone();
        scores = eval().assertDone().json();
        double exact = scores.get("exact_accuracy").asDouble();
        assertTrue(exact > 0 && exact < 1, "nothing to tell apart: " + exact);
    }

    private static Trm.Result eval(Object... more) {
        return Trm.execute(Stream.concat(Stream.of("eval", run, "--device", "cpu", "--json"), Stream.of(more))
                .toArray());
    }

    private Path written(String name, Object... more) {
        Path file = temp.resolve(name);
        Trm.Result result = eval(Stream.concat(Stream.of("--predictions", file), Stream.of(more))
                        .toArray())
                .assertDone();
        assertTrue(result.err().contains("wrote " + file + ": "), result.err());
        return file;
    }

    private static List<JsonNode> lines(Path file) throws IOException {
        List<JsonNode> rows = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            rows.add(new ObjectMapper().readTree(line));
        }
        return rows;
    }

    private static String text(int[] tokens) {
        return SudokuPuzzle.INSTANCE.text(tokens);
    }

    @Test
    void linesOfJson() throws IOException {
        List<JsonNode> rows = lines(written("answers.jsonl", "--every-step"));
        Dataset test = Dataset.open(data, "test");
        assertEquals(PUZZLES, rows.size());
        double exact = 0;
        double valid = 0;
        for (int i = 0; i < PUZZLES; i++) {
            JsonNode row = rows.get(i);
            assertEquals(i, row.get("index").asInt());
            assertEquals(0, row.get("identifier").asInt());
            assertEquals("<blank>", row.get("name").asText());
            assertEquals(i % 2 == 0 ? "even" : "\u00f6dd", row.get("source").asText());
            assertEquals(text(test.inputRow(i)), row.get("input").asText());
            assertEquals(text(test.labelRow(i)), row.get("label").asText());
            boolean right = row.get("answer").asText().equals(row.get("label").asText());
            assertEquals(right, row.get("exact").asBoolean());
            exact += right ? 1 : 0;
            valid += row.get("valid").asBoolean() ? 1 : 0;
            assertEquals(STEPS, row.get("steps").asInt());
            assertEquals(row.get("answer"), row.get("answers").get(STEPS - 1));
            assertEquals(
                    row.get("halting_probability"),
                    row.get("halting_probabilities").get(STEPS - 1));
        }
        assertEquals(scores.get("exact_accuracy").asDouble(), exact / PUZZLES);
        assertEquals(scores.get("valid").asDouble(), valid / PUZZLES);
        for (int steps = 1; steps <= STEPS; steps++) {
            JsonNode solved = Trm.execute(
                            "solve", run, "--puzzle", rows.get(0).get("input").asText(), "--steps", steps, "--json")
                    .assertDone()
                    .json();
            JsonNode row = rows.get(0);
            assertEquals(
                    solved.get("answer").asText(),
                    row.get("answers").get(steps - 1).asText().replace(' ', '.'));
            assertEquals(
                    solved.get("halt_probability").get(steps - 1).asDouble(),
                    row.get("halting_probabilities").get(steps - 1).asDouble(),
                    1e-7);
        }
        JsonNode plain = lines(written("plain.jsonl")).get(3);
        assertFalse(plain.has("answers"));
        assertEquals(rows.get(3).get("answer"), plain.get("answer"));
    }

    /** The other two formats say what the first says. */
    @Test
    void tableAndArrays() throws IOException {
        List<JsonNode> rows = lines(written("answers.jsonl", "--every-step", "--limit", 7));
        Path csv = written("answers.csv", "--every-step", "--limit", 7);
        Map<String, Array> arrays = arrays(written("answers.npz", "--every-step", "--limit", 7));
        assertEquals(7, rows.size());
        try (CsvReader<NamedCsvRecord> records = CsvReader.builder().ofNamedCsvRecord(csv)) {
            int i = 0;
            for (NamedCsvRecord record : records) {
                JsonNode row = rows.get(i++);
                for (String key : List.of("index", "name", "source", "input", "answer", "exact", "halting_step")) {
                    assertEquals(row.get(key).asText(), record.getField(key), key);
                }
                assertEquals(row.get("answers").get(1).asText(), record.getField("answer_2"));
                assertEquals(
                        row.get("halting_probabilities").get(1).floatValue(),
                        Float.parseFloat(record.getField("halting_probability_2")));
            }
            assertEquals(7, i);
        }
        assertEquals("'<i8' (7,)", arrays.get("index").form());
        assertEquals("'|u1' (7, 16)", arrays.get("input").form());
        assertEquals("'<i2' (7, 16)", arrays.get("label").form());
        assertEquals("'|u1' (7, 3, 16)", arrays.get("answers").form());
        assertEquals("'<f4' (7, 3)", arrays.get("halting_probabilities").form());
        assertEquals("'|i1' (7,)", arrays.get("exact").form());
        assertEquals("'<U7' (7,)", arrays.get("name").form());
        assertEquals("'<U4' (7,)", arrays.get("source").form());
        String symbols = arrays.get("symbols").text();
        assertEquals(" .1234", symbols);
        for (int i = 0; i < 7; i++) {
            JsonNode row = rows.get(i);
            StringBuilder answer = new StringBuilder();
            for (int cell = 0; cell < CELLS; cell++) {
                answer.append(
                        symbols.charAt(arrays.get("answers").bytes().get((i * STEPS + STEPS - 1) * CELLS + cell)));
                assertEquals(
                        arrays.get("answer").bytes().get(i * CELLS + cell),
                        arrays.get("answers").bytes().get((i * STEPS + STEPS - 1) * CELLS + cell));
                assertEquals(
                        row.get("label").asText().charAt(cell),
                        symbols.charAt(arrays.get("label").bytes().getShort(2 * (i * CELLS + cell))));
            }
            assertEquals(row.get("answer").asText(), answer.toString());
            assertEquals(
                    row.get("exact").asBoolean() ? 1 : 0,
                    arrays.get("exact").bytes().get(i));
            assertEquals(
                    row.get("halting_probability").floatValue(),
                    arrays.get("halting_probability").bytes().getFloat(4 * i));
        }
        assertEquals("even\u00f6dd\0", arrays.get("source").text().substring(0, 8));
    }

    /** An array of an archive: its dtype and shape as NumPy's header has them, and its elements. */
    private record Array(String form, ByteBuffer bytes) {
        String text() {
            StringBuilder text = new StringBuilder();
            for (int at = 0; at < bytes.limit(); at += Integer.BYTES) {
                text.appendCodePoint(bytes.getInt(at));
            }
            return text.toString();
        }
    }

    private static Map<String, Array> arrays(Path file) throws IOException {
        Map<String, Array> arrays = new HashMap<>();
        try (ZipFile zip = new ZipFile(file.toFile())) {
            for (ZipEntry entry : zip.stream().toList()) {
                byte[] all = zip.getInputStream(entry).readAllBytes();
                int end =
                        10 + ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).getShort(8);
                String header = new String(all, 10, end - 10, StandardCharsets.US_ASCII).strip();
                assertEquals(0, end % 64);
                arrays.put(
                        entry.getName().replace(".npy", ""),
                        new Array(
                                header.replaceAll(
                                        "\\{'descr': (\\S+), 'fortran_order': False, 'shape': (.*), }", "$1 $2"),
                                ByteBuffer.wrap(Arrays.copyOfRange(all, end, all.length))
                                        .order(ByteOrder.LITTLE_ENDIAN)));
            }
        }
        return arrays;
    }

    /** A puzzle stops when its halt head says so: later steps are empty. */
    @Test
    void adaptive() throws IOException {
        List<JsonNode> rows = lines(written("answers.jsonl", "--every-step", "--adaptive"));
        double steps = 0;
        for (JsonNode row : rows) {
            steps += row.get("steps").asInt();
            assertEquals(row.get("steps").asInt(), row.get("answers").size());
        }
        assertEquals(eval("--adaptive").assertDone().json().get("mean_steps").asDouble(), steps / PUZZLES);
    }

    @Test
    void refusedBeforeTheEvaluation() throws IOException {
        Path there = Files.writeString(temp.resolve("there.csv"), "mine");
        Path folder = Files.createDirectories(temp.resolve("folder.csv"));
        Path none = temp.resolve("none/answers.csv");
        for (Trm.Result result : List.of(
                refused("--predictions", there, 1, there + ": exists; --force replaces it"),
                refused("--predictions", folder, 1, folder + ": cannot be written: is a folder"),
                refused("--predictions", none, 1, none + ": cannot be written: no such file or folder"),
                refused("--predictions", "a.txt", 2, "a.txt: expected a name that ends in .npz, .csv or .jsonl"),
                refused("--every-step", "", 2, "--every-step: expected --predictions FILE too"),
                refused("--force", "", 2, "--force: expected --predictions FILE too"))) {
            assertFalse(result.err().contains("device cpu"), result.err());
            assertEquals("", result.out());
        }
        assertEquals("mine", Files.readString(there));
        written("there.csv", "--force");
        assertTrue(Files.readString(there).startsWith("index,identifier,name,"));
        try (Stream<Path> files = Files.list(temp)) {
            assertEquals(2, files.count(), "nothing else stays behind");
        }
    }

    private static Trm.Result refused(String option, Object value, int code, String message) {
        Trm.Result result = value.equals("") ? eval(option) : eval(option, value);
        result.assertFails(code, message);
        return result;
    }

    /** The published code's outputs of the last evaluation, bytes of which each is a storage of the file. */
    @Test
    void savedOutputs() throws IOException {
        List<JsonNode> rows = lines(written("answers.jsonl"));
        Dataset test = Dataset.open(data, "test");
        List<String> names = List.of(OUTPUTS.split(", "));
        Map<String, ByteBuffer> saved = new HashMap<>();
        try (ZipFile zip = new ZipFile(run.resolve("step_225_all_preds.0").toFile())) {
            String pickle = new String(
                    zip.getInputStream(zip.getEntry("archive/data.pkl")).readAllBytes(), StandardCharsets.ISO_8859_1);
            for (int i = 0; i < names.size(); i++) {
                assertTrue(pickle.contains(names.get(i)), names.get(i));
                byte[] bytes =
                        zip.getInputStream(zip.getEntry("archive/data/" + i)).readAllBytes();
                saved.put(names.get(i), ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
            }
            assertFalse(pickle.contains("_orig_mod"), "no weights of a compiled model");
        }
        int vocabulary = test.info().vocabSize();
        for (int i = 0; i < PUZZLES; i++) {
            int[] answer = new int[CELLS];
            for (int cell = 0; cell < CELLS; cell++) {
                int at = i * CELLS + cell;
                answer[cell] = (int) saved.get("preds").getLong(8 * at);
                assertEquals(test.inputRow(i)[cell], saved.get("inputs").getInt(4 * at));
                assertEquals(test.labelRow(i)[cell], saved.get("labels").getInt(4 * at));
                int best = 0;
                for (int token = 0; token < vocabulary; token++) {
                    float logit = saved.get("logits").getFloat(4 * (at * vocabulary + token));
                    best = logit > saved.get("logits").getFloat(4 * (at * vocabulary + best)) ? token : best;
                }
                assertEquals(best, answer[cell]);
            }
            assertEquals(rows.get(i).get("answer").asText(), text(answer));
            double q = saved.get("q_halt_logits").getFloat(4 * i);
            assertEquals(rows.get(i).get("halting_probability").asDouble(), 1 / (1 + Math.exp(-q)), 1e-6);
            assertEquals(0, saved.get("puzzle_identifiers").getInt(4 * i));
        }
        assertEquals(4 * PUZZLES, saved.get("q_continue_logits").limit());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "eval_save_outputs=[z_H] | eval_save_outputs is 'z_H': must be one of inputs, labels,",
                "eval_save_outputs=all | expected a list of strings",
                "eval_save_outputs=[preds] | eval_save_outputs names outputs, but the data in",
            })
    void outputsThatThereAreNot(String setting, String message) throws IOException {
        Path untested = Trm.copy(
                        data.resolve("train"),
                        Files.createDirectories(temp.resolve("data")).resolve("train"))
                .getParent();
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), untested);
        Trm.execute("train", config, setting, "--run", temp.resolve("run"), "--device", "cpu")
                .assertFails(2, message);
        assertFalse(Files.exists(temp.resolve("run/checkpoints")));
    }
}
