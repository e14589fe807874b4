package trm.reproduce;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.Sources;
import trm.data.format.BuiltOnce;
import trm.data.sudoku.GivensAdded;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.table.ColumnNames;

/**
 * A study of levers and where it lies. Each arm is {@code configs/recipes/ARM.yaml}; what the study sets for all of them is the
 * length, the seed and the data.
 *
 * @param configs the project's folder of settings
 * @param sudoku the project's puzzles, {@code data/sudoku}
 * @param out folder of the runs, {@code out/ARM/seed-N}, and of the data they share
 */
public record RecipesStudy(Recipes recipes, Path configs, Path sudoku, Path out) implements Study {
    private static final int SHUFFLES = 100;
    private static final int UNSEEN = 480;
    private static final int MOST_TRAIN =
            8000; // puzzles of data/sudoku/train.csv; those with too many givens are left out
    private static final long SEED = 42;

    Path folder(Recipes.Arm arm, int seed) {
        return out.resolve(arm.name()).resolve("seed-" + seed);
    }

    TrainConfig config(Recipes.Arm arm, int seed) {
        return ConfigLoader.load(
                configs.resolve("recipes").resolve(arm.name() + ".yaml"),
                List.of("epochs=" + recipes.epochs(), "seed=" + seed, ConfigLoader.dataPath(dataFolder())));
    }

    private Path dataFolder() {
        return out.resolve("data");
    }

    @Override
    public List<PlannedRun> runs(List<String> rows, int seeds) {
        List<PlannedRun> runs = new ArrayList<>();
        for (int seed = 0; seed < seeds; seed++) {
            for (Recipes.Arm arm : recipes.arms(rows)) {
                runs.add(new PlannedRun(arm.name(), seed, folder(arm, seed), config(arm, seed)));
            }
        }
        return runs;
    }

    @Override
    public DataNeed data(PlannedRun run) {
        return new DataNeed(recipes.puzzles(), dataFolder(), MOST_TRAIN, UNSEEN, "", "");
    }

    /** As {@code trm data sudoku-easy --aug 100 --limit-test 480 --compact} with the study's givens makes them. */
    @Override
    public void prepareData(List<PlannedRun> runs) {
        BuiltOnce.folder(dataFolder(), folder -> {
            GivensAdded train = givensAdded("train.csv", SEED);
            GivensAdded test = givensAdded("test.csv", GivensAdded.testSeed(SEED));
            SudokuBuilder.build(train, test, folder, null, SHUFFLES, SEED, UNSEEN, true, note -> {});
            Sources.writeSudoku(folder, test, UNSEEN);
        });
    }

    private GivensAdded givensAdded(String file, long seed) {
        SudokuCsv csv = new SudokuCsv(sudoku.resolve(file), ColumnNames.USUAL, null);
        return new GivensAdded(csv, recipes.givens(), 1, seed);
    }

    @Override
    public Written report(Map<String, String> failures) {
        RecipesReport report = new RecipesReport(this, failures);
        report.write();
        return new Written(report.markdown(), List.of("report.md", "report.csv", "report.svg"), Optional.empty());
    }
}
