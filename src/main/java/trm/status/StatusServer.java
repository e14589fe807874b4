package trm.status;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.prometheus.metrics.core.metrics.CounterWithCallback;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.exporter.httpserver.MetricsHandler;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import trm.train.MetricsRow;
import trm.train.MetricsRow.Column;
import trm.train.RunStatus;

/**
 * Tells over HTTP how a run is doing:
 *
 * <pre>
 *   /healthz   200 as long as the run has not failed, else 503
 *   /readyz    200 while it trains or evaluates, and something was complete within the time that a collective may take; else 503
 *   /metrics   numbers, in the formats of Prometheus
 * </pre>
 *
 * A request reads what the training has written last and never waits for it.
 */
public final class StatusServer implements AutoCloseable {
    private static final int THREADS = 2;
    private static final int BACKLOG = 16;

    private final RunStatus status;
    private final double patience;
    private final HttpServer server;
    private final ExecutorService threads;

    /**
     * @param host address that it listens at
     * @param port 0 for any
     * @param patience seconds without a complete step after which a run is not ready
     * @throws IOException if it cannot listen there, as where the port is in use
     */
    public StatusServer(RunStatus status, String host, int port, double patience) throws IOException {
        this.status = status;
        this.patience = patience;
        InetSocketAddress address = new InetSocketAddress(host, port);
        if (address.isUnresolved()) {
            throw new IOException("host " + host + " is not known");
        }
        server = HttpServer.create(address, BACKLOG);
        threads = Executors.newFixedThreadPool(THREADS, work -> {
            Thread thread = new Thread(work, "status");
            thread.setDaemon(true);
            return thread;
        });
        server.setExecutor(threads);
        server.createContext("/healthz", exchange -> answer(exchange, status.phase() != RunStatus.Phase.FAILED));
        server.createContext("/readyz", exchange -> answer(exchange, status.isReady(patience)));
        server.createContext("/metrics", new MetricsHandler(registry()));
        server.start();
    }

    /** Where it listens. */
    public InetSocketAddress address() {
        return server.getAddress();
    }

    private void answer(HttpExchange exchange, boolean good) throws IOException {
        String text = String.format(
                Locale.ROOT,
                "%s: %s, step %d of %d, %.0f s since something was complete%n",
                good ? "ok" : "not ok",
                status.phase().name().toLowerCase(Locale.ROOT),
                status.step(),
                status.totalSteps(),
                status.idleSeconds());
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        try (exchange) {
            boolean head = exchange.getRequestMethod().equals("HEAD");
            exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
            exchange.sendResponseHeaders(good ? 200 : 503, head ? -1 : body.length);
            if (!head) {
                exchange.getResponseBody().write(body);
            }
        }
    }

    private PrometheusRegistry registry() {
        PrometheusRegistry registry = new PrometheusRegistry();
        CounterWithCallback.builder()
                .name("trm_steps_total")
                .help("Optimizer steps done, those before a resume included.")
                .callback(to -> to.call(status.step()))
                .register(registry);
        gauge(registry, "trm_planned_steps", "Optimizer steps of the whole run.", RunStatus::totalSteps);
        gauge(registry, "trm_steps_per_second", "Steps a second, over the last seconds.", RunStatus::stepsPerSecond);
        gauge(
                registry,
                "trm_samples_per_second",
                "Samples a second, over the last seconds.",
                s -> s.stepsPerSecond() * s.work().batch());
        gauge(
                registry,
                "trm_tflops",
                "TFLOP/s of matrix products, all ranks together.",
                s -> s.stepsPerSecond() * s.work().flops() * 1e-12);
        gauge(
                registry,
                "trm_yardstick_ratio",
                "trm_tflops of one rank as a share of the fixed yardstick of its GPU.",
                s -> s.work().yardstick() == 0
                        ? Double.NaN
                        : s.stepsPerSecond()
                                * s.work().flops()
                                / s.ranks()
                                / s.work().yardstick());
        gauge(registry, "trm_ranks", "Processes that train together.", RunStatus::ranks);
        gauge(registry, "trm_memory_bytes", "Memory that one rank takes on its device.", RunStatus::memoryBytes);
        gauge(
                registry,
                "trm_idle_seconds",
                "Since a step, or a part of an evaluation, was complete.",
                RunStatus::idleSeconds);
        gauge(registry, "trm_ready", "1 as long as /readyz says so.", s -> s.isReady(patience) ? 1 : 0);
        row(registry, "trm_learning_rate", "Learning rate.", RunStatus::training, Column.LR);
        row(registry, "trm_loss", "Loss a sample, over the last row of metrics.", RunStatus::training, Column.LM_LOSS);
        row(
                registry,
                "trm_exact_accuracy",
                "Share of halted samples solved in full.",
                RunStatus::training,
                Column.EXACT_ACCURACY);
        row(
                registry,
                "trm_halted_steps",
                "Supervision steps of halted samples, mean.",
                RunStatus::training,
                Column.STEPS);
        row(registry, "trm_grad_norm", "Norm of the gradient, mean.", RunStatus::training, Column.GRAD_NORM);
        row(
                registry,
                "trm_eval_exact_accuracy",
                "Share of test puzzles solved in full by the last evaluation.",
                RunStatus::evaluation,
                Column.EVAL_EXACT_ACCURACY);
        gauge(
                registry,
                "trm_checkpoint_step",
                "Step of the newest checkpoint, -1 before the first.",
                s -> s.checkpoints().step());
        gauge(registry, "trm_checkpoint_age_seconds", "Since the newest checkpoint was complete.", StatusServer::age);
        gauge(
                registry,
                "trm_checkpoint_failing",
                "1 if the last checkpoint could not be written.",
                s -> s.checkpoints().failing() ? 1 : 0);
        gauge(
                registry,
                "trm_checkpoint_pause_seconds",
                "That the training waited for the last one.",
                s -> s.checkpoints().copySeconds());
        return registry;
    }

    private static double age(RunStatus status) {
        Instant at = status.checkpoints().at();
        return at == null ? Double.NaN : Duration.between(at, Instant.now()).toMillis() * 1e-3;
    }

    private void gauge(PrometheusRegistry registry, String name, String help, ToDoubleFunction<RunStatus> value) {
        GaugeWithCallback.builder()
                .name(name)
                .help(help)
                .callback(to -> {
                    double now = value.applyAsDouble(status);
                    if (!Double.isNaN(now)) {
                        to.call(now);
                    }
                })
                .register(registry);
    }

    private void row(
            PrometheusRegistry registry, String name, String help, Function<RunStatus, MetricsRow> row, Column column) {
        gauge(registry, name, help, s -> {
            MetricsRow last = row.apply(s);
            return last == null || !last.has(column) ? Double.NaN : last.get(column);
        });
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
