package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigRulesTest {
    private static ArchConfig parse(String... overrides) {
        return ConfigLoader.parse("data_paths: [d]", "x", Arrays.asList(overrides))
                .arch();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.hidden_size=0 | arch.hidden_size is 0: must be at least 1",
                "arch.num_heads=513 | arch.num_heads is 513: must be at most hidden_size, which is 512",
                "arch.num_heads=7 | arch.num_heads is 7: with hidden_size 512 the head width is 73; rotary positions need"
                        + " an even one",
                "arch.expansion=0 | arch.expansion is 0.0: must be a finite number above 0",
                "arch.expansion=0.0001 | arch.expansion is 1.0E-4: with hidden_size 512 the inner width is 0.0; must be"
                        + " between 1 and 16777216",
                "arch.rope_theta=0 | arch.rope_theta is 0.0: must be a finite number above 0",
                "arch.rms_norm_eps=0 | arch.rms_norm_eps is 0.0: must be a finite number above 0",
                "arch.L_layers=0 | arch.L_layers is 0: must be at least 1",
                "arch.H_layers=-1 | arch.H_layers is -1: must be at least 0",
                "arch.H_cycles=0 | arch.H_cycles is 0: must be at least 1",
                "arch.L_cycles=0 | arch.L_cycles is 0: must be at least 1",
                "arch.puzzle_emb_ndim=-1 | arch.puzzle_emb_ndim is -1: must be at least 0",
                "arch.puzzle_emb_len=-1 | arch.puzzle_emb_len is -1: must be at least 0",
                "arch.puzzle_emb_ndim=8193 | arch.puzzle_emb_ndim is 8193: must be at most puzzle_emb_len x hidden_size,"
                        + " 16 x 512 = 8192",
                "arch.halt_max_steps=0 | arch.halt_max_steps is 0: must be at least 1",
                "arch.halt_exploration_prob=1.1 | arch.halt_exploration_prob is 1.1: must lie between 0 and 1",
                "global_batch_size=0 | global_batch_size is 0: must be at least 1",
                "global_batch_size=1048577 | global_batch_size is 1048577: must be at most 1048576",
                "eval_batch_size=1048577 | eval_batch_size is 1048577: must be at most 1048576",
                "micro_batches=5 | micro_batches is 5: must divide global_batch_size, which is 768",
                "memory=8GiB | memory is '8GiB': must be a size such as 80GB, 1.5GB or 512MB (GB = 10^9 bytes)",
                "epochs=0 | epochs is 0: must be at least 1",
                "eval_interval=0 | eval_interval is 0: must be at least 1",
                "lr=-1 | lr is -1.0: must be a finite number, at least 0",
                "lr_min_ratio=2 | lr_min_ratio is 2.0: must lie between 0 and 1",
                "lr_warmup_steps=-1 | lr_warmup_steps is -1: must be at least 0",
                "beta1=1 | beta1 is 1.0: must be at least 0 and below 1",
                "beta2=-0.1 | beta2 is -0.1: must be at least 0 and below 1",
                "weight_decay=-1 | weight_decay is -1.0: must be a finite number, at least 0",
                "puzzle_emb_lr=-1 | puzzle_emb_lr is -1.0: must be a finite number, at least 0",
                "puzzle_emb_weight_decay=-1 | puzzle_emb_weight_decay is -1.0: must be a finite number, at least 0",
                "ema_rate=1 | ema_rate is 1.0: must be at least 0 and below 1",
                "run_name=\"\" | run_name is '': must not be empty",
                "checkpoint_every_steps=-1 | checkpoint_every_steps is -1: must be at least 0",
                "checkpoint_keep=0 | checkpoint_keep is 0: must be at least 1",
                "max_steps=-1 | max_steps is -1: must be at least 0",
                "log_every_steps=0 | log_every_steps is 0: must be at least 1",
                "eval_batch_size=-1 | eval_batch_size is -1: must be at least 0",
                "threads=-1 | threads is -1: must be at least 0",
                "matmul_precision=fp8 | matmul_precision is 'fp8': must be one of float32, tf32",
                "data_paths=[a,a] | data_paths is [a, a]: must not name a directory twice",
                "data_paths=[''] | data_paths is []: must not contain an empty path",
                "data_shape={seq_len: 0, vocab_size: 1, num_puzzle_identifiers: 1} | data_shape.seq_len is 0: must be at"
                        + " least 1",
            },
            quoteCharacter = '`')
    void eachRuleNamesValueAndRule(String override, String expected) {
        ConfigException e = assertThrows(ConfigException.class, () -> parse(override));
        assertEquals("override '" + override + "': " + expected, e.getMessage());
    }

    @Test
    void puzzlePositionsNeedPuzzleVectors() {
        assertEquals(
                "override 'arch.puzzle_emb_len=2': arch.puzzle_emb_len is 2: must be 0 when puzzle_emb_ndim is 0",
                assertThrows(ConfigException.class, () -> parse("arch.puzzle_emb_ndim=0", "arch.puzzle_emb_len=2"))
                        .getMessage());
    }

    @Test
    void headsMatterOnlyToAttention() {
        assertEquals(7, parse("arch.num_heads=7", "arch.mlp_t=true").heads());
        assertEquals(73, parse("arch.num_heads=7", "arch.pos_encodings=learned").headWidth());
        assertEquals(85, parse("arch.num_heads=6", "arch.pos_encodings=none").headWidth());
    }

    @Test
    void derivedSizes() {
        assertEquals(1536, parse().innerWidth(512));
        assertEquals(256, parse().innerWidth(96));
        assertEquals(512, parse().innerWidth(97));
        assertEquals(16, parse().prefixLen());
        assertEquals(1, parse("arch.puzzle_emb_len=0").prefixLen());
        assertEquals(
                2, parse("arch.puzzle_emb_len=0", "arch.puzzle_emb_ndim=513").prefixLen());
        assertEquals(0, parse("arch.puzzle_emb_ndim=0").prefixLen());
    }

    @Test
    void recordsCheckWithoutALoader() {
        ConfigException e = assertThrows(ConfigException.class, () -> new DataShape(1, 0, 1));
        assertEquals("data_shape.vocab_size", e.key());
        assertEquals("data_shape.vocab_size is 0: must be at least 1", e.getMessage());
        List<String> paths = new java.util.ArrayList<>(List.of("a"));
        TrainConfig config = ConfigLoader.parse("data_paths: [a]", "x", List.of());
        assertEquals(paths, config.dataPaths());
        assertThrows(
                UnsupportedOperationException.class, () -> config.dataPaths().add("b"));
    }
}
