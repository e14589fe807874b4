package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigLoaderTest {
    private static final String DATA = "data_paths: [d]\n";

    private static TrainConfig parse(String yaml, String... overrides) {
        return ConfigLoader.parse(yaml, "x.yaml", List.of(overrides));
    }

    private static String error(String yaml, String... overrides) {
        return assertThrows(ConfigException.class, () -> parse(yaml, overrides)).getMessage();
    }

    @Test
    void defaultsAreThePublishedValues() {
        TrainConfig config = parse(DATA);
        assertEquals(768, config.schedule().globalBatchSize());
        assertEquals(1e-4, config.learningRate().base());
        assertNull(config.data().shape());
        assertNull(config.schedule().evalInterval());
        assertNull(config.run().name());
        assertEquals(
                0, parse(DATA + "arch: {puzzle_emb_ndim: 0}").arch().puzzles().positions());
        assertEquals(
                64, parse(DATA + "arch: {hidden_size: 64}").arch().puzzles().width());
    }

    @Test
    void publishedFilesAreUnderstood() {
        TrainConfig config = parse("""
                defaults:
                  - arch: trm
                  - _self_
                hydra:
                  output_subdir: null
                data_paths: ['data/x']
                data_paths_test: []
                evaluators: []
                project_name: null
                checkpoint_every_eval: True
                freeze_weights: False
                lr: 1e-4
                weight_decay: 1
                arch:
                  name: recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1
                  loss:
                    name: losses@ACTLossHead
                    loss_type: softmax_cross_entropy
                  hidden_size: 128
                  puzzle_emb_ndim: ${.hidden_size}
                  mlp_t: False
                  no_ACT_continue: True
                """);
        assertEquals(Architecture.TRM, config.arch().name());
        assertEquals(LossType.SOFTMAX, config.arch().loss().type());
        assertEquals(128, config.arch().puzzles().width());
        assertEquals(1.0, config.optimizer().weightDecay());
    }

    @Test
    void overridesFollowHydra() {
        TrainConfig config = parse(
                DATA + "lr: 0.5\narch:\n  hidden_size: 64\n  puzzle_emb_ndim: ${.hidden_size}\n",
                "arch=trm",
                "lr=1e-3",
                "+run_name='a b'",
                "++arch.mlp_t=True",
                "arch.hidden_size=32",
                "data_paths=[data/x, \"data/y\"]",
                "evaluators=[{name: arc@ARC}]",
                "checkpoint_path=checkpoints/x",
                "min_eval_interval=0",
                "eval_save_outputs=[]",
                "load_checkpoint=a/b.pt",
                "ema=False",
                "eval_interval=null",
                "data_shape={seq_len: 4, vocab_size: 5, num_puzzle_identifiers: 6}",
                "dtype=float32",
                "arch.loss=softmax",
                "seed=7",
                "arch.L_cycles=2",
                "arch={H_cycles: 1}",
                "project_name=p");
        assertEquals(1e-3, config.learningRate().base());
        assertEquals("a b", config.run().name());
        assertTrue(config.arch().block().mlpT());
        assertFalse(config.average().kept());
        assertEquals(32, config.arch().block().hiddenSize());
        assertEquals(32, config.arch().puzzles().width());
        assertEquals(2, config.arch().recursion().latentSteps());
        assertEquals(1, config.arch().recursion().cycles());
        assertEquals(List.of("data/x", "data/y"), config.data().paths());
        assertEquals(new DataShape(4, 5, 6), config.data().shape());
        assertEquals(ComputeType.FLOAT32, config.arch().dtype());
        assertEquals(LossType.SOFTMAX, config.arch().loss().type());
        assertEquals(7, config.run().seed());
        assertEquals(
                List.of("a", "b"), parse(DATA, "data_paths=\"[a,b]\"").data().paths());
    }

    @Test
    void theLastOverrideWinsUnderEitherName() {
        assertEquals(
                ComputeType.FLOAT32,
                parse(DATA + "dtype: bfloat16", "arch.forward_dtype=float32")
                        .arch()
                        .dtype());
        assertEquals(
                ComputeType.FLOAT32,
                parse(DATA + "arch: {forward_dtype: bfloat16}", "dtype=float32")
                        .arch()
                        .dtype());
        assertEquals(
                LossType.SOFTMAX,
                parse(DATA + "arch: {loss_type: stablemax}", "arch.loss.loss_type=softmax")
                        .arch()
                        .loss()
                        .type());
        assertEquals(
                16,
                parse("arch: trm\n" + DATA, "arch.hidden_size=16", "arch=trm")
                        .arch()
                        .block()
                        .hiddenSize());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "lerning_rate: 1 | x.yaml:2: unknown key 'lerning_rate'; did you mean 'lr'?",
                "learning_rate: 1 | x.yaml:2: unknown key 'learning_rate'; here that is called 'lr'",
                "Batch-Size: 1 | x.yaml:2: unknown key 'Batch-Size'; here that is called 'global_batch_size'",
                "arch: {d_model: 1} | x.yaml:2: unknown key 'arch.d_model'; here that is called 'arch.hidden_size'",
                "device: cpu | x.yaml:2: unknown key 'device'; here that is the option --device",
                "quarks: 1 | x.yaml:2: unknown key 'quarks'; trm info --keys lists all of them",
                "weight_decy: 1 | x.yaml:2: unknown key 'weight_decy'; did you mean 'weight_decay'?",
                "hidden_size: 1 | x.yaml:2: unknown key 'hidden_size'; did you mean 'arch.hidden_size'?",
                "arch: {l_layers: 1} | x.yaml:2: unknown key 'arch.l_layers'; did you mean 'arch.L_layers'?",
                "arch: {loss: {los_type: 1}} | x.yaml:2: unknown key 'arch.loss.los_type'; did you mean 'arch.loss.loss_type'",
                "data_shape: {seqlen: 1} | x.yaml:2: unknown key 'data_shape.seqlen'; did you mean 'data_shape.seq_len'?",
                "data_shape: {seq_len: 1} | x.yaml:2: data_shape has no vocab_size; expected seq_len, vocab_size,",
                "data_shape: 3 | x.yaml:2: data_shape is 3; expected a table",
                "arch: [trm] | x.yaml:2: arch is a list; expected a table",
                "epochs: many | x.yaml:2: epochs is many; expected an integer",
                "epochs: '5' | x.yaml:2: epochs is the string '5'; expected an integer",
                "epochs: 1.5 | x.yaml:2: epochs is 1.5; expected an integer",
                "epochs: 1e3 | x.yaml:2: epochs is 1e3; expected an integer",
                "epochs: | x.yaml:2: epochs is null; expected an integer",
                "epochs: 3000000000 | x.yaml:2: epochs is 3000000000; expected an integer between -2147483648 and 2147483647",
                "seed: 99999999999999999999 | x.yaml:2: seed is 99999999999999999999; expected an integer between",
                "lr: fast | x.yaml:2: lr is fast; expected a number",
                "lr: [1] | x.yaml:2: lr is a list; expected a number",
                "lr: .nan | x.yaml:2: lr is .nan; expected a number",
                "lr: 1e999 | x.yaml:2: lr is 1e999; expected a number that is 0 or between 4.9E-324 and 1.79",
                "ema: 1 | x.yaml:2: ema is 1; expected true or false",
                "run_name: {a: b} | x.yaml:2: run_name is a table; expected a string",
                "optimizer: sgd | x.yaml:2: optimizer is 'sgd': must be one of adam_atan2, adamw",
                "evaluators: [arc] | x.yaml:2: evaluators is a list; expected [] or [{name: arc@ARC}]: not supported",
                "min_eval_interval: 3 | x.yaml:2: min_eval_interval is 3; expected 0: not supported by this version",
                "freeze_weights: 2 | x.yaml:2: freeze_weights is 2; expected true or false",
                "defaults: [arch: trm, db: x] | x.yaml:2: defaults is a list; expected only 'arch: NAME' and '_self_' in it",
                "arch: urm | x.yaml:2: arch.name is urm; expected one of trm, trm_singlez, trm_hier6, hrm,"
                        + " transformers_baseline",
                "arch: {pos_encodings: sin} | x.yaml:2: arch.pos_encodings is sin; expected rope, learned or none",
                "arch: {loss: mse} | x.yaml:2: arch.loss.loss_type is mse; expected stablemax_cross_entropy or softmax_cross",
                "arch: {loss: {name: other}} | x.yaml:2: arch.loss.name is 'other': must be one of losses@ACTLossHead",
                "arch: {num_heads: 0} | x.yaml:2: arch.num_heads is 0: must be at least 1",
                "arch:;  hidden_size: ${.width} | x.yaml:3: arch.hidden_size is ${.width}; this refers to no value",
                "arch:;  hidden_size: ${.hidden_size} | this refers in a circle: arch.hidden_size -> arch.hidden_size",
                "dtype: float16 | x.yaml:2: arch.forward_dtype is 'float16': must be one of float32, bfloat16",
                "lr: {a | x.yaml:2: not valid YAML: ",
                "data_paths: [e] | x.yaml:2: key 'data_paths' is given twice",
                "[a]: 1 | x.yaml:2: a key must be a name",
                "lr: &a [*a] | x.yaml:2: nested too deeply",
            })
    void errorsNameTheLineTheValueAndTheRule(String line, String expected) {
        String message = error(DATA + line.replace(';', '\n'));
        assertTrue(message.contains(expected), message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "lr | override 'lr': expected key=value",
                "~lr | override '~lr': expected key=value",
                "lr=x | override 'lr=x': lr is x; expected a number",
                "lr.x=1 | override 'lr.x=1': cannot set lr.x: lr is 0.1, not a table",
                "arch.hiden_size=3 | override 'arch.hiden_size=3': unknown key 'arch.hiden_size'; did you mean",
                "arch.no_such.x=3 | override 'arch.no_such.x=3': unknown key 'arch.no_such'; trm info --keys lists",
                "bad-key=3 | override 'bad-key=3': unknown key 'bad-key'",
                "data_paths=[a | override 'data_paths=[a': not valid YAML",
                "data_paths=a | override 'data_paths=a': data_paths is a; expected a list of strings",
                "data_paths=[a,[b]] | data_paths is a list; expected a list of strings, but it contains a list",
                "data_paths=[] | override 'data_paths=[]': data_paths is []: must name at least one dataset directory",
                "arch.num_heads=-1 | override 'arch.num_heads=-1': arch.num_heads is -1: must be at least 1",
                "arch=urm | override 'arch=urm': arch.name is urm; expected one of trm, trm_singlez, trm_hier6, hrm,"
                        + " transformers_baseline",
                "eval_interval=50001 | override 'eval_interval=50001': eval_interval is 50001: must be at most epochs, which is 50000",
            })
    void errorsNameTheOverride(String override, String expected) {
        String message = error(DATA + "lr: 0.1\n", override);
        assertTrue(message.contains(expected), message);
    }

    @Test
    void wholeDocumentErrors() {
        assertEquals("x.yaml: data_paths is []: must name at least one dataset directory", error(""));
        assertEquals("x.yaml:1: is a list; expected a table of keys", error("[1]"));
        assertEquals(
                "x.yaml:1: dtype and arch.forward_dtype are two names of the same key; give one of them",
                error("dtype: float32\narch: {forward_dtype: float32}"));
        String several = error("a: 1\n---\nb: 2\n");
        assertTrue(several.startsWith("x.yaml:2: not valid YAML: "), several);
        String bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
        for (char c = 'b'; c < 'k'; c++) {
            String before = "*" + (char) (c - 1);
            bomb += c + ": &" + c + " [" + String.join(",", java.util.Collections.nCopies(10, before)) + "]\n";
        }
        String large = error(bomb);
        assertTrue(large.startsWith("x.yaml: not valid YAML: Number of aliases"), large);
    }

    @Test
    void fileErrors(@TempDir Path dir) throws IOException {
        Path absent = dir.resolve("absent.yaml");
        assertEquals(
                absent + ": no such file",
                assertThrows(ConfigException.class, () -> ConfigLoader.load(absent, List.of()))
                        .getMessage());
        Path binary = Files.write(dir.resolve("b.yaml"), new byte[] {(byte) 0xff, (byte) 0xff});
        assertEquals(
                binary + ": is not UTF-8 text",
                assertThrows(ConfigException.class, () -> ConfigLoader.load(binary, List.of()))
                        .getMessage());
        Path control = Files.write(dir.resolve("c.yaml"), new byte[] {0, 1});
        assertTrue(assertThrows(ConfigException.class, () -> ConfigLoader.load(control, List.of()))
                .getMessage()
                .startsWith(control + ":1: not valid YAML"));
    }

    @Test
    void resolvedConfigurationsLoadBack() {
        TrainConfig odd = parse(
                DATA,
                "run_name='null'",
                "data_paths=['a \"b\" \\ c', 'ü😀, [x]: #', '1e3']",
                "lr=1.2345678901234567e-7",
                "arch.rope_theta=1e12",
                "arch.expansion=2.6666666666666665",
                "eval_interval=25",
                "data_shape={seq_len: 4, vocab_size: 5, num_puzzle_identifiers: 6}",
                "seed=4294967295",
                "optimizer=adamw",
                "arch.pos_encodings=learned",
                "arch.loss=softmax",
                "dtype=float32",
                "checkpoint_every_steps=0",
                "max_steps=9",
                "threads=3",
                "matmul_precision=tf32",
                "eval_puzzles=7",
                "eval_batch_size=2",
                "recompute=gate_up",
                "micro_batches=6",
                "load_checkpoint=some run/step_1",
                "memory=1.5 GB");
        assertEquals("some run/step_1", odd.run().loadCheckpoint());
        assertEquals(1_500_000_000, odd.memory().bytes());
        assertEquals("null", odd.run().name());
        for (TrainConfig config : List.of(odd, parse(DATA))) {
            assertEquals(config, parse(ConfigLoader.toYaml(config)));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "sudoku-mlp",
                "sudoku-att",
                "demo",
                "cpu/sudoku-mlp-small",
                "cpu/sudoku-att-small",
                "cpu/arc-small"
            })
    void shippedFilesLoad(String name) {
        TrainConfig config = ConfigLoader.load(Path.of("configs", name + ".yaml"), List.of());
        assertEquals(config, parse(ConfigLoader.toYaml(config)));
        assertEquals(config.arch().block().hiddenSize(), config.arch().puzzles().width());
        assertEquals(
                name.contains("mlp") || name.equals("demo"),
                config.arch().block().mlpT());
    }

    /** An ablation's file is that of TRM but for what it ablates. */
    @ParameterizedTest
    @CsvSource({
        "sudoku-act, arch.no_ACT_continue=false",
        "sudoku-separate, arch.separate_nets=true arch.H_layers=2",
        "sudoku-singlez, arch=trm_singlez",
        "sudoku-hier6, arch=trm_hier6 arch.num_scales=6",
        "sudoku-one-step, arch.gradient=one_step",
        "sudoku-4layers, arch.L_layers=4 arch.L_cycles=3",
        "sudoku-no-ema, ema=false",
        "sudoku-no-supervision, arch.halt_max_steps=1",
    })
    void ablationsDifferInOneThing(String name, String difference) {
        TrainConfig expected = ConfigLoader.load(Path.of("configs", "sudoku-mlp.yaml"), List.of(difference.split(" ")));
        TrainConfig found = ConfigLoader.load(Path.of("configs", name + ".yaml"), List.of());
        assertEquals(expected, found);
        assertEquals(found, parse(ConfigLoader.toYaml(found)));
    }

    /** Oracle: docs/specification.md#11-published-settings. */
    @ParameterizedTest
    @CsvSource({
        "sudoku-hrm, 20000, 2000, 1.0, 1e-4",
        "maze-hrm, 20000, 2000, 1.0, 1e-4",
        "arc-hrm, 100000, 10000, 0.1, 1e-2",
    })
    void hrmFilesHoldThePublishedSettings(String name, int epochs, int interval, double decay, double puzzleLr) {
        TrainConfig c = ConfigLoader.load(Path.of("configs", name + ".yaml"), List.of());
        assertEquals(c, parse(ConfigLoader.toYaml(c)));
        TrainConfig defaults = parse(
                DATA,
                "arch=hrm",
                "data_paths=[" + c.data().paths().get(0) + "]",
                "epochs=" + epochs,
                "eval_interval=" + interval,
                "weight_decay=" + decay,
                "puzzle_emb_weight_decay=" + decay,
                "puzzle_emb_lr=" + puzzleLr,
                "data_shape={seq_len: " + c.data().shape().seqLen() + ", vocab_size: "
                        + c.data().shape().vocabSize() + ", num_puzzle_identifiers: "
                        + c.data().shape().numPuzzleIdentifiers() + "}");
        assertEquals(defaults, c);
        assertFalse(c.average().kept());
        assertEquals(
                List.of(new ArchConfig.Network("H_level", 4), new ArchConfig.Network("L_level", 4)),
                c.arch().networks());
        assertEquals(
                List.of(2, 2),
                List.of(c.arch().recursion().cycles(), c.arch().recursion().latentSteps()));
    }
}
