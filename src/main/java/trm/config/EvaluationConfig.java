package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;

import java.util.List;
import java.util.Optional;
import trm.config.ConfigKey.OnResume;

/**
 * The evaluations within a run.
 *
 * @param everySteps optimizer steps between them, besides those after {@code eval_interval} epochs; 0 for none by steps
 * @param puzzles test examples of an evaluation, spread evenly over the split; 0 for all; the last one of a run takes all
 * @param batchSize rows per evaluation batch, 0 for as many as training takes at once
 * @param gates exact accuracies that those of a run must reach for it to go on, by increasing step
 * @param patience evaluations in a row that may be no better than the best before them: after as many the run ends; 0 for no limit
 * @param savedOutputs of {@link #OUTPUTS}, what evaluations save besides their scores
 */
public record EvaluationConfig(
        int everySteps, int puzzles, int batchSize, List<Gate> gates, int patience, List<String> savedOutputs) {
    /** What the published code can save: its batch, and what its model and loss head return. */
    static final List<String> OUTPUTS =
            List.of("inputs", "labels", "puzzle_identifiers", "logits", "preds", "q_halt_logits", "q_continue_logits");

    private static final String SAVED = "eval_save_outputs";

    static final ConfigSection<EvaluationConfig> KEYS = ConfigSection.of(
            EvaluationConfig.class,
            "Evaluations",
            key(
                            "eval_every_steps",
                            INTEGER,
                            0,
                            EvaluationConfig::everySteps,
                            "optimizer steps",
                            "Steps between evaluations, besides those of eval_interval and the last one; 0 is none.")
                    .onResume(OnResume.FREE),
            key(
                            "eval_puzzles",
                            INTEGER,
                            0,
                            EvaluationConfig::puzzles,
                            "examples",
                            "Test examples of an evaluation, spread over the split; 0 is all, and so is the last one.")
                    .onResume(OnResume.FREE),
            key(
                            "eval_batch_size",
                            INTEGER,
                            0,
                            EvaluationConfig::batchSize,
                            "lanes",
                            "Puzzles that are evaluated at once; 0 is as many as training takes at once.")
                    .onResume(OnResume.FREE),
            key(
                            "gates",
                            Gate.LIST,
                            List.of(),
                            EvaluationConfig::gates,
                            "",
                            "Exact accuracies that evaluations from a step on must reach, or the run stops there.")
                    .onResume(OnResume.FREE),
            key(
                            "patience",
                            INTEGER,
                            0,
                            EvaluationConfig::patience,
                            "evaluations",
                            "Evaluations in a row without a better one (by checkpoint_best) that end the run; 0 is no limit.")
                    .onResume(OnResume.FREE),
            key(
                            SAVED,
                            ValueType.STRINGS_OR_NONE,
                            List.of(),
                            EvaluationConfig::savedOutputs,
                            "",
                            "What each evaluation saves as `step_N_all_preds.RANK` in the run's folder, for `torch.load`: of `"
                                    + String.join("`, `", OUTPUTS) + "`.")
                    .onResume(OnResume.FREE));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public EvaluationConfig {
        Check.atLeast("eval_every_steps", everySteps, 0);
        Check.atLeast("eval_puzzles", puzzles, 0);
        Check.atLeast("eval_batch_size", batchSize, 0);
        Check.atMost("eval_batch_size", batchSize, ScheduleConfig.MAX_LANES);
        gates = List.copyOf(gates);
        Gate.check(gates);
        Check.atLeast("patience", patience, 0);
        savedOutputs = List.copyOf(savedOutputs);
        savedOutputs.forEach(name -> Check.oneOf(SAVED, name, OUTPUTS));
    }

    /** The gate of an evaluation at a step: the last one that has begun; empty before the first. */
    public Optional<Gate> gateAt(long step) {
        return gates.stream().filter(gate -> gate.step() <= step).reduce((earlier, later) -> later);
    }

    /** At the end, of all test examples, as many at once as training takes, and nothing is asked of the result. */
    static EvaluationConfig whole() {
        return new EvaluationConfig(0, 0, 0, List.of(), 0, List.of());
    }
}
