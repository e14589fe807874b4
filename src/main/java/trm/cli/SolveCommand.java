package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Puzzles;
import trm.data.arc.ArcPuzzle;
import trm.data.own.OwnPuzzle;
import trm.data.puzzle.Puzzle;
import trm.device.Backend;
import trm.input.DataException;
import trm.io.SafeTensors;
import trm.train.RunData;

/** {@code trm solve}: one puzzle by a trained model, shown step by step. */
@Command(
        name = "solve",
        mixinStandardHelpOptions = true,
        description = {
            "Solves puzzles with a trained model and shows every supervision step, of several tries the chosen one's.",
            "A Sudoku: its cells. A maze: lines of '#', ' ', 'S' and 'G'. An ARC task: JSON; the model first adapts its puzzle"
                    + " vector to the demonstrations, and the answers to augmented copies vote.",
            "Puzzles of your own (trm data csv): in their alphabet, one or many; or rows of a data set (--row)."
        },
        footer = {
            "",
            "Example: trm solve --puzzle 1..4.2....3.3..2",
            "         trm solve runs/demo --puzzle 1..4.2....3.3..2 --breadth 8 --choose halt",
            "         trm solve runs/maze-small --file maze.txt",
            "         trm solve runs/latin --row 0,1,2",
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
                            + " breaks and lines of dashes may stand between. Of a run on own puzzles: the cells in their alphabet.")
    private String puzzle;

    @Option(
            names = "--file",
            paramLabel = "FILE|-",
            description =
                    "A Sudoku, a maze or an ARC task in a file, or on standard input; its content says which. Of a run on own"
                            + " puzzles: a table of them, or a puzzle or a row a line.")
    private Path file;

    @Option(
            names = "--row",
            split = ",",
            paramLabel = "N",
            description = "Examples of the data set, from 0, as --predictions numbers them.")
    private List<Integer> rows;

    @Option(
            names = "--split",
            defaultValue = "test",
            description = "Of --row: train or test (default ${DEFAULT-VALUE}).")
    private String split;

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Data-set folder of --row, and of how own puzzles are written; default: the run's own.")
    private List<Path> data;

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
        checkSource();
        if (checkpoint != null && rows == null && Files.notExists(checkpoint)) {
            knownKind(); // where there is no run to say how puzzles are written, wrong usage comes first
        }
        SafeTensors given = checkpoint == null ? null : LoadedModel.file(checkpoint);
        SolveQuestion question = question(given);
        SolveQuestion.Asked asked = new SolveQuestion.Asked(steps, tries, arc);
        question.check(spec, asked);
        BundledModel bundled = given != null
                ? null
                : BundledModels.best(question.kind().key(), question.side(), question.describe(), question.training());
        SafeTensors weights = given != null ? given : SafeTensors.open(bundled.weights());
        TrainConfig config = settings.of(weights);
        int cells = question.cells();
        TrainedOn trained = TrainedOn.of(weights, config, cells);
        if (!trained.fits(question.kind(), cells)) {
            throw new ParameterException(
                    spec.commandLine(),
                    source() + ": " + question.describe() + ", but " + weights.file() + " was trained on "
                            + trained.describe());
        }
        question.requireIdentifiers(trained.shape().numPuzzleIdentifiers(), weights.file());
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

    private void checkSource() {
        int sources = (puzzle == null ? 0 : 1) + (file == null ? 0 : 1) + (rows == null ? 0 : 1);
        if (sources != 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    sources == 0
                            ? "expected a puzzle: --puzzle STRING, a Sudoku, or --file FILE, or --row N"
                            : "found both " + (puzzle != null ? "--puzzle" : "--file") + " and "
                                    + (file != null && puzzle != null ? "--file" : "--row") + ", expected one of them");
        }
        if (checkpoint == null && (rows != null || data != null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    (rows != null ? "--row" : "--data") + ": expected a run or checkpoint to ask, too");
        }
        if (!List.of("train", "test").contains(split)) {
            throw new ParameterException(spec.commandLine(), "--split " + split + ": expected train or test");
        }
    }

    /** @param given the checkpoint, null if none is named */
    private SolveQuestion question(SafeTensors given) {
        if (given != null) {
            TrainConfig config = settings.of(given);
            DataFolders trained = Files.isDirectory(checkpoint)
                    ? RunData.folders(checkpoint, config)
                    : DataFolders.of(config.data().paths());
            DataFolders folders = data != null ? new DataFolders(data) : trained;
            KnownPuzzles.requireSymbols(trained, folders);
            if (rows != null) {
                return rows(folders);
            }
            Optional<OwnPuzzle> own = own(given, config, folders);
            if (own.isPresent()) {
                return ownPuzzle(own.get());
            }
        }
        return knownKind();
    }

    private SolveQuestion knownKind() {
        if (file != null) {
            return SolveInput.file(file, arc.task());
        }
        try {
            return SolveInput.sudoku("--puzzle", puzzle);
        } catch (DataException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    /** How the puzzles are written that the model was trained on, if they are no known kind. */
    private Optional<OwnPuzzle> own(SafeTensors given, TrainConfig config, DataFolders folders) {
        Optional<OwnPuzzle> said = folders.own();
        if (said.isPresent()) {
            return said.filter(own -> Puzzles.of(own) == own);
        }
        if (config.data().shape() == null && !given.contains("lanes.inputs")) {
            return Optional.empty(); // as large as the puzzle that is given
        }
        TrainedOn trained = TrainedOn.of(given, config, 0);
        DataShape shape = trained.shape();
        return UnknownSymbols.said(folders.toString(), trained.kind())
                ? Optional.of(OwnPuzzle.unknown(shape.seqLen(), shape.vocabSize()))
                : Optional.empty();
    }

    private SolveQuestion ownPuzzle(OwnPuzzle own) {
        if (file != null) {
            return new OwnInput(own).file(file);
        }
        try {
            return new OwnInput(own).puzzle("--puzzle", puzzle);
        } catch (DataException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private SolveQuestion rows(DataFolders folders) {
        Dataset dataset = folders.open(split);
        Puzzle kind = Puzzles.of(dataset);
        if (kind == ArcPuzzle.INSTANCE) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--row: " + folders + " holds ARC tasks, expected boards; --file FILE --task NAME asks one");
        }
        if (UnknownSymbols.said(folders.toString(), kind)) {
            kind = OwnPuzzle.unknown(dataset.seqLen(), dataset.info().vocabSize());
        }
        List<BoardQuestion.Board> boards = new ArrayList<>();
        for (int row : rows) {
            if (row < 0 || row >= dataset.examples()) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--row " + row + ": expected 0 .. " + (dataset.examples() - 1) + ", the examples of " + folders
                                + " (" + split + ")");
            }
            boards.add(new BoardQuestion.Board(
                    split + " example " + row,
                    dataset.inputRow(row),
                    dataset.labelRow(row),
                    dataset.identifierOf(row)));
        }
        return new BoardQuestion(kind, boards);
    }

    private String source() {
        return rows != null ? "--row" : file == null ? "--puzzle" : file.toString();
    }
}
