package trm.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import trm.io.AtomicFile;

/**
 * Says that a run is alive: {@code heartbeat.json} in its folder is replaced every {@value #SECONDS} seconds, by a thread of its
 * own, for those who look at the folder only:
 *
 * <pre>
 *   {"time":"2026-11-29T10:15:30Z","phase":"training","step":120,"total_steps":65104,"steps_per_second":11.9,"idle_seconds":0.1}
 * </pre>
 *
 * A file that is older than a minute belongs to a run that has ended, or whose machine stands still. One that cannot be written
 * is left as it is: the run goes on.
 */
final class Heartbeat implements AutoCloseable {
    static final String FILE = "heartbeat.json";
    private static final int SECONDS = 5;

    private final Path file;
    private final RunStatus status;
    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread thread = new Thread(this::beat, "heartbeat");

    /** @param folder of a run, which this process writes */
    Heartbeat(Path folder, RunStatus status) {
        file = folder.resolve(FILE);
        this.status = status;
        thread.setDaemon(true);
    }

    void begin() {
        thread.start();
    }

    private void beat() {
        boolean last = false;
        while (!last) {
            status.tick();
            write();
            try {
                last = ended.await(SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
        write();
    }

    private void write() {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("time", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        values.put("phase", status.phase().name().toLowerCase(Locale.ROOT));
        values.put("step", status.step());
        values.put("total_steps", status.totalSteps());
        values.put("steps_per_second", rounded(status.stepsPerSecond()));
        values.put("idle_seconds", rounded(status.idleSeconds()));
        try {
            if (Files.isDirectory(file.toAbsolutePath().getParent())) {
                AtomicFile.replace(file, new ObjectMapper().writeValueAsString(values) + "\n");
            }
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        } catch (IOException e) {
            return; // the checkpoints say what is wrong with the disk
        }
    }

    private static double rounded(double value) {
        return Math.round(value * 1000) / 1000.0;
    }

    /** Says what the run has come to. */
    @Override
    public void close() {
        ended.countDown();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
