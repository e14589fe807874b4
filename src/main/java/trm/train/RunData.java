package trm.train;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import trm.config.ConfigException;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Fingerprint;
import trm.evaluation.ArcVoting;
import trm.input.DataException;
import trm.input.Shown;
import trm.io.AtomicFile;
import trm.io.FormatException;

/**
 * The data of a run, and the file {@code data.json} in its folder that says which they are:
 *
 * <pre>
 *   {"folders": [absolute paths], "train": {part: fingerprint, ...}, "test": {...}}
 * </pre>
 *
 * A run that is resumed finds its data by it from any folder, and refuses others ({@link Fingerprint}).
 *
 * @param folders data-set folders in the order of {@code data_paths}
 * @param test    null if there is no test split
 */
public record RunData(DataFolders folders, Dataset train, Dataset test) {
    static final String FILE = "data.json";

    /** @throws DataException if the folders cannot be read, or do not go together */
    static RunData open(DataFolders folders) {
        Dataset train = folders.open("train");
        Dataset test = folders.openIfThere("test").orElse(null);
        if (test != null) {
            ArcVoting.of(folders, test); // refuses what cannot be voted on before anything is computed
        }
        return new RunData(folders, train, test);
    }

    /**
     * The data of a run that is resumed: in the folders given, else where they were, else where the settings say.
     *
     * @param given data-set folders that were moved; empty for those of the run
     * @throws FormatException if they are nowhere, or are not those that the run began with
     */
    static RunData reopen(Path run, TrainConfig config, List<Path> given) {
        Optional<JsonNode> recorded = recorded(run);
        DataFolders folders = given.isEmpty() ? folders(recorded, config) : new DataFolders(given);
        if (given.isEmpty() && recorded.isPresent() && !areThere(folders.paths())) {
            throw new FormatException(
                    run + ": its data are no longer in " + folders + "; if they were moved, --data DIR says where to");
        }
        RunData data = open(folders);
        recorded.ifPresent(node -> data.requireSame(run, node));
        return data;
    }

    /** Where the data of a run are, or were. */
    public static DataFolders folders(Path run, TrainConfig config) {
        return folders(recorded(run), config);
    }

    /** Where they were when the run was last begun or resumed, unless they are not there and where the settings say. */
    private static DataFolders folders(Optional<JsonNode> recorded, TrainConfig config) {
        List<Path> before = new ArrayList<>();
        recorded.ifPresent(node -> node.path("folders").forEach(path -> before.add(Path.of(path.asText()))));
        DataFolders said = DataFolders.of(config.data().paths());
        return before.isEmpty() || !areThere(before) && areThere(said.paths()) ? said : new DataFolders(before);
    }

    private static boolean areThere(List<Path> folders) {
        return folders.stream().allMatch(Files::isDirectory);
    }

    private static Optional<JsonNode> recorded(Path run) {
        Path file = run.resolve(FILE);
        if (!Files.exists(file)) {
            return Optional.empty(); // a run of an earlier version
        }
        try {
            JsonNode node = new ObjectMapper().readTree(Files.readAllBytes(file));
            if (node == null
                    || !node.path("folders").isArray()
                    || !node.path("train").isObject()) {
                throw new FormatException(
                        file + ": expected an object with the folders and fingerprints of a run's data");
            }
            return Optional.of(node);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read, expected the record of a run's data", e);
        }
    }

    private void requireSame(Path run, JsonNode recorded) {
        fingerprints().forEach((split, parts) -> {
            JsonNode before = recorded.path(split);
            parts.forEach((part, found) -> {
                String expected = before.path(part).asText("none");
                if (!expected.equals(found)) {
                    throw new FormatException(run + ": the " + split + " data in " + folders
                            + " are not those that the run began with: the fingerprint of " + part + " is " + found
                            + ", expected " + Shown.quoted(expected)
                            + "; to go on with other data, begin a new run with load_checkpoint=" + run);
                }
            });
        });
        if (test == null && recorded.path("test").isObject()) {
            throw new FormatException(
                    run + ": the data in " + folders + " have no test split, and had one when the" + " run began");
        }
    }

    Map<String, Map<String, String>> fingerprints() {
        Map<String, Map<String, String>> splits = new LinkedHashMap<>();
        splits.put("train", Fingerprint.of(train));
        if (test != null) {
            splits.put("test", Fingerprint.of(test));
        }
        return splits;
    }

    /** Writes {@value #FILE}, unless it says the same. */
    void record(Path run) throws IOException {
        ObjectMapper json = new ObjectMapper();
        ObjectNode node = json.createObjectNode();
        folders.paths().forEach(folder -> node.withArray("folders")
                .add(folder.toAbsolutePath().normalize().toString()));
        fingerprints().forEach((split, parts) -> node.set(split, json.valueToTree(parts)));
        String text = json.writerWithDefaultPrettyPrinter().writeValueAsString(node) + "\n";
        Path file = run.resolve(FILE);
        if (!Files.isRegularFile(file) || !Files.readString(file).equals(text)) {
            AtomicFile.replace(file, text);
        }
    }

    /**
     * The settings with what they leave to the data, and with the order in which the data are drawn.
     *
     * @throws ConfigException if they say of the data what is not so
     */
    TrainConfig settle(TrainConfig config) {
        DataShape shape = DataShape.of(
                config.data().shape(), RunTensors.DataSizes.of(train, test).shape(), "" + folders);
        if (test != null) {
            sameInTest("seq_len", train.seqLen(), test.seqLen());
            sameInTest("vocab_size", train.info().vocabSize(), test.info().vocabSize());
            sameInTest(
                    "num_puzzle_identifiers",
                    train.info().numPuzzleIdentifiers(),
                    test.info().numPuzzleIdentifiers());
        }
        return config.with(config.data().paths(), shape, config.schedule().passEpochs());
    }

    private void sameInTest(String field, int expected, int found) {
        if (found != expected) {
            throw new FormatException(folders + ": test split: field '" + field + "': found " + found + ", expected "
                    + expected + " as in the train split");
        }
    }

    /**
     * Refuses settings under which no pass over the data could ever fill a batch.
     *
     * @throws FormatException naming batch, samples and pass, and what would fit
     */
    void requireBatches(TrainConfig config) {
        long epoch = train.mostSamplesAnEpoch();
        int batch = config.schedule().globalBatchSize();
        if (config.schedule().passEpochs() * epoch >= batch) {
            return;
        }
        long enough = (batch + epoch - 1) / epoch;
        throw new FormatException(folders + ": a pass of " + config.schedule().passEpochs() + " epochs ("
                + (config.schedule().evalInterval() == null ? "epochs" : "eval_interval") + ") has at most "
                + config.schedule().passEpochs() * epoch + " samples, which fill no batch of global_batch_size: "
                + batch
                + "; what fits is global_batch_size: " + config.schedule().passEpochs() * epoch + " or less, or "
                + (config.schedule().evalInterval() == null ? "epochs" : "eval_interval (and epochs, at least as many)")
                + ": "
                + enough + " or more");
    }
}
