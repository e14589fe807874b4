package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.SafeTensors;

/** {@code trm train --resume-from-weights} and {@code trm export --for-training}; what such a run computes is LaterStepTest's matter. */
class ResumeFromWeightsTest {
    @TempDir
    private static Path shared;

    private static Path config;
    private static Path first; // a run of 20 steps, evaluated every 5, with checkpoints of steps 5, 10, 15, 20

    @TempDir
    private Path temp;

    @BeforeAll
    static void firstRun() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 80, 20, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config).replace("epochs: 1", "epochs: 4\neval_interval: 1")
                        + "checkpoint_keep: 20\nlog_every_steps: 1\nlr: 1e-3\nema_rate: 0.9\n");
        first = shared.resolve("first");
        train("--run", first).assertDone();
    }

    private static Trm.Result train(Object... arguments) {
        return Trm.execute(Stream.concat(Stream.of("train", config, "--device", "cpu"), Stream.of(arguments))
                .toArray());
    }

    private static String settings(Path run) throws IOException {
        return Files.readString(run.resolve("config.yaml"));
    }

    @Test
    void beginsAfterTheStepThatTheFileSays() throws IOException {
        Path run = temp.resolve("run");
        Path weights = Trm.checkpoint(first, 10);
        Trm.Result result =
                train("--resume-from-weights", weights, "--run", run).assertDone();
        String said = "begins after step 10 of 20, with weights and moving average of " + weights
                + "; dropped, so begun anew: the optimizer's moments, the lanes with their latents, the sums of metrics";
        assertTrue(result.err().contains(said), result.err());
        assertTrue(Files.readString(run.resolve("log.txt")).contains(said));
        assertTrue(settings(run).contains("load_checkpoint: \"" + weights + "\"\n"), settings(run));
        assertTrue(settings(run).contains("begin_step: 10\n"), settings(run));
        assertEquals("10", Trm.metrics(run).get(1).split(",")[0], "the weights are evaluated, as a pass ends there");
        assertEquals(evaluation(first, 10), evaluation(run, 10));
        assertEquals("11", Trm.metrics(run).get(2).split(",")[0]);

        Path keys = temp.resolve("keys");
        train("load_checkpoint='" + weights + "'", "begin_step=10", "--run", keys)
                .assertDone();
        Trm.assertSameEnd(run, keys, 20);
        Path killed = Trm.killedAfter(15, run, temp.resolve("killed"));
        Trm.execute("train", "--device", "cpu", "--resume", killed).assertDone();
        Trm.assertSameEnd(run, killed, 20);
    }

    private static List<String> evaluation(Path run, long step) throws IOException {
        return Trm.metrics(run).stream()
                .filter(row -> row.startsWith(step + ",,"))
                .toList();
    }

    /** What export keeps for it is enough: the run is that of the whole checkpoint. */
    @Test
    void exportedForTraining() throws IOException {
        Path state = temp.resolve("state.safetensors");
        Trm.execute("export", Trm.checkpoint(first, 10), "--for-training", "--out", state)
                .assertDone();
        SafeTensors file = SafeTensors.open(state);
        assertEquals("10", file.metadata().get("step"));
        for (String name : file.names()) {
            assertTrue(name.startsWith("model.inner.") || name.startsWith("ema."), name);
            assertEquals(SafeTensors.open(Trm.checkpoint(first, 10)).bytes(name), file.bytes(name), name);
        }
        train("--resume-from-weights", Trm.checkpoint(first, 10), "--run", temp.resolve("whole"))
                .assertDone();
        train("--resume-from-weights", state, "--run", temp.resolve("run")).assertDone();
        SafeTensors expected = SafeTensors.open(Trm.checkpoint(temp.resolve("whole"), 20));
        SafeTensors found = SafeTensors.open(Trm.checkpoint(temp.resolve("run"), 20));
        for (String name : expected.names()) {
            assertEquals(expected.bytes(name), found.bytes(name), name);
        }
        Trm.execute("export", first, "--for-training", "--out", temp.resolve("x.pt"))
                .assertFails(2, "--for-training with " + temp.resolve("x.pt") + ": expected a .safetensors file");
        Trm.execute("export", first, "--for-training", "--dtype", "bfloat16", "--out", temp.resolve("x.safetensors"))
                .assertFails(2, "--for-training with --dtype bfloat16: expected a .safetensors file");
    }

    /** Weights alone: their step must be given, and the average begins with them. */
    @Test
    void weightsWithoutAnAverage() throws IOException {
        Path weights = temp.resolve("weights.safetensors");
        Trm.execute("export", Trm.checkpoint(first, 10), "--dtype", "bfloat16", "--out", weights)
                .assertDone();
        train("--resume-from-weights", weights, "--run", temp.resolve("run"))
                .assertFails(
                        2,
                        "--resume-from-weights " + weights
                                + ": the file does not say after which step it was written; expected also --at-step N");
        Trm.Result result = train("--resume-from-weights", weights, "--at-step", 7, "--run", temp.resolve("run"))
                .assertDone();
        assertTrue(
                result.err()
                        .contains("begins after step 7 of 20, with weights of " + weights
                                + ", which has no moving average beside them: the average begins with them; dropped"),
                result.err());
        assertTrue(settings(temp.resolve("run")).contains("begin_step: 7\n"));
    }

    @Test
    void whatIsRefused() throws IOException {
        Path weights = Trm.checkpoint(first, 10);
        Path run = temp.resolve("run");
        train("--resume-from-weights", weights, "--run", first)
                .assertFails(1, first + ": already holds a run; use --resume " + first + " or another --run folder");
        Trm.execute("train", "--resume", first, "--resume-from-weights", weights)
                .assertFails(2, "--resume " + first + " continues a run", "expected one of the two");
        train("--resume", "auto", "--resume-from-weights", weights, "--run", run)
                .assertFails(2, "--resume auto continues a run", "expected one of the two");
        train("--at-step", 7, "--run", run).assertFails(2, "--at-step 7: expected with --resume-from-weights FILE");
        train("--resume-from-weights", weights, "--at-step", 0, "--run", run)
                .assertFails(2, "--at-step 0: expected at least 1");
        train("--resume-from-weights", weights, "--at-step", 20, "--run", run)
                .assertFails(2, "begin_step is 20: the schedule is over at step 20 (epochs); must be less");
        train("--resume-from-weights", Trm.checkpoint(first, 20), "--run", run)
                .assertFails(2, "begin_step is 20: the schedule is over at step 20");
        train("--resume-from-weights", temp.resolve("none"), "--run", run)
                .assertFails(1, temp.resolve("none") + ": neither a checkpoint file nor a run folder");
        assertFalse(Files.exists(run));
        train("--resume-from-weights", weights, "arch.hidden_size=64", "--run", run)
                .assertFails(
                        1, weights + ": tensor ema.embed_tokens.embedding_weight has shape [6, 32], expected [6, 64]");
    }

    /** A gate has an exit code of its own, and says so again on resume. */
    @Test
    void aGateStopsTheCommand() throws IOException {
        Path run = temp.resolve("run");
        String gates = "gates=[{step: 6, exact_accuracy: 0.99}]";
        Trm.Result result = train(gates, "--run", run, "--json");
        assertEquals(3, result.code(), result.err());
        assertEquals("gated", result.json().get("outcome").asText());
        assertTrue(result.err().contains("stopped by a gate at step 10 of 20: exact accuracy "), result.err());
        assertEquals(3, Trm.execute("train", "--device", "cpu", "--resume", run).code());
        Trm.execute("train", "--device", "cpu", "--resume", run, "gates=[]").assertDone();
        assertEquals(Trm.metrics(first), Trm.metrics(run));
    }
}
