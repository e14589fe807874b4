package trm.reproduce;

import java.nio.file.Path;
import trm.config.TrainConfig;

/**
 * One run of a study.
 *
 * @param row as on the command line and in reports
 * @param folder where it lies, or will
 */
public record PlannedRun(String row, int seed, Path folder, TrainConfig config) {
    /** As messages and reports call it. */
    String label() {
        return row + ", seed " + seed;
    }
}
