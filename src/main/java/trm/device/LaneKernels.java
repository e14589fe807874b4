package trm.device;

import static trm.device.Launcher.at;

import java.util.List;

/**
 * What the lanes of a batch carry from step to step: the samples that halted lanes take, the least number of steps drawn
 * for exploration, and random parts of the latents.
 */
public final class LaneKernels {
    private static final int CONTROLS = Operations.CONTROLS;

    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    LaneKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * The lanes of a batch: what {@link #admit} may refill.
     *
     * @param halted [B] int32, 0 or 1
     * @param steps [B] int32, supervision steps since the lane took its sample
     * @param inputs [B, L] int32, tokens
     * @param labels [B, L] int32
     * @param ids [B] int32, puzzle identifiers
     * @param latents [B, S, D] of the compute type each, the answer y first
     */
    public record Lanes(Tensor halted, Tensor steps, Tensor inputs, Tensor labels, Tensor ids, List<Tensor> latents) {
        /** The answer, which the heads read. */
        public Tensor y() {
            return latents.get(0);
        }
    }

    /**
     * A device-resident data set: ids [examples] int32; inputs and labels [examples, L] uint8 as they are, or with
     * {@code origins} [examples, 2] int32, those of tasks [tasks, L], L = side * side, of which example e is number
     * origins[e][0], changed by record origins[e][1] of {@code augmentations} [., 1 + 2 side + vocabulary] uint8: a flag to
     * transpose, rows, columns, tokens (see {@code admit} in trm_ops.h). Every number there must be in range.
     *
     * @param ignoreLabel label of tokens that carry no loss, -1 for none
     * @param origins null where the examples are as they are, as {@code augmentations}
     * @param fresh symmetries to draw at each admission ({@link #admitFresh}); then {@code augmentations} is null; or null
     */
    public record Examples(
            Tensor inputs,
            Tensor labels,
            Tensor ids,
            int ignoreLabel,
            Tensor origins,
            Tensor augmentations,
            Symmetries fresh) {
        /** Examples as they are, or by records of augmentations. */
        public Examples(
                Tensor inputs, Tensor labels, Tensor ids, int ignoreLabel, Tensor origins, Tensor augmentations) {
            this(inputs, labels, ids, ignoreLabel, origins, augmentations, null);
        }

        /** Examples as they are. */
        public Examples(Tensor inputs, Tensor labels, Tensor ids, int ignoreLabel) {
            this(inputs, labels, ids, ignoreLabel, null, null);
        }
    }

    /**
     * Symmetries of a board to draw from, all equally likely: transposed or not; rows and columns reversed or not, or permuted in
     * boxes and boxes among each other; tokens permuted.
     *
     * @param transposes whether there are transposed ones
     * @param boxRows rows of a box; 0 without boxes, where rows are reversed or not
     * @param boxColumns likewise
     * @param firstToken the tokens from here on are permuted
     */
    public record Symmetries(boolean transposes, int boxRows, int boxColumns, int firstToken) {}

    /**
     * What random numbers on the device depend on, besides lane, place and number of the draw.
     *
     * @param controls [CONTROLS] float64, whose step it is; null for step 0
     * @param firstLane number, in the batch of all ranks, of this rank's first lane
     */
    public record Draws(Tensor controls, long seed, long firstLane) {
        /** Of a rank whose lanes are the first. */
        public Draws(Tensor controls, long seed) {
            this(controls, seed, 0);
        }
    }

    /**
     * Every halted lane takes the example {@code rows[step % ring, b]} (-1: an empty one) and steps = 0; the others keep
     * theirs. Its latents stay: {@link #resetLatents}.
     *
     * @param rows in, [ring, B] int32
     * @param controls in, [CONTROLS] float64, whose step it is; may be null for a ring of one
     * @param lanes halted in, all but the latents in and out
     */
    public void admit(Tensor rows, Tensor controls, Examples data, Lanes lanes) {
        long n = lanes.halted().count();
        int ring = rows.size(0);
        int length = lanes.inputs().size(1);
        Tensor augmentations = data.augmentations();
        int side = augmentations == null ? 0 : (int) Math.sqrt(length);
        int vocabulary = augmentations == null ? 0 : augmentations.size(1) - 1 - 2 * side;
        launcher.operation("admit")
                .operand("rows", rows, Dtype.I32, ring, n)
                .optional("controls", controls, Dtype.F64, CONTROLS)
                .operand(data.inputs())
                .operand(data.labels())
                .operand(data.ids())
                .optional("origins", data.origins(), Dtype.I32, data.ids().count(), 2)
                .operand(augmentations)
                .operand("halted", lanes.halted(), Dtype.I32, n)
                .operand("steps", lanes.steps(), Dtype.I32, n)
                .operand("inputs", lanes.inputs(), Dtype.I32, n, length)
                .operand("labels", lanes.labels(), Dtype.I32, n, length)
                .operand("ids", lanes.ids(), Dtype.I32, n)
                .begin();
        launcher.end(operations.admit(
                at(rows),
                at(controls),
                ring,
                at(data.inputs()),
                at(data.labels()),
                at(data.ids()),
                at(data.origins()),
                at(augmentations),
                data.ignoreLabel(),
                at(lanes.halted()),
                at(lanes.steps()),
                at(lanes.inputs()),
                at(lanes.labels()),
                at(lanes.ids()),
                n,
                length,
                side,
                vocabulary,
                stream));
    }

    /**
     * As {@link #admit}, each sample changed by one of the symmetries {@code data.fresh()}, drawn for the lane at this step: fresh
     * augmentation, as in SiC (arXiv:2601.19085). Data has origins, of which the tasks count.
     *
     * @param rows in, [ring, B] int32
     * @param draws with controls, whose step it is
     * @param vocabulary tokens of the data set
     * @param lanes halted in, all but the latents in and out
     * @param firstLane number of the first of these lanes among the rank's
     */
    public void admitFresh(Tensor rows, Draws draws, Examples data, int vocabulary, Lanes lanes, long firstLane) {
        long n = lanes.halted().count();
        int ring = rows.size(0);
        int length = lanes.inputs().size(1);
        Symmetries symmetries = data.fresh();
        launcher.operation("admit_fresh")
                .operand("rows", rows, Dtype.I32, ring, n)
                .operand("controls", draws.controls(), Dtype.F64, CONTROLS)
                .operand(data.inputs())
                .operand(data.labels())
                .operand(data.ids())
                .operand("origins", data.origins(), Dtype.I32, data.ids().count(), 2)
                .operand("halted", lanes.halted(), Dtype.I32, n)
                .operand("steps", lanes.steps(), Dtype.I32, n)
                .operand("inputs", lanes.inputs(), Dtype.I32, n, length)
                .operand("labels", lanes.labels(), Dtype.I32, n, length)
                .operand("ids", lanes.ids(), Dtype.I32, n)
                .begin();
        launcher.end(operations.admit_fresh(
                at(rows),
                at(draws.controls()),
                ring,
                at(data.inputs()),
                at(data.labels()),
                at(data.ids()),
                at(data.origins()),
                data.ignoreLabel(),
                at(lanes.halted()),
                at(lanes.steps()),
                at(lanes.inputs()),
                at(lanes.labels()),
                at(lanes.ids()),
                n,
                length,
                (int) Math.sqrt(length),
                vocabulary,
                symmetries.transposes() ? 1 : 0,
                symmetries.boxRows(),
                symmetries.boxColumns(),
                symmetries.firstToken(),
                draws.firstLane() + firstLane,
                draws.seed(),
                stream));
    }

    /**
     * Gives the latents of halted lanes their initial values, after {@link #admit}.
     *
     * @param inits in, [D] float32 each, a latent's value at every position
     * @param lanes halted in, latents out where a lane is halted
     */
    public void resetLatents(List<Tensor> inits, Lanes lanes) {
        for (int i = 0; i < inits.size(); i++) {
            Tensor z = lanes.latents().get(i);
            long n = z.shape().dim(0);
            int width = z.size(2);
            launcher.operation("reset_latent")
                    .operand("halted", lanes.halted(), Dtype.I32, n)
                    .operand("init", inits.get(i), Dtype.F32, width)
                    .operand(z)
                    .begin();
            launcher.end(operations.reset_latent(
                    at(lanes.halted()),
                    at(inits.get(i)),
                    at(z),
                    n,
                    z.size(1),
                    width,
                    z.dtype().code(),
                    stream));
        }
    }

    /**
     * Draws the least number of steps before each lane may halt: with probability p one of 2 .. maxSteps, else 0.
     *
     * @param draws with controls, whose step it is
     * @param minSteps out, [B] int32, of all the rank's lanes
     */
    public void explore(Draws draws, Tensor minSteps, double p, int maxSteps) {
        long n = minSteps.count();
        launcher.operation("explore")
                .operand("controls", draws.controls(), Dtype.F64, CONTROLS)
                .operand("min_steps", minSteps, Dtype.I32, n)
                .begin();
        launcher.end(operations.explore(
                at(draws.controls()), at(minSteps), n, draws.firstLane(), draws.seed(), p, maxSteps, stream));
    }

    /**
     * state = (1 - lambda) state + lambda f + sigma eps, eps ~ N(0, 1).
     *
     * @param f in, [B, ...] of the compute type
     * @param state in and out, as f
     * @param draws may be null where sigma is 0
     * @param firstLane number of the first of these lanes among the rank's
     * @param draw at least 1, of its own for each draw of a step; {@link #randomStart} takes as many as there are latents
     */
    public void relax(Tensor f, Tensor state, double lambda, double sigma, Draws draws, long firstLane, int draw) {
        long lanes = state.shape().dim(0);
        long n = state.count();
        Dtype t = state.dtype();
        Tensor controls = sigma == 0 ? null : draws.controls();
        long seed = sigma == 0 ? 0 : draws.seed();
        long first = sigma == 0 ? firstLane : draws.firstLane() + firstLane;
        launcher.operation("relax")
                .operand("f", f, t, n)
                .operand(state)
                .optional("controls", controls, Dtype.F64, CONTROLS)
                .beginMoving(3 * state.bytes());
        launcher.end(operations.relax(
                at(f), at(state), at(controls), lanes, n / lanes, first, seed, draw, lambda, sigma, t.code(), stream));
    }

    /**
     * dF = lambda d, then d = (1 - lambda) d.
     *
     * @param d in the gradient of the new state, out that of the old; [B, ...] of the compute type
     * @param dF out, as d: the gradient of f
     */
    public void relaxBwd(Tensor d, Tensor dF, double lambda) {
        long n = d.count();
        Dtype t = d.dtype();
        launcher.operation("relax_bwd").operand(d).operand("d_f", dF, t, n).beginMoving(3 * d.bytes());
        launcher.end(operations.relax_bwd(at(d), at(dF), n, lambda, t.code(), stream));
    }

    /**
     * Random latents for halted lanes, in place of {@link #resetLatents}: normal, cut to two deviations, of deviation 1.
     * Draws 1, 2, ... are those of the first, second, ... latent.
     *
     * @param lanes halted in, latents out where a lane is halted
     * @param keys in, [B] int32, what stands for a lane in its draws; null for its number in the batch of all ranks
     * @param firstLane number of the first of these lanes among the rank's
     */
    public void randomStart(Lanes lanes, Tensor keys, Draws draws, long firstLane) {
        for (int i = 0; i < lanes.latents().size(); i++) {
            Tensor z = lanes.latents().get(i);
            long n = z.shape().dim(0);
            launcher.operation("random_start")
                    .operand("halted", lanes.halted(), Dtype.I32, n)
                    .optional("keys", keys, Dtype.I32, n)
                    .optional("controls", draws.controls(), Dtype.F64, CONTROLS)
                    .operand(z)
                    .begin();
            launcher.end(operations.random_start(
                    at(lanes.halted()),
                    at(keys),
                    at(draws.controls()),
                    at(z),
                    n,
                    z.count() / n,
                    draws.firstLane() + firstLane,
                    draws.seed(),
                    1 + i,
                    z.dtype().code(),
                    stream));
        }
    }
}
