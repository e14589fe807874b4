package trm.train;

import java.util.Arrays;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Control;
import trm.device.Dtype;
import trm.device.ElementwiseKernels;
import trm.device.HaltRule;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Lifetime;
import trm.device.OptimizerKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.lanes.LaneTensors;
import trm.lanes.RepeatedStep;
import trm.lanes.RowRing;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Deep supervision of a batch of lanes, or of a rank's equal part of it (docs/specification.md#6-deep-supervision-and-halting). A lane carries its
 * sample, latents, step count and halted flag; a halted lane takes the next sample. One {@link #step} is: admit,
 * forward, losses, halting, backward, update; with the continue loss, a further forward pass whose latents are dropped. Before
 * {@code carry_from_step} all lanes halt at every step.
 * Forward to backward may go part by part ({@link MicroBatch}).
 *
 * <p>All state lives on the device, the step number and what follows from it too: every step is the same sequence of
 * operations, but for a depth schedule, where each part of the run has its own. The first step runs as it is, then the sequence
 * is captured and replayed. Only the numbers of the new samples
 * come from the host, which is up to {@value #RING} steps ahead.
 */
public final class DeepSupervision implements AutoCloseable {
    private static final int RING = 4; // slots: enough to keep the device busy, few enough to stop soon

    private final Backend backend;
    private final Kernels kernels;
    private final RankSums rankSums;
    private final Parameters parameters;
    private final Model model;
    private final TrainConfig config;
    private final LaneKernels.Examples data;
    private final LaneKernels.Lanes lanes;
    private final HeadKernels.TokenResults tokens;
    private final HeadKernels.HaltResults halts;
    private final NextPass next; // null without the continue loss
    private final MicroBatch[] parts;
    private final OptimizerKernels.Schedule schedule;
    private final LaneKernels.Draws draws;
    private final WeightUpdate weightUpdate;
    private final RowRing ring;
    private final DepthSchedule depth;
    private final RepeatedStep[] repeated; // of each of its parts
    private final MetricsReading reading;
    private final Tensor minSteps;
    private final Tensor controls;
    private final Tensor metrics;
    private final Tensor gradNorm;
    private final Tensor partials;
    private final int vocabulary;
    private final int firstLane; // number, in the batch of all ranks, of this rank's first
    private int part; // of the depth schedule, that the model makes the updates of
    private long offered = -1; // number of the step that samples were last offered to; -1: as controls say

    /** One more forward pass of the lanes, on latents of its own, and what the continue loss makes of its q. */
    private record NextPass(Model model, LaneKernels.Lanes lanes, HeadKernels.ContinueResults results) {
        static NextPass allocate(
                Backend backend,
                Arena arena,
                ModelSizes sizes,
                int parts,
                Parameters parameters,
                LaneKernels.Lanes lanes) {
            Model model = Model.forEvaluation(backend, arena, sizes, parts, parameters, parameters.weights());
            return new NextPass(
                    model,
                    LaneTensors.withOwnLatents(lanes, arena, model.sizes()),
                    LaneTensors.continueResults(arena, sizes));
        }
    }

    /**
     * @param config where it leaves them open ({@code auto}), nothing is recomputed and all lanes go at once
     * @param totalSteps optimizer steps of the whole run, for the cosine part of the schedule
     * @param data the device-resident training examples
     */
    public DeepSupervision(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            TrainConfig config,
            long totalSteps,
            LaneKernels.Examples data) {
        this(backend, arena, sizes, parameters, config, totalSteps, data, RepeatedStep.graphs());
    }

    /** @param graphs whether steps are captured and replayed; the results are the same bits */
    DeepSupervision(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            TrainConfig config,
            long totalSteps,
            LaneKernels.Examples data,
            boolean graphs) {
        this.backend = backend;
        this.kernels = backend.kernels();
        this.parameters = parameters;
        this.config = config;
        this.data = data;
        vocabulary = sizes.data().vocabSize();
        arena.begin(Lifetime.TRAINING_STEP);
        int count = Math.max(1, config.memory().microBatches());
        controls = arena.tensor(Purpose.LANES, "controls", Dtype.F64, OptimizerKernels.CONTROLS);
        firstLane = backend.collective().rank() * sizes.lanes();
        draws = new LaneKernels.Draws(controls, config.run().seed(), firstLane);
        model = Model.forTraining(backend, arena, sizes, count, config.memory().recompute(), parameters, draws);
        lanes = LaneTensors.lanes(arena, sizes, Purpose.LANES);
        tokens = LaneTensors.tokenResults(arena, sizes);
        halts = LaneTensors.haltResults(arena, sizes, true);
        next = config.arch().hasContinueLoss()
                ? NextPass.allocate(backend, arena, sizes, count, parameters, lanes)
                : null;
        minSteps = arena.tensor(Purpose.LANES, "min_steps", Dtype.I32, sizes.lanes());
        metrics = arena.tensor(Purpose.LANES, "metrics", Dtype.F64, HeadKernels.METRICS);
        parts = new MicroBatch[count];
        for (int i = 0; i < count; i++) {
            parts[i] = MicroBatch.of(
                    i,
                    count,
                    lanes,
                    tokens,
                    halts,
                    minSteps,
                    next == null ? null : next.lanes(),
                    next == null ? null : next.results());
        }
        gradNorm = arena.tensor(Purpose.LANES, "grad_norm", Dtype.F64, 1);
        partials = arena.tensor(Purpose.LANES, "grad_norm partials", Dtype.F64, OptimizerKernels.NORM_PARTIALS);
        ring = new RowRing(backend, arena, sizes.lanes(), RING);
        reading = new MetricsReading(backend, arena);
        rankSums = new RankSums(backend, arena, parameters, lanes.ids(), model.puzzleRowGradients());
        depth = new DepthSchedule(config, totalSteps);
        part = depth.parts() - 1;
        repeated = new RepeatedStep[depth.parts()];
        Arrays.setAll(repeated, i -> new RepeatedStep(backend, graphs, this::enqueue));
        schedule = new OptimizerKernels.Schedule(
                config.learningRate().base(),
                config.learningRate().puzzleBase(),
                config.learningRate().warmupSteps(),
                totalSteps,
                config.learningRate().minRatio(),
                config.run().beginStep());
        weightUpdate = new WeightUpdate(backend, arena, parameters, sizes.dtype(), config);
        LaneTensors.haltAll(backend, lanes.halted());
    }

    /** One optimizer step; {@code exampleRows} are the samples that halted lanes take, one a lane of all ranks. */
    public void step(int[] exampleRows) {
        offer(exampleRows);
        repeated[part].run();
    }

    /** The same with the updates of a part of the depth schedule, whatever the number of the step: for timing. */
    void step(int[] exampleRows, int depthPart) {
        offer(exampleRows);
        use(depthPart);
        repeated[part].run();
    }

    /** The samples that halted lanes take in the step after the one last offered to; part of {@link #step}. */
    public void offer(int[] exampleRows) {
        if (offered < 0) {
            offered = (long) HostCopy.doubles(backend, controls)[Control.STEP.ordinal()];
        }
        kernels.phase("admit, embed");
        if (exampleRows.length != backend.collective().ranks() * minSteps.count()) {
            throw new IllegalArgumentException(exampleRows.length + " samples are offered to "
                    + backend.collective().ranks() + " ranks of " + minSteps.count() + " lanes");
        }
        ring.offer(++offered, exampleRows, firstLane);
        use(depth.partOf(offered));
    }

    /** Makes the updates of a part of the depth schedule. */
    private void use(int other) {
        if (part != other) {
            part = other;
            model.use(depth.updates(part));
            if (next != null) {
                next.model().use(depth.updates(part));
            }
        }
    }

    /** The operations of a step, the same in every one. */
    private void enqueue() {
        advance();
        kernels.lanes()
                .explore(
                        draws,
                        minSteps,
                        config.arch().halting().explorationProb(),
                        config.arch().halting().maxSteps());
        forwardBackward();
        update();
    }

    /** Admission to gradients, with the exploration minimum as {@link #minSteps()} holds it. */
    public void forwardBackward() {
        if (data.fresh() == null) {
            kernels.lanes().admit(ring.rows(), controls, data, lanes);
        } else {
            kernels.lanes().admitFresh(ring.rows(), draws, data, vocabulary, lanes, 0);
        }
        if (config.arch().equilibrium().randomStart()) {
            kernels.lanes().randomStart(lanes, null, draws, 0);
        } else {
            kernels.lanes().resetLatents(parameters.latentInits(), lanes);
        }
        for (int i = 0; i < parts.length; i++) {
            forwardBackward(parts[i], i);
        }
        kernels.phase("heads, losses");
        HeadKernels heads = kernels.heads();
        heads.metrics(
                model.q(),
                tokens,
                halts,
                lanes,
                next == null ? null : next.results().loss(),
                metrics);
    }

    /** Forward to gradients of one part of the lanes. */
    private void forwardBackward(MicroBatch part, int index) {
        double scale = 1.0 / config.schedule().globalBatchSize();
        double haltScale = config.arch().loss().haltWeight() * scale;
        int maxSteps = config.arch().halting().maxSteps();
        HaltRule rule = config.arch().haltsOnSign() ? HaltRule.SIGN : HaltRule.COMPARE;
        model.forward(part.lanes(), index);
        model.tokenLoss(part.lanes(), part.tokens(), scale);
        HeadKernels heads = kernels.heads();
        heads.halt(
                model.q(index), part.tokens(), part.minSteps(), part.lanes(), part.halts(), maxSteps, rule, haltScale);
        if (next != null) {
            continueLoss(part, index, maxSteps, haltScale);
        }
        if (config.schedule().carryFromStep() > 0) {
            heads.dropCarry(
                    controls,
                    part.lanes(),
                    part.halts(),
                    next == null ? null : part.continues().loss(),
                    config.schedule().carryFromStep());
        }
        model.backward(part.lanes(), part.halts().dq(), index);
    }

    /**
     * What q_continue should have said, by one more forward pass from the new latents
     * (docs/specification.md#6-deep-supervision-and-halting).
     */
    private void continueLoss(MicroBatch part, int index, int maxSteps, double scale) {
        ElementwiseKernels elementwise = kernels.elementwise();
        for (int i = 0; i < part.lanes().latents().size(); i++) {
            elementwise.copy(
                    part.lanes().latents().get(i), part.nextLanes().latents().get(i));
        }
        next.model().forwardHalting(part.nextLanes(), index);
        HeadKernels heads = kernels.heads();
        heads.continueLoss(
                model.q(index),
                next.model().q(index),
                part.lanes(),
                part.continues(),
                part.halts().dq(),
                maxSteps,
                scale);
    }

    /** The ranks' gradients as one, its norm and limit, both optimizers and the moving average; gradients become zero. */
    public void update() {
        if (backend.collective().ranks() > 1) {
            kernels.phase("ranks");
            rankSums.add(parameters.gradient());
        }
        kernels.phase("update");
        kernels.optimizers().gradNorm(parameters.gradient(), partials, gradNorm, metrics);
        if (config.optimizer().freezeWeights()) {
            kernels.elementwise().zero(parameters.gradient());
        } else {
            updateWeights();
        }
        if (parameters.puzzleTable() != null) {
            OptimizerKernels optimizers = kernels.optimizers();
            optimizers.signSgd(
                    parameters.puzzleTable(),
                    rankSums.ids(),
                    rankSums.rowGradients(),
                    controls,
                    config.optimizer().puzzleWeightDecay());
        }
    }

    private void updateWeights() {
        if (config.optimizer().maxGradNorm() > 0) {
            kernels.optimizers()
                    .clipGradient(
                            parameters.gradient(), gradNorm, config.optimizer().maxGradNorm());
        }
        weightUpdate.run(controls);
    }

    /** Moves the step counter and rates on; part of {@link #step}, apart for replays of captured steps. */
    public void advance() {
        kernels.optimizers()
                .advance(
                        controls,
                        schedule,
                        config.optimizer().beta1(),
                        config.optimizer().beta2());
    }

    public Model model() {
        return model;
    }

    public LaneKernels.Lanes lanes() {
        return lanes;
    }

    public HeadKernels.TokenResults tokens() {
        return tokens;
    }

    public HeadKernels.HaltResults halts() {
        return halts;
    }

    /** Target and loss of q_continue in the last step, or null without the continue loss. */
    public HeadKernels.ContinueResults continues() {
        return next == null ? null : next.results();
    }

    /** [B, 2] float32: q of the further pass, or null without the continue loss. */
    public Tensor nextQ() {
        return next == null ? null : next.model().q();
    }

    /** Whether steps are replays of a captured graph by now. */
    public boolean captured() {
        return repeated[part].captured();
    }

    /** Takes the sums of {@link #metrics()} and sets them to zero; they can be read from what this returns. */
    public MetricsReading takeMetrics() {
        reading.take(metrics, controls);
        return reading;
    }

    /** [B] int32: no lane halts below this count of steps. */
    public Tensor minSteps() {
        return minSteps;
    }

    /** [CONTROLS] float64: step number, rates, bias corrections. */
    public Tensor controls() {
        return controls;
    }

    /** [1] float64: norm of the last step's gradient of the trained tensors, all as one vector. */
    public Tensor gradNorm() {
        return gradNorm;
    }

    /** [METRICS] float64: sums over this rank's lanes since they were last set to zero. */
    public Tensor metrics() {
        return metrics;
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        for (RepeatedStep step : repeated) {
            step.close();
        }
        ring.close();
        reading.close();
    }
}
