package trm.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import trm.data.format.BuiltOnce;
import trm.data.sudoku.GivensAdded;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.table.ColumnNames;
import trm.io.FormatException;

/** What a demo trains on, by the side of its boards. */
enum DemoPuzzles {
    /** Drawn puzzles of which half is blank at least; half a minute on two cores. */
    SIDE_4(4, "demo", "demo.yaml", List.of("eval_interval=1")) {
        @Override
        void build(Path folder) {
            MiniSudokuBuilder.build(folder, 4, 10_000, UNSEEN, 1, 8);
        }
    },
    /** Puzzles of data/sudoku with givens added, as newspapers print them; minutes on two cores. */
    SIDE_9(9, "demo-9x9", "demo-9x9.yaml", List.of()) {
        @Override
        void build(Path folder) {
            GivensAdded.Amount amount = new GivensAdded.Amount(true, 30, 38);
            GivensAdded train = new GivensAdded(shipped("train.csv"), amount, 1, 1);
            GivensAdded test = new GivensAdded(shipped("test.csv"), amount, 1, 2);
            SudokuBuilder.build(train, test, folder, null, 1, 1, UNSEEN, true, Cli::message);
        }
    };

    private static final int UNSEEN = 600;

    private final int side;
    private final String runName;
    private final String settings;
    private final List<String> overrides;

    /**
     * @param runName   says in config.yaml that the folder may be replaced; the folder's name in runs/ too
     * @param settings  file in configs/
     * @param overrides of its settings
     */
    DemoPuzzles(int side, String runName, String settings, List<String> overrides) {
        this.side = side;
        this.runName = runName;
        this.settings = settings;
        this.overrides = overrides;
    }

    /** Of these boards, if there is a demo of them. */
    static Optional<DemoPuzzles> of(int side) {
        return Arrays.stream(values()).filter(p -> p.side == side).findFirst();
    }

    int side() {
        return side;
    }

    int cells() {
        return side * side;
    }

    String runName() {
        return runName;
    }

    String settings() {
        return settings;
    }

    List<String> overrides() {
        return overrides;
    }

    /** Writes a data set. */
    abstract void build(Path folder);

    /** As {@link #build}, unless the folder is there. */
    void buildOnce(Path folder) {
        BuiltOnce.folder(folder, partial -> {
            Cli.message("making puzzles to train on, and " + UNSEEN + " others, in " + folder);
            build(partial);
        });
    }

    private static SudokuCsv shipped(String name) {
        Path file = Path.of("data", "sudoku", name);
        return new SudokuCsv(
                Cli.installed(file)
                        .orElseThrow(() -> new FormatException(file
                                + ": not found in the installation or the current folder; the demo of side 9 is made of"
                                + " these puzzles")),
                ColumnNames.USUAL,
                null);
    }
}
