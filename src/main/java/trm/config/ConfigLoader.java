package trm.config;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads a run's configuration from YAML with the names of the published code, then applies overrides in the manner of
 * Hydra: {@code key=value}, {@code +key=value} and {@code ++key=value} with dotted keys.
 *
 * <p>A few keys have a second name: {@code dtype} for {@code arch.forward_dtype}, {@code arch: trm} for
 * {@code arch.name}, {@code arch.loss} and {@code arch.loss_type} for {@code arch.loss.loss_type}. Keys left out take
 * the values published with that system; {@code data_paths} must be given.
 */
public final class ConfigLoader {
    private static final List<String> TOP = List.of(
            "arch",
            "data_paths",
            "data_shape",
            "global_batch_size",
            "epochs",
            "eval_interval",
            "lr",
            "lr_min_ratio",
            "lr_warmup_steps",
            "beta1",
            "beta2",
            "weight_decay",
            "puzzle_emb_lr",
            "puzzle_emb_weight_decay",
            "freeze_weights",
            "ema",
            "ema_rate",
            "seed",
            "load_checkpoint",
            "run_name",
            "dtype",
            "optimizer",
            "max_grad_norm",
            "checkpoint_every_steps",
            "checkpoint_keep",
            "max_steps",
            "log_every_steps",
            "eval_puzzles",
            "eval_batch_size",
            "threads",
            "matmul_precision",
            "recompute",
            "micro_batches",
            "memory",
            "evaluators",
            "project_name",
            "checkpoint_every_eval",
            "checkpoint_path",
            "min_eval_interval",
            "eval_save_outputs",
            "data_paths_test",
            "defaults",
            "hydra");
    private static final List<String> ARCH = List.of(
            "name",
            "hidden_size",
            "num_heads",
            "expansion",
            "mlp_t",
            "pos_encodings",
            "rope_theta",
            "rms_norm_eps",
            "H_cycles",
            "L_cycles",
            "H_layers",
            "L_layers",
            "num_scales",
            "separate_nets",
            "gradient",
            "puzzle_emb_ndim",
            "puzzle_emb_len",
            "no_ACT_continue",
            "halt_max_steps",
            "halt_exploration_prob",
            "loss",
            "loss_type",
            "forward_dtype",
            "relaxation",
            "latent_noise",
            "random_start");
    private static final List<String> LOSS = List.of("name", "loss_type");
    private static final List<String> SHAPE = List.of("seq_len", "vocab_size", "num_puzzle_identifiers");

    private static final int PUBLISHED_SCALES = 6;

    private static final Pattern OVERRIDE =
            Pattern.compile("(?:\\+\\+?)?([\\w-]+(?:\\.[\\w-]+)*)=(.*)", Pattern.DOTALL);
    private static final String ARC_EVALUATOR = "arc@ARC";

    private ConfigLoader() {}

    /**
     * Reads a file.
     *
     * @throws ConfigException if it cannot be read or a value is wrong; the message names file and line
     */
    public static TrainConfig load(Path yaml, List<String> overrides) {
        String text;
        try {
            text = Files.readString(yaml);
        } catch (NoSuchFileException e) {
            throw new ConfigException(yaml + ": no such file");
        } catch (CharacterCodingException e) {
            throw new ConfigException(yaml + ": is not UTF-8 text");
        } catch (IOException e) {
            throw new ConfigException(yaml + ": cannot be read: " + e.getMessage());
        }
        return parse(text, yaml.toString(), overrides);
    }

    /**
     * Reads text.
     *
     * @param sourceName what messages call the text
     * @throws ConfigException if a value is wrong
     */
    public static TrainConfig parse(String yamlText, String sourceName, List<String> overrides) {
        ConfigNode document = ConfigNode.parse(yamlText, sourceName, true);
        if (document == null) {
            document = new ConfigNode.Table(new LinkedHashMap<>(), sourceName);
        }
        if (!(document instanceof ConfigNode.Table given)) {
            throw new ConfigException(document.where() + ": is " + document.shown() + "; expected a table of keys");
        }
        ConfigNode.Table root = new ConfigNode.Table(new LinkedHashMap<>(), given.where());
        checkSynonyms(given);
        merge(root, "", given);
        for (String override : overrides) {
            apply(root, override);
        }
        try {
            return build(root);
        } catch (ConfigException e) {
            ConfigNode node = e.key() == null ? null : ConfigReader.find(root, e.key());
            String where = node == null ? sourceName : node.where();
            if (e.key() == null || e.getMessage().startsWith(where + ": ")) {
                throw e;
            }
            throw new ConfigException(e.key(), where + ": " + e.getMessage());
        }
    }

    /** In one file a key may not have both its names: which one counts would depend on their order. */
    private static void checkSynonyms(ConfigNode.Table given) {
        both(given, "dtype", "arch.forward_dtype");
        both(given, "arch.loss_type", "arch.loss");
    }

    private static void both(ConfigNode.Table given, String first, String second) {
        ConfigNode node = ConfigReader.find(given, first);
        if (node != null && ConfigReader.find(given, second) != null) {
            throw new ConfigException(
                    first,
                    node.where() + ": " + first + " and " + second
                            + " are two names of the same key; give one of them");
        }
    }

    /** Puts a file's keys, under their first names, into the root. */
    private static void merge(ConfigNode.Table root, String prefix, ConfigNode.Table given) {
        given.fields().forEach((name, node) -> {
            String path = prefix + name;
            if (node instanceof ConfigNode.Table inner && (path.equals("arch") || path.equals("arch.loss"))) {
                merge(root, path + ".", inner);
            } else {
                set(root, firstName(path, node), node);
            }
        });
    }

    private static String firstName(String path, ConfigNode node) {
        return switch (path) {
            case "dtype" -> "arch.forward_dtype";
            case "arch" -> node instanceof ConfigNode.Text ? "arch.name" : path;
            case "arch.loss" -> node instanceof ConfigNode.Text ? "arch.loss.loss_type" : path;
            case "arch.loss_type" -> "arch.loss.loss_type";
            default -> path;
        };
    }

    private static void set(ConfigNode.Table root, String path, ConfigNode node) {
        String[] names = path.split("\\.");
        ConfigNode.Table table = root;
        StringBuilder done = new StringBuilder();
        for (int i = 0; i < names.length - 1; i++) {
            done.append(i == 0 ? "" : ".").append(names[i]);
            ConfigNode inner = table.fields().get(names[i]);
            boolean missing = inner == null || inner instanceof ConfigNode.Text text && text.isNull();
            if (missing) {
                inner = new ConfigNode.Table(new LinkedHashMap<>(), node.where());
                table.fields().put(names[i], inner);
            }
            if (!(inner instanceof ConfigNode.Table next)) {
                throw new ConfigException(
                        node.where() + ": cannot set " + path + ": " + done + " is " + inner.shown() + ", not a table");
            }
            table = next;
        }
        table.fields().put(names[names.length - 1], node);
    }

    private static void apply(ConfigNode.Table root, String override) {
        String where = "override '" + override + "'";
        Matcher matcher = OVERRIDE.matcher(override);
        if (!matcher.matches()) {
            throw new ConfigException(where + ": expected key=value, +key=value or ++key=value");
        }
        String value = matcher.group(2).strip();
        ConfigNode node;
        if (!value.isEmpty() && "[{'\"".indexOf(value.charAt(0)) >= 0) {
            node = ConfigNode.parse(value, where, false);
        } else {
            node = new ConfigNode.Text(value, false, where);
        }
        String path = matcher.group(1);
        if (node instanceof ConfigNode.Table table && (path.equals("arch") || path.equals("arch.loss"))) {
            merge(root, path + ".", table);
        } else {
            set(root, firstName(path, node), node);
        }
    }

    private static TrainConfig build(ConfigNode.Table root) {
        checkNames(root, "", TOP);
        ConfigReader top = new ConfigReader(root, root, "");
        readUnused(root, top);
        ArchConfig arch = arch(root, top);
        return new TrainConfig(
                arch,
                top.strings("data_paths"),
                shape(root, top),
                top.integer("global_batch_size", 768),
                top.integer("epochs", 50_000),
                top.integerOrNull("eval_interval"),
                top.number("lr", 1e-4),
                top.number("lr_min_ratio", 1.0),
                top.integer("lr_warmup_steps", 2000),
                top.number("beta1", 0.9),
                top.number("beta2", 0.95),
                top.number("weight_decay", 1.0),
                top.number("puzzle_emb_lr", 1e-4),
                top.number("puzzle_emb_weight_decay", 1.0),
                top.bool("freeze_weights", false),
                top.bool("ema", arch.name() != Architecture.HRM),
                top.number("ema_rate", 0.999),
                top.longInteger("seed", 0),
                top.stringOrNull("load_checkpoint"),
                top.stringOrNull("run_name"),
                top.string("optimizer", "adam_atan2"),
                top.number("max_grad_norm", 0),
                top.integer("checkpoint_every_steps", 1000),
                top.integer("checkpoint_keep", 3),
                top.integer("max_steps", 0),
                top.integer("log_every_steps", 10),
                top.integer("eval_puzzles", 0),
                top.integer("eval_batch_size", 0),
                top.integer("threads", 0),
                top.string("matmul_precision", "float32"),
                top.word("recompute", Recompute.AUTO, "auto, none, gate_up, layers or evaluations", Recompute::of),
                isAuto(top, "micro_batches") ? 0 : microBatches(top),
                isAuto(top, "memory") ? 0 : MemorySize.parse("memory", top.string("memory", "")));
    }

    /** Whether a key says {@code auto}, or is not there. */
    private static boolean isAuto(ConfigReader top, String key) {
        return !top.has(key)
                || top.get(key) instanceof ConfigNode.Text text && text.value().equals("auto");
    }

    private static int microBatches(ConfigReader top) {
        ConfigNode node = top.get("micro_batches");
        if (!(node instanceof ConfigNode.Text text) || !text.value().matches("0*[1-9][0-9]{0,8}")) {
            throw top.wrong("micro_batches", node, "auto, or a whole number of at least 1");
        }
        return Integer.parseInt(text.value());
    }

    /** Keys of published files that have no effect here: accepted, with the values that ask for nothing more. */
    private static void readUnused(ConfigNode.Table root, ConfigReader top) {
        checkEvaluators(top);
        top.requireEmptyList("data_paths_test");
        top.requireEmptyList("eval_save_outputs");
        top.stringOrNull("project_name");
        top.stringOrNull("checkpoint_path");
        Integer firstEvaluation = top.integerOrNull("min_eval_interval");
        if (firstEvaluation != null && firstEvaluation != 0) {
            throw top.wrong("min_eval_interval", top.get("min_eval_interval"), "0: not supported by this version");
        }
        top.bool("checkpoint_every_eval", false);
        ConfigNode defaults = top.get("defaults");
        if (defaults == null) {
            return;
        }
        if (!(defaults instanceof ConfigNode.Items items)) {
            throw top.wrong("defaults", defaults, "a list");
        }
        for (ConfigNode item : items.items()) {
            if (item instanceof ConfigNode.Table table
                    && table.fields().size() == 1
                    && table.fields().get("arch") instanceof ConfigNode.Text name) {
                if (ConfigReader.find(root, "arch.name") == null) {
                    set(root, "arch.name", name);
                }
            } else if (!(item instanceof ConfigNode.Text text && text.value().equals("_self_"))) {
                throw top.wrong("defaults", defaults, "only 'arch: NAME' and '_self_' in it");
            }
        }
    }

    /** The published evaluator of ARC is used wherever the data are ARC's; there is no other. */
    private static void checkEvaluators(ConfigReader top) {
        ConfigNode node = top.get("evaluators");
        if (node == null || node instanceof ConfigNode.Text text && text.isNull()) {
            return;
        }
        if (node instanceof ConfigNode.Items list
                && list.items().stream()
                        .allMatch(item -> item instanceof ConfigNode.Table table
                                && table.fields().size() == 1
                                && table.fields().get("name") instanceof ConfigNode.Text name
                                && name.value().equals(ARC_EVALUATOR))) {
            return;
        }
        throw top.wrong("evaluators", node, "[] or [{name: " + ARC_EVALUATOR + "}]: not supported by this version");
    }

    private static ConfigReader inner(
            ConfigNode.Table root, ConfigReader outer, String key, String path, List<String> known) {
        ConfigNode node = outer.get(key);
        if (node == null || node instanceof ConfigNode.Text text && text.isNull()) {
            node = new ConfigNode.Table(new LinkedHashMap<>(), root.where());
        }
        if (!(node instanceof ConfigNode.Table table)) {
            throw outer.wrong(key, node, "a table");
        }
        checkNames(table, path + ".", known);
        return new ConfigReader(root, table, path + ".");
    }

    private static ArchConfig arch(ConfigNode.Table root, ConfigReader top) {
        ConfigReader arch = inner(root, top, "arch", "arch", ARCH);
        ConfigReader loss = inner(root, arch, "loss", "arch.loss", LOSS);
        Architecture name = arch.word(
                "name", Architecture.TRM, "one of " + String.join(", ", Architecture.keys()), Architecture::of);
        String lossName = loss.string("name", "losses@ACTLossHead");
        Check.oneOf("arch.loss.name", lossName, List.of("losses@ACTLossHead"));
        int hidden = arch.integer("hidden_size", 512);
        int puzzleEmbNdim = arch.integer("puzzle_emb_ndim", hidden);
        int layers = arch.integer("L_layers", name.publishedLayers());
        boolean separateNets = arch.bool("separate_nets", false);
        return new ArchConfig(
                name,
                hidden,
                arch.integer("num_heads", name.publishedHeads()),
                arch.number("expansion", 4),
                arch.bool("mlp_t", false),
                arch.word("pos_encodings", PosEncodings.ROPE, "rope, learned or none", ConfigLoader::positions),
                arch.number("rope_theta", 10000),
                arch.number("rms_norm_eps", 1e-5),
                layers,
                arch.integer("H_layers", separateNets ? layers : name.publishedHLayers()),
                arch.integer("H_cycles", name.publishedCycles()),
                arch.integer("L_cycles", name.publishedLatentSteps()),
                arch.integer("num_scales", name == Architecture.MULTI_SCALE ? PUBLISHED_SCALES : 1),
                separateNets,
                arch.word(
                        "gradient",
                        name == Architecture.HRM ? GradientSpan.ONE_STEP : GradientSpan.LAST_CYCLE,
                        "last_cycle or one_step",
                        GradientSpan::of),
                puzzleEmbNdim,
                arch.integer("puzzle_emb_len", puzzleEmbNdim == 0 || name.packsPuzzleVector() ? 0 : 16),
                arch.bool("no_ACT_continue", name != Architecture.HRM),
                arch.integer("halt_max_steps", 16),
                arch.number("halt_exploration_prob", 0.1),
                loss.word(
                        "loss_type",
                        LossType.STABLEMAX,
                        "stablemax_cross_entropy or softmax_cross_entropy",
                        ConfigLoader::lossType),
                arch.string("forward_dtype", "bfloat16"),
                new Equilibrium(
                        arch.number("relaxation", Equilibrium.NONE.relaxation()),
                        arch.number("latent_noise", Equilibrium.NONE.latentNoise()),
                        arch.bool("random_start", Equilibrium.NONE.randomStart())));
    }

    private static PosEncodings positions(String text) {
        return switch (text.toLowerCase(Locale.ROOT)) {
            case "rope" -> PosEncodings.ROPE;
            case "learned" -> PosEncodings.LEARNED;
            case "none" -> PosEncodings.NONE;
            default -> null;
        };
    }

    private static LossType lossType(String text) {
        return switch (text.toLowerCase(Locale.ROOT)) {
            case "stablemax", "stablemax_cross_entropy" -> LossType.STABLEMAX;
            case "softmax", "softmax_cross_entropy" -> LossType.SOFTMAX;
            default -> null;
        };
    }

    private static DataShape shape(ConfigNode.Table root, ConfigReader top) {
        ConfigNode node = top.get("data_shape");
        if (node == null || node instanceof ConfigNode.Text text && text.isNull()) {
            return null;
        }
        ConfigReader shape = inner(root, top, "data_shape", "data_shape", SHAPE);
        for (String key : SHAPE) {
            if (!shape.has(key)) {
                throw new ConfigException(
                        node.where() + ": data_shape has no " + key + "; expected " + String.join(", ", SHAPE));
            }
        }
        return new DataShape(
                shape.integer("seq_len", 0),
                shape.integer("vocab_size", 0),
                shape.integer("num_puzzle_identifiers", 0));
    }

    private static void checkNames(ConfigNode.Table table, String prefix, List<String> known) {
        table.fields().forEach((name, node) -> {
            if (!known.contains(name)) {
                throw new ConfigException(node.where() + ": unknown key '" + prefix + name + "'; did you mean '"
                        + nearest(prefix, name) + "'?");
            }
        });
    }

    /** The known key at the least edit distance; letter case and being in another table count for less. */
    private static String nearest(String prefix, String name) {
        Map<String, List<String>> tables = new LinkedHashMap<>();
        tables.put("", TOP);
        tables.put("arch.", ARCH);
        tables.put("arch.loss.", LOSS);
        tables.put("data_shape.", SHAPE);
        String best = "";
        int least = Integer.MAX_VALUE;
        for (Map.Entry<String, List<String>> table : tables.entrySet()) {
            int elsewhere = table.getKey().equals(prefix) ? 0 : 4;
            for (String candidate : table.getValue()) {
                int distance = 8 * editDistance(name.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT))
                        + editDistance(name, candidate)
                        + elsewhere;
                if (distance < least) {
                    least = distance;
                    best = table.getKey() + candidate;
                }
            }
        }
        return best;
    }

    private static int editDistance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    public static String toYaml(TrainConfig config) {
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
        return yaml.toString();
    }

    private static void line(StringBuilder into, String key, Object value) {
        into.append(key).append(": ").append(value).append('\n');
    }

    /** The override that makes one folder the data set. */
    public static String dataPath(Path folder) {
        return "data_paths=[" + quoted(folder.toString()) + "]";
    }

    /** A double-quoted YAML scalar in ASCII. */
    private static String quoted(String text) {
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
