package trm.reproduce;

import java.util.List;

/** What a published value was measured on: the folder of the data set, what makes it, and what the paper's text has. */
public enum Task {
    SUDOKU(
            "Sudoku-Extreme",
            "sudoku-extreme-1k-aug-1000",
            "trm data sudoku --train train.csv --test test.csv --subsample 1000 --aug 1000 --compact",
            "https://huggingface.co/datasets/sapientinc/sudoku-extreme",
            1000,
            422_786,
            List.of("epochs=60000", "eval_interval=6000")),
    MAZE(
            "Maze-Hard",
            "maze-30x30-hard-1k",
            "trm data maze --train train.csv --test test.csv --aug",
            "https://huggingface.co/datasets/sapientinc/maze-30x30-hard-1k",
            1000,
            1000,
            List.of("epochs=60000", "eval_interval=6000", "arch.L_cycles=6")),
    ARC_1(
            "ARC-AGI-1",
            "arc1concept-aug-1000",
            "trm data arc --prefix kaggle/combined/arc-agi --subsets training,evaluation,concept --test-set evaluation",
            "fchollet/ARC-AGI and victorvikram/ConceptARC on GitHub, in Kaggle's form",
            3979,
            419 * 1001,
            List.of("arch.L_cycles=6")),
    ARC_2(
            "ARC-AGI-2",
            "arc2concept-aug-1000",
            "trm data arc --prefix kaggle/combined/arc-agi --subsets training2,evaluation2,concept"
                    + " --test-set evaluation2",
            "arcprize/ARC-AGI-2 and victorvikram/ConceptARC on GitHub, in Kaggle's form",
            5560,
            167 * 1001,
            List.of("arch.L_cycles=6"));

    private final String title;
    private final String folder;
    private final String command;
    private final String source;
    private final long samples;
    private final long testSamples;
    private final List<String> paper;

    Task(
            String title,
            String folder,
            String command,
            String source,
            long samples,
            long testSamples,
            List<String> paper) {
        this.title = title;
        this.folder = folder;
        this.command = command;
        this.source = source;
        this.samples = samples;
        this.testSamples = testSamples;
        this.paper = paper;
    }

    public String title() {
        return title;
    }

    /** Name of the data-set folder, as in the published settings. */
    public String folder() {
        return folder;
    }

    /** The command that makes it, without {@code --out}. */
    public String command() {
        return command;
    }

    /** Where the files that the command reads come from. */
    public String source() {
        return source;
    }

    /**
     * Samples of an epoch, one augmentation of each: puzzles, on ARC the examples of all tasks in training, which follow from the
     * published runs of 100,000 epochs of batches of 768 (518,071 and 723,914 steps).
     */
    public long samples() {
        return samples;
    }

    /** Samples of an evaluation of all: the published test split, on ARC with all 1,000 augmentations and at most so many. */
    public long testSamples() {
        return testSamples;
    }

    /**
     * Where the paper's text differs from its published code, for TRM; the optimizer apart
     * (docs/specification.md#11-published-settings).
     */
    public List<String> paper() {
        return paper;
    }
}
