package trm.config;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import trm.config.ArchConfig.Network;

/**
 * The systems of the papers. All that depends on which of them a model is stands here: its latents and networks, the updates
 * of one cycle (docs/specification.md#4-recursion), what a configuration may choose and what it gets where it does not, and
 * how a lane halts. What the constants do not say holds for them as for TRM.
 *
 * <p>In the equations x is the embedded question, y the answer, z a latent, f the network {@code L_level}, f' the network
 * {@code H_level}, and n is {@code L_cycles}. Latents and networks are numbered as {@link #latents} and {@link #networks} list
 * them: latent 0 is what the heads read.
 */
public enum Architecture {
    /**
     * TRM (TRM paper, figure 3):
     *
     * <pre>
     *   n times  z &lt;- f(z + (y + x))      then  y &lt;- f(y + z)
     * </pre>
     *
     * With {@code separate_nets} y is updated by f'.
     */
    TRM("trm", "trm", 2, 0, 3, 6, 8) {
        @Override
        boolean choosesNetworks() {
            return true;
        }
    },

    /**
     * TRM with one latent, which is the answer at the end of a cycle:
     *
     * <pre>
     *   n times  z &lt;- f(z + x)            then  z &lt;- f(z)
     * </pre>
     */
    SINGLE_Z("trm_singlez", "singlez", 2, 0, 3, 6, 8) {
        @Override
        List<String> latents(int scales) {
            return List.of("L");
        }

        @Override
        List<Update> cycle(int n, int scales, boolean separateNets) {
            List<Integer> z = List.of(0);
            List<Update> cycle = new ArrayList<>(Collections.nCopies(n, new Update(0, 0, z, NONE, true)));
            cycle.add(new Update(0, 0, z, NONE, false));
            return cycle;
        }
    },

    /**
     * TRM with a latent for each of the n updates; of {@code num_scales} latents those beyond n keep their initial value:
     *
     * <pre>
     *   i = 1..n  z_i &lt;- f(z_1 + ... + z_6 + (y + x))      then  y &lt;- f(y + (z_1 + ... + z_6))
     * </pre>
     *
     * With {@code separate_nets} y is updated by f'.
     */
    MULTI_SCALE("trm_hier6", "hier", 2, 0, 3, 6, 8) {
        @Override
        boolean choosesNetworks() {
            return true;
        }

        @Override
        public boolean hasScales() {
            return true;
        }

        @Override
        int publishedScales() {
            return 6;
        }

        @Override
        List<String> latents(int scales) {
            List<String> latents = new ArrayList<>(List.of("H"));
            IntStream.rangeClosed(1, scales).forEach(i -> latents.add("L" + i));
            return latents;
        }

        @Override
        List<Update> cycle(int n, int scales, boolean separateNets) {
            List<Integer> z = IntStream.rangeClosed(1, scales).boxed().toList();
            List<Update> cycle = new ArrayList<>();
            for (int i = 1; i <= n; i++) {
                cycle.add(new Update(networkOfZ(separateNets), i, z, List.of(Y), true));
            }
            cycle.add(new Update(0, Y, List.of(Y), z, false));
            return cycle;
        }
    },

    /**
     * HRM, the two-network model, with y updated by f' always. The last two updates are differentiated (the one-step
     * approximation of the HRM paper), and there is always the continue loss.
     *
     * <pre>
     *   n times  z &lt;- f(z + (y + x))      then  y &lt;- f'(y + z)
     * </pre>
     */
    HRM("hrm", "hrm", 4, 4, 2, 2, 8) {
        @Override
        String publishedType() {
            return "HierarchicalReasoningModel_ACTV1";
        }

        @Override
        List<Network> networks(int layers, int hLayers, boolean separateNets) {
            return super.networks(layers, hLayers, true);
        }

        @Override
        public GradientSpan publishedGradient() {
            return GradientSpan.ONE_STEP;
        }

        @Override
        public boolean publishedNoActContinue() {
            return false;
        }

        @Override
        boolean publishedEma() {
            return false;
        }

        @Override
        public boolean packsPuzzleVector() {
            return true;
        }

        @Override
        public boolean isOfTrmPaper() {
            return false;
        }

        @Override
        String fixedGradient() {
            return key() + " differentiates its last two updates only";
        }

        @Override
        String fixedContinueLoss() {
            return key() + " always learns when to continue";
        }
    },

    /**
     * The plain transformer: a single update of the answer. It has no continue loss, yet a lane halts when q_halt &gt;
     * q_continue.
     *
     * <pre>
     *   y &lt;- f'(y + x)
     * </pre>
     */
    TRANSFORMER("transformers_baseline", "baseline", 0, 8, 1, 0, 12) {
        @Override
        String publishedType() {
            return "Model_ACTV2";
        }

        @Override
        List<String> latents(int scales) {
            return List.of("H");
        }

        @Override
        List<Network> networks(int layers, int hLayers, boolean separateNets) {
            return List.of(new Network("H_level", hLayers));
        }

        @Override
        List<Update> cycle(int n, int scales, boolean separateNets) {
            return List.of(new Update(0, Y, List.of(Y), NONE, true));
        }

        @Override
        public boolean recurs() {
            return false;
        }

        @Override
        boolean haltsOnSign(boolean noActContinue) {
            return false;
        }

        @Override
        public boolean packsPuzzleVector() {
            return true;
        }

        @Override
        public boolean isOfTrmPaper() {
            return false;
        }

        @Override
        String fixedGradient() {
            return key() + " is one network (H_layers) applied once";
        }

        @Override
        String fixedContinueLoss() {
            return key() + " has no continue loss";
        }
    };

    private static final int Y = 0;
    private static final int Z = 1;
    private static final List<Integer> NONE = List.of();

    /** Positions in front of the tokens, in TRM's published files. */
    private static final int PUBLISHED_PUZZLE_EMB_LEN = 16;

    /** Characters of a word that is looked at. */
    private static final int LONGEST = 200;

    private final String key;
    private final String caseName;
    private final int layers;
    private final int hLayers;
    private final int cycles;
    private final int latentSteps;
    private final int heads;

    /** The numbers are those of the published file of that name: L_layers, H_layers, T, n, heads. */
    Architecture(String key, String caseName, int layers, int hLayers, int cycles, int latentSteps, int heads) {
        this.key = key;
        this.caseName = caseName;
        this.layers = layers;
        this.hLayers = hLayers;
        this.cycles = cycles;
        this.latentSteps = latentSteps;
        this.heads = heads;
    }

    /** As configurations write it: the name of the published file. */
    public String key() {
        return key;
    }

    /** As the manifests of golden cases write it (docs/specification.md#10-names-of-the-systems). */
    public String caseName() {
        return caseName;
    }

    public static List<String> keys() {
        return Arrays.stream(values()).map(Architecture::key).toList();
    }

    /**
     * The value of a configuration's word, or of a published class; null if there is none. HRM's own code writes {@code
     * hrm_v1} and {@code hrm.hrm_act_v1@CLASS}, TRM's {@code recursive_reasoning.WORD@CLASS}.
     */
    public static Architecture of(String word) {
        if (word.length() > LONGEST) {
            return null;
        }
        if (word.equals("hrm_v1") || word.matches("hrm\\.hrm_act_v1@\\w+")) {
            return HRM;
        }
        String name = word.replaceFirst("^recursive_reasoning\\.(\\w+)@\\w+$", "$1");
        return Arrays.stream(values())
                .filter(a -> a.key.equals(name))
                .findFirst()
                .orElse(null);
    }

    /** What the published code calls its class. */
    String publishedClass() {
        return "recursive_reasoning." + key + "@" + publishedType();
    }

    String publishedType() {
        return "TinyRecursiveReasoningModel_ACTV1";
    }

    /**
     * Names of the latents as checkpoints have them. The first is the answer, which the heads read.
     *
     * @param scales {@code num_scales}
     */
    List<String> latents(int scales) {
        return List.of("H", "L");
    }

    /** The networks, in the order of their tensors. The last one updates z. */
    List<Network> networks(int layers, int hLayers, boolean separateNets) {
        Network f = new Network("L_level", layers);
        return separateNets ? List.of(new Network("H_level", hLayers), f) : List.of(f);
    }

    int networkOfZ(boolean separateNets) {
        return networks(0, 0, separateNets).size() - 1;
    }

    /** The updates of one cycle. */
    List<Update> cycle(int n, int scales, boolean separateNets) {
        Update z = new Update(networkOfZ(separateNets), Z, List.of(Z), List.of(Y), true);
        List<Update> cycle = new ArrayList<>(Collections.nCopies(n, z));
        cycle.add(new Update(0, Y, List.of(Y), List.of(Z), false));
        return cycle;
    }

    /**
     * Whether a lane halts at q_halt &gt; 0; else at q_halt &gt; q_continue
     * (docs/specification.md#6-deep-supervision-and-halting).
     */
    boolean haltsOnSign(boolean noActContinue) {
        return noActContinue;
    }

    /** Whether a configuration chooses T, n and the blocks of f; else they are the published ones. */
    public boolean recurs() {
        return true;
    }

    /** Whether there may be several latents z, one for each of the n updates. */
    public boolean hasScales() {
        return false;
    }

    /** Whether a configuration may give y a network of its own. */
    boolean choosesNetworks() {
        return false;
    }

    /** Whether a configuration chooses which updates are differentiated; else they are the published ones. */
    public boolean choosesGradient() {
        return fixedGradient() == null;
    }

    /** Whether a configuration chooses between training with and without the continue loss; else it is as published. */
    public boolean choosesContinueLoss() {
        return fixedContinueLoss() == null;
    }

    /** Why which updates are differentiated is fixed; null where a configuration chooses. */
    String fixedGradient() {
        return null;
    }

    /** Why whether there is the continue loss is fixed; null where a configuration chooses. */
    String fixedContinueLoss() {
        return null;
    }

    /** Whether the puzzle vector takes as few positions as hold it, whatever a configuration says. */
    public boolean packsPuzzleVector() {
        return false;
    }

    /** Whether the TRM paper's own settings are meant for it: TRM and its variants. */
    public boolean isOfTrmPaper() {
        return true;
    }

    public int publishedLayers() {
        return layers;
    }

    int publishedHLayers() {
        return hLayers;
    }

    public int publishedCycles() {
        return cycles;
    }

    public int publishedLatentSteps() {
        return latentSteps;
    }

    int publishedHeads() {
        return heads;
    }

    int publishedScales() {
        return 1;
    }

    public GradientSpan publishedGradient() {
        return GradientSpan.LAST_CYCLE;
    }

    public boolean publishedNoActContinue() {
        return true;
    }

    int publishedPuzzleEmbLen() {
        return packsPuzzleVector() ? 0 : PUBLISHED_PUZZLE_EMB_LEN;
    }

    boolean publishedEma() {
        return true;
    }
}
