import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * The CPU table: training steps of this project and of PyTorch in turn, phases, products beside the bare library. Run by
 * {@code bench/cpu.sh}, which says how; a program in one file, started from its source.
 */
public final class CpuTable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> PRODUCTS =
            List.of("linear", "linear_bwd_x", "linear_bwd_w", "mix", "mix_bwd_x", "mix_bwd_w");

    /** A configuration under the name that peer.py gives it. */
    private record Case(String name, String title, String... arguments) {}

    private static final List<Case> CASES = List.of(
            new Case("demo", "demo: hidden 64, batch 64, T = n = 2", "configs/demo.yaml", "batch=64"),
            new Case("mlp", "9x9 MLP: hidden 512, batch 8, T 3, n 6", "configs/sudoku-mlp.yaml", "batch=8"),
            new Case("att", "9x9 attention: hidden 512, batch 8, T 3, n 6", "configs/sudoku-att.yaml", "batch=8"));

    private final Path root;
    private final Path gemm;
    private final String python;
    private final int threads;
    private final double seconds;
    private final int rounds;
    private final boolean quick;
    private final ArrayNode results = JSON.createArrayNode();

    private CpuTable(Map<String, String> options) {
        root = Path.of(options.get("root"));
        gemm = Path.of(options.get("gemm"));
        python = options.get("python");
        threads = Integer.parseInt(options.get("threads"));
        seconds = Double.parseDouble(options.get("seconds"));
        rounds = Integer.parseInt(options.get("rounds"));
        quick = options.get("quick").equals("1");
    }

    /** @param args key=value: root, gemm, python (may be empty), threads, seconds, rounds, quick, cases, page */
    public static void main(String[] args) throws IOException, InterruptedException {
        Map<String, String> options = new TreeMap<>();
        for (String arg : args) {
            options.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
        }
        CpuTable table = new CpuTable(options);
        ObjectNode file = table.machine();
        List<String> wanted = Arrays.asList(options.get("cases").split(","));
        for (Case c : CASES) {
            for (String dtype : List.of("float32", "bfloat16")) {
                if (wanted.contains(c.name())) {
                    table.measure(c, dtype);
                }
            }
        }
        file.set("results", table.results);
        Path out = Path.of(options.get("page"));
        Files.writeString(
                Path.of(out + ".json"),
                JSON.writerWithDefaultPrettyPrinter().writeValueAsString(file) + "\n");
        Files.writeString(Path.of(out + ".md"), table.markdown(file));
        System.err.println("wrote " + out + ".md and " + out + ".json");
    }

    // ---- measuring ------------------------------------------------------------------------------------------------

    private void measure(Case c, String dtype) throws IOException, InterruptedException {
        System.err.println(c.name() + " " + dtype);
        ObjectNode result = results.addObject().put("config", c.name()).put("title", c.title()).put("dtype", dtype);
        Map<String, Peer> peers = new TreeMap<>();
        try {
            if (!python.isEmpty()) {
                peers.put("eager", new Peer(c, dtype, false));
                if (!quick || c.name().equals("demo")) {
                    peers.put("compiled", new Peer(c, dtype, true));
                }
            }
            Map<String, List<Double>> medians = new TreeMap<>();
            for (int round = 0; round < rounds; round++) {
                JsonNode ours = ours(c, dtype);
                if (ours.has("failed")) {
                    result.set("failed", ours.get("failed"));
                    return;
                }
                result.set("ours", ours); // tables of the last round, times of all
                medians.computeIfAbsent("ours", k -> new ArrayList<>())
                        .add(ours.get("ms_per_step").doubleValue());
                for (Map.Entry<String, Peer> peer : peers.entrySet()) {
                    double ms = peer.getValue().measure();
                    if (ms > 0) {
                        medians.computeIfAbsent(peer.getKey(), k -> new ArrayList<>()).add(ms);
                    }
                }
            }
            for (Map.Entry<String, Peer> peer : peers.entrySet()) {
                result.set("torch_" + peer.getKey(), peer.getValue().about);
            }
            ObjectNode ms = result.putObject("ms_per_step");
            medians.forEach((name, values) -> ms.put(name, median(values)));
            medians.forEach((name, values) -> result.withObject("/ms_of_rounds").putPOJO(name, values));
        } finally {
            peers.values().forEach(Peer::close);
        }
        bare(result);
    }

    private JsonNode ours(Case c, String dtype) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(root.resolve("trm").toString(), "bench"));
        command.addAll(List.of(c.arguments()));
        command.addAll(List.of(
                "dtype=" + dtype, "threads=" + threads, "--device", "cpu", "--seconds", "" + seconds, "--json"));
        Process process = new ProcessBuilder(command).directory(root.toFile()).start();
        process.getOutputStream().close();
        StringBuilder errors = new StringBuilder();
        Thread reader = new Thread(() -> {
            try {
                errors.append(new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
            } catch (IOException e) {
                errors.append(e);
            }
        });
        reader.start();
        List<String> lines = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                .lines()
                .toList();
        int code = process.waitFor();
        reader.join();
        if (code != 0) {
            System.err.println(errors);
            return JSON.createObjectNode().put("failed", errors.toString().strip());
        }
        return JSON.readTree(lines.get(lines.size() - 1));
    }

    /** PyTorch in a process of its own, which waits while others are measured. */
    private final class Peer {
        private final Process process;
        private final BufferedReader in;
        private final Writer out;
        private JsonNode about;

        Peer(Case c, String dtype, boolean compiled) throws IOException {
            List<String> command = new ArrayList<>(List.of(python, root.resolve("bench/cpu/peer.py").toString()));
            command.addAll(List.of(c.name(), "--dtype", dtype, "--threads", "" + threads, "--interactive"));
            if (compiled) {
                command.add("--compile");
            }
            process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            in = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            out = process.outputWriter(StandardCharsets.UTF_8);
            System.err.println("  PyTorch, " + (compiled ? "compiled" : "eager") + ": starting");
            about = JSON.createObjectNode().put("failed", "PyTorch ended at once");
            String line = in.readLine(); // after the first steps, and with them the compiler
            if (line != null) {
                about = JSON.readTree(line);
            }
        }

        /** Median milliseconds of a step, 0 if the process has died. */
        double measure() throws IOException {
            try {
                out.write(seconds + "\n");
                out.flush();
                String line = in.readLine();
                return line == null ? 0 : JSON.readTree(line).get("ms_per_step").doubleValue();
            } catch (IOException e) {
                return 0;
            }
        }

        void close() {
            try {
                out.close();
                process.waitFor();
            } catch (IOException e) {
                process.destroy();
            } catch (InterruptedException e) {
                process.destroy();
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Adds to every product of ours the rate of the bare library at its shape. */
    private void bare(ObjectNode result) throws IOException, InterruptedException {
        List<ObjectNode> products = new ArrayList<>();
        StringBuilder shapes = new StringBuilder();
        for (JsonNode operation : result.get("ours").get("operations")) {
            String name = operation.get("operation").textValue();
            if (PRODUCTS.contains(name)) {
                products.add((ObjectNode) operation);
                shapes.append(name).append(' ').append(result.get("dtype").textValue());
                operation.get("shape").forEach(size -> shapes.append(' ').append(size.longValue()));
                shapes.append('\n');
            }
        }
        Process process = new ProcessBuilder(
                        gemm.toString(), "--threads", "" + threads, "--ms", quick ? "20" : "100", "--json")
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (Writer out = process.outputWriter(StandardCharsets.UTF_8)) {
            out.write(shapes.toString());
        }
        List<String> lines = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                .lines()
                .toList();
        if (process.waitFor() != 0 || lines.size() != products.size()) {
            System.err.println("gemm failed: " + lines);
            return;
        }
        double time = 0;
        double ideal = 0;
        for (int i = 0; i < lines.size(); i++) {
            double rate = JSON.readTree(lines.get(i)).get("gflops").doubleValue();
            products.get(i).put("bare_gflops", rate);
            double ms = products.get(i).get("ms").doubleValue();
            time += ms;
            ideal += ms * products.get(i).get("gflops").doubleValue() / rate;
        }
        if (time > 0.5 * result.get("ours").get("ms_per_step").doubleValue()) { // else most are fused with what is around
            result.put("products_of_bare", ideal / time);
        }
    }

    private static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(v -> v).sorted().toArray();
        int n = sorted.length;
        return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    }

    // ---- writing ---------------------------------------------------------------------------------------------------

    private ObjectNode machine() throws IOException {
        ObjectNode m = JSON.createObjectNode();
        m.put("date", LocalDate.now(ZoneOffset.UTC).toString());
        String changed = output("git", "-C", root.toString(), "status", "--porcelain", "--untracked-files=no");
        String commit = output("git", "-C", root.toString(), "rev-parse", "--short", "HEAD");
        m.put("commit", (commit.isEmpty() ? "unknown" : commit) + (changed.isEmpty() ? "" : " with changes"));
        m.put("processor", field("/proc/cpuinfo", "model name"));
        m.put("processors", Runtime.getRuntime().availableProcessors());
        m.put("memory", field("/proc/meminfo", "MemTotal"));
        m.put("system", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        m.put("load_before", Files.readString(Path.of("/proc/loadavg")).split(" ")[0]);
        m.put("busy", m.get("load_before").asDouble() > 0.25 * m.get("processors").intValue());
        if (m.get("busy").booleanValue()) {
            System.err.println("cpu.sh: load average " + s(m, "load_before") + ": on a busy machine the figures, those of"
                    + " spinning OpenMP threads above all, say little");
        }
        m.put("java", System.getProperty("java.version"));
        m.put("onednn", field(root.resolve("pom.xml").toString(), "<dnnl.version").replaceAll(".*>(.*)<.*", "$1"));
        m.put("threads", threads);
        m.put("seconds", seconds);
        m.put("rounds", rounds);
        return m;
    }

    /** What follows the colon, or the whole line, where a file's line begins with {@code key}; empty if none does. */
    private static String field(String file, String key) throws IOException {
        return Files.readAllLines(Path.of(file)).stream()
                .map(String::strip)
                .filter(line -> line.startsWith(key))
                .map(line -> line.startsWith("<") ? line : line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse("");
    }

    private static String output(String... command) {
        try {
            Process process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            return "";
        }
    }

    private String markdown(ObjectNode file) {
        StringBuilder text = new StringBuilder();
        String torch = "";
        for (JsonNode r : results) {
            torch = torch.isEmpty() ? r.path("torch_eager").path("torch").asText("") : torch;
        }
        add(text, "# CPU: training steps beside PyTorch\n");
        add(text, "Written by `bench/cpu.sh%s`; [README.md](README.md) says what is measured and how to repeat it.\n",
                quick ? " --quick" : "");
        if (file.get("busy").booleanValue()) {
            add(text, "**The machine was busy: these figures only show that the command works.**\n");
        }
        add(text, "- %s, %s processors, %s; %s; load average %s as the measurement began",
                s(file, "processor"), s(file, "processors"), s(file, "memory"), s(file, "system"), s(file, "load_before"));
        add(text, "- %s threads; JDK %s, oneDNN %s%s", s(file, "threads"), s(file, "java"), s(file, "onednn"),
                torch.isEmpty() ? "; PyTorch not found" : "; PyTorch " + torch);
        add(text, "- %s, commit %s; rounds of %s s, in turn: %s; the median of their medians\n", s(file, "date"),
                s(file, "commit"), s(file, "seconds"), s(file, "rounds"));
        add(text, "| shape | dtype | ms/step | p10 to p90 | GFLOP/s | PyTorch eager ms | compiled ms | ratio |"
                + " products of bare rate | outside native calls |");
        add(text, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        for (JsonNode r : results) {
            JsonNode ours = r.path("ours");
            JsonNode ms = r.path("ms_per_step");
            if (r.has("failed")) {
                add(text, "| %s | %s | not measured: %s | | | | | | | |", s(r, "title"), s(r, "dtype"), s(r, "failed"));
                continue;
            }
            double mine = ms.get("ours").doubleValue();
            double best = Math.min(ms.path("eager").asDouble(1e99), ms.path("compiled").asDouble(1e99));
            add(text, "| %s | %s | %s | %s to %s | %s | %s | %s | %s | %s | %s |", s(r, "title"), s(r, "dtype"),
                    number(mine), number(ours.get("ms_p10").doubleValue()), number(ours.get("ms_p90").doubleValue()),
                    number(ours.get("gflops").doubleValue() * ours.get("ms_per_step").doubleValue() / mine),
                    ms.has("eager") ? number(ms.get("eager").doubleValue()) : "",
                    ms.has("compiled") ? number(ms.get("compiled").doubleValue()) : "",
                    best < 1e90 ? String.format(Locale.ROOT, "%.2f", best / mine) : "",
                    r.has("products_of_bare") ? percent(r.get("products_of_bare").doubleValue()) : "",
                    percent(ours.get("outside_native_share").doubleValue()));
        }
        for (JsonNode r : results) {
            if (!r.has("failed")) {
                details(text, r);
            }
        }
        return text.toString();
    }

    private static void details(StringBuilder text, JsonNode r) {
        add(text, "\n## %s, %s\n", s(r, "title"), s(r, "dtype"));
        add(text, "| phase | ms/step | share | GFLOP/s |\n| --- | --- | --- | --- |");
        for (JsonNode p : r.get("ours").get("phases")) {
            add(text, "| %s | %s | %s | %s |", s(p, "phase"), number(p.get("ms").doubleValue()),
                    percent(p.get("share").doubleValue()),
                    p.has("gflops") ? number(p.get("gflops").doubleValue()) : "");
        }
        add(text, "\n| operation | m x k x n | calls | ms/step | share | GFLOP/s | bare | of bare | GB/s |");
        add(text, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        for (JsonNode o : r.get("ours").get("operations")) {
            if (o.get("share").doubleValue() < 0.005) {
                continue;
            }
            JsonNode shape = o.path("shape");
            String dims = shape.isMissingNode() ? "" : shape.get(1) + " x " + shape.get(3) + " x " + shape.get(2);
            double bare = o.path("bare_gflops").doubleValue();
            add(text, "| `%s` | %s | %.0f | %s | %s | %s | %s | %s | %s |", s(o, "operation"),
                    dims.isEmpty() || shape.get(0).longValue() == 1 ? dims : shape.get(0) + " * " + dims,
                    o.get("calls").doubleValue(), number(o.get("ms").doubleValue()),
                    percent(o.get("share").doubleValue()),
                    o.has("gflops") ? number(o.get("gflops").doubleValue()) : "",
                    bare > 0 ? number(bare) : "",
                    bare > 0 ? percent(o.get("gflops").doubleValue() / bare) : "",
                    o.has("gb_per_s") ? number(o.get("gb_per_s").doubleValue()) : "");
        }
    }

    private static void add(StringBuilder text, String line, Object... values) {
        text.append(values.length == 0 ? line : String.format(Locale.ROOT, line, values)).append('\n');
    }

    private static String s(JsonNode node, String field) {
        return node.path(field).asText().replace('\n', ' ').replace("|", "/");
    }

    /** Three significant digits. */
    private static String number(double value) {
        return String.format(Locale.ROOT, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : value >= 1 ? "%.2f" : "%.3f", value);
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}
