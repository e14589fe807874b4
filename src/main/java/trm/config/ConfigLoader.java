package trm.config;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import trm.input.Shown;

/**
 * Reads a run's configuration from YAML with the names of the published code, then applies overrides in the manner of
 * Hydra: {@code key=value}, {@code +key=value} and {@code ++key=value} with dotted keys.
 *
 * <p>A few keys have a second name: {@code dtype} for {@code arch.forward_dtype}, {@code arch: trm} for
 * {@code arch.name}, {@code arch.loss} and {@code arch.loss_type} for {@code arch.loss.loss_type}, and HRM's {@code
 * data_path} for {@code data_paths} of one. Keys left out take the values published with that system; {@code data_paths}
 * must be given.
 */
public final class ConfigLoader {
    /** Characters of a dotted key, with the signs in front. */
    private static final int LONGEST_KEY = 200;

    private static final String ARC_EVALUATOR = "arc@ARC";

    private ConfigLoader() {}

    /**
     * Reads a file.
     *
     * @throws ConfigException if it cannot be read or a value is wrong; the message names file and line
     */
    public static TrainConfig load(Path yaml, List<String> overrides) {
        return load(yaml, overrides, note -> {});
    }

    /** As {@link #load(Path, List)}; {@code notes} takes a line about keys that are set and have no effect here. */
    public static TrainConfig load(Path yaml, List<String> overrides, Consumer<String> notes) {
        return parse(ConfigFile.read(yaml), yaml.toString(), overrides, notes);
    }

    /**
     * Reads text.
     *
     * @param sourceName what messages call the text
     * @throws ConfigException if a value is wrong
     */
    public static TrainConfig parse(String yamlText, String sourceName, List<String> overrides) {
        return parse(yamlText, sourceName, overrides, note -> {});
    }

    private static TrainConfig parse(
            String yamlText, String sourceName, List<String> overrides, Consumer<String> notes) {
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
        ConfigNode.Table paths = new ConfigNode.Table(new LinkedHashMap<>(), sourceName);
        for (String override : overrides) {
            apply(root, paths, override);
        }
        checkDataPaths(paths);
        merge(root, "", paths);
        try {
            TrainConfig config = build(root);
            noteUnused(new ConfigReader(root, root, ""), config.arch(), sourceName, notes);
            return config;
        } catch (ConfigException e) {
            ConfigNode node = e.key() == null ? null : ConfigReader.find(root, e.key());
            String where = node == null ? sourceName : node.where();
            if (e.key() == null || e.getMessage().startsWith(Shown.line(where + ": "))) {
                throw e;
            }
            throw new ConfigException(e.key(), where + ": " + e.getMessage());
        }
    }

    /** In one file a key may not have both its names: which one counts would depend on their order. */
    private static void checkSynonyms(ConfigNode.Table given) {
        both(given, "dtype", "arch.forward_dtype");
        both(given, "arch.loss_type", "arch.loss");
        checkDataPaths(given);
    }

    /**
     * {@code data_path}, as HRM's code has it, is {@code data_paths} of one: where both are given they must name the same. Of
     * the two, the one that says nothing is taken away.
     */
    private static void checkDataPaths(ConfigNode.Table given) {
        ConfigNode one = given.fields().get("data_path");
        ConfigNode several = given.fields().get("data_paths");
        boolean none = several instanceof ConfigNode.Items list && list.items().isEmpty();
        if (one == null || several == null) {
            return;
        }
        if (ConfigNode.isNull(one)) {
            given.fields().remove("data_path");
        } else if (ConfigNode.isNull(several) || none) {
            given.fields().remove("data_paths");
        } else if (!(several instanceof ConfigNode.Items list
                && list.items().size() == 1
                && list.items().get(0) instanceof ConfigNode.Text only
                && one instanceof ConfigNode.Text text
                && only.value().equals(text.value()))) {
            throw new ConfigException(one.where() + ": data_path is " + one.shown() + ", and data_paths, in "
                    + several.where() + ", names other data; give one of them");
        }
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
            } else if (path.equals("data_path")) {
                set(root, "data_paths", oneFolder(node));
            } else {
                set(root, firstName(path, node), node);
            }
        });
    }

    private static ConfigNode oneFolder(ConfigNode node) {
        if (node instanceof ConfigNode.Text) {
            return ConfigNode.isNull(node)
                    ? new ConfigNode.Items(List.of(), node.where())
                    : new ConfigNode.Items(List.of(node), node.where());
        }
        throw new ConfigException(
                node.where() + ": data_path is " + node.shown() + "; expected a string; data_paths takes a list");
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
            boolean missing = ConfigNode.isNull(inner);
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

    /** @param paths takes what names the data, until both its names have been seen */
    private static void apply(ConfigNode.Table root, ConfigNode.Table paths, String override) {
        String where = "override " + Shown.quoted(override);
        String path = overridden(override);
        if (path == null) {
            throw new ConfigException(where + ": expected key=value, +key=value or ++key=value");
        }
        String value = override.substring(override.indexOf('=') + 1).strip();
        ConfigNode node;
        if (!value.isEmpty() && "[{'\"".indexOf(value.charAt(0)) >= 0) {
            node = ConfigNode.parse(value, where, false);
        } else {
            node = new ConfigNode.Text(value, false, where);
        }
        if (path.equals("data_path") || path.equals("data_paths")) {
            paths.fields().put(path, node);
        } else if (node instanceof ConfigNode.Table table && (path.equals("arch") || path.equals("arch.loss"))) {
            merge(root, path + ".", table);
        } else {
            set(root, firstName(path, node), node);
        }
    }

    /** The dotted key of an override; null if it is none. */
    private static String overridden(String override) {
        int end = override.indexOf('=');
        int start = override.startsWith("++") ? 2 : override.startsWith("+") ? 1 : 0;
        String path = end < start || end > LONGEST_KEY ? "" : override.substring(start, end);
        for (String name : path.split("\\.", -1)) {
            if (!name.matches("[\\w-]+")) {
                return null;
            }
        }
        return path;
    }

    private static TrainConfig build(ConfigNode.Table root) {
        ConfigKeys.check(root, "", ConfigKeys.TOP);
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
                top.integerOrNull("epochs_per_pass"),
                top.number("lr", 1e-4),
                top.number("lr_min_ratio", 1.0),
                top.integer("lr_warmup_steps", 2000),
                top.number("beta1", 0.9),
                top.number("beta2", 0.95),
                top.number("weight_decay", 1.0),
                top.number("puzzle_emb_lr", 1e-4),
                top.number("puzzle_emb_weight_decay", 1.0),
                top.bool("freeze_weights", false),
                top.bool("ema", arch.name().publishedEma()),
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
                isAuto(top, "memory") ? 0 : MemorySize.parse("memory", top.string("memory", "")),
                top.word("on_nan", OnNan.STOP, "stop or warn", OnNan::of));
    }

    /** Whether a key says {@code auto}, or is not there. */
    private static boolean isAuto(ConfigReader top, String key) {
        return !top.has(key)
                || top.get(key) instanceof ConfigNode.Text text && text.value().equals("auto");
    }

    private static int microBatches(ConfigReader top) {
        ConfigNode node = top.get("micro_batches");
        if (!(node instanceof ConfigNode.Text text) || !text.value().matches("[1-9][0-9]{0,8}")) {
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
        inner(root, top, "hydra", "hydra", ConfigKeys.HYDRA);
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

    /** Keys that published files always have: they are no reason to refuse one, but whoever set them should know. */
    private static void noteUnused(ConfigReader top, ArchConfig arch, String sourceName, Consumer<String> notes) {
        if (top.stringOrNull("project_name") != null) {
            notes.accept(sourceName + ": project_name has no effect: metrics stay in the run's folder");
        }
        if (top.stringOrNull("checkpoint_path") != null) {
            notes.accept(sourceName + ": checkpoint_path has no effect: checkpoints are kept in the run's folder");
        }
        if (arch.hLayers() > 0
                && arch.networks().stream().noneMatch(n -> n.name().equals("H_level"))) {
            notes.accept(sourceName + ": arch.H_layers has no effect: one network, of L_layers, updates z and y");
        }
    }

    /** The published evaluator of ARC is used wherever the data are ARC's; there is no other. */
    private static void checkEvaluators(ConfigReader top) {
        ConfigNode node = top.get("evaluators");
        if (ConfigNode.isNull(node)) {
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
        if (ConfigNode.isNull(node)) {
            node = new ConfigNode.Table(new LinkedHashMap<>(), root.where());
        }
        if (!(node instanceof ConfigNode.Table table)) {
            throw outer.wrong(key, node, "a table");
        }
        ConfigKeys.check(table, path + ".", known);
        return new ConfigReader(root, table, path + ".");
    }

    private static ArchConfig arch(ConfigNode.Table root, ConfigReader top) {
        ConfigReader arch = inner(root, top, "arch", "arch", ConfigKeys.ARCH);
        ConfigReader loss = inner(root, arch, "loss", "arch.loss", ConfigKeys.LOSS);
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
                arch.integer("num_scales", name.publishedScales()),
                separateNets,
                arch.word("gradient", name.publishedGradient(), "last_cycle or one_step", GradientSpan::of),
                puzzleEmbNdim,
                arch.integer("puzzle_emb_len", puzzleEmbNdim == 0 ? 0 : name.publishedPuzzleEmbLen()),
                arch.bool("no_ACT_continue", name.publishedNoActContinue()),
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
        if (ConfigNode.isNull(node)) {
            return null;
        }
        ConfigReader shape = inner(root, top, "data_shape", "data_shape", ConfigKeys.SHAPE);
        for (String key : ConfigKeys.SHAPE) {
            if (!shape.has(key)) {
                throw new ConfigException(node.where() + ": data_shape has no " + key + "; expected "
                        + String.join(", ", ConfigKeys.SHAPE));
            }
        }
        return new DataShape(
                shape.integer("seq_len", 0),
                shape.integer("vocab_size", 0),
                shape.integer("num_puzzle_identifiers", 0));
    }

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    public static String toYaml(TrainConfig config) {
        return ConfigWriter.toYaml(config);
    }

    /** The override that makes one folder the data set. */
    public static String dataPath(Path folder) {
        return dataPaths(List.of(folder));
    }

    /** The override that makes folders the data set. */
    public static String dataPaths(List<Path> folders) {
        return "data_paths="
                + folders.stream()
                        .map(folder -> ConfigWriter.quoted(folder.toString()))
                        .toList();
    }
}
