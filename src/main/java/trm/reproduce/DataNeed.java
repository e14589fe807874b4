package trm.reproduce;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The data set of a run, there or not.
 *
 * @param title for people
 * @param samples of an epoch
 * @param testSamples of an evaluation of all
 * @param command that makes it in {@code folder}; empty where the run does
 * @param source where its own sources come from, for people; empty where they are here
 */
public record DataNeed(String title, Path folder, long samples, long testSamples, String command, String source) {
    /** Whether it is there, with both splits. */
    public boolean isThere() {
        return Files.isRegularFile(folder.resolve("train").resolve("dataset.json"))
                && Files.isRegularFile(folder.resolve("test").resolve("dataset.json"));
    }
}
