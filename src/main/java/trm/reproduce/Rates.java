package trm.reproduce;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import trm.config.ConfigException;
import trm.config.MemoryConfig;
import trm.config.Recompute;
import trm.model.ModelSizes;

/**
 * How fast one device is taken to be: by timings of it, or as stated. What was not timed is predicted from the timing that is most
 * like it, by the work of the matrix products: the same FLOP a second.
 */
public final class Rates {
    /**
     * @param ms milliseconds
     * @param source where it comes from, for people: measured, predicted or stated
     * @param measured whether this very work was timed
     */
    public record Expected(double ms, String source, boolean measured) {}

    /** Of the FLOP of what was timed: less may not keep the device as busy. */
    private static final double LEAST_SHARE = 0.1;

    private final String title;
    private final long memoryBytes; // 0 where that is not known
    private final List<Timing> timings;
    private final double msPerStep; // as stated, 0 if not
    private final double flopsPerMs; // as stated, 0 if not

    private Rates(String title, long memoryBytes, List<Timing> timings, double msPerStep, double flopsPerMs) {
        this.title = title;
        this.memoryBytes = memoryBytes;
        this.timings = timings;
        this.msPerStep = msPerStep;
        this.flopsPerMs = flopsPerMs;
    }

    /** By the timings of a device. */
    public static Rates of(RatesFile.Machine machine) {
        return new Rates(machine.title(), machine.memoryBytes(), machine.timings(), 0, 0);
    }

    /** Every optimizer step takes so many milliseconds. */
    public static Rates ofStep(double ms) {
        return new Rates(text(ms) + " ms a step, as stated", 0, List.of(), ms, 0);
    }

    /** Matrix products at so many TFLOP/s. */
    public static Rates ofTflops(double tflops) {
        return new Rates(text(tflops) + " TFLOP/s, as stated", 0, List.of(), 0, tflops * 1e9);
    }

    /** What the device is, and where its rate comes from. */
    public String title() {
        return title;
    }

    /** Bytes of the device's memory, 0 where that is not known. */
    public long memoryBytes() {
        return memoryBytes;
    }

    /**
     * An optimizer step.
     *
     * @param settled what is recomputed, and in how many parts
     * @throws ConfigException if nothing was timed from which it could be told
     */
    public Expected step(ModelSizes sizes, MemoryConfig settled) {
        Expected whole = expected(Timing.Work.STEP, sizes);
        double more = recomputed(sizes, settled.recompute()) / sizes.flops(true);
        if (msPerStep > 0 || settled.recompute() == Recompute.NONE && settled.microBatches() == 1) {
            return whole;
        }
        String how = settled.recompute() == Recompute.NONE
                ? ", in " + settled.microBatches() + " parts"
                : ", with recompute " + settled.recompute().key();
        String source = whole.measured ? whole.source.replace("measured,", "predicted from") + how : whole.source + how;
        return new Expected(whole.ms * (1 + more), source, false);
    }

    /**
     * One supervision step of a batch that is evaluated.
     *
     * @throws ConfigException if nothing was timed from which it could be told
     */
    public Expected evaluation(ModelSizes sizes) {
        return expected(Timing.Work.EVALUATION, sizes);
    }

    private Expected expected(Timing.Work work, ModelSizes sizes) {
        double flops = sizes.flops(work == Timing.Work.STEP);
        if (msPerStep > 0) {
            return new Expected(msPerStep * flops / sizes.flops(true), "stated", false);
        }
        if (flopsPerMs > 0) {
            return new Expected(flops / flopsPerMs, "stated, by FLOP", false);
        }
        String dtype = sizes.arch().dtype().key();
        List<Timing> like = timings.stream()
                .filter(timing -> timing.work() == work && timing.dtype().equals(dtype))
                .toList();
        Optional<Timing> same =
                like.stream().filter(timing -> timing.isOf(sizes)).findFirst();
        if (same.isPresent()) {
            return new Expected(same.get().ms(), "measured, " + same.get().config(), true);
        }
        Optional<Timing> nearest = like.stream().min(Comparator.comparingDouble(timing -> timing.unlike(sizes)));
        if (nearest.isPresent()) {
            Timing from = nearest.get();
            boolean small = flops < LEAST_SHARE * from.flops();
            return new Expected(
                    from.ms() * flops / from.flops(),
                    "predicted from " + from.config() + " by FLOP"
                            + (small ? ", at best: it is too small to fill that device" : ""),
                    false);
        }
        if (work == Timing.Work.EVALUATION) { // where only steps were timed: the same FLOP a second
            Expected step = expected(Timing.Work.STEP, sizes);
            return new Expected(step.ms * flops / sizes.flops(true), "predicted from steps by FLOP", false);
        }
        throw new ConfigException(
                "--rate",
                title + ": no step in " + dtype + " was timed there, expected one; time it on that machine: trm bench"
                        + " CONFIG --save FILE, or state a rate: --rate 100ms, --rate 400TFLOP/s");
    }

    /**
     * Work of a step that a choice makes twice: gate and up are two of the three products of an MLP; whole blocks are one forward
     * pass of the differentiated updates; applications likewise, and all blocks of each but the last once more.
     */
    private static double recomputed(ModelSizes sizes, Recompute mode) {
        double forward = (sizes.flops(true) - sizes.flops(false) * (sizes.arch().hasContinueLoss() ? 2 : 1)) / 2;
        double layers = sizes.arch().recursion().layers();
        return switch (mode) {
            case AUTO, NONE, ACTIVATION -> 0;
            case GATE_UP -> forward * 2 / 3;
            case LAYERS -> forward;
            case APPLICATIONS -> forward * (1 + (layers - 1) / layers);
        };
    }

    private static String text(double value) {
        return String.format(Locale.ROOT, value == Math.rint(value) ? "%.0f" : "%.4g", value);
    }
}
