package trm.evaluation;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** How one of several tries at a puzzle is chosen, without its label. Of equals the earlier. */
public enum Choice {
    /** The one whose halt head is surest: highest q_halt (PTRM, arXiv:2605.19943). */
    HALT,
    /** The one whose answer state y has settled best: least change in the last step (EqR, arXiv:2605.21488). */
    CHANGE,
    /** The answer that most tries give; of equally many, that of the highest q_halt among its tries. */
    MAJORITY;

    /**
     * The end of a try.
     *
     * @param answer tokens of the puzzle as it stands, symmetries undone
     * @param change root mean square over y of what the last step changed; NaN where nobody asked
     */
    public record Try(int[] answer, float qHalt, double change) {}

    /** As an option or a configuration names it. */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The number of the try that is chosen of one or more. */
    public int of(List<Try> tries) {
        return switch (this) {
            case HALT -> least(tries, t -> -t.qHalt());
            case CHANGE -> least(tries, Try::change);
            case MAJORITY -> majority(tries);
        };
    }

    private static int least(List<Try> tries, Function<Try, ? extends Number> of) {
        int best = 0;
        for (int i = 1; i < tries.size(); i++) {
            if (of.apply(tries.get(i)).doubleValue() < of.apply(tries.get(best)).doubleValue()) {
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
