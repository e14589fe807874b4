package trm.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import java.io.BufferedWriter;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.IntToLongFunction;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Grouping;
import trm.data.Puzzles;
import trm.data.format.Npz;
import trm.data.puzzle.Puzzle;
import trm.evaluation.Predictions;

/** Writes the answers of an evaluation in the forms of docs/evaluation.md: tokens for NumPy, else text as boards are drawn. */
final class PredictionsWriter {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Predictions predictions;
    private final Dataset data;
    private final Puzzle kind;
    private final int count;
    private final Optional<List<String>> names;
    private final Optional<Grouping> sources;

    PredictionsWriter(Predictions predictions, DataFolders folders, String split) {
        this.predictions = predictions;
        data = predictions.data();
        kind = Puzzles.of(data);
        count = predictions.count();
        names = folders.identifiers();
        sources = Grouping.of(folders, split, data).stream()
                .filter(grouping -> grouping.by().equals("source"))
                .findFirst();
    }

    /** Of the puzzle's identifier; empty where the folder does not say. */
    private String name(int example) {
        int identifier = data.identifierOf(example);
        return names.filter(list -> identifier < list.size())
                .map(list -> list.get(identifier))
                .orElse("");
    }

    private String source(int example) {
        return sources.map(grouping -> grouping.names().get(grouping.of()[data.groupOf(example)]))
                .orElse("");
    }

    /** A row of tokens; labels without loss are as padding is. */
    private String text(int[] tokens) {
        return kind.text(Arrays.stream(tokens).map(token -> Math.max(0, token)).toArray());
    }

    /** "" for what is not known. */
    private static String truth(byte value) {
        return value == Predictions.UNKNOWN ? "" : Boolean.toString(value == 1);
    }

    void npz(FileChannel channel) throws IOException {
        int length = data.seqLen();
        int steps = predictions.stepsKept();
        try (Npz npz = new Npz(open(channel))) {
            numbers(npz, "index", "i8", i -> i);
            numbers(npz, "identifier", "i4", data::identifierOf);
            texts(npz, "name", count, this::name);
            texts(npz, "source", count, this::source);
            rows(npz, "input", "u1", data::inputRow, length);
            rows(npz, "label", "i2", data::labelRow, length);
            rows(npz, "answer", "u1", predictions::answer, length);
            numbers(npz, "exact", "i1", predictions::exact);
            numbers(npz, "valid", "i1", predictions::valid);
            floats(npz, "halting_probability", i -> new float[] {predictions.haltProbability(i)}, count);
            numbers(npz, "halting_step", "i4", predictions::haltStep);
            numbers(npz, "steps", "i4", predictions::steps);
            texts(npz, "symbols", data.info().vocabSize(), token -> kind.text(new int[] {token}));
            if (steps > 0) {
                rows(
                        npz,
                        "answers",
                        "u1",
                        i -> Arrays.stream(predictions.answers(i))
                                .flatMapToInt(Arrays::stream)
                                .toArray(),
                        steps,
                        length);
                floats(npz, "halting_probabilities", predictions::haltProbabilities, count, steps);
            }
        }
    }

    private void numbers(Npz npz, String name, String dtype, IntToLongFunction of) throws IOException {
        Npz.Content content = items -> {
            for (int i = 0; i < count; i++) {
                items.put(of.applyAsLong(i));
            }
        };
        npz.array(name, dtype, content, count);
    }

    private void rows(Npz npz, String name, String dtype, IntFunction<int[]> of, int... extents) throws IOException {
        long[] shape = new long[1 + extents.length];
        shape[0] = count;
        Arrays.setAll(shape, i -> i == 0 ? count : extents[i - 1]);
        Npz.Content content = items -> {
            for (int i = 0; i < count; i++) {
                for (int token : of.apply(i)) {
                    items.put((long) token);
                }
            }
        };
        npz.array(name, dtype, content, shape);
    }

    private void floats(Npz npz, String name, IntFunction<float[]> of, long... shape) throws IOException {
        Npz.Content content = items -> {
            for (int i = 0; i < count; i++) {
                for (float value : of.apply(i)) {
                    items.put(value);
                }
            }
        };
        npz.array(name, "f4", content, shape);
    }

    private static void texts(Npz npz, String name, int size, IntFunction<String> of) throws IOException {
        int longest = 1;
        for (int i = 0; i < size; i++) {
            String text = of.apply(i);
            longest = Math.max(longest, text.codePointCount(0, text.length()));
        }
        Npz.Content content = items -> {
            for (int i = 0; i < size; i++) {
                items.put(of.apply(i));
            }
        };
        npz.array(name, "U" + longest, content, size);
    }

    void csv(FileChannel channel) throws IOException {
        List<String> header = new ArrayList<>(List.of(
                "index",
                "identifier",
                "name",
                "source",
                "input",
                "label",
                "answer",
                "exact",
                "valid",
                "halting_probability",
                "halting_step",
                "steps"));
        for (int step = 1; step <= predictions.stepsKept(); step++) {
            header.add("answer_" + step);
            header.add("halting_probability_" + step);
        }
        try (CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(writer(channel))) {
            csv.writeRecord(header);
            for (int i = 0; i < count; i++) {
                List<String> row = new ArrayList<>(List.of(
                        "" + i,
                        "" + data.identifierOf(i),
                        name(i),
                        source(i),
                        text(data.inputRow(i)),
                        text(data.labelRow(i)),
                        text(predictions.answer(i)),
                        truth(predictions.exact(i)),
                        truth(predictions.valid(i)),
                        "" + predictions.haltProbability(i),
                        "" + predictions.haltStep(i),
                        "" + predictions.steps(i)));
                int[][] answers = predictions.answers(i);
                float[] probabilities = predictions.haltProbabilities(i);
                for (int step = 0; step < answers.length; step++) {
                    boolean taken = step < predictions.steps(i);
                    row.add(taken ? text(answers[step]) : "");
                    row.add(taken ? "" + probabilities[step] : "");
                }
                csv.writeRecord(row);
            }
        }
    }

    void jsonl(FileChannel channel) throws IOException {
        try (Writer out = writer(channel)) {
            for (int i = 0; i < count; i++) {
                ObjectNode row = JSON.createObjectNode()
                        .put("index", i)
                        .put("identifier", data.identifierOf(i))
                        .put("name", name(i))
                        .put("source", source(i))
                        .put("input", text(data.inputRow(i)))
                        .put("label", text(data.labelRow(i)))
                        .put("answer", text(predictions.answer(i)));
                put(row, "exact", predictions.exact(i));
                put(row, "valid", predictions.valid(i));
                row.put("halting_probability", predictions.haltProbability(i))
                        .put("halting_step", predictions.haltStep(i))
                        .put("steps", predictions.steps(i));
                if (predictions.stepsKept() > 0) {
                    ArrayNode answers = row.putArray("answers");
                    ArrayNode probabilities = row.putArray("halting_probabilities");
                    for (int step = 0; step < predictions.steps(i); step++) {
                        answers.add(text(predictions.answers(i)[step]));
                        probabilities.add(predictions.haltProbabilities(i)[step]);
                    }
                }
                out.write(JSON.writeValueAsString(row) + "\n");
            }
        }
    }

    private static void put(ObjectNode row, String key, byte value) {
        if (value == Predictions.UNKNOWN) {
            row.putNull(key);
        } else {
            row.put(key, value == 1);
        }
    }

    private static Writer writer(FileChannel channel) {
        return new BufferedWriter(new OutputStreamWriter(open(channel), StandardCharsets.UTF_8));
    }

    /** The channel stays open: it is forced to the disk after its last byte. */
    private static OutputStream open(FileChannel channel) {
        return new FilterOutputStream(Channels.newOutputStream(channel)) {
            @Override
            public void write(byte[] bytes, int from, int count) throws IOException {
                out.write(bytes, from, count);
            }

            @Override
            public void close() throws IOException {
                flush();
            }
        };
    }
}
