package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.reproduce.MadeRuns;

/** Two runs that have gone on for some steps, and one that has no checkpoint. */
class CompareCommandTest {
    private static final List<String> COMMON = List.of("data_paths=[d]", "eval_interval=10000");

    @TempDir
    private static Path temp;

    private static Path first;
    private static Path second;
    private static Path begun;

    private static TrainConfig config(String... overrides) {
        List<String> all = new java.util.ArrayList<>(COMMON);
        all.addAll(List.of(overrides));
        return ConfigLoader.parse("", "test", all);
    }

    @BeforeAll
    static void runs() throws IOException {
        first = MadeRuns.make(
                temp.resolve("first"), config("lr=1e-4"), 40, 40, 40, "20,1e-4,,,,3600,768", "40,,10,0.5,,7200,");
        second = MadeRuns.make(
                temp.resolve("second"),
                config("lr=3e-4", "arch.L_cycles=4", "ema=false"),
                20,
                0,
                40,
                "20,3e-4,,,,10,1536");
        begun = Files.createDirectories(temp.resolve("begun"));
        Files.writeString(begun.resolve("config.yaml"), ConfigLoader.toYaml(config("lr=1e-4", "seed=3")));
    }

    @Test
    void asJson() throws IOException {
        Trm.Result result =
                Trm.execute("compare", first, second, begun, "--json").assertDone();
        JsonNode json = new ObjectMapper().readTree(result.out()); // the whole of it
        assertEquals(second.toString(), json.get("runs").get(1).asText());
        JsonNode settings = json.get("settings");
        assertEquals("[\"6\",\"4\",\"6\"]", settings.get("arch.L_cycles").toString());
        assertEquals("[\"1.0E-4\",\"3.0E-4\",\"1.0E-4\"]", settings.get("lr").toString());
        assertEquals("[\"true\",\"false\",\"true\"]", settings.get("ema").toString());
        assertEquals("[\"0\",\"0\",\"3\"]", settings.get("seed").toString());
        assertEquals(4, settings.size(), settings.toString());
        JsonNode metrics = json.get("metrics");
        assertEquals("[40,20,0]", metrics.get("step").toString());
        assertEquals("[0.5,null,null]", metrics.get("eval_exact_accuracy").toString());
        assertEquals("[1.0E-4,3.0E-4,null]", metrics.get("lr").toString());
        assertEquals("[40,null,null]", metrics.get("evaluated_step").toString());
        assertEquals("[1.0,2.0,null]", metrics.get("steps_per_second").toString());
        assertEquals(2.0, metrics.get("hours").get(0).asDouble());
        assertFalse(metrics.has("eval_pass_2"), "none of them has it");
    }

    @Test
    void forPeople() {
        String out = Trm.execute("compare", first, second).assertDone().out();
        assertTrue(out.startsWith("1  " + first + "\n2  " + second + "\n\nsettings that differ\n"), out);
        assertTrue(out.contains("\n  arch.L_cycles  6       4\n"), out);
        assertTrue(
                out.contains("\n  eval_exact_accuracy  0.5   -\n") || out.contains("  eval_exact_accuracy  0.5"), out);
        String same = Trm.execute("compare", first, first).assertDone().out();
        assertTrue(same.contains("settings: all the same"), same);
    }

    @Test
    void whatIsNoRun() {
        Trm.execute("compare", first).assertFails(2, "found one run, " + first + ", expected two or more to compare");
        Trm.execute("compare").assertFails(2, "RUN");
        Trm.execute("compare", first, temp).assertFails(1, temp + ": no config.yaml, expected the folder of a run");
        Trm.execute("compare", first, temp.resolve("no"))
                .assertFails(1, temp.resolve("no") + ": no config.yaml, expected the folder of a run");
    }
}
