package trm.reproduce;

import java.nio.file.Path;
import trm.config.TrainConfig;

/**
 * One run of a study.
 *
 * @param row as on the command line and in reports
 * @param folder where it lies, or will
 */
public record PlannedRun(String row, long seed, Path folder, TrainConfig config) {
    /** As messages and reports call it. */
    public String label() {
        return row + ", seed " + seed;
    }
}
