package trm.config;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Writes configurations as YAML. */
final class ConfigWriter {
    private ConfigWriter() {}

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    static String toYaml(TrainConfig config) {
        ArchConfig arch = config.arch();
        StringBuilder yaml = new StringBuilder("arch:\n");
        line(yaml, "  name", arch.name().key());
        line(yaml, "  hidden_size", arch.hiddenSize());
        line(yaml, "  num_heads", arch.heads());
        line(yaml, "  expansion", arch.expansion());
        line(yaml, "  mlp_t", arch.mlpT());
        line(yaml, "  pos_encodings", arch.posEncodings().name().toLowerCase(Locale.ROOT));
        line(yaml, "  rope_theta", arch.ropeTheta());
        line(yaml, "  rms_norm_eps", arch.rmsNormEps());
        line(yaml, "  L_layers", arch.layers());
        line(yaml, "  H_layers", arch.hLayers());
        line(yaml, "  H_cycles", arch.cycles());
        line(yaml, "  L_cycles", arch.latentSteps());
        line(yaml, "  num_scales", arch.numScales());
        line(yaml, "  separate_nets", arch.separateNets());
        line(yaml, "  gradient", arch.gradient().key());
        line(yaml, "  puzzle_emb_ndim", arch.puzzleEmbNdim());
        line(yaml, "  puzzle_emb_len", arch.puzzleEmbLen());
        line(yaml, "  no_ACT_continue", arch.noActContinue());
        line(yaml, "  halt_max_steps", arch.haltMaxSteps());
        line(yaml, "  halt_exploration_prob", arch.haltExplorationProb());
        yaml.append("  loss:\n");
        line(yaml, "    loss_type", arch.lossType().name().toLowerCase(Locale.ROOT) + "_cross_entropy");
        line(yaml, "  forward_dtype", arch.dtype());
        line(yaml, "  relaxation", arch.equilibrium().relaxation());
        line(yaml, "  latent_noise", arch.equilibrium().latentNoise());
        line(yaml, "  random_start", arch.equilibrium().randomStart());
        List<String> paths = new ArrayList<>();
        config.dataPaths().forEach(path -> paths.add(quoted(path)));
        line(yaml, "data_paths", "[" + String.join(", ", paths) + "]");
        DataShape shape = config.dataShape();
        if (shape == null) {
            line(yaml, "data_shape", null);
        } else {
            yaml.append("data_shape:\n");
            line(yaml, "  seq_len", shape.seqLen());
            line(yaml, "  vocab_size", shape.vocabSize());
            line(yaml, "  num_puzzle_identifiers", shape.numPuzzleIdentifiers());
        }
        line(yaml, "global_batch_size", config.globalBatchSize());
        line(yaml, "epochs", config.epochs());
        line(yaml, "eval_interval", config.evalInterval());
        line(yaml, "epochs_per_pass", config.epochsPerPass());
        line(yaml, "lr", config.lr());
        line(yaml, "lr_min_ratio", config.lrMinRatio());
        line(yaml, "lr_warmup_steps", config.lrWarmupSteps());
        line(yaml, "beta1", config.beta1());
        line(yaml, "beta2", config.beta2());
        line(yaml, "weight_decay", config.weightDecay());
        line(yaml, "puzzle_emb_lr", config.puzzleEmbLr());
        line(yaml, "puzzle_emb_weight_decay", config.puzzleEmbWeightDecay());
        line(yaml, "freeze_weights", config.freezeWeights());
        line(yaml, "ema", config.ema());
        line(yaml, "ema_rate", config.emaRate());
        line(yaml, "seed", config.seed());
        line(yaml, "load_checkpoint", config.loadCheckpoint() == null ? null : quoted(config.loadCheckpoint()));
        line(yaml, "run_name", config.runName() == null ? null : quoted(config.runName()));
        line(yaml, "optimizer", config.optimizer());
        line(yaml, "max_grad_norm", config.maxGradNorm());
        line(yaml, "checkpoint_every_steps", config.checkpointEverySteps());
        line(yaml, "checkpoint_keep", config.checkpointKeep());
        line(yaml, "max_steps", config.maxSteps());
        line(yaml, "log_every_steps", config.logEverySteps());
        line(yaml, "eval_puzzles", config.evalPuzzles());
        line(yaml, "eval_batch_size", config.evalBatchSize());
        line(yaml, "threads", config.threads());
        line(yaml, "matmul_precision", config.matmulPrecision());
        line(yaml, "recompute", config.recompute().key());
        line(yaml, "micro_batches", config.microBatches() == 0 ? "auto" : config.microBatches());
        line(yaml, "memory", config.memory() == 0 ? "auto" : config.memory() + "B");
        line(yaml, "on_nan", config.onNan().key());
        return yaml.toString();
    }

    private static void line(StringBuilder into, String key, Object value) {
        into.append(key).append(": ").append(value).append('\n');
    }

    /** A double-quoted YAML scalar in ASCII. */
    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        text.codePoints().forEach(c -> {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append((char) c);
            } else if (c >= 0x20 && c < 0x7f) {
                quoted.append((char) c);
            } else {
                quoted.append(String.format(Locale.ROOT, "\\U%08x", c));
            }
        });
        return quoted.append('"').toString();
    }
}
