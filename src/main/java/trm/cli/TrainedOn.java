package trm.cli;

import java.util.Arrays;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Puzzles;
import trm.data.own.OwnPuzzle;
import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.model.Parameters;

/**
 * What a checkpoint was trained on, as far as its file says.
 *
 * @param kind  by the samples in its lanes, else by the sizes alone
 * @param sure  whether it was by samples
 * @param shape of its data
 */
record TrainedOn(Puzzle kind, boolean sure, DataShape shape) {
    private static final String INPUTS = "lanes.inputs";
    private static final String LABELS = "lanes.labels";

    /** @param cells of a puzzle where the file leaves their number open */
    static TrainedOn of(SafeTensors file, TrainConfig config, int cells) {
        DataShape shape = config.data().shape() != null ? config.data().shape() : shapeOf(file, config, cells);
        if (file.contains(INPUTS) && file.contains(LABELS)) {
            int[] inputs = file.ints(INPUTS);
            int[] labels = file.ints(LABELS);
            if (inputs.length >= shape.seqLen() && labels.length >= shape.seqLen()) {
                Puzzle kind = Puzzles.of(
                        shape.vocabSize(),
                        Arrays.copyOf(inputs, shape.seqLen()),
                        Arrays.copyOf(labels, shape.seqLen()));
                return new TrainedOn(kind, true, shape);
            }
        }
        return new TrainedOn(Puzzles.ofShape(shape.seqLen(), shape.vocabSize()), false, shape);
    }

    /** Whether a model of it can be asked: sizes must fit, and what it was trained on must not be another known kind. */
    boolean fits(Puzzle asked, int cells) {
        return cells == shape.seqLen()
                && asked.hasShape(cells, shape.vocabSize())
                && (asked instanceof OwnPuzzle || kind == asked || kind == OtherPuzzle.INSTANCE || !sure);
    }

    /** "sudoku 9 x 9". */
    String describe() {
        int side = (int) Math.round(Math.sqrt(shape.seqLen()));
        boolean square = side * side == shape.seqLen();
        return kind == OtherPuzzle.INSTANCE
                ? "puzzles of " + shape.seqLen() + " cells and " + shape.vocabSize() + " tokens"
                : kind.key() + (square ? " " + side + " x " + side : "");
    }

    /** Shape of the data that a checkpoint was trained on, from the sizes of its tensors. */
    private static DataShape shapeOf(SafeTensors file, TrainConfig config, int cells) {
        int vocabulary = (int) extent(file, Parameters.ROOT + "embed_tokens.embedding_weight", 0);
        String table = Parameters.ROOT + "puzzle_emb.weights";
        int identifiers = file.contains(table) ? (int) extent(file, table, 0) : 1;
        String mixer = Parameters.ROOT + "L_level.layers.0.mlp_t.gate_up_proj.weight";
        String places = Parameters.ROOT + "embed_pos.embedding_weight";
        int prefix = config.arch().prefixLen();
        long tokens = file.contains(INPUTS)
                ? extent(file, INPUTS, 1)
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
}
