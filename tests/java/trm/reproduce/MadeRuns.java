package trm.reproduce;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.io.CheckpointStore;

/** Run folders that no run has made. */
public final class MadeRuns {
    private static final String HEADER =
            "step,lr,eval_puzzles,eval_exact_accuracy,eval_pass_2,elapsed_seconds,samples_per_second\n";

    private MadeRuns() {}

    /** Settings, metrics with these rows, a log, and a checkpoint that says no more than how far it is. */
    public static Path make(Path folder, TrainConfig config, long step, long evaluated, long total, String... rows)
            throws IOException {
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.yaml"), ConfigLoader.toYaml(config));
        Files.writeString(folder.resolve("metrics.csv"), HEADER + String.join("\n", rows) + "\n");
        Files.writeString(
                folder.resolve("log.txt"),
                "2026-01-01T00:00:00.000Z INFO  device cpu (avx2), settings in config.yaml\n");
        new CheckpointStore(folder.resolve("checkpoints"), 1).save(step, out -> {
            out.metadata("step", Long.toString(step));
            out.metadata("evaluated_step", Long.toString(evaluated));
            out.metadata("total_steps", Long.toString(total));
            out.add("nothing", "I32", new long[] {1}, new int[] {0});
        });
        return folder;
    }
}
