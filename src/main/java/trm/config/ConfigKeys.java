package trm.config;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.input.Nearest;
import trm.input.Shown;

/** The keys of a configuration, table by table; any other is refused with the known one that looks most like it. */
final class ConfigKeys {
    /** Characters of a name that is compared with the known ones; the longest of these has 25. */
    private static final int COMPARED = 64;

    static final List<String> TOP = List.of(
            "arch",
            "data_path",
            "data_paths",
            "data_shape",
            "global_batch_size",
            "epochs",
            "eval_interval",
            "epochs_per_pass",
            "lr",
            "lr_min_ratio",
            "lr_warmup_steps",
            "beta1",
            "beta2",
            "weight_decay",
            "puzzle_emb_lr",
            "puzzle_emb_weight_decay",
            "freeze_weights",
            "ema",
            "ema_rate",
            "seed",
            "load_checkpoint",
            "run_name",
            "dtype",
            "optimizer",
            "max_grad_norm",
            "checkpoint_every_steps",
            "checkpoint_keep",
            "max_steps",
            "log_every_steps",
            "eval_puzzles",
            "eval_batch_size",
            "threads",
            "matmul_precision",
            "recompute",
            "micro_batches",
            "memory",
            "on_nan",
            "evaluators",
            "project_name",
            "checkpoint_every_eval",
            "checkpoint_path",
            "min_eval_interval",
            "eval_save_outputs",
            "data_paths_test",
            "defaults",
            "hydra");
    static final List<String> ARCH = List.of(
            "name",
            "hidden_size",
            "num_heads",
            "expansion",
            "mlp_t",
            "pos_encodings",
            "rope_theta",
            "rms_norm_eps",
            "H_cycles",
            "L_cycles",
            "H_layers",
            "L_layers",
            "num_scales",
            "separate_nets",
            "gradient",
            "puzzle_emb_ndim",
            "puzzle_emb_len",
            "no_ACT_continue",
            "halt_max_steps",
            "halt_exploration_prob",
            "loss",
            "loss_type",
            "forward_dtype",
            "relaxation",
            "latent_noise",
            "random_start");
    static final List<String> LOSS = List.of("name", "loss_type");
    static final List<String> HYDRA = List.of("output_subdir");
    static final List<String> SHAPE = List.of("seq_len", "vocab_size", "num_puzzle_identifiers");

    private ConfigKeys() {}

    /**
     * Looks for unknown keys.
     *
     * @param prefix of the table's keys, {@code arch.} or nothing
     * @throws ConfigException at the first that is unknown
     */
    static void check(ConfigNode.Table table, String prefix, List<String> known) {
        table.fields().forEach((name, node) -> {
            if (!known.contains(name)) {
                throw new ConfigException(node.where() + ": unknown key " + Shown.quoted(prefix + name)
                        + (name.length() > COMPARED ? "" : "; did you mean '" + nearest(prefix, name) + "'?"));
            }
        });
    }

    /** The known key at the least edit distance; letter case and being in another table count for less. */
    private static String nearest(String prefix, String name) {
        Map<String, List<String>> tables = new LinkedHashMap<>();
        tables.put("", TOP);
        tables.put("arch.", ARCH);
        tables.put("arch.loss.", LOSS);
        tables.put("data_shape.", SHAPE);
        String best = "";
        int least = Integer.MAX_VALUE;
        for (Map.Entry<String, List<String>> table : tables.entrySet()) {
            int elsewhere = table.getKey().equals(prefix) ? 0 : 4;
            for (String candidate : table.getValue()) {
                int distance = 8 * Nearest.distance(name.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT))
                        + Nearest.distance(name, candidate)
                        + elsewhere;
                if (distance < least) {
                    least = distance;
                    best = table.getKey() + candidate;
                }
            }
        }
        return best;
    }
}
