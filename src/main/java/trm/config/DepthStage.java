package trm.config;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A first part of a run with fewer cycles than the model has ({@code depth_schedule}). After CGAR (arXiv 2511.08653): T = 1 and n =
 * 2 for 30 % of the run, T = 2 and n = 4 up to 60 %, then T = 3 and n = 6.
 *
 * @param until share of the run's steps at which the part ends, {@code until}
 * @param cycles T in it, {@code H_cycles}
 * @param latentSteps n in it, {@code L_cycles}
 */
public record DepthStage(double until, int cycles, int latentSteps) {
    private static final String KEY = "depth_schedule";
    private static final List<String> FIELDS = List.of("until", "H_cycles", "L_cycles");

    /** A list of them, each a table of its three fields. */
    static final ValueType<List<DepthStage>> LIST =
            new ValueType<>(DepthStage::read, DepthStage::text, DepthStage::text);

    private static List<DepthStage> read(ConfigReader in, String key) {
        ConfigNode node = in.get(key);
        if (!(node instanceof ConfigNode.Items items)) {
            throw in.wrong(key, node, "a list of " + text(List.of(new DepthStage(0.3, 1, 2))));
        }
        List<DepthStage> stages = new ArrayList<>();
        for (ConfigNode item : items.items()) {
            if (!(item instanceof ConfigNode.Table table)
                    || !table.fields().keySet().equals(Set.copyOf(FIELDS))) {
                throw in.wrong(
                        key, node, "tables with " + String.join(", ", FIELDS) + ", but it contains " + item.shown());
            }
            ConfigReader fields = new ConfigReader(table);
            stages.add(new DepthStage(
                    fields.number(FIELDS.get(0)), fields.integer(FIELDS.get(1)), fields.integer(FIELDS.get(2))));
        }
        return List.copyOf(stages);
    }

    /** As a file writes them. */
    static String text(List<DepthStage> stages) {
        return stages.stream()
                .map(stage -> String.format(
                        Locale.ROOT,
                        "{until: %s, H_cycles: %d, L_cycles: %d}",
                        stage.until,
                        stage.cycles,
                        stage.latentSteps))
                .collect(Collectors.joining(", ", "[", "]"));
    }

    /**
     * Checks the parts against each other and against the model.
     *
     * @throws ConfigException if they do not follow each other, or are no smaller model
     */
    static void check(List<DepthStage> stages, Architecture system, RecursionConfig full) {
        String shown = text(stages);
        Check.that(
                stages.isEmpty() || system.recurs(),
                KEY,
                shown,
                system.key() + " has no cycles to begin with fewer of");
        double before = 0;
        for (DepthStage stage : stages) {
            Check.that(
                    stage.until > before && stage.until < 1,
                    KEY,
                    shown,
                    "until " + stage.until + " must be above " + before
                            + " and below 1, as a share of the run's steps");
            checkCount(shown, "H_cycles", stage.cycles, full.cycles());
            checkCount(shown, "L_cycles", stage.latentSteps, full.latentSteps());
            Check.that(
                    stage.cycles < full.cycles() || stage.latentSteps < full.latentSteps(),
                    KEY,
                    shown,
                    "the part until " + stage.until + " has the model's own H_cycles and L_cycles; leave it out");
            before = stage.until;
        }
    }

    private static void checkCount(String shown, String field, int value, int full) {
        Check.that(
                value >= 1 && value <= full,
                KEY,
                shown,
                field + " " + value + " must be at least 1 and at most arch." + field + ", which is " + full);
    }
}
