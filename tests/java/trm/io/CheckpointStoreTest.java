package trm.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
    @TempDir
    Path dir;

    private static Consumer<SafeTensorsWriter> content(float value) {
        return writer -> writer.metadata("note", "x").add("w", "F32", new long[] {2}, new float[] {value, 2});
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(dir)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private static void neverCalled(String message) {
        throw new AssertionError(message);
    }

    @Test
    void savesVerifiesAndKeepsTheNewest() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 2);
        assertEquals(Optional.empty(), store.latestValid(CheckpointStoreTest::neverCalled));
        for (int step : new int[] {5, 10, 99_999_999, 100_000_000}) {
            assertEquals(store.path(step), store.save(step, content(step)));
        }
        assertEquals(List.of("step-100000000.safetensors", "step-99999999.safetensors"), files());
        assertEquals(List.of(store.path(99_999_999), store.path(100_000_000)), store.list());
        Path latest = store.latestValid(CheckpointStoreTest::neverCalled).orElseThrow();
        assertEquals(Optional.of(100_000_000L), CheckpointStore.stepOf(latest));
        SafeTensors read = SafeTensors.open(latest);
        assertArrayEquals(new float[] {1e8f, 2}, read.floats("w"));
        assertEquals(List.of("sha256", "note"), List.copyOf(read.metadata().keySet()));
    }

    @Test
    void aMissingDirectoryIsAnEmptyStore() {
        CheckpointStore store = new CheckpointStore(dir.resolve("a"), 1);
        assertEquals(List.of(), store.list());
        store.save(0, content(0));
        assertEquals(1, store.list().size());
    }

    /** A folder that has vanished is not made anew: what is there in its place may be another disk. */
    @Test
    void aFolderThatIsGone() {
        CheckpointStore store = new CheckpointStore(dir.resolve("run/checkpoints"), 1);
        FormatException e = assertThrows(FormatException.class, () -> store.save(0, content(0)));
        assertTrue(e.getMessage().contains("the folder " + dir.resolve("run") + " is gone"), e.getMessage());
        assertFalse(Files.exists(dir.resolve("run")));
    }

    @Test
    void savingIsDeterministic() throws IOException {
        CheckpointStore one = new CheckpointStore(dir.resolve("1"), 1);
        CheckpointStore two = new CheckpointStore(dir.resolve("2"), 1);
        assertEquals(-1, Files.mismatch(one.save(1, content(3)), two.save(1, content(3))));
    }

    @Test
    void damageOfAnyByteIsFound() throws IOException {
        Path file = new CheckpointStore(dir, 1).save(1, content(3));
        byte[] good = Files.readAllBytes(file);
        for (int i = 0; i < good.length; i++) {
            byte[] bad = good.clone();
            bad[i] ^= 1;
            Files.write(file, bad);
            assertThrows(FormatException.class, () -> CheckpointStore.verify(file), "byte " + i);
            Files.write(file, Arrays.copyOf(good, i));
            assertThrows(FormatException.class, () -> CheckpointStore.verify(file), "cut at " + i);
        }
        Files.write(file, Arrays.copyOf(good, good.length + 1));
        assertThrows(FormatException.class, () -> CheckpointStore.verify(file));
        Files.write(file, good);
        CheckpointStore.verify(file);
    }

    @Test
    void damagedCheckpointsAreReportedAndSkipped() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 5);
        store.save(1, content(1));
        store.save(2, content(2));
        store.save(3, content(3));
        byte[] bytes = Files.readAllBytes(store.path(3));
        bytes[bytes.length - 1] ^= 4;
        Files.write(store.path(3), bytes);
        Files.write(store.path(2), new byte[0]);
        List<String> warnings = new ArrayList<>();
        assertEquals(Optional.of(store.path(1)), store.latestValid(warnings::add));
        assertEquals(2, warnings.size());
        assertTrue(
                warnings.get(0).startsWith(store.path(3) + ": checkpoint is damaged: sha256 of the content is "),
                warnings.get(0));
        assertTrue(warnings.get(1).startsWith(store.path(2) + ": checkpoint is damaged: no sha256"), warnings.get(1));
        assertTrue(warnings.get(0).endsWith("; skipped, and left where it is"));
    }

    /** What is damaged may be all that somebody has: it takes no place of those that are kept, and stays until its step is written again. */
    @Test
    void damagedCheckpointsStay() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 1);
        store.save(1, content(1));
        Files.write(store.path(2), new byte[5]);
        assertEquals(Optional.of(store.path(1)), store.latestValid(warning -> {}));
        store.save(3, content(3));
        store.save(4, content(4));
        assertEquals(List.of(store.path(2), store.path(4)), store.list());
        assertEquals(5, Files.size(store.path(2)));
        store.save(2, content(2));
        store.save(5, content(5));
        assertEquals(List.of(store.path(5)), store.list());
    }

    @Test
    void aResumedRunDoesNotRemoveWhatItResumedFrom() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 1);
        store.save(9, content(9));
        Files.write(store.path(9), new byte[3]);
        store.save(5, content(5));
        assertEquals(Optional.of(store.path(5)), store.latestValid(message -> {}));
        store.save(9, content(9));
        assertEquals(List.of("step-00000009.safetensors"), files());
    }

    @Test
    void leftoversOfACrashAreRemovedAndOtherFilesStay() throws IOException {
        Files.writeString(dir.resolve(".step-00000007.safetensors.0123456789abcdef.tmp"), "half");
        Files.writeString(dir.resolve("step-7.safetensors"), "not ours");
        new CheckpointStore(dir, 1).save(8, content(8));
        assertEquals(List.of("step-00000008.safetensors", "step-7.safetensors"), files());
    }

    /** Whatever lies in the way, and whoever put it there. */
    @Test
    void noLinkIsFollowed() throws IOException {
        Path victim = Files.writeString(dir.resolve("victim"), "precious");
        Path inside = Files.createDirectories(dir.resolve("checkpoints"));
        Files.createSymbolicLink(inside.resolve(".step-00000002.safetensors.tmp"), victim);
        Files.createSymbolicLink(inside.resolve("step-00000002.safetensors"), victim);
        CheckpointStore store = new CheckpointStore(inside, 1);
        store.save(2, content(2));
        assertEquals("precious", Files.readString(victim));
        assertEquals(Optional.of(store.path(2)), store.latestValid(CheckpointStoreTest::neverCalled));
        assertFalse(Files.isSymbolicLink(store.path(2)));
    }

    @Test
    void aPinnedCheckpointStays() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 1);
        store.save(1, content(1));
        store.save(2, content(2));
        assertEquals(Optional.of(store.path(2)), store.newestBefore(3));
        assertEquals(Optional.empty(), store.newestBefore(2));
        store.pin(store.path(2));
        store.save(3, content(3));
        store.save(4, content(4));
        assertEquals(List.of("step-00000002.safetensors", "step-00000004.safetensors"), files());
    }

    @Test
    void aFailedRenameLeavesEarlierCheckpointsValid() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 1);
        store.save(1, content(1));
        Files.createDirectories(store.path(2).resolve("inside"));
        assertThrows(FormatException.class, () -> store.save(2, content(2)));
        assertEquals(List.of("step-00000001.safetensors", "step-00000002.safetensors"), files());
        assertEquals(Optional.of(store.path(1)), store.latestValid(CheckpointStoreTest::neverCalled));
    }

    @Test
    void aDirectoryThatIsAFileIsAClearError() throws IOException {
        Path file = Files.writeString(dir.resolve("file"), "");
        CheckpointStore store = new CheckpointStore(file, 1);
        String message = assertThrows(FormatException.class, () -> store.save(1, content(1)))
                .getMessage();
        assertTrue(message.startsWith(store.path(1) + ": checkpoint of step 1 cannot be written"), message);
        assertThrows(FormatException.class, store::list);
    }

    @Test
    void argumentsAreChecked() {
        assertThrows(IllegalArgumentException.class, () -> new CheckpointStore(dir, 0));
        assertThrows(IllegalArgumentException.class, () -> new CheckpointStore(dir, 1).path(-1));
    }

    /** A device that fails while its tensors are fetched: no half of a file stays, and the last checkpoint is as it was. */
    @Test
    void aFailureOfTheSourceLeavesNothingBehind() throws IOException {
        CheckpointStore store = new CheckpointStore(dir, 5);
        byte[] before = Files.readAllBytes(store.save(1, content(3)));
        assertThrows(
                IllegalStateException.class,
                () -> store.save(
                        2,
                        out -> out.add("t", "F32", new long[] {2}, 8L, sink -> {
                            sink.take(ByteBuffer.allocate(4));
                            throw new IllegalStateException("the device is lost");
                        })));
        try (Stream<Path> files = Files.list(dir)) {
            assertEquals(List.of(store.path(1)), files.toList());
        }
        assertArrayEquals(before, Files.readAllBytes(store.path(1)));
    }
}
