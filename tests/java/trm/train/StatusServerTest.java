package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;
import trm.status.StatusServer;

/** What a run tells over HTTP and in its heartbeat, asked as a scheduler and as Prometheus would. */
class StatusServerTest {
    private static final double PATIENCE = 60;
    private static final Pattern SAMPLE = Pattern.compile("([a-z_]+)(?:\\{[^}]*})? (\\S+)");

    @TempDir
    private Path temp;

    private final RunStatus status = new RunStatus();
    private final HttpClient client = HttpClient.newHttpClient();
    private StatusServer server;

    @BeforeEach
    void start() throws IOException {
        server = new StatusServer(status, "127.0.0.1", 0, PATIENCE);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private HttpResponse<String> get(StatusServer from, String path) throws IOException, InterruptedException {
        URI uri = URI.create("http://127.0.0.1:" + from.address().getPort() + path);
        return client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
    }

    private int code(String path) throws Exception {
        return get(server, path).statusCode();
    }

    /** Strictly: a line is a comment or a sample, and each sample's name has been described. */
    private Map<String, Double> metrics(StatusServer from) throws Exception {
        HttpResponse<String> response = get(from, "/metrics");
        assertEquals(200, response.statusCode());
        Map<String, Double> values = new HashMap<>();
        List<String> described = new ArrayList<>();
        for (String line : response.body().lines().toList()) {
            if (line.startsWith("# TYPE ")) {
                described.add(line.split(" ")[2]);
            } else if (!line.startsWith("# HELP ")) {
                Matcher m = SAMPLE.matcher(line);
                assertTrue(m.matches(), line);
                assertTrue(described.contains(m.group(1)), line);
                values.put(m.group(1), Double.parseDouble(m.group(2)));
            }
        }
        return values;
    }

    @Test
    void readyOnceItTrains() throws Exception {
        assertEquals(503, code("/readyz"));
        assertEquals(200, code("/healthz"));
        status.begins(7, 100, 2, 1 << 20, new RunStatus.Work(12, 1e9, 0));
        assertEquals(200, code("/readyz"));
        status.stepped(8);
        Map<String, Double> values = metrics(server);
        assertEquals(8, values.get("trm_steps_total"));
        assertEquals(100, values.get("trm_planned_steps"));
        assertEquals(2, values.get("trm_ranks"));
        assertEquals(1 << 20, values.get("trm_memory_bytes"));
        assertEquals(1, values.get("trm_ready"));
        assertEquals(-1, values.get("trm_checkpoint_step"));
        assertFalse(values.containsKey("trm_checkpoint_age_seconds"));
        assertFalse(values.containsKey("trm_yardstick_ratio"));
        status.enter(RunStatus.Phase.EVALUATING);
        assertEquals(200, code("/readyz"));
        status.enter(RunStatus.Phase.ENDED);
        assertEquals(503, code("/readyz"));
        assertEquals(200, code("/healthz"));
    }

    /** A run whose steps no longer end, seen by one that waits for nothing. */
    @Test
    void notReadyWhereNothingCompletes() throws Exception {
        status.begins(0, 100, 1, 0, new RunStatus.Work(1, 1, 0));
        try (StatusServer impatient = new StatusServer(status, "127.0.0.1", 0, 0)) {
            assertEquals(503, get(impatient, "/readyz").statusCode());
            assertEquals(0, metrics(impatient).get("trm_ready"));
        }
        assertEquals(200, code("/readyz"));
    }

    @Test
    void checkpointsThatFail() throws Exception {
        status.begins(0, 100, 1, 0, new RunStatus.Work(1, 1, 0));
        status.copied(0.25);
        status.saved(5);
        assertEquals(5, metrics(server).get("trm_checkpoint_step"));
        assertEquals(0, metrics(server).get("trm_checkpoint_failing"));
        assertTrue(metrics(server).get("trm_checkpoint_age_seconds") >= 0);
        assertEquals(0.25, metrics(server).get("trm_checkpoint_pause_seconds"));
        status.checkpointFailed();
        assertEquals(1, metrics(server).get("trm_checkpoint_failing"));
        assertEquals(5, metrics(server).get("trm_checkpoint_step"));
    }

    @Test
    void aPortInUse() {
        IOException e = assertThrows(
                IOException.class,
                () -> new StatusServer(status, "127.0.0.1", server.address().getPort(), PATIENCE));
        assertTrue(e.getMessage().contains("in use"), e.getMessage());
    }

    /** Its numbers move while a run trains, and it is not ready once its device is lost. */
    @Test
    void aRunThatLosesItsDevice() throws Exception {
        TrainConfig config = TinyRun.of(temp).config("log_every_steps=1");
        List<Double> steps = new ArrayList<>();
        try (Backend backend = new CpuBackend(1)) {
            StatusServer[] own = new StatusServer[1];
            Run run = new Run(backend, config, temp.resolve("run"), new Run.Listener() {
                @Override
                public void row(MetricsRow row, long totalSteps) {
                    try {
                        steps.add(metrics(own[0]).get("trm_steps_total"));
                        assertEquals(200, get(own[0], "/readyz").statusCode());
                    } catch (Exception e) {
                        throw new AssertionError(e);
                    }
                    if (steps.size() == 3) {
                        throw new DeviceException("the GPU has fallen off the bus");
                    }
                }

                @Override
                public void evaluating(long step, long puzzles) {}

                @Override
                public void message(String text) {}
            });
            own[0] = new StatusServer(run.status(), "127.0.0.1", 0, PATIENCE);
            try (StatusServer asked = own[0]) {
                assertThrows(DeviceException.class, () -> run.run(false));
                assertEquals(503, get(asked, "/readyz").statusCode());
                assertEquals(503, get(asked, "/healthz").statusCode());
            }
        }
        assertEquals(3, steps.size());
        assertTrue(steps.get(0) < steps.get(1) && steps.get(1) < steps.get(2), steps.toString());
        JsonNode beat =
                new ObjectMapper().readTree(Files.readString(temp.resolve("run").resolve(Heartbeat.FILE)));
        assertEquals("failed", beat.get("phase").asText());
        assertTrue(beat.get("step").asLong() >= 3);
        assertFalse(Instant.parse(beat.get("time").asText()).isAfter(Instant.now()));
    }
}
