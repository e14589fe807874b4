package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.io.SafeTensors;

/**
 * {@code bench/gpu.sh train} on the CPU, with a tiny model and a kit whose program is this one. Its first training gets SIGTERM after some
 * steps, as if the call were over; the state goes to another machine, whole or as weights only.
 */
@Tag("drill")
class TrainStageDrillTest {
    @TempDir
    private Path temp;

    private Path home;
    private final Map<String, String> environment = new HashMap<>();

    private record Call(int status, String out) {}

    @BeforeEach
    void kit() throws IOException, InterruptedException {
        assumeTrue(new ProcessBuilder("python3", "--version").start().waitFor() == 0, "no Python");
        home = Files.createDirectories(temp.resolve("home"));
        copy(Path.of("bench"), home.resolve("bench"));
        copy(Path.of("data"), home.resolve("target/gpu/kit/data"));
        Path kit = home.resolve("target/gpu/kit");
        Files.writeString(kit.resolve("commit"), "none\n");
        Files.writeString(
                temp.resolve("tiny.yaml"),
                String.join(
                        "\n",
                        "arch: {hidden_size: 16, num_heads: 2, mlp_t: true, pos_encodings: none, H_cycles: 1, L_cycles: 1,",
                        "  L_layers: 1, expansion: 1, puzzle_emb_ndim: 0, halt_max_steps: 2, forward_dtype: float32}",
                        "global_batch_size: 8",
                        "epochs: 60",
                        "eval_interval: 15",
                        "planned_steps: 240", // nothing is timed
                        "augment: fresh",
                        "log_every_steps: 4",
                        ""));
        // the first training is stopped once it has some rows of metrics
        Files.writeString(
                kit.resolve("trm"),
                String.join(
                        "\n",
                        "#!/usr/bin/env bash",
                        "java() { exec '" + Path.of(System.getProperty("java.home"), "bin", "java")
                                + "' -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '"
                                + System.getProperty("java.class.path") + "' trm.cli.Main \"$@\"; }",
                        "[ \"$1\" != train ] || [ -e \"" + temp + "/begun\" ] || {",
                        "    touch \"" + temp + "/begun\"",
                        "    java \"$@\" &",
                        "    until [ \"$(cat " + home
                                + "/target/gpu/train/run-1/metrics.csv 2>/dev/null | wc -l)\" -gt 9 ]; do",
                        "        kill -0 $! || exit 1",
                        "        sleep 0.05",
                        "    done",
                        "    kill -TERM $!",
                        "    wait $!",
                        "    exit",
                        "}",
                        "java \"$@\"",
                        ""));
        Files.setPosixFilePermissions(kit.resolve("trm"), PosixFilePermissions.fromString("rwxr-xr-x"));
        environment.put("GPU_DEVICE", "cpu");
        environment.put("GPU_TRAIN_CONFIG", temp.resolve("tiny.yaml").toString());
        environment.put("GPU_TRAIN_DATA", "--subsample 32 --aug 1 --limit-test 24");
        environment.put("GPU_TRAIN_GATES", "[]");
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Path target = to.resolve(from.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(file, target);
                }
            }
        }
    }

    private Call call() throws IOException, InterruptedException {
        ProcessBuilder command = new ProcessBuilder("bash", home + "/bench/gpu.sh", "--out", temp + "/out", "train")
                .redirectErrorStream(true)
                .redirectOutput(temp.resolve("output").toFile());
        command.environment().putAll(environment);
        int status = command.start().waitFor();
        return new Call(status, Files.readString(temp.resolve("output"), StandardCharsets.UTF_8));
    }

    private Path state() {
        return home.resolve("target/gpu/train");
    }

    /** The machine is gone; what came back is carried to another one. */
    private void onAnotherMachine() throws IOException {
        try (Stream<Path> files = Files.walk(state())) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
        Path back = Files.createDirectories(home.resolve("target/gpu-state"));
        Files.copy(temp.resolve("out/train-state.part-00"), back.resolve("train-state.part-00"));
    }

    private String page() throws IOException {
        return Files.readString(temp.resolve("out/gpu-.md"));
    }

    private JsonNode figures() throws IOException {
        return new ObjectMapper()
                .readTree(temp.resolve("out/gpu-.json").toFile())
                .get("training");
    }

    private List<String> steps() throws IOException {
        return Files.readAllLines(home.resolve("target/gpu/run/train.csv")).stream()
                .filter(line -> line.split(",").length > 3 && !line.split(",")[1].isEmpty())
                .map(line -> line.split(",")[0])
                .toList();
    }

    private void assertFinished(Call call, int calls) throws IOException {
        assertEquals(0, call.status, call.out);
        assertTrue(page().contains("- finished, step 240 of 240; last exact accuracy within the run "), page());
        assertEquals(calls, figures().get("calls").asInt());
        assertTrue(figures().get("joules").isNull(), "there is no GPU to ask");
        for (String name : List.of("d16", "d64", "d16-views")) {
            assertEquals(
                    24, figures().get("evaluations").get(name).get("puzzles").asInt());
        }
        assertTrue(page().contains("| source | "), page());
        assertTrue(page().contains("| rating | "), page());
        assertEquals(61, steps().size(), steps().toString()); // the titles, and every fourth of 240 steps
        assertTrue(Files.readString(home.resolve("target/gpu/run/train.svg")).contains("<polyline"));
        SafeTensors weights = SafeTensors.open(temp.resolve("out/train-weights.safetensors"));
        assertEquals("BF16", weights.entry("model.inner.lm_head.weight").dtype());
    }

    @Test
    void theWholeStateGoesToAnotherMachine() throws Exception {
        Call first = call();
        assertEquals(75, first.status, first.out);
        assertTrue(first.out.contains("train: not finished: another call goes on, after "), first.out);
        assertTrue(page().contains("- stopped at the end of a call, to be gone on with, step "), page());
        onAnotherMachine();
        assertFinished(call(), 2);
        assertTrue(Files.readString(state().resolve("run-1/log.txt")).contains("resuming "));
        assertFalse(Files.exists(state().resolve("run-2")));
    }

    @Test
    void weightsAndAverageGoToAnotherMachine() throws Exception {
        Call whole = call();
        assertEquals(75, whole.status, whole.out);
        environment.put("GPU_TRAIN_BYTES", "" + (Files.size(temp.resolve("out/train-state.part-00")) - 1000));
        environment.put("GPU_TRAIN_CALL", "0");
        Call packed = call(); // no time for more
        assertEquals(75, packed.status, packed.out);
        assertTrue(Files.readString(home.resolve("target/gpu/run/train.log")).contains("no moments and no lanes"));
        environment.remove("GPU_TRAIN_CALL");
        onAnotherMachine();
        assertFinished(call(), 2);
        assertTrue(Files.readString(state().resolve("run-2/log.txt")).contains("begins after step "));
    }

    /** It is no failure, and the next call trains no more. */
    @Test
    void aGateEndsIt() throws Exception {
        Files.createFile(temp.resolve("begun"));
        environment.put("GPU_TRAIN_GATES", "[{step: 10, exact_accuracy: 0.5}]");
        for (int i = 0; i < 2; i++) {
            Call call = call();
            assertEquals(0, call.status, call.out);
            String said =
                    "stopped by a gate at step 60 of 240: exact accuracy 0.0000, expected at least 0.5 from step 10 on";
            assertTrue(page().contains("- stopped by a gate, step 60 of 240; "), page());
            assertTrue(page().contains("- " + said), page());
            assertEquals(1, figures().get("calls").asInt());
            assertEquals(0, figures().get("evaluations").size());
        }
    }
}
