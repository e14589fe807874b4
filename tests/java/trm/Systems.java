package trm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The systems of the papers beside TRM, each as what it replaces in the configuration of a small TRM. */
public final class Systems {
    public static final List<String> NAMES =
            List.of("separate", "one_step", "single_z", "several_z", "hrm", "transformer");

    private Systems() {}

    /** Overrides that turn a configuration of TRM into one of the system, and {@code more} of them. */
    public static String[] overrides(String name, String... more) {
        List<String> own =
                switch (name) {
                    case "trm" -> List.of();
                    case "separate" -> List.of("arch.separate_nets=true", "arch.H_layers=2");
                    case "one_step" -> List.of("arch.gradient=one_step");
                    case "single_z" -> List.of("arch=trm_singlez");
                    case "several_z" -> List.of("arch=trm_hier6", "arch.L_cycles=3", "arch.num_scales=4");
                    case "hrm" ->
                        List.of("arch=hrm", "arch.H_layers=2", "arch.puzzle_emb_len=0", "arch.no_ACT_continue=false");
                    case "transformer" ->
                        List.of(
                                "arch=transformers_baseline",
                                "arch.H_layers=2",
                                "arch.L_layers=0",
                                "arch.H_cycles=1",
                                "arch.L_cycles=0",
                                "arch.puzzle_emb_len=0",
                                "arch.no_ACT_continue=true");
                    default -> throw new IllegalArgumentException(name);
                };
        List<String> all = new ArrayList<>(own);
        all.addAll(Arrays.asList(more));
        return all.toArray(String[]::new);
    }
}
