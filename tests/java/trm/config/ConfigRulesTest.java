package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.input.Shown;

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
                "arch.expansion=0.0001 | arch.expansion is 1.0E-4: with hidden_size 512 the inner width is 0; must be"
                        + " larger",
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
                "arch.learned_prefix=-1 | arch.learned_prefix is -1: must be at least 0",
                "arch.halt_max_steps=0 | arch.halt_max_steps is 0: must be at least 1",
                "arch.halt_exploration_prob=1.1 | arch.halt_exploration_prob is 1.1: must lie between 0 and 1",
                "arch.relaxation=0 | arch.relaxation is 0.0: must be above 0 and at most 1, where 1 takes what the network"
                        + " puts out as it is",
                "arch.relaxation=1.1 | arch.relaxation is 1.1: must be above 0 and at most 1, where 1 takes what the"
                        + " network puts out as it is",
                "arch.latent_noise=-0.1 | arch.latent_noise is -0.1: must be a finite number, at least 0",
                "arch.random_start=maybe | arch.random_start is maybe; expected true or false",
                "arch.loss.label_smoothing=1 | arch.loss.label_smoothing is 1.0: must be at least 0 and below 1",
                "arch.label_smoothing=0.1 | arch.loss.label_smoothing is 0.1: smoothed labels are those of a softmax; leave"
                        + " it out, or 0, with loss_type stablemax_cross_entropy, or set loss_type to"
                        + " softmax_cross_entropy",
                "arch.halt_loss_weight=-1 | arch.loss.halt_loss_weight is -1.0: must be a finite number, at least 0",
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
                "max_grad_norm=-1 | max_grad_norm is -1.0: must be a finite number, at least 0",
                "ema_rate=1 | ema_rate is 1.0: must be at least 0 and below 1",
                "ema_from_step=-1 | ema_from_step is -1: must be at least 0",
                "run_name=\"\" | run_name is '': must not be empty",
                "checkpoint_every_steps=-1 | checkpoint_every_steps is -1: must be at least 0",
                "checkpoint_keep=0 | checkpoint_keep is 0: must be at least 1",
                "max_steps=-1 | max_steps is -1: must be at least 0",
                "carry_from_step=-1 | carry_from_step is -1: must be at least 0",
                "max_train_seconds=-1 | max_train_seconds is -1.0: must be a finite number, at least 0",
                "planned_steps=-1 | planned_steps is -1: must be at least 0",
                "planned_steps=7 | planned_steps is 7: follows from max_train_seconds, which is 0; max_steps limits a run to"
                        + " as many",
                "log_every_steps=0 | log_every_steps is 0: must be at least 1",
                "eval_puzzles=-1 | eval_puzzles is -1: must be at least 0",
                "eval_batch_size=-1 | eval_batch_size is -1: must be at least 0",
                "threads=-1 | threads is -1: must be at least 0",
                "threads=1025 | threads is 1025: must be at most 1024",
                "log_every_steps=1000001 | log_every_steps is 1000001: must be at most 1000000",
                "seed=-1 | seed is -1: must be at least 0",
                "seed=4294967296 | seed is 4294967296: must be at most 4294967295",
                "memory=1B | memory is '1B': must be at least 10kB and at most 1000000TB",
                "arch.hidden_size=1073741824 | arch.hidden_size is 1073741824: must be at most 65536",
                "arch.num_heads=65537 | arch.num_heads is 65537: must be at most 65536",
                "arch.H_cycles=1000000000 | arch.H_cycles is 1000000000: must be at most 1024",
                "arch.L_cycles=1025 | arch.L_cycles is 1025: must be at most 1024",
                "arch.L_layers=1025 | arch.L_layers is 1025: must be at most 1024",
                "arch.L_layers=1024 | arch.L_layers is 1024: with L_cycles 6 a cycle applies 7168 blocks; must be at most 4096",
                "arch.expansion=1e300 | arch.expansion is 1.0E300: with hidden_size 512 the inner width is 3.4133333333333335E302;"
                        + " must be at most 16777216",
                "arch.halt_max_steps=65537 | arch.halt_max_steps is 65537: must be at most 65536",
                "arch.puzzle_emb_ndim=1048577 | arch.puzzle_emb_ndim is 1048577: must be at most 1048576",
                "arch.puzzle_emb_len=65537 | arch.puzzle_emb_len is 65537: must be at most 65536",
                "data_shape={seq_len: 2000000000, vocab_size: 1, num_puzzle_identifiers: 1} | data_shape.seq_len is 2000000000:"
                        + " must be at most 1048576",
                "matmul_precision=fp8 | matmul_precision is 'fp8': must be one of float32, tf32",
                "data_paths=[a,a] | data_paths is [a, a]: must not name a directory twice",
                "data_paths=[''] | data_paths is []: must not contain an empty path",
                "data_shape={seq_len: 0, vocab_size: 1, num_puzzle_identifiers: 1} | data_shape.seq_len is 0: must be at"
                        + " least 1",
            },
            quoteCharacter = '`')
    void eachRuleNamesValueAndRule(String override, String expected) {
        ConfigException e = assertThrows(ConfigException.class, () -> parse(override));
        assertEquals("override " + Shown.quoted(override) + ": " + expected, e.getMessage());
    }

    /** What a system's own rules leave no choice in. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch=trm_hier6 | arch.L_cycles=7 | arch.L_cycles is 7: must be at most num_scales, which is 6: each"
                        + " update has a latent of its own",
                "arch=trm_hier6 | arch.num_scales=0 | arch.num_scales is 0: must be at least 1",
                "arch=trm | arch.num_scales=6 | arch.num_scales is 6: only trm_hier6 has several latents z; must be 1",
                "arch=trm_singlez | arch.separate_nets=true | arch.separate_nets is true: only trm and trm_hier6 have a"
                        + " choice; trm_singlez has one network",
                "arch=hrm | arch.separate_nets=true | arch.separate_nets is true: only trm and trm_hier6 have a choice;"
                        + " hrm has two networks anyway",
                "arch.separate_nets=true | arch.H_layers=0 | arch.H_layers is 0: must be at least 1",
                "arch=hrm | arch.H_layers=0 | arch.H_layers is 0: must be at least 1",
                "arch=hrm | arch.gradient=last_cycle | arch.gradient is 'last_cycle': hrm differentiates its last two"
                        + " updates only; must be one_step",
                "arch=hrm | arch.no_ACT_continue=true | arch.no_ACT_continue is true: hrm always learns when to continue;"
                        + " leave it out, or false",
                "arch=hrm | arch.puzzle_emb_len=16 | arch.puzzle_emb_len is 16: hrm always has as few positions as hold"
                        + " the puzzle vector; leave it out, or 0",
                "arch=transformers_baseline | arch.H_layers=0 | arch.H_layers is 0: must be at least 1",
                "arch=transformers_baseline | arch.L_layers=2 | arch.L_layers is 2: transformers_baseline is one network"
                        + " (H_layers) applied once; leave it out, or 0",
                "arch=transformers_baseline | arch.H_cycles=3 | arch.H_cycles is 3: transformers_baseline is one network"
                        + " (H_layers) applied once; leave it out, or 1",
                "arch=transformers_baseline | arch.L_cycles=6 | arch.L_cycles is 6: transformers_baseline is one network"
                        + " (H_layers) applied once; leave it out, or 0",
                "arch=transformers_baseline | arch.gradient=one_step | arch.gradient is 'one_step': transformers_baseline"
                        + " is one network (H_layers) applied once; must be last_cycle",
                "arch=transformers_baseline | arch.no_ACT_continue=false | arch.no_ACT_continue is false:"
                        + " transformers_baseline has no continue loss; leave it out, or true",
                "arch=trm | arch.gradient=all | arch.gradient is all; expected last_cycle or one_step",
            },
            quoteCharacter = '`')
    void systemsRefuseWhatTheyCannotBe(String system, String override, String expected) {
        ConfigException e = assertThrows(ConfigException.class, () -> parse(system, override));
        assertEquals("override '" + override + "': " + expected, e.getMessage());
    }

    /** Names of published classes, and what keys left out are in the published file of a system. */
    @Test
    void systemsHaveTheirPublishedSizes() {
        ArchConfig hrm = parse("arch.name=recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1");
        assertEquals(Architecture.HRM, hrm.name());
        assertEquals(
                List.of(new ArchConfig.Network("H_level", 4), new ArchConfig.Network("L_level", 4)), hrm.networks());
        assertEquals(
                List.of(2, 2), List.of(hrm.recursion().cycles(), hrm.recursion().latentSteps()));
        assertEquals(List.of(true, false), List.of(hrm.hasContinueLoss(), hrm.haltsOnSign()));
        assertEquals(1, hrm.prefixLen());
        ArchConfig plain = parse("arch=transformers_baseline");
        assertEquals(List.of(new ArchConfig.Network("H_level", 8)), plain.networks());
        assertEquals(
                List.of(12, 42), List.of(plain.block().heads(), plain.block().headWidth()));
        assertEquals(List.of(false, false), List.of(plain.hasContinueLoss(), plain.haltsOnSign()));
        ArchConfig separate = parse("arch.separate_nets=true", "arch.L_layers=3");
        assertEquals(
                List.of(new ArchConfig.Network("H_level", 3), new ArchConfig.Network("L_level", 3)),
                separate.networks());
        assertEquals(
                List.of("H", "L1", "L2"),
                parse("arch=trm_hier6", "arch.num_scales=2", "arch.L_cycles=1").latents());
        assertEquals(
                List.of(true, true),
                List.of(parse().haltsOnSign(), parse("arch=trm_singlez").haltsOnSign()));
    }

    @Test
    void puzzlePositionsNeedPuzzleVectors() {
        assertEquals(
                "override 'arch.puzzle_emb_len=2': arch.puzzle_emb_len is 2: must be 0 when puzzle_emb_ndim is 0",
                assertThrows(ConfigException.class, () -> parse("arch.puzzle_emb_ndim=0", "arch.puzzle_emb_len=2"))
                        .getMessage());
    }

    /** Levers that contradict each other, or leave nothing to do. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.puzzle_emb_ndim=8 | arch.learned_prefix=1 | arch.learned_prefix is 1: stands in place of the puzzle"
                        + " vectors, of which puzzle_emb_ndim asks for 8 values; leave that out, or 0",
                "arch.puzzle_emb_len=2 | arch.learned_prefix=1 | arch.puzzle_emb_len is 2: must be 0 when puzzle_emb_ndim"
                        + " is 0",
                "freeze_weights=true | arch.learned_prefix=1 | freeze_weights is true: leaves nothing to train, as"
                        + " puzzle_emb_ndim is 0",
                "ema=false | ema_from_step=5 | ema_from_step is 5: begins no average, as ema is false; leave it out, or 0",
                "freeze_weights=true | ema_from_step=5 | ema_from_step is 5: leaves nothing to average, as freeze_weights is"
                        + " true",
                "arch.halt_max_steps=1 | carry_from_step=5 | carry_from_step is 5: no lane goes on with its sample in any"
                        + " step, as halt_max_steps is 1; leave it out, or 0",
                "arch=transformers_baseline | depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: 1}] | depth_schedule is"
                        + " '[{until: 0.5, H_cycles: 1, L_cycles: 1}]': transformers_baseline has no cycles to begin with"
                        + " fewer of",
                "arch=trm | depth_schedule=[{until: 1, H_cycles: 1, L_cycles: 2}] | depth_schedule is '[{until: 1.0,"
                        + " H_cycles: 1, L_cycles: 2}]': until 1.0 must be above 0.0 and below 1, as a share of the run's"
                        + " steps",
                "arch=trm | depth_schedule=[{until: .5, H_cycles: 1, L_cycles: 2}, {until: .5, H_cycles: 2, L_cycles: 2}] |"
                        + " depth_schedule is '[{until: 0.5, H_cycles: 1, L_cycles: 2}, {until: 0.5, H_cycles: 2, L_cycles:"
                        + " 2}]': until 0.5 must be above 0.5 and below 1, as a share of the run's steps",
                "arch=trm | depth_schedule=[{until: 0.5, H_cycles: 4, L_cycles: 2}] | depth_schedule is '[{until: 0.5,"
                        + " H_cycles: 4, L_cycles: 2}]': H_cycles 4 must be at least 1 and at most arch.H_cycles, which is"
                        + " 3",
                "arch=trm | depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: 0}] | depth_schedule is '[{until: 0.5,"
                        + " H_cycles: 1, L_cycles: 0}]': L_cycles 0 must be at least 1 and at most arch.L_cycles, which is"
                        + " 6",
                "arch=trm | depth_schedule=[{until: 0.5, H_cycles: 3, L_cycles: 6}] | depth_schedule is '[{until: 0.5,"
                        + " H_cycles: 3, L_cycles: 6}]': the part until 0.5 has the model's own H_cycles and L_cycles;"
                        + " leave it out",
                "arch=trm | depth_schedule=0.3 | depth_schedule is 0.3; expected a list of [{until: 0.3, H_cycles: 1,"
                        + " L_cycles: 2}]",
                "arch=trm | depth_schedule=[{until: 0.5, H_cycles: 1}] | depth_schedule is a list; expected tables with"
                        + " until, H_cycles, L_cycles, but it contains a table",
                "arch=trm | depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: two}] | L_cycles is two; expected an"
                        + " integer",
            },
            quoteCharacter = '`')
    void leversThatContradict(String first, String second, String expected) {
        ConfigException e = assertThrows(ConfigException.class, () -> parse(first, second));
        assertTrue(e.getMessage().endsWith(": " + expected), e.getMessage());
    }

    @Test
    void frozenWeightsLeavePuzzleVectorsToTrain() {
        assertEquals(
                "override 'freeze_weights=true': freeze_weights is true: leaves nothing to train, as puzzle_emb_ndim is 0",
                assertThrows(ConfigException.class, () -> parse("freeze_weights=true", "arch.puzzle_emb_ndim=0"))
                        .getMessage());
        assertEquals(
                "override 'max_grad_norm=1': max_grad_norm is 1.0: leaves nothing to clip, as freeze_weights is true",
                assertThrows(ConfigException.class, () -> parse("freeze_weights=true", "max_grad_norm=1"))
                        .getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "muon_lr=-1 | muon_lr is -1.0: must be a finite number, at least 0",
                "muon_momentum=1 | muon_momentum is 1.0: must be at least 0 and below 1",
                "muon_steps=0 | muon_steps is 0: must be at least 1",
                "muon_steps=101 | muon_steps is 101: must be at most 100",
                "muon_weight_decay=-1 | muon_weight_decay is -1.0: must be a finite number, at least 0",
                "muon_rest=muon | muon_rest is 'muon': must be one of adam_atan2, adamw",
                "freeze_weights=true | optimizer is 'muon': has no matrices to take, as freeze_weights is true",
                "lr=0 | lr is 0.0: must be above 0 with optimizer: muon, as muon_lr follows its course",
            })
    void rulesOfMuon(String override, String message) {
        String found = assertThrows(ConfigException.class, () -> parse("optimizer=muon", override))
                .getMessage();
        assertTrue(found.endsWith(": " + message), found);
    }

    /** A value that differs from the default asks for something; those of a written configuration do not. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "muon_lr=0.1 | muon_lr is 0.1",
                "muon_momentum=0.9 | muon_momentum is 0.9",
                "muon_steps=5 | muon_steps is 5",
                "muon_weight_decay=0 | muon_weight_decay is 0.0",
                "muon_rest=adam_atan2 | muon_rest is 'adam_atan2'",
            })
    void muonsKeysNeedMuon(String override, String value) {
        for (String optimizer : List.of("adam_atan2", "adamw")) {
            assertEquals(
                    "override '" + override + "': " + value + ": has no effect, as optimizer is " + optimizer
                            + "; leave it out, or set optimizer: muon",
                    assertThrows(ConfigException.class, () -> parse("optimizer=" + optimizer, override))
                            .getMessage());
        }
        parse("optimizer=adamw", "muon_lr=0.02", "muon_momentum=0.6", "muon_steps=3", "muon_rest=adamw");
    }

    @Test
    void headsMatterOnlyToAttention() {
        assertEquals(7, parse("arch.num_heads=7", "arch.mlp_t=true").block().heads());
        assertEquals(
                73,
                parse("arch.num_heads=7", "arch.pos_encodings=learned").block().headWidth());
        assertEquals(
                85, parse("arch.num_heads=6", "arch.pos_encodings=none").block().headWidth());
    }

    @Test
    void derivedSizes() {
        assertEquals(1536, parse().block().innerWidth(512));
        assertEquals(256, parse().block().innerWidth(96));
        assertEquals(512, parse().block().innerWidth(97));
        assertEquals(16, parse().prefixLen());
        assertEquals(1, parse("arch.puzzle_emb_len=0").prefixLen());
        assertEquals(
                2, parse("arch.puzzle_emb_len=0", "arch.puzzle_emb_ndim=513").prefixLen());
        assertEquals(0, parse("arch.puzzle_emb_ndim=0").prefixLen());
    }

    /** A pass draws the order of its groups into one array. */
    @Test
    void passesCanBeCounted() {
        TrainConfig whole = ConfigLoader.parse("data_paths: [d]", "x", List.of("epochs=3"));
        whole.schedule().requirePass(Integer.MAX_VALUE / 3);
        assertEquals(
                "epochs is 3: a pass of so many epochs of 1000000000 groups of puzzles visits more than 2147483647 of them;"
                        + " must be at most 2, or eval_interval be given",
                assertThrows(ConfigException.class, () -> whole.schedule().requirePass(1_000_000_000))
                        .getMessage());
        TrainConfig parts = ConfigLoader.parse("data_paths: [d]", "x", List.of("epochs=4", "eval_interval=2"));
        parts.schedule().requirePass(1_000_000_000);
        assertEquals(
                "eval_interval",
                assertThrows(ConfigException.class, () -> parts.schedule().requirePass(2_000_000_000))
                        .key());
    }

    /** A shape may be said twice, if it is the same. */
    @Test
    void dataAreBelieved() {
        DataShape found = new DataShape(16, 6, 1);
        assertEquals(found, DataShape.of(null, found, "d"));
        assertEquals(found, DataShape.of(new DataShape(16, 6, 1), found, "d"));
        assertEquals(
                "data_shape is {seq_len: 36, vocab_size: 8, num_puzzle_identifiers: 1}: the data in d have {seq_len: 16,"
                        + " vocab_size: 6, num_puzzle_identifiers: 1}; leave data_shape out, or correct it",
                assertThrows(ConfigException.class, () -> DataShape.of(new DataShape(36, 8, 1), found, "d"))
                        .getMessage());
    }

    @Test
    void recordsCheckWithoutALoader() {
        ConfigException e = assertThrows(ConfigException.class, () -> new DataShape(1, 0, 1));
        assertEquals("data_shape.vocab_size", e.key());
        assertEquals("data_shape.vocab_size is 0: must be at least 1", e.getMessage());
        List<String> paths = new java.util.ArrayList<>(List.of("a"));
        TrainConfig config = ConfigLoader.parse("data_paths: [a]", "x", List.of());
        assertEquals(paths, config.data().paths());
        assertThrows(
                UnsupportedOperationException.class, () -> config.data().paths().add("b"));
    }
}
