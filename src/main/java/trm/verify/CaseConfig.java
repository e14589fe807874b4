package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
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

    /** By the manifests' names (reference section 10); null for another. */
    static Architecture architecture(JsonNode model) {
        return switch (model.path("arch").asText()) {
            case "trm" -> Architecture.TRM;
            case "singlez" -> Architecture.SINGLE_Z;
            case "hier" -> Architecture.MULTI_SCALE;
            case "hrm" -> Architecture.HRM;
            case "baseline" -> Architecture.TRANSFORMER;
            default -> null;
        };
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
        return switch (system) {
            case TRM, SINGLE_Z -> Set.of("arch", "compute_dtype", "num_scales");
            case MULTI_SCALE -> Set.of("arch", "compute_dtype");
            case HRM -> Set.of("arch", "compute_dtype", "num_scales", "gradient", "puzzle_emb_len", "no_ACT_continue");
            case TRANSFORMER ->
                Set.of(
                        "arch",
                        "compute_dtype",
                        "num_scales",
                        "gradient",
                        "puzzle_emb_len",
                        "no_ACT_continue",
                        "L_layers",
                        "H_cycles",
                        "L_cycles");
        };
    }
}
