package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.aggregator.ArgumentsAccessor;
import org.junit.jupiter.params.provider.CsvSource;

/** The table of keys: what each reads, writes and changes, and the documentation made from it. */
class ConfigSchemaTest {
    private static TrainConfig parse(String... overrides) {
        return ConfigLoader.parse("data_paths: [d]\n", "x", List.of(overrides));
    }

    private static Map<String, String> values(TrainConfig config) {
        return ConfigSchema.entries(config).stream()
                .collect(Collectors.toMap(ConfigSection.Entry::name, ConfigSection.Entry::text));
    }

    /**
     * Every key: its default, another value, and the keys of which that is the only value that changes. As reading goes by the
     * place of a row and writing by its accessor, a row in the wrong place changes another key.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.name | trm | trm_singlez",
                "arch.hidden_size | 512 | 256 | arch.puzzle_emb_ndim",
                "arch.num_heads | 8 | 4",
                "arch.expansion | 4.0 | 2.0",
                "arch.mlp_t | false | true",
                "arch.pos_encodings | rope | learned",
                "arch.rope_theta | 10000.0 | 500.0",
                "arch.rms_norm_eps | 1.0E-5 | 0.001",
                "arch.L_layers | 2 | 3",
                "arch.H_layers | 0 | 5",
                "arch.H_cycles | 3 | 2",
                "arch.L_cycles | 6 | 4",
                "arch.num_scales | 1 | 1",
                "arch.separate_nets | false | true | arch.H_layers",
                "arch.gradient | last_cycle | one_step",
                "arch.puzzle_emb_ndim | 512 | 100",
                "arch.puzzle_emb_len | 16 | 7",
                "arch.learned_prefix | 0 | 0", // other values stand in place of the puzzle vectors
                "arch.no_ACT_continue | true | false",
                "arch.halt_max_steps | 16 | 9",
                "arch.halt_exploration_prob | 0.1 | 0.3",
                "arch.loss.loss_type | stablemax_cross_entropy | softmax_cross_entropy",
                "arch.loss.label_smoothing | 0.0 | 0.0", // other values need a softmax
                "arch.loss.halt_loss_weight | 0.5 | 0.05",
                "arch.forward_dtype | bfloat16 | float32",
                "arch.relaxation | 1.0 | 0.9",
                "arch.latent_noise | 0.0 | 0.2",
                "arch.random_start | false | true",
                "data_paths | [d] | [a, b]",
                "global_batch_size | 768 | 32",
                "epochs | 50000 | 40000",
                "eval_interval | null | 5000",
                "epochs_per_pass | null | 2500",
                "max_steps | 0 | 77",
                "carry_from_step | 0 | 2000",
                "depth_schedule | [] | [{until: 0.3, H_cycles: 1, L_cycles: 2}, {until: 0.6, H_cycles: 2, L_cycles: 4}]",
                "max_train_seconds | 0.0 | 720.0",
                "planned_steps | 0 | 0", // other values need max_train_seconds
                "lr | 1.0E-4 | 0.02",
                "lr_min_ratio | 1.0 | 0.4",
                "lr_warmup_steps | 2000 | 11",
                "puzzle_emb_lr | 1.0E-4 | 0.05",
                "optimizer | adam_atan2 | adamw",
                "optimizer | adam_atan2 | muon",
                "beta1 | 0.9 | 0.8",
                "beta2 | 0.95 | 0.7",
                "weight_decay | 1.0 | 0.6",
                "puzzle_emb_weight_decay | 1.0 | 0.25",
                "freeze_weights | false | true",
                "max_grad_norm | 0.0 | 1.5",
                "ema | true | false",
                "ema_rate | 0.999 | 0.99",
                "ema_from_step | 0 | 5000",
                "seed | 0 | 4294967295",
                "load_checkpoint | null | some file",
                "begin_step | 0 | 0", // other values need load_checkpoint
                "run_name | null | a name",
                "log_every_steps | 10 | 13",
                "on_nan | stop | warn",
                "checkpoint_every_steps | 1000 | 17",
                "checkpoint_keep | 3 | 2",
                "eval_puzzles | 0 | 19",
                "eval_batch_size | 0 | 21",
                "gates | [] | []", // other values need evaluations within the run
                "threads | 0 | 6",
                "matmul_precision | float32 | tf32",
                "recompute | auto | layers",
                "micro_batches | auto | 3",
                "memory | auto | 1500000000B",
            })
    void eachKeyChangesItsOwnValue(ArgumentsAccessor row) {
        String key = row.getString(0);
        String byDefault = row.getString(1);
        String other = row.getString(2);
        TrainConfig before = parse();
        TrainConfig after = parse(key + "=" + other);
        assertEquals(byDefault, values(before).get(key));
        assertEquals(other, values(after).get(key));
        Set<String> expected = new HashSet<>(byDefault.equals(other) ? Set.of() : Set.of(key));
        if (row.size() > 3) {
            expected.add(row.getString(3));
        }
        assertEquals(
                expected,
                Difference.between(before, after).stream().map(Difference::key).collect(Collectors.toSet()));
        assertEquals(after, ConfigLoader.parse(ConfigLoader.toYaml(after), "x", List.of()));
    }

    @Test
    void smoothedLabelsOfASoftmax() {
        TrainConfig config = parse("arch.loss={loss_type: softmax_cross_entropy, label_smoothing: 0.2}");
        assertEquals(0.2, config.arch().loss().labelSmoothing());
        assertEquals(config, parse("arch.loss_type=softmax", "arch.label_smoothing=0.2"));
        assertEquals(config, ConfigLoader.parse(ConfigLoader.toYaml(config), "x", List.of()));
    }

    /** A learned prefix leaves puzzle vectors out by default. */
    @Test
    void learnedPrefix() {
        TrainConfig config = parse("arch.learned_prefix=1");
        assertEquals(1, config.arch().prefixLen());
        assertEquals(0, config.arch().puzzles().width());
        assertEquals(config, parse("arch.learned_prefix=1", "arch.puzzle_emb_ndim=0", "arch.puzzle_emb_len=0"));
        assertEquals(config, ConfigLoader.parse(ConfigLoader.toYaml(config), "x", List.of()));
    }

    /** The same of the keys that ask for optimizer muon. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "muon_lr | 0.02 | 0.5",
                "muon_momentum | 0.6 | 0.95",
                "muon_steps | 3 | 5",
                "muon_weight_decay | 0.005 | 0.25",
                "muon_rest | adamw | adam_atan2",
            })
    void eachKeyOfMuonChangesItsOwnValue(String key, String byDefault, String other) {
        TrainConfig before = parse("optimizer=muon");
        TrainConfig after = parse("optimizer=muon", key + "=" + other);
        assertEquals(byDefault, values(before).get(key));
        assertEquals(other, values(after).get(key));
        assertEquals(
                Set.of(key),
                Difference.between(before, after).stream().map(Difference::key).collect(Collectors.toSet()));
        assertEquals(after, ConfigLoader.parse(ConfigLoader.toYaml(after), "x", List.of()));
    }

    /** What a configuration leaves out is as its system's published file has it, and the table says so. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.num_heads | 8; transformers_baseline: 12",
                "arch.L_layers | 2; hrm: 4; transformers_baseline: 0",
                "arch.H_layers | 0; hrm: 4; transformers_baseline: 8",
                "arch.H_cycles | 3; hrm: 2; transformers_baseline: 1",
                "arch.num_scales | 1; trm_hier6: 6",
                "arch.gradient | last_cycle; hrm: one_step",
                "arch.puzzle_emb_len | 16; hrm, transformers_baseline: 0",
                "ema | true; hrm: false",
                "data_shape.seq_len | null",
            })
    void defaultsOfSystems(String key, String text) {
        assertEquals(text, ConfigSchema.key(key).defaultText());
    }

    /** A configuration is written with all keys, each once, in the order that config.yaml always had. */
    @Test
    void writtenInOrder() {
        List<String> names =
                ConfigSchema.entries(parse("data_shape={seq_len: 4, vocab_size: 5, num_puzzle_identifiers: 6}"))
                        .stream()
                        .map(ConfigSection.Entry::name)
                        .toList();
        assertEquals(ConfigSchema.keys().size(), names.size());
        assertEquals(
                Set.copyOf(ConfigSchema.keys().stream().map(ConfigKey::name).toList()), Set.copyOf(names));
        for (String run : List.of(
                "arch.name arch.hidden_size",
                "weight_decay puzzle_emb_lr puzzle_emb_weight_decay freeze_weights ema",
                "run_name optimizer max_grad_norm checkpoint_every_steps checkpoint_keep max_steps log_every_steps eval_puzzles",
                "recompute micro_batches memory on_nan")) {
            assertTrue(String.join(" ", names).contains(run), names.toString());
        }
        String yaml = ConfigLoader.toYaml(parse());
        assertTrue(yaml.startsWith("arch:\n  name: trm\n  hidden_size: 512\n"), yaml);
        assertTrue(
                yaml.contains("\n  loss:\n    loss_type: stablemax_cross_entropy\n    label_smoothing: 0.0\n"
                        + "    halt_loss_weight: 0.5\n  forward_dtype: bfloat16\n"),
                yaml);
        assertTrue(yaml.contains("\n  random_start: false\ndata_paths: [\"d\"]\ndata_shape: null\n"), yaml);
    }

    /** Resolved settings of the shipped configurations, as they have been since before a file could have a base. */
    @Test
    void shippedSettings() throws IOException {
        Map<String, List<String>> expected = new LinkedHashMap<>();
        List<String> lines = List.of();
        try (InputStream in = ConfigSchemaTest.class.getResourceAsStream("shipped.txt")) {
            for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
                if (line.startsWith("  ")) {
                    lines.add(line.strip());
                } else if (!line.startsWith("#")) {
                    lines = new ArrayList<>();
                    expected.put(line, lines);
                }
            }
        }
        assertEquals(34, expected.size());
        TrainConfig defaults = parse();
        expected.forEach((file, settings) -> {
            TrainConfig config = ConfigLoader.load(Path.of("configs").resolve(file), List.of());
            List<String> found = Difference.between(defaults, config).stream()
                    .filter(d -> !d.key().equals("data_shape"))
                    .map(d -> d.key() + ": " + d.second())
                    .sorted()
                    .toList();
            assertEquals(settings.stream().sorted().toList(), found, file);
            assertEquals(config, ConfigLoader.parse(ConfigLoader.toYaml(config), file, List.of()), file);
        });
    }

    @Test
    void documentationIsUpToDate() throws IOException {
        assertEquals(
                ConfigPage.markdown(),
                Files.readString(Path.of("docs/configuration.md")),
                "docs/configuration.md is stale; write it anew: ./trm info --keys > docs/configuration.md");
    }

    @Test
    void everyKeyIsDocumented() {
        for (ConfigKey<?, ?> key : ConfigSchema.keys()) {
            assertTrue(key.sentence().matches("[A-Za-z].*\\."), key.name() + ": " + key.sentence());
            assertTrue(ConfigPage.markdown().contains("| `" + key.name() + "` "), key.name());
        }
        assertFalse(ConfigPage.markdown().contains("null"));
    }
}
