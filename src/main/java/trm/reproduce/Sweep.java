package trm.reproduce;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import trm.config.Axis;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;

/**
 * A configuration with several values for some of its keys: an arm for each combination of them, and each arm with every seed.
 *
 * @param config the file
 * @param fixed overrides of all runs
 * @param axes keys with several values, but for the seed
 * @param seeds one at least
 */
public record Sweep(Path config, List<String> fixed, List<Axis> axes, List<Long> seeds) {
    private static final String SEED = "seed";

    /** Runs: more than anybody trains, and few enough to be looked at. */
    private static final int MOST_RUNS = 10_000;

    /** Characters of the name of a folder, of the 255 that file systems take. */
    private static final int LONGEST_NAME = 200;

    /**
     * @param name of its folder and in reports: {@code lr=1e-4,L_cycles=4}
     * @param values of the axes, in their order
     */
    public record Arm(String name, List<String> values) {}

    public Sweep {
        fixed = List.copyOf(fixed);
        axes = List.copyOf(axes);
        seeds = List.copyOf(seeds);
    }

    /**
     * Reads what a command line says.
     *
     * @param arguments {@code key=value}, {@code key=value,value,...} or {@code key=first..last}
     * @throws ConfigException if one is none of these, a key is named twice, or no key has several values
     */
    public static Sweep of(Path config, List<String> arguments) {
        List<String> fixed = new ArrayList<>();
        List<Axis> axes = new ArrayList<>();
        List<Long> seeds = List.of();
        Set<String> named = new HashSet<>();
        for (String argument : arguments) {
            Axis axis = Axis.parse(argument);
            if (!named.add(axis.key())) {
                throw new ConfigException("override '" + argument + "': " + axis.key()
                        + " is named twice; expected each key once, with all its values: " + axis.key() + "=a,b");
            }
            if (axis.key().equals(SEED)) {
                seeds = axis.values().stream().map(value -> seed(axis, value)).toList();
            } else if (axis.values().size() > 1) {
                axes.add(axis);
            } else {
                fixed.add(argument);
            }
        }
        if (axes.isEmpty() && seeds.size() < 2) {
            throw new ConfigException("no key has several values; expected such as lr=1e-4,3e-4 or seed=0..2"
                    + " (trm train makes a single run)");
        }
        if (seeds.isEmpty()) {
            seeds = List.of(ConfigLoader.load(config, fixed).run().seed());
        }
        Sweep sweep = new Sweep(config, fixed, axes, seeds);
        sweep.check();
        return sweep;
    }

    /** By the rules of the key. */
    private static long seed(Axis axis, String value) {
        if (!value.matches("\\d{1,10}")) {
            throw new ConfigException("override '" + axis.override(value) + "': seed is " + value
                    + "; expected whole numbers, such as seed=0..2 or seed=1,7");
        }
        return Long.parseLong(value);
    }

    private void check() {
        long runs = seeds.size();
        for (Axis axis : axes) {
            runs *= axis.values().size();
            if (runs > MOST_RUNS) {
                throw new ConfigException("the values and seeds make more than " + MOST_RUNS + " runs, expected fewer");
            }
        }
        Map<String, Arm> names = new HashMap<>();
        Map<TrainConfig, Arm> settings = new HashMap<>();
        for (Arm arm : arms()) {
            if (arm.name().length() > LONGEST_NAME) {
                throw new ConfigException("the name of an arm, of its folder too, has "
                        + arm.name().length() + " characters, expected at most " + LONGEST_NAME + ": " + arm.name());
            }
            Arm other = names.put(arm.name(), arm);
            if (other != null) {
                throw new ConfigException("two arms have one name, " + arm.name() + ": " + describe(other) + " and "
                        + describe(arm) + "; in names, what is no letter, digit or one of . + - = is _");
            }
            other = settings.put(config(arm, seeds.get(0)), arm);
            if (other != null) {
                throw new ConfigException("the arms " + other.name() + " and " + arm.name()
                        + " have the same settings, expected such as differ");
            }
        }
    }

    private String describe(Arm arm) {
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < axes.size(); i++) {
            parts.add(axes.get(i).override(arm.values().get(i)));
        }
        return String.join(" ", parts);
    }

    /** All combinations; the last axis changes first. */
    public List<Arm> arms() {
        List<List<String>> combinations = List.of(List.of());
        for (Axis axis : axes) {
            List<List<String>> longer = new ArrayList<>();
            for (List<String> combination : combinations) {
                for (String value : axis.values()) {
                    List<String> next = new ArrayList<>(combination);
                    next.add(value);
                    longer.add(next);
                }
            }
            combinations = longer;
        }
        return combinations.stream()
                .map(values -> new Arm(name(values), values))
                .toList();
    }

    /** Keys without their tables where that leaves them apart; the file's name where only the seed changes. */
    private String name(List<String> values) {
        if (axes.isEmpty()) {
            return config.getFileName().toString().replaceFirst("\\.ya?ml$", "");
        }
        List<String> keys = axes.stream().map(Axis::key).toList();
        List<String> leaves = keys.stream()
                .map(key -> key.substring(key.lastIndexOf('.') + 1))
                .toList();
        List<String> shown = new HashSet<>(leaves).size() < leaves.size() ? keys : leaves;
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < values.size(); i++) {
            parts.add(shown.get(i) + "=" + values.get(i).replaceAll("[^\\p{Alnum}.+=-]", "_"));
        }
        return parts.stream().collect(Collectors.joining(","));
    }

    /**
     * The settings of one run.
     *
     * @throws ConfigException if a value breaks a rule; the message names the override
     */
    TrainConfig config(Arm arm, long seed) {
        List<String> overrides = new ArrayList<>(fixed);
        for (int i = 0; i < axes.size(); i++) {
            overrides.add(axes.get(i).override(arm.values().get(i)));
        }
        overrides.add(SEED + "=" + seed);
        return ConfigLoader.load(config, overrides);
    }
}
