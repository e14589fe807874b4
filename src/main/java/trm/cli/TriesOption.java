package trm.cli;

import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import trm.data.puzzle.Augmentation;
import trm.evaluation.BreadthEvaluator.Rules;
import trm.evaluation.BreadthEvaluator.Tries;
import trm.evaluation.Choice;

/** The options of {@code eval} and {@code solve} that try a puzzle several times and choose an answer. */
final class TriesOption {
    /** Tries of a kind at a puzzle, each of which costs a whole evaluation. */
    static final int MOST = 4096;

    @Option(
            names = "--breadth",
            defaultValue = "1",
            paramLabel = "B",
            description =
                    "Tries at each puzzle, all but the first from random y and z, unless there is noise (default 1).")
    private int breadth;

    @Option(
            names = "--choose",
            defaultValue = "majority",
            paramLabel = "RULE",
            description = "Which try counts: halt (surest halt head), change (least change of y in the last step),"
                    + " majority (commonest answer; default), first (whose halt head is the first to say that it is done),"
                    + " rules (surest of those that keep the puzzle's rules, told apart).")
    private String choose;

    @Option(
            names = "--noise",
            defaultValue = "0",
            paramLabel = "SIGMA",
            description = "Deviation of Gaussian noise that is added to z before each step of every try (default 0).")
    private double noise;

    @Option(
            names = "--seed",
            defaultValue = "0",
            paramLabel = "N",
            description = "Of random starts, noise and drawn symmetries (default ${DEFAULT-VALUE}).")
    private long seed;

    /**
     * @param copies of each puzzle that are tried
     * @throws ParameterException if an option is out of its range, or chooses from a single try
     */
    void check(CommandSpec spec, int copies) {
        Cli.within(spec, "--breadth", breadth, 1, MOST);
        Cli.atLeast(spec, "--seed", seed, 0);
        if (!(noise >= 0 && noise < Double.POSITIVE_INFINITY)) {
            throw new ParameterException(spec.commandLine(), "--noise " + noise + ": expected a number from 0 on");
        }
        if (List.of(Choice.values()).stream().noneMatch(c -> c.key().equals(choose))) {
            throw new ParameterException(
                    spec.commandLine(), "--choose " + choose + ": expected halt, change, majority, first or rules");
        }
        if ((choice() == Choice.FIRST || choice() == Choice.RULES) && breadth * copies == 1) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--choose " + choose + ": expected several tries to choose from: --breadth B"
                            + (spec.name().equals("eval") ? " or --vote N" : ""));
        }
    }

    long seed() {
        return seed;
    }

    /** Whether a single try would do without: no random start, no noise. */
    boolean plain() {
        return breadth == 1 && noise == 0;
    }

    Choice choice() {
        return Choice.valueOf(choose.toUpperCase(Locale.ROOT));
    }

    /** @param rules of the puzzles, for a choice by them */
    Tries of(List<Augmentation> symmetries, Rules rules) {
        return new Tries(breadth, symmetries, choice(), noise, seed, rules);
    }
}
