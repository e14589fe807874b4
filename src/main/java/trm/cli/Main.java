package trm.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;
import trm.config.ConfigException;
import trm.device.UnknownDeviceException;
import trm.input.Nearest;
import trm.input.Shown;

/**
 * The command line. Exit codes: 0 done, 1 failure, 2 wrong usage, 3 stopped by a gate, 130, 143, 138 and 140 stopped by SIGINT, SIGTERM,
 * SIGUSR1 and SIGUSR2 with a checkpoint written.
 */
@Command(
        name = "trm",
        description = "Trains Tiny Recursive Models and shows them solving puzzles.",
        mixinStandardHelpOptions = true,
        subcommands = {
            DemoCommand.class,
            TrainCommand.class,
            LaunchCommand.class,
            EvalCommand.class,
            SolveCommand.class,
            ModelsCommand.class,
            DataCommand.class,
            ExportCommand.class,
            PlanCommand.class,
            ReproduceCommand.class,
            SweepCommand.class,
            CompareCommand.class,
            BenchCommand.class,
            VerifyCommand.class,
            InfoCommand.class,
            CompletionCommand.class
        },
        footer = {
            "",
            "Example: trm demo",
            "         trm help train",
            "Exit codes: 0 done, 1 failure, 2 wrong usage, 3 stopped by a gate (train), 130/143/138/140 stopped by a signal."
        })
public final class Main implements Runnable {
    /** Version of the program, as in pom.xml. */
    static final String VERSION = "0.1.0";

    /** Characters of a line of help: examples are not broken. */
    private static final int HELP_WIDTH = 130;

    @Option(
            names = "--verbose",
            scope = CommandLine.ScopeType.INHERIT,
            description = "Print the stack trace of an error.")
    private boolean verbose;

    @Override
    public void run() {
        CommandLine.usage(this, System.out);
    }

    public static void main(String[] args) {
        Locale.setDefault(Locale.ROOT); // for what libraries format
        String obstacle = FileNames.obstacle();
        if (obstacle != null) {
            Cli.error(obstacle);
            System.exit(1);
        }
        System.exit(execute(args));
    }

    /** Runs a command and returns its exit code. Whatever goes wrong becomes one line. */
    public static int execute(String... args) {
        return execute(commandLine(), args);
    }

    static int execute(CommandLine line, String... args) {
        int code = 1;
        try {
            code = line.execute(help(line, multirun(args)));
        } catch (Throwable error) { // what picocli lets through: errors that are not exceptions
            code = line.<Main>getCommand().failed(error);
        } finally {
            code = StopSignal.commandEnded(code);
        }
        return code;
    }

    static CommandLine commandLine() {
        Main main = new Main();
        CommandLine line = new CommandLine(main);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setUsageHelpWidth(HELP_WIDTH);
        line.getSubcommands().get("launch").setStopAtPositional(true); // what follows is the ranks'
        line.setExpandAtFiles(false); // an argument that begins with @ is an argument
        nameVersion(line);
        line.setExecutionStrategy(Main::run);
        line.setExecutionExceptionHandler((error, command, parsed) -> main.failed(error));
        line.setParameterExceptionHandler((ParameterException error, String[] given) -> {
            Cli.error(Shown.line(wrongUsage(error)));
            Cli.message("See: " + name(error.getCommandLine()) + " --help");
            return 2;
        });
        return line;
    }

    /** Runs the command that was named, the last one of the line. */
    private static int run(ParseResult parsed) {
        ParseResult last = parsed;
        while (last.hasSubcommand()) {
            last = last.subcommand();
        }
        CommandLine.IExecutionStrategy command = new CommandLine.RunLast();
        return last.hasMatchedOption("--json")
                ? Cli.withResultAlone(() -> command.execute(parsed))
                : command.execute(parsed);
    }

    /** Every command has the option, and all have one version. */
    private static void nameVersion(CommandLine line) {
        line.getCommandSpec().version("trm-cuda " + VERSION);
        line.getSubcommands().values().forEach(Main::nameVersion);
    }

    /** The whole path of a command, {@code trm data sudoku}. */
    private static String name(CommandLine line) {
        return line.getCommandSpec().qualifiedName(" ");
    }

    private int failed(Throwable error) {
        if (verbose) {
            error.printStackTrace();
        }
        Cli.error(Failure.describe(error));
        return exitCode(error);
    }

    /** Of a command that fails. */
    static int exitCode(Throwable error) {
        return error instanceof ConfigException || error instanceof UnknownDeviceException ? 2 : 1;
    }

    /** {@code trm train -m CONFIG lr=1,2}, as Hydra has it, is {@code trm sweep CONFIG lr=1,2}. */
    private static String[] multirun(String[] args) {
        List<String> words = new ArrayList<>(Arrays.asList(args));
        boolean asked = !words.isEmpty()
                && words.get(0).equals("train")
                && words.removeIf(word -> word.equals("-m") || word.equals("--multirun"));
        if (asked) {
            words.set(0, "sweep");
        }
        return words.toArray(String[]::new);
    }

    /** {@code trm help data sudoku} and {@code trm data help sudoku} are {@code trm data sudoku --help}. */
    private static String[] help(CommandLine line, String[] args) {
        CommandLine command = line;
        int at = 0;
        while (at < args.length && command.getSubcommands().containsKey(args[at])) {
            command = command.getSubcommands().get(args[at++]);
        }
        if (at == args.length
                || !args[at].equals("help")
                || command.getSubcommands().isEmpty()) {
            return args;
        }
        List<String> words = new ArrayList<>(Arrays.asList(args));
        words.remove(at);
        boolean known = true; // or it is refused, as without help
        for (; at < words.size() && known; at++) {
            known = command.getSubcommands().containsKey(words.get(at));
            command = known ? command.getSubcommands().get(words.get(at)) : command;
        }
        if (!words.contains("--help") && (known || words.get(at - 1).startsWith("-"))) {
            words.add("--help");
        }
        return words.toArray(String[]::new);
    }

    private static String wrongUsage(ParameterException error) {
        CommandLine command = error.getCommandLine();
        List<String> unmatched = error instanceof UnmatchedArgumentException u
                ? u.getUnmatched()
                : command.getUnmatchedArguments(); // of one that lacks something, too
        if (unmatched.isEmpty()) {
            return error.getMessage()
                    .replaceFirst(" is not an? (int|long)$", " is not a whole number, or too large")
                    .replaceFirst(" is not a double$", " is not a number");
        }
        String first = unmatched.get(0);
        if (first.startsWith("-")) {
            String name = first.split("=", 2)[0];
            return unknown("option", name, command.getCommandSpec().optionsMap().keySet(), "");
        }
        Set<String> commands = command.getSubcommands().keySet();
        return commands.isEmpty()
                ? "unexpected argument " + Shown.quoted(first)
                : unknown("command", first, commands, "; expected one of " + String.join(", ", commands));
    }

    private static String unknown(String what, String name, Set<String> known, String otherwise) {
        String nearest = Nearest.of(name, known);
        return "unknown " + what + " " + Shown.quoted(name)
                + (nearest == null ? otherwise : "; did you mean " + nearest + "?");
    }
}
