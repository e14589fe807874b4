package trm.cli;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.data.Sources;
import trm.data.arc.ArcBuilder;

/** {@code trm data arc}. */
@Command(
        name = "arc",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder from ARC tasks as the published builder does. A subset is, plain or .gz, PREFIX_SUBSET_challenges.json",
            "and, where there is one, PREFIX_SUBSET_solutions.json, as Kaggle has them ('-' for '_' too); or the folder",
            "PREFIX/SUBSET, or PREFIX itself, with a file for each task, as ARC-AGI's and ConceptARC's repositories have them.",
            "A test set gives its train pairs to training and its test pairs to the test split; other subsets train only."
        },
        footer = {
            "",
            "Example: trm data arc --prefix kaggle/combined/arc-agi --subsets training,evaluation,concept"
                    + " --test-set evaluation --out data/arc1concept-aug-1000",
            "         trm data arc --prefix kaggle/combined/arc-agi --subsets training2,evaluation2,concept"
                    + " --test-set evaluation2 --out data/arc2concept-aug-1000",
            "         trm data arc --prefix ARC-AGI/data --subsets training,evaluation --test-set evaluation --out data/arc1",
        })
final class DataArcCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(
            names = "--prefix",
            required = true,
            description = "What the files' names have before _SUBSET, or a folder.")
    private String prefix;

    @Option(
            names = "--subsets",
            required = true,
            split = ",",
            paramLabel = "NAME",
            description = "Subsets in the order of use; the first should not be a test set.")
    private List<String> subsets;

    @Option(
            names = "--test-set",
            split = ",",
            paramLabel = "NAME",
            description = "Subsets that are tested on (default: none).")
    private List<String> testSets = List.of();

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
    private Path out;

    @Option(names = "--aug", defaultValue = "1000", description = "Copies of each task (default ${DEFAULT-VALUE}).")
    private int aug;

    @Option(
            names = "--limit-test",
            paramLabel = "N",
            description = "Only the first N test tasks, with all of their copies: evaluation takes long on a CPU.")
    private Integer limitTest;

    @Option(
            names = "--compact",
            description =
                    "Fields once, copies as records that the device applies (docs/data.md): the same examples in less"
                            + " space from some dozens of copies on, for this program only. Needs --aug 1 or more.")
    private boolean compact;

    @Option(names = "--seed", defaultValue = "42", description = "Seed (default ${DEFAULT-VALUE}).")
    private long seed;

    @Override
    public Integer call() {
        Cli.atLeast(spec, "--aug", aug, 0);
        Cli.atLeast(spec, "--limit-test", limitTest == null ? 1 : limitTest, 1);
        if (new HashSet<>(subsets).size() != subsets.size()) {
            throw new ParameterException(spec.commandLine(), "--subsets " + subsets + ": found a name twice");
        }
        if (!subsets.containsAll(testSets)) {
            throw new ParameterException(
                    spec.commandLine(), "--test-set " + testSets + ": expected names among --subsets " + subsets);
        }
        if (limitTest != null && testSets.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(), "--limit-test without --test-set: expected test tasks to keep some of");
        }
        if (compact && aug == 0) {
            throw new ParameterException(
                    spec.commandLine(), "--compact with --aug 0: expected copies to be compact about, --aug 1 or more");
        }
        ArcBuilder.Summary made =
                ArcBuilder.build(prefix, subsets, testSets, out, aug, seed, limitTest, compact, Cli::message);
        Sources.writeArc(made);
        Cli.message(String.format(
                Locale.ROOT,
                "%s: %d tasks, %d puzzle identifiers, %d training examples, %d test examples",
                made.out(),
                made.tasks(),
                made.identifiers(),
                made.trainExamples(),
                made.testExamples()));
        return 0;
    }
}
