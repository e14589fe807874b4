package trm.config;

import java.util.List;
import java.util.Locale;

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

    /** A list of them, each a table of its three fields. */
    static final ValueType<List<DepthStage>> LIST = ValueType.tables(
            List.of("until", "H_cycles", "L_cycles"),
            in -> new DepthStage(in.number("until"), in.integer("H_cycles"), in.integer("L_cycles")),
            DepthStage::text,
            new DepthStage(0.3, 1, 2));

    /** As a file writes it. */
    private static String text(DepthStage stage) {
        return String.format(
                Locale.ROOT, "{until: %s, H_cycles: %d, L_cycles: %d}", stage.until, stage.cycles, stage.latentSteps);
    }

    /**
     * Checks the parts against each other and against the model.
     *
     * @throws ConfigException if they do not follow each other, or are no smaller model
     */
    static void check(List<DepthStage> stages, Architecture system, RecursionConfig full) {
        String shown = LIST.text().apply(stages);
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
