package trm.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.device.MatmulPrecision;
import trm.device.RankLaunch;
import trm.train.Devices;

/** The option {@code --device} of the commands that compute. */
final class DeviceOption {
    /** What a shell offers. */
    private static final class Names extends ArrayList<String> {
        private static final long serialVersionUID = 1L;

        Names() {
            super(List.of("auto", "cpu", "cuda:0"));
        }
    }

    @Option(
            names = "--device",
            defaultValue = "auto",
            completionCandidates = Names.class,
            description = "auto, cpu or cuda:N (default ${DEFAULT-VALUE}).")
    private String device;

    /** Opens the device for a configuration and tells what was chosen. */
    Backend open(TrainConfig config) {
        return open(
                config.device().threads(),
                MatmulPrecision.of(config.device().precision().key()));
    }

    /**
     * The devices of jobs that run side by side: a GPU each, or all the CPU.
     *
     * @throws ParameterException if they cannot all have one
     */
    List<String> ofJobs(CommandSpec spec, int jobs) {
        int gpus =
                device.equals("auto") ? CudaInstallation.ofThisMachine().gpus().size() : 0;
        if (device.startsWith("cuda")) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--jobs " + jobs + " with --device " + device
                            + ": each job takes a GPU of its own; leave --device out, or --jobs");
        }
        if (gpus > 0 && jobs > gpus) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--jobs " + jobs + ": the NVIDIA driver of this machine knows " + gpus
                            + " GPUs, expected at most so many, or --device cpu");
        }
        return IntStream.range(0, jobs)
                .mapToObj(i -> gpus > 0 ? "cuda:" + i : "cpu")
                .toList();
    }

    /** As {@link #open(TrainConfig)}, of one of the ranks that a launcher has started, if one has. */
    Backend openRank(TrainConfig config) {
        RankLaunch launch = RankLaunch.of(System.getenv());
        return Devices.open(
                device,
                config.device().threads(),
                MatmulPrecision.of(config.device().precision().key()),
                line -> {
                    if (launch.rank() == 0 || launch.ranks() == 1) {
                        Cli.message(line);
                    }
                },
                launch,
                config.device().collectiveTimeout());
    }

    /** @param threads worker threads of the CPU, 0 for all processors */
    Backend open(int threads, MatmulPrecision precision) {
        return Devices.open(device, threads, precision, Cli::message);
    }
}
