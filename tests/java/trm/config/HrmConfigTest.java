package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Configurations as HRM's own code has and writes them. */
class HrmConfigTest {
    /** As it writes all_config.yaml, every key of it. */
    private static final String ALL = """
            arch:
              H_cycles: 2
              H_layers: 1
              L_cycles: 3
              L_layers: 2
              expansion: 4
              halt_exploration_prob: 0.2
              halt_max_steps: 8
              hidden_size: 32
              loss:
                loss_type: softmax_cross_entropy
                name: losses@ACTLossHead
              name: hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1
              num_heads: 2
              pos_encodings: learned
              puzzle_emb_ndim: 48
            beta1: 0.8
            beta2: 0.7
            checkpoint_every_eval: true
            checkpoint_path: checkpoints/Sudoku ACT-torch/HierarchicalReasoningModel_ACTV1 pink-cat
            data_path: data/sudoku extreme
            epochs: 40
            eval_interval: 20
            eval_save_outputs: []
            global_batch_size: 384
            lr: 7.0e-05
            lr_min_ratio: 0.5
            lr_warmup_steps: 20
            project_name: Sudoku ACT-torch
            puzzle_emb_lr: 0.002
            puzzle_emb_weight_decay: 0.25
            run_name: HierarchicalReasoningModel_ACTV1 pink-cat
            seed: 5
            weight_decay: 0.75
            """;

    private static TrainConfig parse(String yaml, String... overrides) {
        return ConfigLoader.parse(yaml, "x.yaml", List.of(overrides));
    }

    private static String error(String yaml, String... overrides) {
        return assertThrows(ConfigException.class, () -> parse(yaml, overrides)).getMessage();
    }

    @Test
    void everyKeyIsObeyed() {
        TrainConfig c = parse(ALL);
        ArchConfig a = c.arch();
        assertEquals(Architecture.HRM, a.name());
        assertEquals(List.of(new ArchConfig.Network("H_level", 1), new ArchConfig.Network("L_level", 2)), a.networks());
        assertEquals(
                List.of(2, 3, 8, 32, 2, 48, 2),
                List.of(
                        a.recursion().cycles(),
                        a.recursion().latentSteps(),
                        a.halting().maxSteps(),
                        a.block().hiddenSize(),
                        a.block().heads(),
                        a.puzzles().width(),
                        a.prefixLen()));
        assertEquals(
                List.of(4.0, 0.2), List.of(a.block().expansion(), a.halting().explorationProb()));
        assertEquals(LossType.SOFTMAX, a.loss().type());
        assertEquals(PosEncodings.LEARNED, a.block().posEncodings());
        assertEquals(ComputeType.BFLOAT16, a.dtype());
        assertEquals(GradientSpan.ONE_STEP, a.recursion().gradient());
        assertTrue(a.hasContinueLoss());
        assertFalse(c.average().kept(), "HRM's code has no moving average");
        assertEquals(List.of("data/sudoku extreme"), c.data().paths());
        assertEquals(
                List.of(0.8, 0.7, 7e-5, 0.5, 0.002, 0.25, 0.75),
                List.of(
                        c.optimizer().beta1(),
                        c.optimizer().beta2(),
                        c.learningRate().base(),
                        c.learningRate().minRatio(),
                        c.learningRate().puzzleBase(),
                        c.optimizer().puzzleWeightDecay(),
                        c.optimizer().weightDecay()));
        assertEquals(
                List.of(40, 20, 384, 20),
                List.of(
                        c.schedule().epochs(),
                        c.schedule().evalInterval(),
                        c.schedule().globalBatchSize(),
                        c.learningRate().warmupSteps()));
        assertEquals("HierarchicalReasoningModel_ACTV1 pink-cat", c.run().name());
        assertEquals(5, c.run().seed());
        assertEquals(c, parse(ConfigLoader.toYaml(c)));
    }

    /** Its configuration for Hydra, and a command line of its README. */
    @Test
    void hydrasFile() {
        TrainConfig c = parse(
                "defaults: [arch: hrm_v1, _self_]\nhydra: {output_subdir: null}\ndata_path: data/arc-aug-1000\n"
                        + "checkpoint_every_eval: True\nweight_decay: 0.1\n",
                "data_path=data/sudoku-extreme-1k-aug-1000",
                "epochs=20000",
                "eval_interval=2000",
                "arch.loss.loss_type=softmax_cross_entropy",
                "arch.L_cycles=8",
                "arch.halt_max_steps=8",
                "arch.pos_encodings=learned");
        assertEquals(Architecture.HRM, c.arch().name());
        assertEquals(8, c.arch().recursion().latentSteps());
        assertEquals(List.of("data/sudoku-extreme-1k-aug-1000"), c.data().paths());
        assertEquals(
                Architecture.HRM, parse("arch: hrm_v1\ndata_path: d").arch().name());
    }

    /** What TRM has and HRM has not: the same as in TRM's own file for HRM. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.no_ACT_continue=true | hrm always learns when to continue; leave it out, or false",
                "arch.puzzle_emb_len=16 | hrm always has as few positions as hold the puzzle vector; leave it out, or 0",
                "arch.gradient=last_cycle | must be one_step",
                "arch.separate_nets=true | hrm has two networks anyway",
                "eval_save_outputs=[z_H] | eval_save_outputs is 'z_H': must be one of inputs, labels, puzzle_identifiers, logits",
                "arch.name=hrm.hrm_act_v2@X | arch.name is hrm.hrm_act_v2@X; expected one of trm, trm_singlez,",
                "arch.loss.name=losses@Other | arch.loss.name is 'losses@Other': must be one of losses@ACTLossHead",
            })
    void whatHrmHasNot(String override, String expected) {
        String message = error(ALL, override);
        assertTrue(message.contains(expected), message);
    }

    @Test
    void dataPathAndDataPaths() {
        assertEquals(List.of("a"), parse("data_path: a").data().paths());
        assertEquals(List.of("a"), parse("data_path: a\ndata_paths: [a]").data().paths());
        assertEquals(List.of("a"), parse("data_path: a\ndata_paths: []").data().paths());
        assertEquals(List.of("a"), parse("data_paths: []\ndata_path: a").data().paths());
        assertEquals(
                List.of("a"), parse("data_path: null\ndata_paths: [a]").data().paths());
        assertEquals(
                List.of("b", "c"),
                parse("data_path: a", "data_paths=[b, c]").data().paths());
        assertEquals(
                List.of("b"), parse("data_paths: [a, c]", "data_path=b").data().paths());
        assertEquals(
                List.of("b"),
                parse("data_path: a", "data_paths=[b]", "data_path=b").data().paths());
        assertEquals(
                List.of("b"),
                parse("data_path: ${run_name}\nrun_name: b").data().paths());
        assertEquals(
                "x.yaml:1: data_path is a, and data_paths, in x.yaml:2, names other data; give one of them",
                error("data_path: a\ndata_paths: [b]"));
        assertTrue(error("data_path: a\ndata_paths: [a, b]").contains("names other data"));
        assertEquals(
                "override 'data_path=c': data_path is c, and data_paths, in override 'data_paths=[b]', names other data;"
                        + " give one of them",
                error("data_path: a", "data_paths=[b]", "data_path=c"));
        assertEquals(
                "x.yaml:1: data_path is a list; expected a string; data_paths takes a list", error("data_path: [a]"));
        assertTrue(error("data_path:").contains("must name at least one dataset directory"));
    }

    /** What has no effect here is said, once each; what is at rest is not. */
    @Test
    void keysWithoutEffectAreSaid(@TempDir Path temp) throws IOException {
        Path file = Files.writeString(temp.resolve("all_config.yaml"), ALL);
        List<String> notes = new ArrayList<>();
        ConfigLoader.load(file, List.of(), notes::add);
        assertEquals(2, notes.size(), notes.toString());
        assertTrue(notes.get(0).startsWith(file + ": project_name has no effect"), notes.get(0));
        assertTrue(notes.get(1).startsWith(file + ": checkpoint_path has no effect"), notes.get(1));
        notes.clear();
        ConfigLoader.load(file, List.of("project_name=null", "checkpoint_path="), notes::add);
        assertEquals(List.of(), notes);
        ConfigLoader.load(Path.of("configs/demo.yaml"), List.of("arch.H_layers=3"), notes::add);
        assertEquals(
                List.of("configs/demo.yaml: arch.H_layers has no effect: one network, of L_layers, updates z and y"),
                notes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"hydra: {run: {dir: x}}", "hydra: 3", "hydra: {job_logging: none}"})
    void hydrasOwnSettings(String line) {
        String message = error("data_path: d\n" + line);
        assertTrue(message.startsWith("x.yaml:2: "), message);
        assertTrue(message.contains("hydra"), message);
    }
}
