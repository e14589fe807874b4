package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.device.Backend;
import trm.device.TestDevice;
import trm.io.MetricsCsv;

/**
 * What trackers make of a run's folder. The recipes of {@code docs/trackers.md} run with the packages that Python has, and with
 * stand-ins that write down their calls for those it lacks; TensorBoard's own reader runs where it is installed.
 */
class TrackersTest {
    @TempDir
    private static Path temp;

    private static Path run;

    @BeforeAll
    static void train() throws Exception {
        assumeTrue(succeeds("import csv"), "no python3");
        TinyRun tiny = TinyRun.of(temp);
        run = tiny.folder();
        try (Backend backend = TestDevice.open()) {
            tiny.run(backend, run, false);
        }
    }

    private static String python(Path folder, List<String> arguments) throws IOException, InterruptedException {
        Path said = temp.resolve("said.txt");
        List<String> command = new ArrayList<>(List.of("python3"));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(said.toFile());
        builder.environment().put("PYTHONPATH", temp.resolve("standins").toString());
        builder.environment().put("PYTHONDONTWRITEBYTECODE", "1");
        Process process = builder.start();
        assertTrue(process.waitFor(5, TimeUnit.MINUTES));
        String text = Files.readString(said, StandardCharsets.UTF_8);
        assertEquals(0, process.exitValue(), text);
        return text;
    }

    private static boolean succeeds(String script) throws IOException, InterruptedException {
        try {
            return new ProcessBuilder("python3", "-c", script)
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }

    /** The recipe that imports a package, as the page has it. */
    private static String recipe(String module) throws IOException {
        Matcher block = Pattern.compile("```python\n(.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("docs/trackers.md")));
        while (block.find()) {
            if (block.group(1).lines().findFirst().orElseThrow().contains(module)) {
                return block.group(1);
            }
        }
        throw new AssertionError("docs/trackers.md has no recipe for " + module);
    }

    private static void standIn(String module, String... lines) throws IOException, InterruptedException {
        if (!succeeds("import " + module)) {
            Path file = temp.resolve("standins").resolve(module + ".py");
            Files.createDirectories(file.getParent());
            Files.writeString(file, String.join("\n", lines) + "\n");
        }
    }

    /** Values of the last row of training, under the names that a recipe gives them. */
    private static Map<String, Double> lastTraining() {
        return MetricsCsv.read(run.resolve("metrics.csv")).stream()
                .filter(row -> row.containsKey("lm_loss"))
                .reduce((first, second) -> second)
                .orElseThrow();
    }

    private static void standInYaml() throws IOException, InterruptedException {
        standIn(
                "yaml",
                "def safe_load(file):",
                "    file.read()",
                "    return {'lr': 1e-3, 'arch': {'hidden_size': 4}}");
    }

    @Test
    void weightsAndBiases() throws Exception {
        standInYaml();
        standIn(
                "wandb",
                "class Run:",
                "    def log(self, values, step):",
                "        print(step, values['lm_loss'] if 'lm_loss' in values else 'evaluation')",
                "    def finish(self):",
                "        print('finished')",
                "def init(project, name, config):",
                "    print(project, name, config['arch']['hidden_size'])",
                "    return Run()");
        Path script = Files.writeString(temp.resolve("to_wandb.py"), recipe("wandb"));
        String said = python(temp, List.of(script.toString(), run.toString()));
        if (Files.exists(temp.resolve("standins/wandb.py"))) {
            assertTrue(said.startsWith("trm " + run + " 4\n"), said);
            Map<String, Double> row = lastTraining();
            assertTrue(said.contains(row.get("step").longValue() + " " + row.get("lm_loss") + "\n"), said);
            assertTrue(said.endsWith("evaluation\nfinished\n"), said);
        } else {
            assertTrue(Files.isDirectory(temp.resolve("wandb")), said);
        }
    }

    @Test
    void mlflow() throws Exception {
        standInYaml();
        standIn(
                "mlflow",
                "import contextlib",
                "def set_tracking_uri(uri):",
                "    open(uri.removeprefix('sqlite:///'), 'w').close()",
                "def start_run(run_name):",
                "    print(run_name)",
                "    return contextlib.nullcontext()",
                "def log_params(values):",
                "    print(values['hidden_size'])",
                "def log_metrics(values, step):",
                "    print(step, values['lm_loss'] if 'lm_loss' in values else 'evaluation')");
        Path script = Files.writeString(temp.resolve("to_mlflow.py"), recipe("mlflow"));
        String said = python(temp, List.of(script.toString(), run.toString()));
        assertTrue(Files.exists(temp.resolve("mlflow.db")), said);
        if (Files.exists(temp.resolve("standins/mlflow.py"))) {
            assertTrue(said.startsWith(run + "\n4\n"), said);
            Map<String, Double> row = lastTraining();
            assertTrue(said.contains(row.get("step").longValue() + " " + row.get("lm_loss") + "\n"), said);
            assertTrue(said.endsWith("evaluation\n"), said);
        }
    }

    /** Groups, texts and hyperparameters, as TensorBoard itself reads them. */
    @Test
    void tensorBoard() throws Exception {
        assumeTrue(succeeds("import tensorboard"), "no TensorBoard");
        Path script = Files.writeString(
                temp.resolve("read.py"),
                String.join(
                        "\n",
                        "import sys",
                        "from tensorboard.backend.event_processing import event_accumulator",
                        "from tensorboard.plugins.hparams import metadata",
                        "events = event_accumulator.EventAccumulator(sys.argv[1])",
                        "events.Reload()",
                        "print(sorted({tag.split('/')[0] for tag in events.Tags()['scalars']}))",
                        "print(events.Scalars('train/total_loss')[-1].step)",
                        "print(len(events.Scalars('eval/exact_accuracy_at_1')))",
                        "print(events.Tensors('settings/config')[0].tensor_proto.string_val[0].decode())",
                        "content = events.PluginTagToContent('hparams')['_hparams_/session_start_info']",
                        "print(metadata.parse_session_start_info_plugin_data(content).hparams['arch.hidden_size'].number_value)",
                        ""));
        String said = python(temp, List.of(script.toString(), run.toString()));
        long step = lastTraining().get("step").longValue();
        assertTrue(said.contains("['eval', 'system', 'train']\n" + step + "\n1\n```yaml\n"), said);
        assertTrue(said.contains("\n4.0\n"), said);
    }
}
