package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.io.FormatException;
import trm.io.SafeTensors;

/** One golden case: its manifest, its tensors, and the comparison of what a replay finds. */
final class GoldenCase {
    private final JsonNode head;
    private final SafeTensors tensors;
    private final Map<String, JsonNode> entries = new LinkedHashMap<>();
    private final Comparison comparison;
    private final Map<String, Double> norms; // null: each value within the tolerance of the manifest

    /**
     * A case that is compared value by value.
     *
     * @param tensorFile beside the manifest
     * @throws FormatException if the two files disagree about what there is
     */
    GoldenCase(String name, JsonNode head, Path tensorFile) {
        this(name, head, tensorFile, null);
    }

    /**
     * @param norms tensor by tensor, how far a plain evaluation in bfloat16 is from the expected values, as a Frobenius
     *     norm: twice that is allowed, and no other tensor is compared; null to compare all of them value by value
     */
    GoldenCase(String name, JsonNode head, Path tensorFile, Map<String, Double> norms) {
        this.head = head;
        this.norms = norms;
        tensors = SafeTensors.open(tensorFile);
        List<String> expected = new ArrayList<>();
        for (JsonNode entry : head.path("tensors")) {
            String tensor = entry.path("name").asText();
            entries.put(tensor, entry);
            if (isExpected(tensor)) {
                expected.add(tensor);
                if (!entry.path("atol").isNumber()) {
                    throw new FormatException(tensorFile + ": expected tensor " + tensor + " has no atol");
                }
            }
        }
        Set<String> stored = new HashSet<>(tensors.names());
        if (!stored.equals(entries.keySet())) {
            stored.removeAll(entries.keySet());
            Set<String> missing = new HashSet<>(entries.keySet());
            missing.removeAll(new HashSet<>(tensors.names()));
            throw new FormatException(tensorFile + ": manifest lacks " + stored + ", file lacks " + missing);
        }
        comparison = new Comparison(name, norms == null ? expected : norms.keySet());
    }

    JsonNode head() {
        return head;
    }

    Comparison comparison() {
        return comparison;
    }

    boolean has(String tensor) {
        return entries.containsKey(tensor);
    }

    boolean isExpected(String tensor) {
        JsonNode entry = entries.get(tensor);
        return entry != null && entry.path("role").asText().equals("expected");
    }

    Set<String> names() {
        return entries.keySet();
    }

    long[] shape(String tensor) {
        return tensors.entry(tensor).shape();
    }

    float[] floats(String tensor) {
        return tensors.floats(tensor);
    }

    int[] ints(String tensor) {
        return tensors.ints(tensor);
    }

    /** A stored tensor of any type. */
    double[] values(String tensor) {
        return switch (tensors.entry(tensor).dtype()) {
            case "F64", "F32", "BF16", "F16" -> tensors.doubles(tensor);
            default -> doubles(tensors.ints(tensor));
        };
    }

    /** Compares a value if the case expects one of this name. */
    void check(String tensor, Supplier<double[]> got) {
        if (norms != null) {
            if (norms.containsKey(tensor)) {
                comparison.norm(tensor, got.get(), values(tensor), 2 * norms.get(tensor));
            }
        } else if (isExpected(tensor)) {
            comparison.compare(
                    tensor,
                    got.get(),
                    values(tensor),
                    entries.get(tensor).get("atol").doubleValue());
        }
    }

    /** Compares a tensor of floats, doubles or integers if the case expects one of this name. */
    void check(String tensor, Backend backend, Tensor got) {
        check(tensor, () -> read(backend, got));
    }

    static double[] read(Backend backend, Tensor tensor) {
        return switch (tensor.dtype()) {
            case F64 -> HostCopy.doubles(backend, tensor);
            case I32, U8 -> doubles(HostCopy.ints(backend, tensor));
            default -> doubles(HostCopy.floats(backend, tensor));
        };
    }

    static double[] doubles(int[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    static double[] doubles(float[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    /** A float32 tensor like a stored one, holding its values. */
    Tensor upload(Backend backend, Arena arena, String tensor) {
        Tensor t = arena.tensor(Purpose.CASE, tensor, Dtype.F32, shape(tensor));
        HostCopy.put(backend, t, floats(tensor));
        return t;
    }

    /** An int32 tensor like a stored one, holding its values. */
    Tensor uploadInts(Backend backend, Arena arena, String tensor) {
        Tensor t = arena.tensor(Purpose.CASE, tensor, Dtype.I32, shape(tensor));
        HostCopy.put(backend, t, ints(tensor));
        return t;
    }
}
