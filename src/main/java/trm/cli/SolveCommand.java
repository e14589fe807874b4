package trm.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.sudoku.Boards;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.input.DataException;
import trm.io.FormatException;
import trm.io.SafeTensors;

/** {@code trm solve}: one Sudoku by a trained model, shown step by step. */
@Command(
        name = "solve",
        mixinStandardHelpOptions = true,
        description =
                "Solves one Sudoku with a trained model and shows every supervision step, of several tries the chosen one's.",
        footer = {
            "",
            "Example: trm solve --puzzle 1..4.2....3.3..2",
            "         trm solve runs/demo --puzzle 1..4.2....3.3..2",
            "         trm solve runs/demo --puzzle 1..4.2....3.3..2 --breadth 8 --choose halt"
        })
final class SolveCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    /** Label token of every cell of a puzzle without a solution: left out of the loss. */
    private static final int IGNORED_LABEL = 0;

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
            required = true,
            paramLabel = "STRING",
            description =
                    "The cells row by row, 16, 36 or 81; '.', '0', '_' or '*' for an empty one. Blanks, '|', line breaks and"
                            + " lines of dashes may stand between.")
    private String puzzle;

    @Option(
            names = "--steps",
            defaultValue = "16",
            paramLabel = "N",
            description = "Supervision steps (default ${DEFAULT-VALUE}).")
    private int steps;

    @Mixin
    private TriesOption tries;

    @Mixin
    private ConfigOption settings;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        Cli.atLeast(spec, "--steps", steps, 1);
        tries.check(spec, 1);
        int[] givens = givens();
        int side = Boards.side(givens.length);
        BundledModel bundled = checkpoint == null ? BundledModels.best(SolveTrace.KIND.key(), side) : null;
        SafeTensors file = bundled == null ? LoadedModel.file(checkpoint) : SafeTensors.open(bundled.weights());
        TrainConfig config = settings.of(file);
        DataShape shape = config.data().shape() != null ? config.data().shape() : shapeOf(file, config, givens.length);
        if (shape.seqLen() != givens.length) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--puzzle has " + givens.length + " cells, but the model of " + file.file() + " takes "
                            + shape.seqLen());
        }
        if (shape.vocabSize() != side + 2) {
            throw new DataException(file.file() + ": its model has " + shape.vocabSize() + " tokens, expected "
                    + (side + 2) + " for a Sudoku of side " + side);
        }
        SolveTrace.Solution solution;
        try (Backend backend = device.open(config);
                LoadedModel model = LoadedModel.load(backend, file, config, shape, 1)) {
            solution = SolveTrace.chosen(
                    model,
                    unlabelled(model, givens),
                    givens,
                    steps,
                    tries.of(List.of(), (number, answer) -> Boards.solves(givens, SudokuPuzzle.digits(answer))));
        }
        report(solution, bundled == null ? file.file().toString() : bundled.describe());
        return 0;
    }

    private int[] givens() {
        try {
            return Boards.parse(puzzle);
        } catch (DataException e) {
            throw new ParameterException(spec.commandLine(), "--" + e.getMessage(), e);
        }
    }

    private void report(SolveTrace.Solution solution, String model) {
        int[] answer = solution.last();
        boolean keeps = keepsGivens(solution.puzzle(), answer);
        boolean legal = Boards.solves(solution.puzzle(), answer);
        print(solution, model, keeps, legal);
        if (json) {
            Map<String, Object> out = new LinkedHashMap<>();
            out.put("model", model);
            out.put("puzzle", text(solution.puzzle()));
            out.put("answer", text(answer));
            out.put("legal", legal);
            out.put("steps", solution.boards().size());
            out.put("halt_probability", solution.haltProbabilities());
            Cli.json(out);
        }
    }

    private static void print(SolveTrace.Solution solution, String model, boolean keeps, boolean legal) {
        BoardPrinter printer = BoardPrinter.forConsole();
        System.out.println(model);
        System.out.println(printer.key());
        System.out.println();
        System.out.print(printer.render(solution));
        System.out.println("answer  " + text(solution.last()));
        System.out.println(
                legal
                        ? "legal: every row, column and box holds each digit once, and the givens are kept"
                        : "not legal: " + (keeps ? "a digit repeats or is missing" : "a given was overwritten"));
    }

    /** Shape of the data that a checkpoint was trained on, from the sizes of its tensors. */
    static DataShape shapeOf(SafeTensors file, TrainConfig config, int cells) {
        String root = trm.model.Parameters.ROOT;
        int vocabulary = (int) extent(file, root + "embed_tokens.embedding_weight", 0);
        String table = root + "puzzle_emb.weights";
        int identifiers = file.contains(table) ? (int) extent(file, table, 0) : 1;
        String mixer = root + "L_level.layers.0.mlp_t.gate_up_proj.weight";
        String places = root + "embed_pos.embedding_weight";
        int prefix = config.arch().prefixLen();
        long tokens = file.contains("lanes.inputs")
                ? extent(file, "lanes.inputs", 1)
                : file.contains(mixer)
                        ? extent(file, mixer, 1) - prefix
                        : file.contains(places) ? extent(file, places, 0) - prefix : cells;
        if (tokens < 1) {
            throw new FormatException(file.file() + ": its tensors hold fewer positions than the prefix of " + prefix);
        }
        return new DataShape((int) tokens, vocabulary, identifiers);
    }

    private static long extent(SafeTensors file, String name, int axis) {
        long[] shape = file.entry(name).shape();
        if (shape.length != 2) {
            throw new FormatException(
                    file.file() + ": tensor " + name + " has shape " + Arrays.toString(shape) + ", expected 2 axes");
        }
        return shape[axis];
    }

    /** A data set of one puzzle whose labels are all left out; identifier 0, "none". */
    private static LaneKernels.Examples unlabelled(LoadedModel model, int[] givens) {
        Arena arena = model.arena();
        Tensor inputs = arena.tensor(Purpose.DATA, "data.inputs", Dtype.U8, 1, givens.length);
        Tensor labels = arena.tensor(Purpose.DATA, "data.labels", Dtype.U8, 1, givens.length);
        Tensor ids = arena.tensor(Purpose.DATA, "data.ids", Dtype.I32, 1);
        int[] ignored = new int[givens.length];
        Arrays.fill(ignored, IGNORED_LABEL);
        HostCopy.put(model.backend(), inputs, Boards.tokens(givens));
        HostCopy.put(model.backend(), labels, ignored);
        return new LaneKernels.Examples(inputs, labels, ids, IGNORED_LABEL);
    }

    static boolean keepsGivens(int[] puzzle, int[] answer) {
        for (int i = 0; i < puzzle.length; i++) {
            if (puzzle[i] != 0 && puzzle[i] != answer[i]) {
                return false;
            }
        }
        return true;
    }

    private static String text(int[] board) {
        return Arrays.stream(board)
                .mapToObj(Integer::toString)
                .collect(Collectors.joining())
                .replace('0', '.');
    }
}
