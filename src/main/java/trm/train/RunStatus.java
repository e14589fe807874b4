package trm.train;

import java.time.Instant;

/**
 * How a run is doing, for those who watch it from outside. Its thread writes, any thread reads; a step that completes writes two
 * numbers and makes no object.
 */
public final class RunStatus {
    /** What a run is at. */
    public enum Phase {
        STARTING,
        TRAINING,
        EVALUATING,
        ENDED,
        /** It has failed: its device is lost, another rank has ended, or it could not go on for another reason. */
        FAILED
    }

    /**
     * The checkpoints of a run.
     *
     * @param step of the newest one, -1 before the first of this process
     * @param at when it was complete, null before the first
     * @param failing whether the last one could not be written
     * @param copySeconds that the training waited for the copy of the last one
     */
    public record Checkpoints(long step, Instant at, boolean failing, double copySeconds) {}

    /**
     * The work of a step, of all ranks.
     *
     * @param batch samples
     * @param flops floating-point operations of its matrix products
     * @param yardstick such operations a second that the device makes at best, 0 where that was not measured
     */
    public record Work(int batch, double flops, double yardstick) {}

    private static final long NS = 1_000_000_000;

    private final Object lock = new Object();
    private volatile Phase phase = Phase.STARTING;
    private volatile long totalSteps;
    private volatile int ranks = 1;
    private volatile boolean begun;
    private volatile long step;
    private volatile long progressAt = System.nanoTime();
    private volatile MetricsRow training; // null before the first
    private volatile MetricsRow evaluation; // null before the first
    private volatile long memoryBytes;
    private volatile Work work = new Work(0, 0, 0);
    private volatile Checkpoints checkpoints = new Checkpoints(-1, null, false, 0);
    private volatile double stepsPerSecond;
    private long tickStep; // guarded by lock, as the next
    private long tickAt = progressAt;

    /** The run trains from a step on. */
    void begins(long atStep, long total, int ofRanks, long bytes, Work ofStep) {
        totalSteps = total;
        work = ofStep;
        ranks = ofRanks;
        memoryBytes = bytes;
        step = atStep;
        synchronized (lock) {
            tickStep = atStep;
            tickAt = System.nanoTime();
        }
        begun = true;
        enter(Phase.TRAINING);
    }

    /** Whether the run has trained, or could have: what it needs was there. */
    public boolean hasBegun() {
        return begun;
    }

    void enter(Phase next) {
        phase = next;
        progressed();
    }

    /** A step is complete. */
    void stepped(long done) {
        step = done;
        progressed();
    }

    /** Something has come further: a step, or a part of an evaluation. */
    void progressed() {
        progressAt = System.nanoTime();
    }

    void row(MetricsRow row) {
        if (row.has(MetricsRow.Column.EVAL_PUZZLES)) {
            evaluation = row;
        } else {
            training = row;
        }
    }

    void copied(double seconds) {
        Checkpoints c = checkpoints;
        checkpoints = new Checkpoints(c.step, c.at, c.failing, seconds);
    }

    void saved(long ofStep) {
        checkpoints = new Checkpoints(ofStep, Instant.now(), false, checkpoints.copySeconds);
    }

    void checkpointFailed() {
        Checkpoints c = checkpoints;
        checkpoints = new Checkpoints(c.step, c.at, true, c.copySeconds);
    }

    /** Counts the steps since the last call, for {@link #stepsPerSecond()}; called every few seconds. */
    void tick() {
        synchronized (lock) {
            long now = System.nanoTime();
            long done = step;
            stepsPerSecond = now > tickAt ? (double) (done - tickStep) * NS / (now - tickAt) : 0;
            tickStep = done;
            tickAt = now;
        }
    }

    public Phase phase() {
        return phase;
    }

    /** Steps done. */
    public long step() {
        return step;
    }

    public long totalSteps() {
        return totalSteps;
    }

    public int ranks() {
        return ranks;
    }

    /** Over the last seconds. */
    public double stepsPerSecond() {
        return stepsPerSecond;
    }

    /** Seconds since a step, or a part of an evaluation, was complete. */
    public double idleSeconds() {
        return (double) (System.nanoTime() - progressAt) / NS;
    }

    /** Whether the run goes on: it has begun, has not ended, and something was complete within so many seconds. */
    public boolean isReady(double seconds) {
        return (phase == Phase.TRAINING || phase == Phase.EVALUATING) && idleSeconds() <= seconds;
    }

    /** The last row of training, null before the first. */
    public MetricsRow training() {
        return training;
    }

    /** The last row of an evaluation, null before the first. */
    public MetricsRow evaluation() {
        return evaluation;
    }

    /** Bytes that the run takes on its device. */
    public long memoryBytes() {
        return memoryBytes;
    }

    public Work work() {
        return work;
    }

    public Checkpoints checkpoints() {
        return checkpoints;
    }
}
