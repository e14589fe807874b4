package trm.cli;

import java.io.IOException;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.device.CudaInstallation;
import trm.device.DeviceException;

/** Starts one rank for each GPU of this machine. */
@Command(
        name = "launch",
        mixinStandardHelpOptions = true,
        description = {
            "Starts a training on several GPUs of this machine: one process, a rank, for each of them. They share the batch of the"
                    + " configuration.",
            "Their lines begin with [rank]. When one ends badly the others are ended; signals go to all of them. On several machines,"
                    + " ranks are started by srun, mpirun, Kubernetes or torchrun: docs/cluster.md."
        },
        footer = {
            "",
            "Example: trm launch --gpus all train configs/sudoku-mlp.yaml --run runs/sudoku --resume auto",
            "         trm launch --gpus 2 -- train configs/maze.yaml",
            "The exit code is that of the first rank that ends badly, else 0."
        })
final class LaunchCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--gpus", required = true, paramLabel = "all|N", description = "How many, the first ones.")
    private String gpus;

    @Option(names = "--port", paramLabel = "N", description = "Port on which the ranks meet; default: a free one.")
    private Integer port;

    @Parameters(arity = "1..*", paramLabel = "train ...", description = "The command of each rank.")
    private List<String> command;

    @Override
    public Integer call() {
        if (!command.get(0).equals("train")) {
            throw new ParameterException(
                    spec.commandLine(), "launch starts ranks that train; found " + command.get(0) + ", expected train");
        }
        if (port != null) {
            Cli.within(spec, "--port", port, 1, 65535);
        }
        int count = count();
        RankProcesses ranks = new RankProcesses(count, port == null ? freePort() : port, command);
        return StopSignal.run(ranks::stop, ranks::run);
    }

    private int count() {
        int found = CudaInstallation.ofThisMachine().gpus().size();
        if (gpus.equals("all")) {
            if (found == 0) {
                throw new DeviceException("--gpus all: the NVIDIA driver of this machine knows no GPU");
            }
            return found;
        }
        int wanted;
        try {
            wanted = Integer.parseInt(gpus);
        } catch (NumberFormatException e) {
            throw new ParameterException(spec.commandLine(), "--gpus " + gpus + ": expected all, or how many");
        }
        Cli.atLeast(spec, "--gpus", wanted, 1);
        if (wanted > found) {
            throw new DeviceException(
                    "--gpus " + wanted + ": the NVIDIA driver of this machine knows " + (found == 0 ? "none" : found));
        }
        return wanted;
    }

    private static int freePort() {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new DeviceException("no free port for the ranks to meet on: " + e.getMessage());
        }
    }

    /** What this process was started with, without what it was told to do. */
    static List<String> program() {
        List<String> program = new ArrayList<>();
        program.add(ProcessHandle.current().info().command().orElse(System.getProperty("java.home") + "/bin/java"));
        program.addAll(java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments());
        program.add("-cp");
        program.add(System.getProperty("java.class.path"));
        program.add(Main.class.getName());
        return program;
    }
}
