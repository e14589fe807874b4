package trm.config;

import java.util.List;
import java.util.function.Consumer;

/**
 * Keys of published files that have no effect here. They are no reason to refuse a file, with values that ask for nothing
 * more than this program does.
 */
final class PublishedKeys {
    private static final String ARC_EVALUATOR = "arc@ARC";

    static final String LOSS_HEAD = "losses@ACTLossHead";

    /**
     * A row of their table.
     *
     * @param sentence which values are accepted, and why the key has no effect
     */
    record Row(String name, Consumer<ConfigReader> check, String sentence) {}

    static final List<Row> ROWS = List.of(
            new Row("defaults", PublishedKeys::checkDefaults, "A list of `arch: NAME`, which is obeyed, and `_self_`."),
            new Row(
                    "evaluators",
                    PublishedKeys::checkEvaluators,
                    "`[]` or `[{name: " + ARC_EVALUATOR + "}]`: data of ARC are evaluated by votes in any case."),
            new Row("data_paths_test", in -> in.requireEmptyList("data_paths_test"), "`[]`"),
            new Row("min_eval_interval", PublishedKeys::checkFirstEvaluation, "`0`"),
            new Row(
                    "checkpoint_every_eval",
                    PublishedKeys::checkEveryEvaluation,
                    "Every evaluation has its checkpoint."),
            new Row("project_name", in -> in.stringOrNull("project_name"), "Metrics stay in the run's folder."),
            new Row(
                    "checkpoint_path",
                    in -> in.stringOrNull("checkpoint_path"),
                    "Checkpoints are kept in the run's folder."),
            new Row("arch.loss.name", PublishedKeys::checkLossHead, "`" + LOSS_HEAD + "`"),
            new Row("hydra.output_subdir", in -> in.get("hydra.output_subdir"), "Hydra's own."));

    private PublishedKeys() {}

    static List<String> names() {
        return ROWS.stream().map(Row::name).toList();
    }

    /** @throws ConfigException at the first value that asks for more */
    static void check(ConfigReader in) {
        ROWS.forEach(row -> row.check().accept(in));
    }

    /** Keys that published files always have and that have no effect: whoever set them should know. */
    static void note(ConfigReader in, Consumer<String> notes) {
        if (in.stringOrNull("project_name") != null) {
            notes.accept("project_name has no effect: metrics stay in the run's folder");
        }
        if (in.stringOrNull("checkpoint_path") != null) {
            notes.accept("checkpoint_path has no effect: checkpoints are kept in the run's folder");
        }
    }

    /** The system that {@code defaults} names, null if it names none. */
    static ConfigNode system(ConfigNode defaults) {
        if (defaults instanceof ConfigNode.Items items) {
            for (ConfigNode item : items.items()) {
                if (isSystem(item)) {
                    return ((ConfigNode.Table) item).fields().get("arch");
                }
            }
        }
        return null;
    }

    private static boolean isSystem(ConfigNode item) {
        return item instanceof ConfigNode.Table table
                && table.fields().size() == 1
                && table.fields().get("arch") instanceof ConfigNode.Text;
    }

    private static void checkDefaults(ConfigReader in) {
        ConfigNode defaults = in.get("defaults");
        if (defaults == null) {
            return;
        }
        if (!(defaults instanceof ConfigNode.Items items)) {
            throw in.wrong("defaults", defaults, "a list");
        }
        for (ConfigNode item : items.items()) {
            if (!isSystem(item)
                    && !(item instanceof ConfigNode.Text text && text.value().equals("_self_"))) {
                throw in.wrong("defaults", defaults, "only 'arch: NAME' and '_self_' in it");
            }
        }
    }

    private static void checkEvaluators(ConfigReader in) {
        ConfigNode node = in.get("evaluators");
        if (ConfigNode.isNull(node)) {
            return;
        }
        if (!(node instanceof ConfigNode.Items list
                && list.items().stream()
                        .allMatch(item -> item instanceof ConfigNode.Table table
                                && table.fields().size() == 1
                                && table.fields().get("name") instanceof ConfigNode.Text name
                                && name.value().equals(ARC_EVALUATOR)))) {
            throw in.wrong("evaluators", node, "[] or [{name: " + ARC_EVALUATOR + "}]: not supported by this version");
        }
    }

    private static void checkFirstEvaluation(ConfigReader in) {
        Integer epochs = ValueType.OPTIONAL_INTEGER.parser().apply(in, "min_eval_interval");
        if (epochs != null && epochs != 0) {
            throw in.wrong("min_eval_interval", in.get("min_eval_interval"), "0: not supported by this version");
        }
    }

    private static void checkEveryEvaluation(ConfigReader in) {
        if (in.has("checkpoint_every_eval")) {
            in.bool("checkpoint_every_eval");
        }
    }

    private static void checkLossHead(ConfigReader in) {
        if (in.has("arch.loss.name")) {
            Check.oneOf("arch.loss.name", in.string("arch.loss.name"), List.of(LOSS_HEAD));
        }
    }
}
