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
import trm.config.Update;

/**
 * Oracle: the table of updates of docs/specification.md#4-recursion, written out, and the order of their backward pass, derived by hand.
 * What the updates compute is left to {@link LatentRecursionTest} and the golden cases.
 */
class RecursionScheduleTest {
    private static ArchConfig arch(String overrides) {
        return ConfigLoader.parse("data_paths: [d]", "x", List.of(overrides.split(" ")))
                .arch();
    }

    /** The updates as text: network, own + (injected); a line stands before those that are differentiated. */
    private static String text(ArchConfig arch) {
        RecursionSchedule schedule = RecursionSchedule.of(arch);
        List<String> updates = new ArrayList<>();
        for (int k = 0; k < schedule.updates(); k++) {
            Update u = schedule.update(k);
            List<String> injected = new ArrayList<>(names(arch, u.injected()));
            if (u.withInput()) {
                injected.add("x");
            }
            updates.add((k == schedule.firstDifferentiated() ? "| " : "")
                    + arch.latents().get(u.target()) + "=" + network(arch, u) + "("
                    + String.join("+", names(arch, u.own()))
                    + (injected.isEmpty() ? "" : "+(" + String.join("+", injected) + ")") + ")");
        }
        return String.join(" ", updates);
    }

    private static String network(ArchConfig arch, Update u) {
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

    /** The previous update adds up the input of the next wherever its own result is one of two terms. */
    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "arch=trm arch.H_cycles=2 arch.L_cycles=2, SUM ADD_INJECTED ADD_OWN SUM ADD_INJECTED ADD_OWN",
        "arch=trm_singlez arch.H_cycles=2 arch.L_cycles=2," + " SUM ADD_INJECTED SAME ADD_INJECTED ADD_INJECTED SAME",
        "arch=trm_hier6 arch.H_cycles=1 arch.L_cycles=2, SUM SUM SUM",
        "arch=trm_hier6 arch.H_cycles=1 arch.L_cycles=1, SUM SUM",
        "arch=hrm arch.H_cycles=1, SUM ADD_INJECTED ADD_OWN",
        "arch=transformers_baseline, SUM",
        "arch=trm arch.H_cycles=1 arch.L_cycles=2 arch.relaxation=0.9, SUM SUM SUM",
        "arch=trm_singlez arch.H_cycles=1 arch.L_cycles=2 arch.latent_noise=0.1, SUM SUM SUM",
    })
    void linksOfEachSystem(String overrides, String links) {
        RecursionSchedule schedule = RecursionSchedule.of(arch(overrides));
        List<String> found = new ArrayList<>();
        for (int k = 0; k < schedule.updates(); k++) {
            found.add(schedule.link(k).toString());
        }
        assertEquals(links, String.join(" ", found));
    }

    /**
     * A single gradient is handed from update to update where each reads what the previous one wrote; a second buffer is
     * needed where values of several latents have a gradient, or where a latent keeps a part of its value.
     */
    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "arch=trm arch.L_cycles=2, f2(d0) f1(d0) f0(d0)",
        "arch=trm arch.L_cycles=3 arch.gradient=one_step, f3(d0) f2(d0)",
        "arch=trm_singlez arch.L_cycles=2, f2(d0) f1(d0) f0(d0)",
        "arch=hrm arch.L_cycles=2, f2(d0) f1(d0)",
        "arch=transformers_baseline, f0(d0)",
        "arch=trm_hier6 arch.L_cycles=1, f1(d0) f0(d0)",
        "arch=trm_hier6 arch.L_cycles=3, f3(d0) d1=d0 f2(d1) d0+=d1 d1=d0 f1(d1) d0+=d1 f0(d0)",
        "arch=trm arch.L_cycles=2 arch.relaxation=0.9,"
                + " d1=relax(d0) f2(d1) d0=relax(d1) f1(d0) d1+=d0 d0=relax(d1) f0(d0)",
        "arch=trm_hier6 arch.L_cycles=2 arch.relaxation=0.9,"
                + " d1=relax(d0) f2(d1) d0=d1 d2=relax(d0) f1(d2) d1+=d2 d0=relax(d1) f0(d0)",
    })
    void backwardOfEachSystem(String overrides, String expected) {
        RecursionSchedule schedule = RecursionSchedule.of(arch(overrides + " arch.H_cycles=1"));
        List<String> found = new ArrayList<>();
        int buffers = BackwardPass.run(schedule, new BackwardPass.Operations() {
            @Override
            public void copy(int from, int into) {
                found.add("d" + into + "=d" + from);
            }

            @Override
            public void add(int a, int b, int into) {
                assertEquals(a, into);
                found.add("d" + a + "+=d" + b);
            }

            @Override
            public void relax(int d, int dF) {
                found.add("d" + dF + "=relax(d" + d + ")");
            }

            @Override
            public void update(int k, int d) {
                found.add("f" + k + "(d" + d + ")");
            }
        });
        assertEquals(expected, String.join(" ", found));
        assertEquals(expected.contains("d2") ? 3 : expected.contains("d1") ? 2 : 1, buffers);
        assertEquals(buffers, BackwardPass.buffers(schedule));
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
