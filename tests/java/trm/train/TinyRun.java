package trm.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;

/** A run of 8 steps, 4 lanes and a few thousand weights, with checkpoints after steps 3 and 6, for tests of checkpoints. */
final class TinyRun {
    static final int STEPS = 8;
    static final int LANES = 4;
    static final int VOCABULARY = 6;
    static final int HALT_MAX_STEPS = 3;

    private final Path data;
    private final Path folder;

    private TinyRun(Path data, Path folder) {
        this.data = data;
        this.folder = folder;
    }

    /** Its data and settings; nothing has run. */
    static TinyRun of(Path home) {
        Path data = home.resolve("data");
        MiniSudokuBuilder.build(data, 4, 40, 4, 1, 8);
        return new TinyRun(data, home.resolve("run"));
    }

    /** Trains it in {@code home} and leaves it as if it had been killed after step 7. */
    static TinyRun killed(Backend backend, Path home) throws java.io.IOException {
        TinyRun run = of(home);
        run.run(backend, run.folder, false);
        Files.delete(run.checkpoint(run.folder, STEPS));
        return run;
    }

    TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + data + "']",
                "arch:",
                "  hidden_size: 4",
                "  num_heads: 1",
                "  mlp_t: false",
                "  pos_encodings: rope",
                "  expansion: 1",
                "  H_cycles: 1",
                "  L_cycles: 1",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 4",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: " + HALT_MAX_STEPS,
                "  forward_dtype: float32",
                "global_batch_size: " + LANES,
                "epochs: 10",
                "eval_interval: 10",
                "max_steps: " + STEPS,
                "checkpoint_every_steps: 3",
                "checkpoint_keep: 20",
                "log_every_steps: 4",
                "lr: 1e-3",
                "lr_min_ratio: 0.1",
                "lr_warmup_steps: 3",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** Its folder, with checkpoints after steps 3 and 6. */
    Path folder() {
        return folder;
    }

    Path checkpoint(Path in, long step) {
        return new CheckpointStore(in.resolve("checkpoints"), 1).path(step);
    }

    /** What it holds after 6 steps. */
    ForgedCheckpoint state() {
        return ForgedCheckpoint.of(SafeTensors.open(checkpoint(folder, 6)));
    }

    /** A folder that holds its checkpoint of step 3, and of step 6 what is given. */
    Path resumable(Path in, ForgedCheckpoint sixth) throws java.io.IOException {
        Files.createDirectories(in.resolve("checkpoints"));
        for (String name : List.of("config.yaml", "metrics.csv", "checkpoints/step-00000003.safetensors")) {
            if (Files.notExists(in.resolve(name)) || name.equals("metrics.csv")) {
                Files.write(in.resolve(name), Files.readAllBytes(folder.resolve(name)));
            }
        }
        Files.deleteIfExists(checkpoint(in, STEPS));
        sixth.writeTo(checkpoint(in, 6));
        return in;
    }

    Run.Outcome run(Backend backend, Path in, boolean resume, String... overrides) {
        return new Run(backend, config(overrides), in, new Run.Listener() {
                    @Override
                    public void row(MetricsRow row, long totalSteps) {
                        // not looked at
                    }

                    @Override
                    public void evaluating(long step, long puzzles) {
                        // not looked at
                    }

                    @Override
                    public void message(String text) {
                        // not looked at
                    }
                })
                .run(resume);
    }

    /** Memory like its own, to be asked about shapes. */
    RunTensors tensors(Backend backend, Arena arena) {
        Dataset train = Dataset.open(data, "train");
        return RunTensors.allocate(
                backend, arena, config(), RunTensors.DataSizes.of(train, Dataset.open(data, "test")), STEPS);
    }

    TrainLoader loader() {
        TrainConfig config = config();
        return new TrainLoader(
                Dataset.open(data, "train"),
                config.run().seed(),
                new LegacyRandom(config.run().seed()),
                config.schedule().globalBatchSize(),
                config.schedule().evalInterval());
    }
}
