package trm.cli;

import java.nio.file.InvalidPathException;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import trm.config.ConfigException;
import trm.device.DeviceException;
import trm.device.UnknownDeviceException;
import trm.input.InputException;

/**
 * The command line. Exit codes: 0 done, 1 failure, 2 wrong usage, 130 and 143 stopped by SIGINT and SIGTERM with a
 * checkpoint written.
 */
@Command(
        name = "trm",
        description = "Trains Tiny Recursive Models and shows them solving puzzles.",
        mixinStandardHelpOptions = true,
        version = "trm-cuda " + Main.VERSION,
        subcommands = {
            DemoCommand.class,
            TrainCommand.class,
            EvalCommand.class,
            SolveCommand.class,
            DataCommand.class,
            ExportCommand.class,
            PlanCommand.class,
            ReproduceCommand.class,
            BenchCommand.class,
            VerifyCommand.class,
            InfoCommand.class
        },
        footer = {"", "Example: trm demo", "Exit codes: 0 done, 1 failure, 2 wrong usage, 130/143 stopped by a signal."
        })
public final class Main implements Runnable {
    /** Version of the program, as in pom.xml. */
    static final String VERSION = "0.1.0";

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

    /** Runs a command and returns its exit code. */
    public static int execute(String... args) {
        boolean verbose = List.of(args).contains("--verbose");
        CommandLine line = new CommandLine(new Main());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExecutionExceptionHandler((error, command, parsed) -> {
            if (verbose) {
                error.printStackTrace();
            }
            Cli.error(describe(error));
            return error instanceof ConfigException || error instanceof UnknownDeviceException ? 2 : 1;
        });
        line.setParameterExceptionHandler((ParameterException error, String[] given) -> {
            Cli.error(error.getMessage());
            Cli.message("See: trm "
                    + (error.getCommandLine().getCommandName().equals("trm")
                            ? "--help"
                            : error.getCommandLine().getCommandName() + " --help"));
            return 2;
        });
        int code = 1;
        try {
            code = line.execute(args);
        } finally {
            StopSignal.commandEnded(code);
        }
        return code;
    }

    private static String describe(Throwable error) {
        if (error instanceof InputException || error instanceof DeviceException) {
            return error.getMessage();
        }
        if (error instanceof InvalidPathException path) {
            return FileNames.describe(path);
        }
        return "internal error: " + error + " (run again with --verbose for the stack trace)";
    }
}
