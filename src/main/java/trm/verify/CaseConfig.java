package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import trm.config.Architecture;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.device.Dtype;

/** Settings of golden cases. Their manifests call keys as configurations do, so that a key is never listed here. */
final class CaseConfig {
    /** Fields of a manifest's model that are keys of {@code data_shape}. */
    private static final Set<String> SHAPE = Set.of("seq_len", "vocab_size", "num_puzzle_identifiers");

    private CaseConfig() {}

    /** By the manifests' names (docs/specification.md#10-names-of-the-systems); null for another. */
    static Architecture architecture(JsonNode model) {
        return Arrays.stream(Architecture.values())
                .filter(system -> system.caseName().equals(model.path("arch").asText()))
                .findFirst()
                .orElse(null);
    }

    /** Settings as {@code key=value}; what is left out is as published. */
    static TrainConfig of(String... settings) {
        List<String> all = new ArrayList<>(List.of("data_paths=[golden case]"));
        all.addAll(Arrays.asList(settings));
        return ConfigLoader.parse("", "golden case", all);
    }

    /**
     * The settings of a manifest.
     *
     * @param dtype that the model computes in, whatever the manifest says
     * @param training its part about training; empty for none
     * @param batch samples of a step
     */
    static TrainConfig of(JsonNode model, Dtype dtype, JsonNode training, int batch) {
        Architecture system = architecture(model);
        List<String> settings = new ArrayList<>(List.of(
                "arch.name=" + system.key(),
                "dtype=" + (dtype == Dtype.BF16 ? "bfloat16" : "float32"),
                "global_batch_size=" + batch,
                "recompute=none",
                "micro_batches=1",
                "ema=true"));
        Set<String> passedOver = withoutMeaning(system);
        model.properties().forEach(field -> {
            String name = field.getKey();
            if (!passedOver.contains(name)) {
                settings.add((SHAPE.contains(name) ? "data_shape." : "arch.") + name + "="
                        + field.getValue().asText());
            }
        });
        training.properties().forEach(field -> {
            if (!field.getKey().equals("total_steps")) {
                settings.add(field.getKey() + "=" + field.getValue().asText());
            }
        });
        return of(settings.toArray(String[]::new));
    }

    /** A manifest says all of a model, also what its system pays no heed to. */
    private static Set<String> withoutMeaning(Architecture system) {
        Set<String> names = new HashSet<>(Set.of("arch", "compute_dtype"));
        if (!system.hasScales()) {
            names.add("num_scales");
        }
        if (!system.choosesGradient()) {
            names.add("gradient");
        }
        if (system.packsPuzzleVector()) {
            names.add("puzzle_emb_len");
        }
        if (!system.choosesContinueLoss()) {
            names.add("no_ACT_continue");
        }
        if (!system.recurs()) {
            names.addAll(Set.of("L_layers", "H_cycles", "L_cycles"));
        }
        return names;
    }
}
