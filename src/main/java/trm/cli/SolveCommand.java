package trm.cli;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.input.DataException;
import trm.io.SafeTensors;

/** {@code trm solve}: one puzzle by a trained model, shown step by step. */
@Command(
        name = "solve",
        mixinStandardHelpOptions = true,
        description = {
            "Solves one puzzle with a trained model and shows every supervision step, of several tries the chosen one's.",
            "A Sudoku: its cells. A maze: lines of '#', ' ', 'S' and 'G'. An ARC task: JSON; the model first adapts its puzzle"
                    + " vector to the demonstrations, and the answers to augmented copies vote."
        },
        footer = {
            "",
            "Example: trm solve --puzzle 1..4.2....3.3..2",
            "         trm solve runs/demo --puzzle 1..4.2....3.3..2 --breadth 8 --choose halt",
            "         trm solve runs/maze-small --file maze.txt",
            "         trm solve runs/arc-small --file arc-agi_evaluation_challenges.json --task 00576224"
        })
final class SolveCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "CHECKPOINT",
            description =
                    "A run folder, a checkpoint file, also PyTorch's, or the name of a bundled model (trm models);"
                            + " default: the best bundled one that fits the puzzle.")
    private Path checkpoint;

    @Option(
            names = "--puzzle",
            paramLabel = "STRING",
            description =
                    "A Sudoku: the cells row by row, 16, 36 or 81; '.', '0', '_' or '*' for an empty one. Blanks, '|', line"
                            + " breaks and lines of dashes may stand between.")
    private String puzzle;

    @Option(
            names = "--file",
            paramLabel = "FILE|-",
            description = "A Sudoku, a maze or an ARC task in a file, or on standard input; its content says which.")
    private Path file;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description = "Supervision steps (default: the model's halt_max_steps).")
    private Integer steps;

    @Mixin
    private TriesOption tries;

    @Mixin
    private ArcOption arc;

    @Mixin
    private ConfigOption settings;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        if (steps != null) {
            Cli.atLeast(spec, "--steps", steps, 1);
        }
        tries.check(spec, 1);
        SolveQuestion question = question();
        SolveQuestion.Asked asked = new SolveQuestion.Asked(steps, tries, arc);
        question.check(spec, asked);
        BundledModel bundled = checkpoint != null
                ? null
                : BundledModels.best(question.kind().key(), question.side(), question.describe(), question.training());
        SafeTensors weights = bundled == null ? LoadedModel.file(checkpoint) : SafeTensors.open(bundled.weights());
        TrainConfig config = settings.of(weights);
        int cells = question.side() * question.side();
        TrainedOn trained = TrainedOn.of(weights, config, cells);
        if (!trained.fits(question.kind(), cells)) {
            throw new ParameterException(
                    spec.commandLine(),
                    source() + ": " + question.describe() + ", but " + weights.file() + " was trained on "
                            + trained.describe());
        }
        String name = bundled == null ? weights.file().toString() : bundled.describe();
        Map<String, Object> result;
        try (Backend backend = device.open(config)) {
            TrainConfig computed = LoadedModel.computable(backend, config);
            result = question.solve(new SolveQuestion.Model(name, backend, weights, computed, trained.shape()), asked);
        }
        if (json) {
            Cli.json(result);
        }
        return 0;
    }

    private SolveQuestion question() {
        if ((puzzle == null) == (file == null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    puzzle == null
                            ? "expected a puzzle: --puzzle STRING, a Sudoku, or --file FILE"
                            : "found both --puzzle and --file, expected one of them");
        }
        if (file != null) {
            return SolveInput.file(file, arc.task());
        }
        try {
            return SolveInput.sudoku("--puzzle", puzzle);
        } catch (DataException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private String source() {
        return file == null ? "--puzzle" : file.toString();
    }
}
