package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunLockTest {
    @TempDir
    private Path dir;

    /** Holds a lock until it is killed. */
    public static final class Holder {
        public static void main(String[] folder) throws Exception {
            RunLock lock = RunLock.take(Path.of(folder[0]));
            System.out.println("holds " + lock.previous().isPresent());
            Thread.sleep(TimeUnit.MINUTES.toMillis(5));
        }
    }

    private Process holder() throws IOException {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Process process = new ProcessBuilder(
                        java, "-cp", System.getProperty("java.class.path"), Holder.class.getName(), dir.toString())
                .redirectErrorStream(true)
                .start();
        String line = process.inputReader(StandardCharsets.UTF_8).readLine();
        assertTrue(line != null && line.startsWith("holds"), line);
        return process;
    }

    @Test
    void anotherProcessIsNamedAndADeadOneIsSucceeded() throws Exception {
        Process process = holder();
        String message =
                assertThrows(FormatException.class, () -> RunLock.take(dir)).getMessage();
        assertTrue(message.startsWith(dir + ": is being written by process " + process.pid() + " on host '"), message);
        assertTrue(message.contains("', started '20"), message);
        assertTrue(RunLock.marks(dir));
        process.destroyForcibly().waitFor();
        try (RunLock lock = RunLock.take(dir)) {
            assertTrue(lock.previous().orElseThrow().startsWith("process " + process.pid()));
        }
    }

    @Test
    void thisProcessHoldsItOnce() throws IOException {
        try (RunLock lock = RunLock.take(dir)) {
            assertEquals(Optional.empty(), lock.previous());
            String message =
                    assertThrows(FormatException.class, () -> RunLock.take(dir)).getMessage();
            assertTrue(message.contains("process " + ProcessHandle.current().pid()), message);
        }
        try (RunLock again = RunLock.take(dir)) {
            assertEquals(Optional.empty(), again.previous()); // the one before has ended in order
        }
    }

    /** What this process does with the file while it holds the lock must not give the lock up. */
    @Test
    void questionsDoNotGiveTheLockUp() throws Exception {
        try (RunLock lock = RunLock.take(dir)) {
            assertTrue(RunLock.marks(dir));
            assertThrows(FormatException.class, () -> RunLock.take(dir));
            String java =
                    Path.of(System.getProperty("java.home"), "bin", "java").toString();
            Process process = new ProcessBuilder(
                            java, "-cp", System.getProperty("java.class.path"), Holder.class.getName(), dir.toString())
                    .redirectErrorStream(true)
                    .start();
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(said.contains("is being written by process "), said);
            assertEquals(1, process.waitFor());
            assertEquals(Optional.empty(), lock.previous());
        }
    }

    @Test
    void onlyAMarkMarks() throws IOException {
        assertFalse(RunLock.marks(dir));
        for (String text : new String[] {"", "{", "[]", "{\"host\":\"a\"}", "hello", "{\"trm-cuda\":\"other\"}"}) {
            Files.writeString(dir.resolve(RunLock.FILE), text);
            assertFalse(RunLock.marks(dir), text);
        }
        RunLock.take(dir).close();
        assertTrue(RunLock.marks(dir));
    }

    @Test
    void noLinkIsFollowed() throws IOException {
        Path victim = Files.writeString(dir.resolve("victim"), "precious");
        Path run = Files.createDirectories(dir.resolve("run"));
        Files.createSymbolicLink(run.resolve(RunLock.FILE), victim);
        assertThrows(IOException.class, () -> RunLock.take(run));
        assertEquals("precious", Files.readString(victim));
    }
}
