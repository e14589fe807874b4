package trm.evaluation;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** How one of several tries at a puzzle is chosen, without its label. Of equals the earlier. */
public enum Choice {
    /** The one whose halt head is surest: highest q_halt (PTRM, arXiv:2605.19943). */
    HALT,
    /** The one whose answer state y has settled best: least change in the last step (EqR, arXiv:2605.21488). */
    CHANGE,
    /** The answer that most tries give; of equally many, that of the highest q_halt among its tries. */
    MAJORITY,
    /**
     * The one whose halt head says first that it is done, with its answer at that step; of those at one step the surest; the surest
     * after the last step, where none says so (SiC, arXiv:2601.19085).
     */
    FIRST,
    /**
     * Of those whose answers keep the rules of the puzzle the surest, of all where none does. It uses no label, but knows what the
     * model has to learn: scores are told apart.
     */
    RULES;

    /** When a try halted that did not. */
    static final int NEVER = Integer.MAX_VALUE;

    /**
     * The end of a try.
     *
     * @param answer tokens of the puzzle as it stands, symmetries undone
     * @param change root mean square over y of what the last step changed; NaN where nobody asked
     * @param haltedAt the step whose answer this is, from 1, where the halt head said that it is done; {@link #NEVER} where it
     *     did not, or nobody asked
     * @param keepsRules whether the answer keeps the rules of the puzzle; false where nobody asked
     */
    public record Try(int[] answer, float qHalt, double change, int haltedAt, boolean keepsRules) {
        /** Of which nobody asked more. */
        public Try(int[] answer, float qHalt, double change) {
            this(answer, qHalt, change, NEVER, false);
        }
    }

    /** As an option or a configuration names it. */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The number of the try that is chosen of one or more. */
    public int of(List<Try> tries) {
        Comparator<Try> surest = Comparator.comparingDouble(t -> 0.0 - t.qHalt()); // NaN last
        return switch (this) {
            case HALT -> least(tries, surest);
            case CHANGE -> least(tries, Comparator.comparingDouble(Try::change));
            case MAJORITY -> majority(tries);
            case FIRST -> least(tries, Comparator.comparingInt(Try::haltedAt).thenComparing(surest));
            case RULES ->
                least(tries, Comparator.comparing((Try t) -> !t.keepsRules()).thenComparing(surest));
        };
    }

    private static int least(List<Try> tries, Comparator<Try> order) {
        int best = 0;
        for (int i = 1; i < tries.size(); i++) {
            if (order.compare(tries.get(i), tries.get(best)) < 0) {
                best = i;
            }
        }
        return best;
    }

    private static int majority(List<Try> tries) {
        Map<List<Integer>, List<Try>> byAnswer = tries.stream().collect(Collectors.groupingBy(Choice::answer));
        Comparator<Integer> better = Comparator.<Integer>comparingInt(
                        i -> byAnswer.get(answer(tries.get(i))).size())
                .thenComparingDouble(i -> byAnswer.get(answer(tries.get(i))).stream()
                        .mapToDouble(Try::qHalt)
                        .max()
                        .orElseThrow());
        int best = 0;
        for (int i = 1; i < tries.size(); i++) {
            if (better.compare(i, best) > 0) {
                best = i;
            }
        }
        return best;
    }

    private static List<Integer> answer(Try t) {
        return Arrays.stream(t.answer()).boxed().toList();
    }
}
