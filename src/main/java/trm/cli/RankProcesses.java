package trm.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import trm.device.DeviceException;

/** Ranks of this machine as processes: one variable apart, they are alike. Their lines go to this process's streams. */
final class RankProcesses {
    /** Seconds that the others have to end by themselves after one ended badly; a step's checkpoint takes less. */
    private static final int GRACE = 30;

    private final int count;
    private final int port;
    private final List<String> command;
    private final List<Process> processes = new ArrayList<>();
    private final BlockingQueue<Integer> ended = new LinkedBlockingQueue<>(); // ranks, as they end
    private boolean stopping;

    RankProcesses(int count, int port, List<String> command) {
        this.count = count;
        this.port = port;
        this.command = List.copyOf(command);
    }

    /** Starts them and waits for all; the exit code of the first that ended badly, or 0. */
    int run() {
        List<Thread> readers = new ArrayList<>();
        int code = 0;
        long failed = 0; // when the first ended badly
        try {
            for (int rank = 0; rank < count; rank++) {
                readers.addAll(start(rank));
            }
            for (int left = count - 1; left >= 0; left--) {
                long wait = failed == 0 ? Long.MAX_VALUE : failed + TimeUnit.SECONDS.toNanos(GRACE) - System.nanoTime();
                Integer rank = ended.poll(wait, TimeUnit.NANOSECONDS);
                if (rank == null) {
                    break; // the others had their time
                }
                int exit = processes.get(rank).exitValue();
                if (exit != 0 && code == 0) {
                    code = exit;
                    if (left > 0 && !isStopping()) {
                        Cli.message("rank " + rank + " has ended with code " + exit + "; the others are ended");
                        stop();
                        failed = System.nanoTime();
                    }
                }
            }
            processes.forEach(Process::destroyForcibly);
            for (Thread reader : readers) {
                reader.join();
            }
            return code;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 1;
        } finally {
            processes.forEach(Process::destroyForcibly);
        }
    }

    private List<Thread> start(int rank) {
        List<String> words = new ArrayList<>(LaunchCommand.program());
        words.addAll(command);
        ProcessBuilder builder = new ProcessBuilder(words);
        builder.environment()
                .putAll(Map.of(
                        "RANK", Integer.toString(rank),
                        "WORLD_SIZE", Integer.toString(count),
                        "LOCAL_RANK", Integer.toString(rank),
                        "LOCAL_WORLD_SIZE", Integer.toString(count),
                        "MASTER_ADDR", "127.0.0.1",
                        "MASTER_PORT", Integer.toString(port)));
        builder.redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
        Process process;
        synchronized (this) {
            if (stopping) {
                throw new DeviceException("stopped before rank " + rank + " was started");
            }
            try {
                process = builder.start();
            } catch (IOException e) {
                throw new DeviceException("rank " + rank + " cannot be started: " + e.getMessage());
            }
            processes.add(process);
        }
        process.onExit().thenRun(() -> ended.add(rank));
        return List.of(
                ChildLines.copy(rank, process.getInputStream(), System.out, line -> {}),
                ChildLines.copy(rank, process.getErrorStream(), System.err, line -> {}));
    }

    private synchronized boolean isStopping() {
        return stopping;
    }

    /** Asks all to stop, as SIGTERM does. */
    synchronized void stop() {
        stopping = true;
        processes.forEach(Process::destroy);
    }
}
