package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.MetricsCsv;

/**
 * A sweep of three rates and two seeds, killed twice in the midst of a run, each time begun again by the same command line: it ends in
 * the bytes of runs that nobody killed, trains none of the finished ones again, and its table is that of the runs' own metrics.
 */
@Tag("drill")
class SweepDrillTest {
    private static final List<String> RATES = List.of("1e-3", "1e-2", "3e-2");
    private static final int STEPS = 250;

    @TempDir
    private static Path shared;

    private static Path config;

    @BeforeAll
    static void data() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 100, 40, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config)
                                .replace("epochs: 1", "epochs: 40")
                                .replace("hidden_size: 32", "hidden_size: 16")
                                .replace("threads: 2", "threads: 1")
                        + "eval_every_steps: 50\ncheckpoint_best: eval_accuracy\ncheckpoint_every_steps: 20\n");
    }

    private static Process sweep(Path out, int jobs) throws IOException {
        return new ProcessBuilder(Trm.command(
                        "256m",
                        "sweep",
                        config,
                        "lr=" + String.join(",", RATES),
                        "seed=0..1",
                        "--jobs",
                        jobs,
                        "--out",
                        out,
                        "--device",
                        "cpu"))
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        out.resolveSibling(out.getFileName() + ".out").toFile()))
                .start();
    }

    private static Path run(Path out, String rate, int seed) {
        return out.resolve("lr=" + rate).resolve("seed-" + seed);
    }

    /** Kills a sweep once a run has come so far. */
    private static void killAt(Path out, int jobs, Path run, long step) throws Exception {
        Process process = sweep(out, jobs);
        while (!Files.exists(Trm.checkpoint(run, step))) {
            assertTrue(process.isAlive(), "the sweep has ended before " + run + " was at step " + step);
            Thread.sleep(2);
        }
        process.destroyForcibly();
        process.waitFor();
    }

    private static Map<Path, FileTime> finished(Path out) throws IOException {
        Map<Path, FileTime> times = new LinkedHashMap<>();
        for (String rate : RATES) {
            for (int seed = 0; seed < 2; seed++) {
                Path run = run(out, rate, seed);
                if (Files.exists(run.resolve("DONE"))) {
                    try (Stream<Path> files = Files.walk(run)) {
                        for (Path file : files.filter(Files::isRegularFile).toList()) {
                            times.put(file, Files.getLastModifiedTime(file));
                        }
                    }
                }
            }
        }
        return times;
    }

    private static List<NamedCsvRecord> read(Path file) throws IOException {
        try (CsvReader<NamedCsvRecord> csv = CsvReader.builder().ofNamedCsvRecord(file)) {
            return csv.stream().toList();
        }
    }

    @ParameterizedTest(name = "{0} at once")
    @ValueSource(ints = {1, 2})
    void killedTwice(int jobs) throws Exception {
        Path out = shared.resolve("swept-" + jobs);
        killAt(out, jobs, run(out, RATES.get(1), 0), 100);
        Map<Path, FileTime> first = finished(out);
        killAt(out, jobs, run(out, RATES.get(0), 1), 60);
        Map<Path, FileTime> second = finished(out);
        assertTrue(first.size() < second.size(), "the second kill came before another run was finished");
        Process last = sweep(out, jobs);
        assertTrue(last.waitFor(5, TimeUnit.MINUTES));
        assertEquals(0, last.exitValue(), Files.readString(shared.resolve("swept-" + jobs + ".out")));
        Map<Path, FileTime> end = finished(out);
        first.forEach((file, time) -> assertEquals(time, second.get(file), file + " was written again"));
        second.forEach((file, time) -> assertEquals(time, end.get(file), file + " was written again"));
        for (String rate : RATES) {
            for (int seed = 0; seed < 2; seed++) {
                Path straight = straight(rate, seed);
                Trm.assertSameEnd(straight, run(out, rate, seed), STEPS);
                assertEquals(kept(straight), kept(run(out, rate, seed)));
            }
        }
        assertTableIsRight(out);
    }

    /** Trained by itself; once for both drills. */
    private static Path straight(String rate, int seed) throws IOException {
        Path run = shared.resolve("straight-" + rate + "-" + seed);
        if (Files.notExists(run)) {
            Trm.execute("train", config, "lr=" + rate, "seed=" + seed, "--run", run, "--device", "cpu")
                    .assertDone();
        }
        return run;
    }

    private static List<String> kept(Path run) throws IOException {
        try (Stream<Path> files = Files.list(run.resolve("checkpoints"))) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    /** Against the greatest value of each run's own metrics.csv. */
    private static void assertTableIsRight(Path out) throws IOException {
        List<NamedCsvRecord> runs = read(out.resolve("runs.csv"));
        assertEquals(6, runs.size());
        for (int arm = 0; arm < RATES.size(); arm++) {
            List<Double> best = new ArrayList<>();
            for (int seed = 0; seed < 2; seed++) {
                Path folder = run(out, RATES.get(arm), seed);
                double greatest = MetricsCsv.read(folder.resolve("metrics.csv")).stream()
                        .filter(row -> row.containsKey("eval_puzzles"))
                        .mapToDouble(row -> row.get("eval_accuracy"))
                        .max()
                        .orElseThrow();
                best.add(greatest);
                NamedCsvRecord row = runs.get(2 * arm + seed);
                assertEquals(out.relativize(folder).toString(), row.getField("folder"));
                assertEquals(greatest, Double.parseDouble(row.getField("score")));
            }
            NamedCsvRecord row = read(out.resolve("sweep.csv")).get(arm);
            assertEquals((best.get(0) + best.get(1)) / 2, Double.parseDouble(row.getField("mean")), 1e-12);
            assertEquals(
                    Math.abs(best.get(0) - best.get(1)) / Math.sqrt(2),
                    Double.parseDouble(row.getField("standard_deviation")),
                    1e-12);
        }
    }

    /** The jobs of an array, each with its share, one after the other. */
    @Test
    void sharesOfAnArray() throws IOException {
        Path out = shared.resolve("array");
        for (int i = 0; i < 3; i++) {
            Trm.execute(
                            "sweep",
                            config,
                            "lr=1e-3,1e-2,3e-2",
                            "seed=0..1",
                            "--shard",
                            i + "/3",
                            "--out",
                            out,
                            "--device",
                            "cpu")
                    .assertDone();
            assertTrue(Files.readString(out.resolve("report.md")).contains(2 * (i + 1) + " of 6 runs are finished."));
        }
        assertTableIsRight(out);
    }
}
