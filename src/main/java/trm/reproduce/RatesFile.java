package trm.reproduce;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import trm.config.ConfigException;
import trm.data.format.JsonFile;
import trm.io.AtomicFile;
import trm.io.FormatException;

/**
 * Timings of devices, as JSON: what {@code trm bench --save} writes, and what comes with the program of docs/measurements.
 *
 * @param machines a device each
 */
public record RatesFile(List<Machine> machines) {
    /** The device of the published figures of docs/measurements. */
    public static final String H100 = "NVIDIA H100 80GB HBM3";

    private static final String RESOURCE = "rates.json";

    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    /**
     * A device, and what was timed on it.
     *
     * @param device model of the GPU, or of the processor
     * @param host name of the machine, empty for figures of docs/measurements
     * @param memoryBytes of the device, 0 where that is not known
     * @param source where the figures are from
     */
    public record Machine(String device, String host, long memoryBytes, String source, List<Timing> timings) {
        public Machine {
            if (device == null || host == null || source == null || timings == null) {
                throw new IllegalArgumentException("a machine lacks device, host, source or timings");
            }
            timings = List.copyOf(timings);
        }

        /** For people. */
        public String title() {
            return device + (host.isEmpty() ? "" : " of " + host) + " (" + source + ")";
        }

        /** For refusals. */
        String name() {
            return device + (host.isEmpty() ? "" : " of " + host);
        }

        private boolean is(Machine other) {
            return device.equals(other.device) && host.equals(other.host);
        }

        private Machine with(Timing timing) {
            List<Timing> all = new ArrayList<>(
                    timings.stream().filter(before -> !timing.replaces(before)).toList());
            all.add(timing);
            return new Machine(device, host, memoryBytes, source, all);
        }
    }

    public RatesFile {
        if (machines == null) {
            throw new IllegalArgumentException("no machines");
        }
        machines = List.copyOf(machines);
    }

    /** The figures of docs/measurements. */
    public static RatesFile published() {
        try (InputStream in = RatesFile.class.getResourceAsStream(RESOURCE)) {
            return JSON.readValue(in, RatesFile.class);
        } catch (IOException e) {
            throw new IllegalStateException(RESOURCE + " of this build cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Those of a card by its name.
     *
     * @throws ConfigException if nothing was measured on such a card; the message names those that there are
     */
    public static Machine published(String card) {
        return published().machines.stream()
                .filter(machine -> machine.device.equals(card))
                .findFirst()
                .orElseThrow(() -> new ConfigException(
                        "--card",
                        "--card " + card + ": no measurements come with the program, expected one of "
                                + published().names() + "; time steps on it, trm bench CONFIG --save FILE, and give"
                                + " --rate FILE"));
    }

    /** @throws FormatException if the file cannot be read or is none of timings */
    public static RatesFile read(Path file) {
        JsonNode tree = JsonFile.read(file);
        try {
            return JSON.treeToValue(tree, RatesFile.class);
        } catch (JsonProcessingException | IllegalArgumentException e) {
            throw new FormatException(
                    file + ": no file of rates: "
                            + e.getMessage().lines().findFirst().orElse("")
                            + "; expected one that trm bench --save wrote",
                    e);
        }
    }

    /**
     * The device that is planned for.
     *
     * @param file what messages call these rates
     * @param here this machine and its device
     * @param card the model to plan for, wherever it was timed; null for the device that is here
     * @throws FormatException if it was not timed; the message names those that were
     */
    public Machine machine(Path file, Machine here, String card) {
        Stream<Machine> of =
                machines.stream().filter(machine -> card == null ? machine.is(here) : machine.device.equals(card));
        return of.findFirst()
                .orElseThrow(() -> new FormatException(file + ": rates of " + names() + ", expected those of "
                        + (card == null
                                ? here.name() + ", the device that is here; --card NAME plans for another"
                                : card + ", as --card says")));
    }

    private String names() {
        return machines.isEmpty()
                ? "nothing"
                : machines.stream().map(Machine::name).distinct().collect(Collectors.joining(", "));
    }

    /** With one more timing of a device, in place of an earlier one of the same work. */
    RatesFile with(Machine device, Timing timing) {
        Machine known = machines.stream().filter(device::is).findFirst().orElse(device);
        List<Machine> all = new ArrayList<>(
                machines.stream().filter(machine -> !device.is(machine)).toList());
        all.add(known.with(timing));
        return new RatesFile(all);
    }

    /**
     * Adds a timing to a file, which is begun if it is not there.
     *
     * @throws FormatException if the file is none of timings or cannot be written
     */
    public static void save(Path file, Machine device, Timing timing) {
        RatesFile before = Files.exists(file) ? read(file) : new RatesFile(List.of());
        try {
            AtomicFile.replace(file, before.with(device, timing).text());
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** As the file has it. */
    String text() {
        try {
            return JSON.writeValueAsString(this) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("rates are not JSON: " + e.getMessage(), e);
        }
    }
}
