package trm.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options of {@code solve} for ARC tasks. */
final class ArcOption {
    static final int COPIES = 16;
    static final int STEPS = 50;
    static final double RATE = 1;
    private static final int MOST_STEPS = 10_000;
    private static final long MOST_SEED = 0xFFFFFFFFL;

    @Option(
            names = "--task",
            paramLabel = "NAME",
            description = "ARC: the task of a file that holds many, as Kaggle's do.")
    private String task;

    @Option(
            names = "--augmentations",
            paramLabel = "N",
            description = "ARC: augmented copies of the task besides itself, to adapt to and to vote (default " + COPIES
                    + ").")
    private Integer copies;

    @Option(
            names = "--adapt-steps",
            paramLabel = "N",
            description = "ARC: steps that the puzzle vectors are trained for, 0 for none (default " + STEPS + ").")
    private Integer steps;

    @Option(
            names = "--adapt-lr",
            paramLabel = "R",
            description = "ARC: rate of the vectors' first step, from which it falls to 0 (default " + RATE + ").")
    private Double rate;

    @Option(
            names = "--adapt-seconds",
            paramLabel = "S",
            description = "ARC: time after which no further step begins, 0 for no limit (default 0).")
    private Double seconds;

    @Option(
            names = "--submission",
            paramLabel = "FILE",
            description = "ARC: write the two attempts in the form of a Kaggle submission.")
    private Path submission;

    /** The first of the options that was given. */
    Optional<String> given() {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("--task", task);
        all.put("--augmentations", copies);
        all.put("--adapt-steps", steps);
        all.put("--adapt-lr", rate);
        all.put("--adapt-seconds", seconds);
        all.put("--submission", submission);
        return all.entrySet().stream()
                .filter(option -> Objects.nonNull(option.getValue()))
                .map(Map.Entry::getKey)
                .findFirst();
    }

    /** @throws ParameterException if a value is out of its range */
    void check(CommandSpec spec, long seed) {
        Cli.within(spec, "--augmentations", copies(), 0, TriesOption.MOST);
        Cli.within(spec, "--adapt-steps", steps(), 0, MOST_STEPS);
        Cli.within(spec, "--seed", seed, 0, MOST_SEED);
        notNegative(spec, "--adapt-lr", rate());
        notNegative(spec, "--adapt-seconds", seconds());
    }

    private static void notNegative(CommandSpec spec, String option, double value) {
        if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
            throw new ParameterException(spec.commandLine(), option + " " + value + ": expected a number from 0 on");
        }
    }

    /** Null for the only task of a file. */
    String task() {
        return task;
    }

    int copies() {
        return copies == null ? COPIES : copies;
    }

    int steps() {
        return steps == null ? STEPS : steps;
    }

    double rate() {
        return rate == null ? RATE : rate;
    }

    double seconds() {
        return seconds == null ? 0 : seconds;
    }

    Optional<Path> submission() {
        return Optional.ofNullable(submission);
    }
}
