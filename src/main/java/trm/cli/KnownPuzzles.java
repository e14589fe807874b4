package trm.cli;

import java.util.List;
import java.util.Objects;
import java.util.Optional;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.own.OwnPuzzle;
import trm.input.DataException;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.model.Parameters;

/**
 * Which puzzles a model knows: with a puzzle table it can answer only those whose vectors it has trained. Identifiers are rows of
 * that table, and what they stand for is in the data it was trained on.
 */
final class KnownPuzzles {
    private static final String TABLE = Parameters.ROOT + "puzzle_emb.weights";

    private KnownPuzzles() {}

    /**
     * What a model must be made for to answer a split: the data's shape with as many identifiers as its puzzle table has.
     *
     * @param trained the folders that the model was trained on, as its settings have them
     * @param asked the folders of the split
     * @throws FormatException if identifiers of the split are not those that the model was trained with: it says how to adapt
     *     the model to them
     */
    static DataShape shape(SafeTensors file, TrainConfig config, DataFolders trained, DataFolders asked, Dataset data) {
        DataShape own = LoadedModel.shapeOf(data);
        if (config.arch().puzzles().width() == 0
                || !file.contains(TABLE)
                || file.entry(TABLE).shape().length != 2) {
            return own;
        }
        int rows = (int) Math.min(Integer.MAX_VALUE, file.entry(TABLE).shape()[0]);
        Optional<List<String>> known = trained.paths().equals(asked.paths()) ? Optional.empty() : trained.identifiers();
        Optional<List<String>> names = asked.identifiers();
        if (known.isEmpty() || names.isEmpty()) {
            if (rows != own.numPuzzleIdentifiers()) {
                throw unknown(
                        file,
                        asked,
                        "it has " + own.numPuzzleIdentifiers() + " puzzle identifiers, the model knows " + rows);
            }
            return own;
        }
        int blank = data.info().blankIdentifierId();
        int[] others = java.util.Arrays.stream(data.puzzleIdentifiers())
                .distinct()
                .filter(id -> id != blank)
                .filter(id -> id >= rows
                        || id >= names.get().size()
                        || id >= known.get().size()
                        || !names.get().get(id).equals(known.get().get(id)))
                .toArray();
        if (others.length > 0) {
            String first = others[0] < names.get().size() ? names.get().get(others[0]) : "";
            throw unknown(
                    file,
                    asked,
                    others.length + " of its puzzles are not those of " + trained + ", which the model was trained on,"
                            + " the first " + trm.input.Shown.quoted(first) + " (identifier " + others[0] + ")");
        }
        return new DataShape(own.seqLen(), own.vocabSize(), rows);
    }

    /**
     * Tokens must stand for the same symbols.
     *
     * @throws DataException if both folders say which symbols, and these differ
     */
    static void requireSymbols(DataFolders trained, DataFolders asked) {
        Optional<OwnPuzzle> known = trained.paths().equals(asked.paths()) ? Optional.empty() : trained.own();
        Optional<OwnPuzzle> own = known.isEmpty() ? Optional.empty() : asked.own();
        if (own.isPresent() && !Objects.equals(own.get().alphabet(), known.get().alphabet())) {
            throw new DataException(asked + ": found cells that are "
                    + own.get().symbols() + ", expected " + known.get().symbols() + " as in " + trained
                    + ", which the model was trained on"
                    + (known.get().alphabet() == null ? "" : "; trm data csv --alphabet makes a folder so"));
        }
    }

    private static FormatException unknown(SafeTensors file, DataFolders asked, String what) {
        return new FormatException(
                asked + ": " + what + ". A model answers puzzles whose vectors it has trained: adapt it to"
                        + " these (their demonstration pairs are the train split, if trm data arc made it with --test-set) by"
                        + " trm train CONFIG.yaml data_paths=[" + asked + "] load_checkpoint=" + file.file()
                        + " freeze_weights=true --run ADAPTED, then trm eval ADAPTED");
    }
}
