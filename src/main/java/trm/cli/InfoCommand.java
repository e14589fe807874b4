package trm.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import trm.device.Backend;
import trm.train.Devices;

/** Versions and what this machine offers. */
@Command(
        name = "info",
        mixinStandardHelpOptions = true,
        description = "Prints versions and what this machine offers.",
        footer = {"", "Example: trm info --json"})
final class InfoCommand implements Callable<Integer> {
    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu or cuda:N (default ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("version", "0.1.0");
        result.put("java", System.getProperty("java.version"));
        result.put("os", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
        result.put("processors", Runtime.getRuntime().availableProcessors());
        try (Backend backend = Devices.open(device, 0)) {
            result.put("device", backend.name());
            result.put("cpu_target", backend.target());
        }
        result.put("cuda", "this version runs on the CPU only; its CUDA library holds the post-norm kernels");
        result.forEach((name, value) -> System.out.printf("%-12s %s%n", name, value));
        if (json) {
            Cli.json(result);
        }
        return 0;
    }
}
