package trm.verify;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import trm.device.Backend;
import trm.device.Dtype;

/**
 * Replays the golden cases of a folder on a backend. In float32 every value that a case expects is compared with
 * |deviation| &le; tolerance of its manifest; a value that was not compared fails its case, and so does a NaN. In
 * bfloat16 the first step of each model is compared tensor by tensor (docs/specification.md#12-bfloat16): the Frobenius
 * norm of the deviation may be twice that of a plain bfloat16 evaluation, which the folder's {@value #NORMS} records; a
 * case that is not in it is unsupported.
 */
public final class Verifier {
    static final String NORMS = "bfloat16.json";

    private static final ObjectMapper JSON = new ObjectMapper();

    private final Dtype dtype;
    private final ModelCases models;
    private final OperationCases operations;

    /** @param dtype that models compute in, float32 or bfloat16 */
    public Verifier(Backend backend, Dtype dtype) {
        this.dtype = dtype;
        models = new ModelCases(backend, dtype);
        operations = new OperationCases(backend);
    }

    /**
     * All cases below a folder, in the order of their names.
     *
     * @param each sees every result as soon as it is there
     * @throws UncheckedIOException if the folder cannot be read
     */
    public List<CaseResult> verify(Path folder, Consumer<CaseResult> each) {
        List<CaseResult> results = new ArrayList<>();
        Consumer<CaseResult> sink = result -> {
            results.add(result);
            each.accept(result);
        };
        List<Path> manifests;
        try (Stream<Path> paths = Files.walk(folder)) {
            manifests = paths.filter(p -> isManifest(folder, p)).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        manifests.forEach(path -> manifest(folder, path, sink));
        return results;
    }

    public List<CaseResult> verify(Path folder) {
        return verify(folder, result -> {});
    }

    /** JSON files, but not those that are a case's input or what it expects. */
    private static boolean isManifest(Path folder, Path path) {
        String file = path.getFileName().toString();
        if (!Files.isRegularFile(path) || !file.endsWith(".json") || file.equals(NORMS)) {
            return false;
        }
        for (Path part : folder.relativize(path)) {
            if (Set.of("input", "expected").contains(part.toString())) {
                return false;
            }
        }
        return file.equals("case.json") || !Files.exists(path.resolveSibling("case.json"));
    }

    private void manifest(Path folder, Path path, Consumer<CaseResult> sink) {
        String relative = folder.relativize(path).toString();
        String name = relative.substring(0, relative.length() - ".json".length());
        if (name.endsWith("/case")) {
            name = name.substring(0, name.length() - "/case".length());
        } else if (name.equals("case")) {
            name = path.toAbsolutePath().normalize().getParent().getFileName().toString();
        }
        JsonNode head;
        try {
            head = JSON.readTree(path.toFile());
        } catch (IOException e) {
            sink.accept(CaseResult.failed(name, "manifest cannot be read: " + firstLine(e)));
            return;
        }
        if (dtype == Dtype.BF16 && !head.has("kind")) {
            sink.accept(CaseResult.unsupported(name, "nothing in bfloat16"));
        } else if (head.isArray()) {
            records(name, path, head, sink);
        } else if (head.has("case") && head.has("kind")) {
            guarded(name, sink, n -> tensors(n, path, head));
        } else if (head.has("builder")) {
            guarded(name, sink, n -> DataCases.dataset(n, directory(path), head));
        } else if (head.has("pass_Ks")) {
            guarded(name, sink, n -> VotingCases.voting(n, directory(path), head));
        } else if (path.getFileName().toString().equals("case.json")) {
            sink.accept(CaseResult.unsupported(name, "not a kind of case this version replays"));
        }
    }

    private static Path directory(Path file) {
        return file.toAbsolutePath().normalize().getParent();
    }

    /** A file of several records: a loader's batches, or draws of a random generator. */
    private static void records(String name, Path path, JsonNode list, Consumer<CaseResult> sink) {
        for (int i = 0; i < list.size(); i++) {
            JsonNode record = list.get(i);
            String each = name + "[" + i + "]";
            if (record.has("iterations") && record.has("dataset")) {
                guarded(
                        each,
                        sink,
                        n -> DataCases.loader(n, record, directory(path).resolveSibling("datasets")));
            } else if (record.has("events")) {
                guarded(each, sink, n -> DataCases.random(n, record));
            }
        }
    }

    private interface Replay {
        CaseResult run(String name) throws IOException;
    }

    /** A replay that breaks is a case that fails. */
    private static void guarded(String name, Consumer<CaseResult> sink, Replay replay) {
        CaseResult result;
        try {
            result = replay.run(name);
        } catch (IOException | RuntimeException e) {
            result = CaseResult.failed(name, e.getClass().getSimpleName() + ": " + firstLine(e));
        }
        sink.accept(result);
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }

    private static Map<String, Map<String, Double>> norms(Path file) throws IOException {
        return Files.exists(file) ? JSON.readValue(file.toFile(), new TypeReference<>() {}) : Map.of();
    }

    private CaseResult tensors(String name, Path manifest, JsonNode head) throws IOException {
        String kind = head.path("kind").asText();
        String reason =
                switch (kind) {
                    case "trajectory", "evaluation", "checkpoint" -> ModelCases.reasonAgainst(head.path("model"));
                    case "operation" ->
                        OperationCases.known(head.path("operation").asText())
                                ? null
                                : "operation " + head.path("operation").asText();
                    default -> "kind " + kind;
                };
        if (reason != null) {
            return CaseResult.unsupported(name, reason);
        }
        String file = manifest.getFileName().toString();
        String twin = file.substring(0, file.length() - "json".length()) + "safetensors";
        Map<String, Double> norms = null;
        if (dtype == Dtype.BF16) {
            norms = norms(manifest.resolveSibling(NORMS)).get(name);
            if (norms == null) {
                return CaseResult.unsupported(name, "no bound in bfloat16");
            }
        }
        GoldenCase c = new GoldenCase(name, head, manifest.resolveSibling(twin), norms);
        switch (kind) {
            case "trajectory" -> models.trajectory(c);
            case "evaluation" -> models.evaluation(c);
            case "checkpoint" ->
                models.checkpoint(c, manifest.resolveSibling(head.path("file").asText()));
            default -> operations.run(c);
        }
        return c.comparison().result("");
    }
}
