package trm.cli;

import java.nio.file.Path;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.puzzle.Puzzle;
import trm.device.Backend;
import trm.io.SafeTensors;

/** What {@code trm solve} was given: all that differs between a board and an ARC task. */
interface SolveQuestion {
    Puzzle kind();

    /** Rows and columns of what a model sees. */
    int side();

    /** Cells of what a model sees. */
    default int cells() {
        return side() * side();
    }

    /** "a maze of 9 x 9". */
    String describe();

    /** Commands that train a small model for it, for whoever has none; empty where models come along. */
    String training();

    /**
     * Refuses options that mean nothing for it.
     *
     * @throws picocli.CommandLine.ParameterException if there are any
     */
    void check(CommandSpec spec, Asked asked);

    /**
     * Refuses puzzles whose vectors the model does not have.
     *
     * @param known rows of the model's puzzle table
     * @throws trm.input.DataException if there are any
     */
    default void requireIdentifiers(int known, Path model) {}

    /**
     * Solves it and prints how.
     *
     * @return the result for {@code --json}
     */
    Map<String, Object> solve(Model model, Asked asked);

    /**
     * The model that is asked.
     *
     * @param name for people
     * @param shape of the data that it was trained on
     */
    record Model(String name, Backend backend, SafeTensors file, TrainConfig config, DataShape shape) {}

    /**
     * The options.
     *
     * @param steps of supervision; null to leave it to the question
     */
    record Asked(Integer steps, TriesOption tries, ArcOption arc) {}
}
