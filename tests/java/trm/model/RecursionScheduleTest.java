package trm.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ArchConfig;
import trm.config.ConfigLoader;

/**
 * Oracle: the table of updates of docs/specification.md#4-recursion, written out. What the updates compute is left to
 * golden cases.
 */
class RecursionScheduleTest {
    private static ArchConfig arch(String overrides) {
        return ConfigLoader.parse("data_paths: [d]", "x", List.of(overrides.split(" ")))
                .arch();
    }

    /** The updates as text: network, own + (injected); a line through separates what is recorded. */
    private static String text(ArchConfig arch) {
        RecursionSchedule schedule = RecursionSchedule.of(arch);
        List<String> updates = new ArrayList<>();
        for (int k = 0; k < schedule.updates(); k++) {
            RecursionSchedule.Update u = schedule.update(k);
            List<String> injected = new ArrayList<>(names(arch, u.injected()));
            if (u.withInput()) {
                injected.add("x");
            }
            updates.add((k == schedule.updates() - schedule.recorded() ? "| " : "")
                    + arch.latents().get(u.target()) + "=" + network(arch, u) + "("
                    + String.join("+", names(arch, u.own()))
                    + (injected.isEmpty() ? "" : "+(" + String.join("+", injected) + ")") + ")");
        }
        return String.join(" ", updates);
    }

    private static String network(ArchConfig arch, RecursionSchedule.Update u) {
        return arch.networks().get(u.network()).name().substring(0, 1).toLowerCase(Locale.ROOT);
    }

    private static List<String> names(ArchConfig arch, List<Integer> latents) {
        return latents.stream().map(arch.latents()::get).collect(Collectors.toList());
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "arch=trm arch.H_cycles=2 arch.L_cycles=2"
                        + "|`L=l(L+(H+x)) L=l(L+(H+x)) H=l(H+(L)) | L=l(L+(H+x)) L=l(L+(H+x)) H=l(H+(L))`",
                "arch=trm arch.H_cycles=1 arch.L_cycles=3|`| L=l(L+(H+x)) L=l(L+(H+x)) L=l(L+(H+x)) H=l(H+(L))`",
                "arch=trm arch.H_cycles=1 arch.L_cycles=3 arch.gradient=one_step"
                        + "|`L=l(L+(H+x)) L=l(L+(H+x)) | L=l(L+(H+x)) H=l(H+(L))`",
                "arch=trm arch.H_cycles=2 arch.L_cycles=1 arch.separate_nets=true"
                        + "|`L=l(L+(H+x)) H=h(H+(L)) | L=l(L+(H+x)) H=h(H+(L))`",
                "arch=hrm|`L=l(L+(H+x)) L=l(L+(H+x)) H=h(H+(L)) L=l(L+(H+x)) | L=l(L+(H+x)) H=h(H+(L))`",
                "arch=trm_singlez arch.H_cycles=2 arch.L_cycles=2"
                        + "|`L=l(L+(x)) L=l(L+(x)) L=l(L) | L=l(L+(x)) L=l(L+(x)) L=l(L)`",
                "arch=trm_hier6 arch.H_cycles=1 arch.L_cycles=2 arch.num_scales=3"
                        + "|`| L1=l(L1+L2+L3+(H+x)) L2=l(L1+L2+L3+(H+x)) H=l(H+(L1+L2+L3))`",
                "arch=transformers_baseline|`| H=h(H+(x))`",
            })
    void updatesOfEachSystem(String overrides, String expected) {
        assertEquals(expected, text(arch(overrides)));
    }

    /** The sum that an update starts from is formed as the one before puts out its value, wherever that is one of two terms. */
    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "arch=trm arch.H_cycles=2 arch.L_cycles=2, SUM ADD_INJECTED ADD_OWN SUM ADD_INJECTED ADD_OWN, false",
        "arch=trm_singlez arch.H_cycles=2 arch.L_cycles=2,"
                + " SUM ADD_INJECTED SAME ADD_INJECTED ADD_INJECTED SAME, false",
        "arch=trm_hier6 arch.H_cycles=1 arch.L_cycles=2, SUM SUM SUM, true",
        "arch=trm_hier6 arch.H_cycles=1 arch.L_cycles=1, SUM SUM, false",
        "arch=hrm arch.H_cycles=1, SUM ADD_INJECTED ADD_OWN, false",
        "arch=transformers_baseline, SUM, false",
        "arch=trm arch.H_cycles=1 arch.L_cycles=2 arch.relaxation=0.9, SUM SUM SUM, false",
        "arch=trm_singlez arch.H_cycles=1 arch.L_cycles=2 arch.latent_noise=0.1, SUM SUM SUM, false",
    })
    void linksOfEachSystem(String overrides, String links, boolean readsAll) {
        RecursionSchedule schedule = RecursionSchedule.of(arch(overrides));
        List<String> found = new ArrayList<>();
        for (int k = 0; k < schedule.updates(); k++) {
            found.add(schedule.link(k).toString());
        }
        assertEquals(links, String.join(" ", found));
        assertEquals(readsAll, schedule.readsAllRecorded());
    }

    /** Emulated depth n_layers (n + 1) T of the TRM paper, from the schedule. */
    @Test
    void depth() {
        assertEquals(42, RecursionSchedule.depth(arch("arch=trm")));
        assertEquals(24, RecursionSchedule.depth(arch("arch=hrm")));
        assertEquals(48, RecursionSchedule.depth(arch("arch=trm arch.L_layers=4 arch.L_cycles=3")));
        assertEquals(8, RecursionSchedule.depth(arch("arch=transformers_baseline")));
        assertEquals(3 * (6 * 2 + 3), RecursionSchedule.depth(arch("arch.separate_nets=true arch.H_layers=3")));
    }
}
