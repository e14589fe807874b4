package trm.evaluation;

import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HaltRule;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Lifetime;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.lanes.LaneTensors;
import trm.lanes.RepeatedStep;
import trm.lanes.RowRing;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * B lanes that a model only runs forward on, and their supervision step: halted lanes take the samples on offer, one
 * forward pass, token loss, halting. The first step runs as it is, then it is captured and replayed. What the evaluators
 * have in common.
 */
final class EvaluationLanes implements AutoCloseable {
    private static final LaneKernels.Draws STARTS = new LaneKernels.Draws(null, 0); // the same in all evaluations

    private final Backend backend;
    private final Kernels kernels;
    private final Parameters parameters;
    private final boolean randomStart;
    private final Model model;
    private final LaneKernels.Lanes lanes;
    private final HeadKernels.TokenResults tokens;
    private final HeadKernels.HaltResults halts;
    private final RowRing ring;
    private final RepeatedStep repeated;
    private final Tensor allHalted;
    private final Tensor minSteps;
    private final LaneKernels.Lanes everyLane; // the lanes, as if each had halted
    private final Tensor sums;
    private final int maxSteps;
    private final HaltRule rule;
    private LaneKernels.Examples data; // that the step works on, null at first

    /**
     * What a step has left behind, on the host.
     *
     * @param predictions token of highest logit, lane by lane: [lanes, tokens]
     * @param qHalt halting logits [lanes]
     * @param qContinue continuing logits [lanes]
     * @param hits right tokens [lanes]
     * @param labelled tokens that have a label [lanes]
     * @param loss token loss [lanes]
     * @param steps since the lane took its sample [lanes]
     */
    record Reading(
            int[] predictions,
            float[] qHalt,
            float[] qContinue,
            int[] hits,
            int[] labelled,
            double[] loss,
            int[] steps) {}

    /**
     * @param maxSteps after which a lane halts whatever the rule says
     * @param graphs whether steps are captured and replayed; the results are the same bits
     */
    EvaluationLanes(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int maxSteps,
            HaltRule rule,
            boolean graphs) {
        this.backend = backend;
        this.kernels = backend.kernels();
        this.parameters = parameters;
        this.randomStart = sizes.arch().equilibrium().randomStart();
        this.maxSteps = maxSteps;
        this.rule = rule;
        arena.begin(Lifetime.EVALUATION);
        model = Model.forEvaluation(backend, arena, sizes, parameters, weights);
        lanes = LaneTensors.lanes(arena, sizes, Purpose.SCRATCH);
        tokens = LaneTensors.tokenResults(arena, sizes);
        halts = LaneTensors.haltResults(arena, sizes, false);
        ring = new RowRing(backend, arena, sizes.lanes(), 1);
        repeated = new RepeatedStep(backend, graphs, this::enqueue);
        allHalted = arena.tensor(Purpose.LANES, "all_halted", Dtype.I32, sizes.lanes());
        LaneTensors.haltAll(backend, allHalted);
        minSteps = arena.tensor(Purpose.LANES, "min_steps", Dtype.I32, sizes.lanes());
        sums = arena.tensor(Purpose.LANES, "metrics", Dtype.F64, maxSteps, HeadKernels.METRICS);
        everyLane = new LaneKernels.Lanes(
                allHalted, lanes.steps(), lanes.inputs(), lanes.labels(), lanes.ids(), lanes.latents());
    }

    /** Halts all lanes: the next step begins with other samples, those offered last, of {@code examples}. */
    void restart(LaneKernels.Examples examples) {
        if (examples != data) {
            repeated.forget();
            data = examples;
        }
        kernels.elementwise().copy(allHalted, lanes.halted());
    }

    /** The samples that halted lanes take in the steps to come, one a lane, -1 for none. */
    void offer(int[] exampleRows) {
        ring.offer(0, exampleRows);
    }

    /** Halted lanes take their samples now, so that their first latents can be replaced before the step. */
    void admit() {
        takeSamples();
        kernels.elementwise().zero(lanes.halted());
    }

    /** One supervision step. */
    void step() {
        repeated.run();
    }

    /** The operations of a supervision step, the same in every one. */
    private void enqueue() {
        takeSamples();
        model.forward(lanes);
        model.tokenLoss(lanes, tokens, 1);
        kernels.heads().halt(model.q(), tokens, minSteps, lanes, halts, maxSteps, rule, 1);
    }

    /** A random start is that of the sample, whatever lane takes it. */
    private void takeSamples() {
        kernels.lanes().admit(ring.rows(), null, data, lanes);
        if (randomStart) {
            kernels.lanes().randomStart(lanes, ring.rows(), STARTS, 0);
        } else {
            kernels.lanes().resetLatents(parameters.latentInits(), lanes);
        }
    }

    /** Adds what the last step found, halted lanes or not, to the sums of supervision step {@code step}, counted from 1. */
    void addMetrics(int step) {
        kernels.heads().metrics(model.q(), tokens, halts, everyLane, null, metrics(step));
    }

    /** Which lanes the last step halted, [lanes], 0 or 1; waits for it. */
    int[] halted() {
        return HostCopy.ints(backend, lanes.halted());
    }

    /** Waits for the last step. */
    Reading read() {
        float[] q = HostCopy.floats(backend, model.q());
        float[] qHalt = new float[q.length / 2];
        float[] qContinue = new float[q.length / 2];
        for (int b = 0; b < qHalt.length; b++) {
            qHalt[b] = q[2 * b];
            qContinue[b] = q[2 * b + 1];
        }
        return new Reading(
                HostCopy.ints(backend, tokens.preds()),
                qHalt,
                qContinue,
                HostCopy.ints(backend, tokens.hits()),
                HostCopy.ints(backend, tokens.labelled()),
                HostCopy.doubles(backend, tokens.laneLoss()),
                HostCopy.ints(backend, lanes.steps()));
    }

    /** B. */
    int count() {
        return (int) allHalted.count();
    }

    /** Whether steps are replays of a captured graph. */
    boolean captured() {
        return repeated.captured();
    }

    Model model() {
        return model;
    }

    LaneKernels.Lanes lanes() {
        return lanes;
    }

    HeadKernels.TokenResults tokens() {
        return tokens;
    }

    HeadKernels.HaltResults halts() {
        return halts;
    }

    /** [steps, METRICS] float64: for each supervision step, sums since they were last set to zero. */
    Tensor metrics() {
        return sums;
    }

    /** [METRICS] float64: those of supervision step {@code step}, counted from 1. */
    Tensor metrics(int step) {
        return sums.view((step - 1L) * HeadKernels.METRICS, HeadKernels.METRICS);
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        repeated.close();
        ring.close();
    }
}
