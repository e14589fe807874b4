package trm.reproduce;

import java.util.ArrayList;
import java.util.List;

/**
 * One system on one task. Tables that show the same system share its runs.
 *
 * @param name of the folder of its runs
 * @param config published settings, a file of {@code configs/} without its ending
 * @param mini small settings of the same system, a file of {@code configs/cpu/} without its ending
 * @param overrides what the published settings are given beside the file
 */
public record Setup(String name, Task task, String config, String mini, List<String> overrides) {
    public Setup {
        overrides = List.copyOf(overrides);
    }

    /** A published file as it is. */
    static Setup of(Task task, String config, String mini) {
        return new Setup(config, task, config, mini, List.of());
    }

    Setup on(Task other, String newName) {
        return new Setup(newName, other, config, mini, overrides);
    }

    Setup with(String newName, String otherMini, String... more) {
        List<String> all = new ArrayList<>(overrides);
        all.addAll(List.of(more));
        return new Setup(newName, task, config, otherMini, all);
    }

    /** The same system with another depth of recursion: T cycles of n updates of z. */
    Setup recursing(int cycles, int latentSteps) {
        return with(
                name + "-T" + cycles + "-n" + latentSteps,
                mini,
                "arch.H_cycles=" + cycles,
                "arch.L_cycles=" + latentSteps);
    }
}
