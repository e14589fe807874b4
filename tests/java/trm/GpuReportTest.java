package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What bench/gpu.sh makes of a GPU's clocks, energy and steps, where there is none: {@code watch.py} and {@code report.py}. */
class GpuReportTest {
    /** A board of 500 W that counts its energy, in the two units of NVML: 2 J a reading more. */
    private static final String NVML = String.join(
            "\n",
            "extern \"C\" {",
            "int nvmlInit_v2() { return 0; }",
            "int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** gpu) { *gpu = (void*) 1L; return index == 0 ? 0 : 6; }",
            "int nvmlDeviceGetPowerUsage(void*, unsigned* mw) { *mw = 500250; return 0; }",
            "int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* mj) {",
            "    static unsigned long long all = 7000000;",
            "    *mj = all += 2000;",
            "    return 0;",
            "}",
            "int nvmlDeviceGetClockInfo(void*, int which, unsigned* mhz) { *mhz = which == 1 ? 1755 : 9; return 0; }",
            "int nvmlDeviceGetTemperature(void*, int which, unsigned* c) { *c = which == 0 ? 61 : 9; return 3; }",
            "int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* mask) { *mask = 4; return 0; }",
            "}");

    private static final String BENCH = """
            {"ms_per_step": 80.0, "ms_p10": 79.0, "ms_p90": 81.0, "device": "GPU", "dtype": "bfloat16", "batch": 768, \
            "gflops": 399000.0, "samples_per_s": 9600.0, "host_us_per_step": 300.0, "graph": true, "device_busy": 1.0, \
            "peak_bytes": 21000000000, "timed_from": 100.0, "timed_to": 104.0, \
            "operations": [{"operation": "adam", "calls": 1, "ms": 80.0, "gb_per_s": 1500.0, "share": 1.0}]}""";

    private static final String EVALUATION = """
            {"ms_per_batch": 600.0, "supervision_steps": 16, "puzzles_per_s": 1280.0, "device": "GPU", "dtype": "bfloat16", \
            "batch": 768, "gflops": 199500.0, "timed_from": 200.0, "timed_to": 204.0, \
            "operations": [{"operation": "adam", "calls": 1, "ms": 600.0, "gb_per_s": 1500.0, "share": 1.0}]}""";

    @TempDir
    private Path temp;

    @BeforeAll
    static void tools() {
        for (String tool : List.of("python3", "g++")) {
            assumeTrue(
                    Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                            .anyMatch(folder -> Files.isExecutable(Path.of(folder, tool))),
                    tool + " is not installed");
        }
    }

    /** A figure the board refuses is left empty; the older name of a function serves where the newer is missing. */
    @Test
    void watch() throws Exception {
        Path source = Files.writeString(temp.resolve("nvml.cpp"), NVML);
        run("g++", "-shared", "-fPIC", "-o", temp.resolve("libnvidia-ml.so.1").toString(), source.toString());
        Path lines = temp.resolve("clocks.csv");
        ProcessBuilder builder = new ProcessBuilder("python3", "bench/gpu/watch.py", lines.toString());
        builder.environment().putAll(Map.of("LD_LIBRARY_PATH", temp.toString(), "GPU_DEVICE", "cuda:0"));
        Path said = temp.resolve("said.txt");
        Process watch =
                builder.redirectErrorStream(true).redirectOutput(said.toFile()).start();
        try {
            while (watch.isAlive()
                    && (!Files.exists(lines) || Files.readAllLines(lines).size() < 4)) {
                Thread.sleep(20);
            }
        } finally {
            watch.destroyForcibly().waitFor();
        }
        assertTrue(Files.exists(lines), Files.readString(said));
        List<String> read = Files.readAllLines(lines);
        assertEquals("seconds,sm_mhz,watts,celsius,joules,reasons", read.get(0));
        assertTrue(read.get(1).matches("\\d+\\.\\d{3},1755,500\\.250,,7002\\.000,4"), read.get(1));
        assertTrue(read.get(2).endsWith(",7004.000,4"), read.get(2));
    }

    /** Energy is the counter's difference over the timed part alone; a line that was cut is left out. */
    @Test
    void energy() throws Exception {
        Path folder = Files.createDirectory(temp.resolve("run"));
        Files.writeString(folder.resolve("bench-sudoku-mlp.json"), BENCH);
        Files.writeString(folder.resolve("mma-sudoku-mlp.json"), BENCH.replace("80.0", "100.0"));
        Files.writeString(
                folder.resolve("composed-sudoku-mlp.json"), BENCH.replace("104.0", "100.5")); // one line within
        Files.writeString(folder.resolve("evaluation-sudoku-mlp.json"), EVALUATION);
        Files.writeString(folder.resolve("yardstick-random.jsonl"), "{\"tflops\": 665.0}\n");
        Files.writeString(folder.resolve("yardstick-zeros.jsonl"), "{\"tflops\": 798.0}\n{\"tflops");
        Files.writeString(folder.resolve("clocks-bench.csv"), """
                seconds,sm_mhz,watts,celsius,joules,reasons
                99.0,300,90.0,40,1000.0,0
                100.0,1700,650.0,60,2000.0,4
                102.0,1740,690.0,61,3300.0,0
                104.0,1750,700.0,62,4600.0,4
                105.0,300,90.0,40,9000.0,0
                106.0,30""");
        run(
                "python3",
                "bench/gpu/report.py",
                folder.toString(),
                temp.resolve("page").toString());
        String page = Files.readString(temp.resolve("page.md"));
        // (4600 - 2000) J in 4 s; 80 and 100 ms of that; two of three lines have the bit of the limit
        assertTrue(page.contains("| Sudoku, MLP mixer, 97 positions | 650 | 52.0 | 1730 | 67 % |"), page);
        assertTrue(page.contains("| Sudoku, MLP mixer, 97 positions, mma.sync | 650 | 65.0 | 1730 | 67 % |"), page);
        assertFalse(page.contains("composed | 650"), page);
        assertTrue(page.contains("| zeros | 798 | 100.0 % |"), page);
        String ours = "| Sudoku, MLP mixer, 97 positions, batch 768";
        assertTrue(
                page.contains(ours
                        + " | 80.0 | 79.0 to 81.0 | 9600 | 399 | 50.0 % | 60.0 % | 50.0 % | 21.0 | 300 | 100.00 % |"),
                page);
        assertTrue(page.contains(ours + " | 16 | 600 | 1280 | 200 | 25.0 % | 30.0 % | 50.0 % |"), page);
        assertTrue(page.contains("| bench | 300 to 1750, median 1700 | 700 | 62 |"), page);
        JsonNode figures = new ObjectMapper().readTree(temp.resolve("page.json").toFile());
        assertEquals(
                100, figures.get("mma").get("sudoku-mlp").get("ms_per_step").asInt());
        assertEquals(798, figures.get("hot").get("zeros").get("tflops").asInt());
    }

    /** Where no copy was measured, bytes are held against that of the board's kind: here the Adam step moves 120 GB in 80 ms. */
    @Test
    void boards() throws Exception {
        Path folder = Files.createDirectory(temp.resolve("run"));
        Files.writeString(folder.resolve("bench-maze.json"), BENCH);
        assertTrue(page(folder).contains("held against 3.00 TB/s, a copy on an H100: none was measured here"));
        Files.writeString(folder.resolve("smi.csv"), "name, driver_version\nNVIDIA H200, 580.1\n");
        String page = page(folder);
        assertTrue(page.contains("- device: NVIDIA H200; bytes are held against 4.30 TB/s, a copy on an H200"), page);
        assertTrue(page.contains("| `adam` | 1 | 80.0 | 100.0 % |  | 120 |  | 1500 | 35 % of bytes |"), page);
        Files.writeString(
                folder.resolve("rates.jsonl"),
                "{\"what\": \"copy\", \"name\": \"x\", \"bytes\": 1, \"ms\": 1, \"gb_per_s\": 2000}\n");
        page = page(folder);
        assertTrue(page.contains("- device: NVIDIA H200; bytes are held against 2.00 TB/s, its best copy"), page);
        assertTrue(page.contains("| 75 % of bytes |"), page);
    }

    /** The page of a run's folder. */
    private String page(Path folder) throws IOException, InterruptedException {
        run(
                "python3",
                "bench/gpu/report.py",
                folder.toString(),
                temp.resolve("page").toString());
        return Files.readString(temp.resolve("page.md"));
    }

    private static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "does not end");
        assertEquals(0, process.exitValue(), printed);
    }
}
