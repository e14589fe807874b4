package trm.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;
import trm.config.ConfigException;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.io.RunLock;
import trm.reproduce.Rates;
import trm.reproduce.RatesFile;
import trm.train.Devices;

/** The options {@code --rate} and {@code --card} of the commands that tell how long a training takes. */
final class RateOption {
    private static final Pattern STATED =
            Pattern.compile("(\\d{1,9}(?:\\.\\d{1,9})?)\\s*(ms|TFLOP/s)", Pattern.CASE_INSENSITIVE);

    @Option(
            names = "--rate",
            paramLabel = "RATE",
            description = {
                "How fast it trains: a file that trm bench --save wrote on that machine, or 81.2ms a step, or 400TFLOP/s;",
                "default: what docs/measurements has of --card."
            })
    private String rate;

    @Option(
            names = "--card",
            paramLabel = "NAME",
            description =
                    "The GPU to plan for; default: of a file the device that is here, else " + RatesFile.H100 + ".")
    private String card;

    boolean isGiven() {
        return rate != null || card != null;
    }

    /**
     * @throws ConfigException if the options contradict each other, or nothing is known of the card
     * @throws trm.io.FormatException if a file has no rates of the device
     */
    Rates rates() {
        if (rate == null) {
            return Rates.of(RatesFile.published(card == null ? RatesFile.H100 : card));
        }
        Matcher stated = STATED.matcher(rate.strip());
        if (!stated.matches()) {
            Path file = Path.of(rate);
            return Rates.of(RatesFile.read(file).machine(file, here(), card));
        }
        double value = Double.parseDouble(stated.group(1));
        if (card != null || value == 0) {
            throw new ConfigException(
                    "--rate",
                    "--rate " + rate
                            + (value == 0 ? ": must be above 0" : ": is stated, so --card says nothing; leave it out"));
        }
        return stated.group(2).equalsIgnoreCase("ms") ? Rates.ofStep(value) : Rates.ofTflops(value);
    }

    /** The device that training takes here. */
    private static RatesFile.Machine here() {
        CudaInstallation cuda = CudaInstallation.ofThisMachine();
        boolean gpu = Devices.cudaObstacles(0, cuda).isEmpty();
        return machine(gpu ? cuda.gpus().get(0) : processor(), 0);
    }

    /** The device of a backend, for a file of rates. */
    static RatesFile.Machine machine(Backend backend) {
        String target = backend.target();
        return backend.name().equals("cpu")
                ? machine(processor(), Devices.host().memoryBytes())
                : machine(target.split(", ", 2)[0], backend.freeBytes());
    }

    private static RatesFile.Machine machine(String device, long memoryBytes) {
        return new RatesFile.Machine(device, RunLock.host(), memoryBytes, "trm bench --save", List.of());
    }

    private static String processor() {
        String model = Processor.ofThisMachine().model();
        return model.isEmpty() ? "cpu" : model;
    }
}
