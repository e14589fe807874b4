package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import trm.data.Dataset;
import trm.data.TestBatches;
import trm.data.TrainLoader;
import trm.data.arc.ArcBuilder;
import trm.data.maze.MazeBuilder;
import trm.data.random.LegacyRandom;
import trm.data.random.PhiloxRandom;
import trm.data.sudoku.SudokuBuilder;

/** Cases without a model: built data sets, the order of training examples, random numbers. All must be equal. */
final class DataCases {
    private static final int[] ONE_TO_NINE = {1, 2, 3, 4, 5, 6, 7, 8, 9};

    private DataCases() {}

    /** A data set built from {@code folder/input} against {@code folder/expected}, byte for byte. */
    static CaseResult dataset(String name, Path folder, JsonNode head) throws IOException {
        String builder = head.path("builder").asText();
        if (!List.of("sudoku", "maze", "arc").contains(builder)) {
            return CaseResult.unsupported(name, "builder " + builder);
        }
        Path expected = folder.resolve("expected");
        Path temp = Files.createTempDirectory("trm-verify");
        try {
            Path built = temp.resolve(folder.getFileName().toString());
            build(builder, folder, built, head.path("config"), head.path("seed").longValue());
            List<String> wanted = files(expected);
            Comparison comparison = new Comparison(name, wanted);
            List<String> found = files(built);
            for (String file : new TreeSet<>(wanted)) {
                if (found.contains(file)) {
                    comparison.equal(
                            file,
                            differences(
                                    Files.readAllBytes(built.resolve(file)),
                                    Files.readAllBytes(expected.resolve(file))));
                }
            }
            found.removeAll(wanted);
            if (!found.isEmpty()) {
                comparison.fault("built but not expected: " + found);
            }
            return comparison.result("");
        } finally {
            delete(temp);
        }
    }

    private static void build(String builder, Path folder, Path out, JsonNode config, long seed) {
        Path train = folder.resolve("input/train.csv");
        Path test = folder.resolve("input/test.csv");
        Integer subsample = integerOrNull(config, "subsample_size");
        int aug = config.path("num_aug").intValue();
        switch (builder) {
            case "sudoku" ->
                SudokuBuilder.build(train, test, out, subsample, aug, integerOrNull(config, "min_difficulty"), seed);
            case "maze" ->
                MazeBuilder.build(
                        train, test, out, subsample, config.path("aug").booleanValue(), seed, false);
            default ->
                ArcBuilder.build(
                        folder.resolve(config.path("input_file_prefix").asText())
                                .toString(),
                        texts(config.path("subsets")),
                        List.of(config.path("test_set_name").asText()),
                        out,
                        aug,
                        seed,
                        note -> {});
        }
    }

    private static Integer integerOrNull(JsonNode config, String key) {
        return config.hasNonNull(key) ? Integer.valueOf(config.get(key).intValue()) : null;
    }

    private static List<String> texts(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false)
                .map(JsonNode::asText)
                .toList();
    }

    private static List<String> files(Path folder) throws IOException {
        try (Stream<Path> paths = Files.walk(folder)) {
            return new ArrayList<>(paths.filter(Files::isRegularFile)
                    .map(p -> folder.relativize(p).toString())
                    .sorted()
                    .toList());
        }
    }

    private static long differences(byte[] got, byte[] want) {
        long count = Math.abs((long) got.length - want.length);
        for (int i = 0; i < Math.min(got.length, want.length); i++) {
            count += got[i] == want[i] ? 0 : 1;
        }
        return count;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path p : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(p);
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /** Batches of a recorded loader over one of the recorded data sets. */
    static CaseResult loader(String name, JsonNode record, Path datasets) {
        Path folder = datasets.resolve(record.path("dataset").asText()).resolve("expected");
        String split = record.path("split").asText();
        if (!Files.isDirectory(folder.resolve(split))) {
            return CaseResult.unsupported(name, "no data set " + folder.resolve(split));
        }
        Comparison comparison = new Comparison(name, batchNames(record));
        Dataset data = Dataset.open(folder, split);
        int batch = record.path("global_batch_size").intValue();
        int rank = record.path("rank").intValue();
        int ranks = record.path("num_replicas").intValue();
        boolean training = split.equals("train");
        TrainLoader loader = new TrainLoader(
                data,
                record.path("seed").longValue(),
                new LegacyRandom(record.path("numpy_global_seed").longValue()),
                batch,
                record.path("epochs_per_iter").intValue());
        TestBatches test = new TestBatches(data, batch);
        for (int pass = 0; pass < record.path("iterations").size(); pass++) {
            JsonNode batches = record.path("iterations").get(pass);
            loader.startPass();
            for (int i = 0; i < batches.size(); i++) {
                int[] rows = training ? loader.nextBatch() : i < test.count() ? test.rows(i) : null;
                if (rows == null) {
                    break;
                }
                int real = training ? batch : test.realRows(i);
                int[] part = TrainLoader.rankPart(rows, rank, ranks);
                comparison.equal(batchName(pass, i), differences(batches.get(i), data, part, real));
            }
            if (training ? loader.nextBatch() != null : test.count() != batches.size()) {
                comparison.fault("more batches in pass " + pass + " than the " + batches.size() + " recorded");
            }
        }
        return comparison.result("");
    }

    private static String batchName(int pass, int batch) {
        return "pass" + pass + ".batch" + batch;
    }

    private static List<String> batchNames(JsonNode record) {
        List<String> names = new ArrayList<>();
        for (int pass = 0; pass < record.path("iterations").size(); pass++) {
            for (int i = 0; i < record.path("iterations").get(pass).size(); i++) {
                names.add(batchName(pass, i));
            }
        }
        return names;
    }

    /** In how many of its rows, identifiers, counts and content a batch differs from the record. */
    private static long differences(JsonNode want, Dataset data, int[] rows, int real) {
        long count = want.path("effective_global_batch").intValue() == real ? 0 : 1;
        count += Math.abs(want.path("rows").size() - rows.length);
        int[] identifiers = Arrays.stream(rows)
                .map(r -> r < 0 ? data.info().blankIdentifierId() : data.identifierOf(r))
                .toArray();
        for (int i = 0; i < Math.min(rows.length, want.path("rows").size()); i++) {
            JsonNode row = want.path("rows").get(i); // equal examples leave a choice
            int found = rows[i];
            boolean right = row.isArray()
                    ? StreamSupport.stream(row.spliterator(), false).anyMatch(r -> r.intValue() == found)
                    : row.intValue() == found;
            count += right ? 0 : 1;
            count += want.path("puzzle_identifiers").path(i).asInt(-1) == identifiers[i] ? 0 : 1;
        }
        return count + (want.path("sha256").asText().equals(digest(data, rows, identifiers)) ? 0 : 1);
    }

    /** SHA-256 of inputs, labels and identifiers as int32; row -1 is padding. */
    private static String digest(Dataset data, int[] rows, int[] identifiers) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
        int[] padded = new int[data.seqLen()];
        int[] ignored = new int[data.seqLen()];
        Arrays.fill(padded, data.info().padId());
        Arrays.fill(ignored, Dataset.IGNORED);
        for (int row : rows) {
            update(digest, row < 0 ? padded : data.inputRow(row));
        }
        for (int row : rows) {
            update(digest, row < 0 ? ignored : data.labelRow(row));
        }
        update(digest, identifiers);
        return HexFormat.of().formatHex(digest.digest());
    }

    private static void update(MessageDigest digest, int[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(values);
        digest.update(bytes.array());
    }

    /** A recorded sequence of draws from NumPy's legacy generator or, where the record has a key, from Philox. */
    static CaseResult random(String name, JsonNode record) {
        JsonNode events = record.path("events");
        List<String> names = new ArrayList<>();
        for (int i = 0; i < events.size(); i++) {
            names.add("event" + i + "." + events.get(i).path("op").asText());
        }
        boolean philox = record.has("key");
        if (philox) {
            names.add("key");
        }
        Comparison comparison = new Comparison(name, names);
        LegacyRandom legacy =
                philox ? null : new LegacyRandom(record.path("seed").longValue());
        PhiloxRandom generator = philox ? new PhiloxRandom(record.path("seed").longValue()) : null;
        if (philox) {
            long wrong = 0;
            for (int i = 0; i < 2; i++) {
                String want = record.path("key").path(i).asText();
                wrong += Long.toHexString(generator.key()[i]).equals(want.replaceFirst("^0+(?=.)", "")) ? 0 : 1;
            }
            comparison.equal("key", wrong);
        }
        for (int i = 0; i < events.size(); i++) {
            double[] got = philox ? draw(generator, events.get(i)) : draw(legacy, events.get(i));
            if (got == null) {
                break; // the rest depends on it, and shows as not compared
            }
            comparison.compare(names.get(i), got, numbers(events.get(i).path("result")), 0);
        }
        return comparison.result("");
    }

    private static double[] draw(LegacyRandom random, JsonNode event) {
        int a = event.path("args").path(0).intValue();
        int b = event.path("args").path(1).intValue();
        return switch (event.path("op").asText()) {
            case "rand" -> new double[] {random.rand()};
            case "randint" -> new double[] {random.randint(a, b)};
            case "permutation_int" -> GoldenCase.doubles(random.permutation(a));
            case "permutation_of_1_to_9" -> GoldenCase.doubles(random.permutation(ONE_TO_NINE));
            case "choice_without_replacement" -> GoldenCase.doubles(random.choice(a, b));
            case "shuffle_list_of_length" -> {
                int[] items = new int[a];
                Arrays.setAll(items, i -> i);
                random.shuffle(items);
                yield GoldenCase.doubles(items);
            }
            default -> null;
        };
    }

    private static double[] draw(PhiloxRandom random, JsonNode event) {
        JsonNode args = event.path("args");
        return switch (event.path("op").asText()) {
            case "permutation" ->
                GoldenCase.doubles(random.permutation(args.path(0).intValue()));
            case "integers" ->
                new double[] {
                    random.integers(args.path(0).longValue(), args.path(1).longValue())
                };
            default -> null;
        };
    }

    private static double[] numbers(JsonNode result) {
        if (result.isArray()) {
            return StreamSupport.stream(result.spliterator(), false)
                    .mapToDouble(JsonNode::doubleValue)
                    .toArray();
        }
        return new double[] {result.isTextual() ? Double.parseDouble(result.textValue()) : result.doubleValue()};
    }
}
