package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.PlanningBackend;
import trm.device.cpu.CpuBackend;
import trm.io.FormatException;
import trm.io.SafeTensors;

/**
 * Checkpoints with a valid checksum and impossible content: every tensor and every entry of the metadata that a run writes,
 * changed in its values, its type, its shape, and left out. Oracle: each is refused by name, before a step is taken. A tensor
 * or key that is new and not known here fails the test.
 */
class ForgedCheckpointTest {
    @TempDir
    private static Path home;

    private static Backend backend;
    private static TinyRun run;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        backend = new CpuBackend(2);
        run = TinyRun.killed(backend, home);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    /** One change, and what the refusal says besides the file's name. */
    record Forgery(String what, ForgedCheckpoint content, List<String> expected) {
        @Override
        public String toString() {
            return what;
        }
    }

    private static final class Forgeries {
        private final List<Forgery> all = new ArrayList<>();

        void add(String what, ForgedCheckpoint content, String... expected) {
            all.add(new Forgery(what, content, List.of(expected)));
        }

        /** One element of a tensor, the last if index is -1. */
        void element(String name, int index, Number value, String expected) {
            ForgedCheckpoint content = run.state();
            int count = content.bytes(name).length / (content.dtype(name).endsWith("64") ? 8 : 4);
            int at = index < 0 ? count - 1 : index;
            add(
                    name + "[" + at + "] = " + value,
                    content.set(name, index, value),
                    "tensor " + name + ": element " + at + " is " + value + ", expected " + expected);
        }

        /** One element of the loader's position or the generators: what is wrong shows in one or in all of them. */
        void position(String name, int index, long value, String expected) {
            add(
                    name + "[" + index + "] = " + value,
                    run.state().set(name, index, value),
                    "state.loader, state.philox, state.legacy: ",
                    expected);
        }

        void text(String key, String value, String expected) {
            add(key + " = " + value, run.state().metadata(key, value), "metadata '" + key + "' is " + expected);
        }
    }

    private static Stream<Forgery> forgeries() {
        Forgeries all = new Forgeries();
        ForgedCheckpoint good = run.state();
        assertTrue(good.names().size() > 30 && good.keys().size() == 4, good.names() + " " + good.keys());
        for (String name : good.names()) {
            values(all, name);
            frames(all, good, name);
        }
        for (String key : good.keys()) {
            metadata(all, key);
        }
        all.add(
                "a tensor more",
                run.state().put("lanes.more", "I32", new long[] {1}, new byte[4]),
                "tensor 'lanes.more' [1] is no part of the run");
        return all.all.stream();
    }

    private static void values(Forgeries all, String name) {
        if (name.matches("(model\\.inner|ema|m|v)\\..*") || name.startsWith("lanes.z_")) {
            all.element(name, 0, Float.POSITIVE_INFINITY, "a finite number");
            all.element(name, -1, Float.NaN, "a finite number");
            if (name.startsWith("v.")) {
                all.element(name, -1, -1e-30f, "at least 0");
            }
            return;
        }
        switch (name) {
            case "lanes.inputs" -> {
                for (int value : new int[] {Integer.MAX_VALUE, Integer.MIN_VALUE, -1, TinyRun.VOCABULARY, -100}) {
                    all.element(name, -1, value, "0 .. 5: a token");
                }
            }
            case "lanes.labels" -> {
                for (int value : new int[] {Integer.MAX_VALUE, -1, -99, TinyRun.VOCABULARY}) {
                    all.element(name, 3, value, "0 .. 5, or -100: a token, or one that is left out");
                }
            }
            case "lanes.puzzle_identifiers" -> {
                for (int value : new int[] {Integer.MAX_VALUE, -1, 1, 5000}) {
                    all.element(name, -1, value, "0 .. 0: a row of the puzzle table");
                }
            }
            case "lanes.steps" -> {
                for (int value : new int[] {-3, 0, 4, Integer.MAX_VALUE}) {
                    all.element(name, 1, value, "1 .. 3: supervision steps of a lane after 6");
                }
            }
            case "lanes.halted" -> {
                all.element(name, 2, 2, "0 .. 1: whether a lane has halted");
                all.element(name, 0, -1, "0 .. 1");
                all.add(
                        "a lane that goes on after its last step",
                        run.state().fill("lanes.steps", 3).fill(name, 0),
                        "tensor lanes.halted: element 0 is 0, expected 1: its steps are 3 of 3");
            }
            case "state.controls" -> {
                all.element(name, 0, Double.NaN, "6.0: number of the step");
                all.element(name, 0, 7.0, "6.0: number of the step");
                all.element(name, 1, 0.1, "");
                all.element(name, 2, Double.NaN, "");
                all.element(name, 3, 0.5, "0.468558");
                all.element(name, 4, -1.0, "0.26");
                all.element(name, 7, 1.0, "0.0: not used");
            }
            case "state.metrics" -> metrics(all, name);
            case "state.loader" -> {
                all.element(name, 0, -1L, "0 .. 9223372036854775807: passes begun");
                all.element(name, 1, 1L << 32, "0 .. 2147483647: batches of the pass");
                all.element(name, 2, -1L, "0 .. 2147483647: groups of the pass visited");
                all.position(name, 0, 0, "iteration 0 with 13 longs");
                all.position(name, 0, Long.MAX_VALUE, "the generator of another seed");
                all.position(name, 1, 5, "cursor 24 after 5 batches of the pass, expected 6 batches");
                all.position(name, 2, 23, "cursor 23 after 6 batches");
                all.position(name, 2, 28, "cursor 28 after 6 batches of the pass, expected 7 batches");
                all.position(name, 2, 401, "cursor 401, expected 0 .. 400 group visits");
            }
            case "state.philox" -> {
                all.position(name, 0, 1, "a block that its key and counter do not give");
                all.position(name, 2, 99, "a block that its key and counter do not give");
                all.position(name, 6, 0, "a block that its key and counter do not give");
                all.position(name, 10, 5, "element 10 is 5, expected 0 .. 4: words of the block used");
                all.position(name, 10, -1, "element 10 is -1");
                all.position(name, 11, 2, "element 11 is 2, expected 0 .. 1: whether half a word is left");
                all.position(name, 12, -1, "element 12 is -1, expected 0 .. 4294967295: that half");
                all.position(name, 12, 1, "element 12 is 1, expected ");
            }
            case "state.legacy" -> {
                all.position(name, 624, -1, "position -1, expected 625 and position 0 .. 624");
                all.position(name, 624, 625, "position 625");
                all.add("legacy words of 0", run.state().fill(name, 0), "MT19937 state: found words that are all zero");
            }
            default -> fail("say here which values of tensor " + name + " are refused");
        }
    }

    private static void metrics(Forgeries all, String name) {
        for (int i = 0; i < 9; i++) {
            all.element(name, i, Double.NEGATIVE_INFINITY, i < 5 ? "0 .. " : "a finite sum of at least 0");
            all.element(name, i, Double.POSITIVE_INFINITY, i < 5 ? "0 .. " : "a finite sum of at least 0");
            if (i < 8) {
                all.element(name, i, Double.NaN, i < 5 ? "0 .. " : "a finite sum of at least 0");
            }
        }
        all.element(name, 0, 25.0, "0 .. 24.0: COUNT");
        all.element(name, 0, 0.5, "0 .. 24.0: COUNT");
    }

    /** Another type, another shape, none. */
    private static void frames(Forgeries all, ForgedCheckpoint good, String name) {
        String dtype = good.dtype(name);
        String other = (dtype.charAt(0) == 'I' ? "F" : "I") + dtype.substring(1);
        all.add(
                name + " as " + other,
                run.state().put(name, other, good.shape(name), good.bytes(name)),
                "tensor " + name + " is " + other + ", expected " + dtype);
        long[] longer = Arrays.copyOf(good.shape(name), good.shape(name).length + 1);
        longer[longer.length - 1] = 1;
        all.add(
                name + " with one axis more",
                run.state().put(name, dtype, longer, good.bytes(name)),
                "tensor " + name + " has shape " + Arrays.toString(longer) + ", expected ");
        all.add("no " + name, run.state().remove(name), "no tensor " + name + ", expected " + dtype);
    }

    private static void metadata(Forgeries all, String key) {
        if (key.equals("config")) {
            all.text(key, null, "missing, expected what trm train writes");
            all.add("config = text", run.state().metadata(key, "a: ["), "metadata 'config'");
            all.add("config = another", run.state().metadata(key, "lr: -1"), "metadata 'config'");
            all.add(
                    "config with another rate",
                    run.state().metadata(key, run.state().metadata(key).replace("\nlr: 0.001", "\nlr: 0.002")),
                    "tensor state.controls: element 1 is ");
            return;
        }
        if (!key.equals("total_steps")) { // version 0.1 wrote none
            all.text(key, null, "missing, expected a number of steps");
        }
        for (String value : List.of("", "-5", "6.0", " 6", "+6", "\u0666", "9999999999999999999", "six", "0x6")) {
            all.text(key, value, "'" + value + "', expected a number of steps");
        }
        switch (key) {
            case "step" -> {
                all.text(key, "99999999999999", "99999999999999, expected 0 .. 8 steps");
                all.text(key, "5", "5, expected 6 as in the file's name");
                all.text(key, "0", "0, expected 6 as in the file's name");
            }
            case "evaluated_step" -> all.text(key, "7", "7, expected 0 .. 6 steps");
            case "total_steps" -> {
                all.text(key, "9", "9, expected 8 steps");
                all.text(key, "5", "5, expected 8 steps");
            }
            default -> fail("say here which values of metadata " + key + " are refused");
        }
    }

    @ParameterizedTest
    @MethodSource("forgeries")
    void isRefusedByName(Forgery forgery) throws IOException {
        Path folder = run.resumable(temp, forgery.content);
        Path file = run.checkpoint(folder, 6);
        byte[] before = Files.readAllBytes(file);
        String message = assertThrows(FormatException.class, () -> run.run(backend, folder, true))
                .getMessage();
        assertTrue(message.startsWith(file.toString()), message);
        for (String part : forgery.expected) {
            assertTrue(message.contains(part), () -> "'" + message + "' lacks '" + part + "'");
        }
        assertArrayEquals(before, Files.readAllBytes(file));
        assertFalse(Files.exists(run.checkpoint(folder, TinyRun.STEPS)), "no step was taken");
    }

    /** Whoever reads the message can go back one checkpoint: without the file, the run goes on from the one before. */
    @Test
    void namesTheCheckpointBefore() throws IOException {
        Path folder = run.resumable(temp, run.state().fill("lanes.inputs", 77));
        String message = assertThrows(FormatException.class, () -> run.run(backend, folder, true))
                .getMessage();
        assertTrue(
                message.endsWith("; the checkpoint before it is step-00000003.safetensors: without this file the run"
                        + " goes on from there"),
                message);
        Files.delete(run.checkpoint(folder, 6));
        assertEquals(Run.Outcome.FINISHED, run.run(backend, folder, true));
    }

    /** Nothing of a checkpoint is on the device or in the loader when it is refused. */
    @Test
    void isCheckedBeforeAnythingIsTouched() throws IOException {
        Path file = run.checkpoint(run.resumable(temp, run.state().set("v.q_head.bias", 1, -1f)), 6);
        // a device without memory: writing to it would end this process
        try (Arena arena = new Arena(PlanningBackend.ofAbsent(java.util.Map.of()));
                RunTensors tensors = run.tensors(PlanningBackend.ofAbsent(java.util.Map.of()), arena)) {
            assertThrows(
                    FormatException.class,
                    () -> CheckpointState.read(SafeTensors.open(file), tensors, run.loader(), TinyRun.STEPS, true));
        }
    }

    /** Where a run may go on with what is not finite, so may its checkpoints; the rest is checked as ever. */
    @Test
    void notFiniteByLeave() throws IOException {
        ForgedCheckpoint content = run.state()
                .set("ema.lm_head.weight", 0, Float.NaN)
                .set("v.q_head.bias", 0, Float.POSITIVE_INFINITY)
                .set("lanes.z_H", 5, Float.NaN)
                .set("state.metrics", 5, Double.NaN);
        Path file = run.checkpoint(run.resumable(temp, content), 6);
        try (Arena arena = new Arena(PlanningBackend.ofAbsent(java.util.Map.of()));
                RunTensors tensors = run.tensors(PlanningBackend.ofAbsent(java.util.Map.of()), arena)) {
            assertEquals(6, read(file, tensors, false).progress().step());
            for (ForgedCheckpoint worse : List.of(
                    content.copy().set("v.q_head.bias", 0, -1f),
                    content.copy().set("state.metrics", 0, Double.NaN),
                    content.copy().set("state.controls", 1, Double.NaN),
                    content.copy().fill("lanes.inputs", -1))) {
                worse.writeTo(file);
                assertThrows(FormatException.class, () -> read(file, tensors, false));
            }
        }
    }

    private static CheckpointState read(Path file, RunTensors tensors, boolean finite) {
        return CheckpointState.read(SafeTensors.open(file), tensors, run.loader(), TinyRun.STEPS, finite);
    }

    /** A file that is only written anew is what it was: the resumed run ends in the same bytes. */
    @Test
    void aFaithfulCopyGoesOn() throws IOException {
        Path folder = run.resumable(temp.resolve("copy"), run.state());
        assertEquals(Run.Outcome.FINISHED, run.run(backend, folder, true));
        Path third = run.resumable(temp.resolve("third"), run.state());
        Files.delete(run.checkpoint(third, 6));
        assertEquals(Run.Outcome.FINISHED, run.run(backend, third, true));
        assertArrayEquals(
                Files.readAllBytes(run.checkpoint(third, TinyRun.STEPS)),
                Files.readAllBytes(run.checkpoint(folder, TinyRun.STEPS)));
    }
}
