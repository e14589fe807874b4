package trm.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.config.MemorySize;
import trm.config.Recompute;
import trm.config.ScheduleConfig;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.Layout;
import trm.device.PlanningBackend;
import trm.device.RankExchange;

/**
 * How a run, or one of its ranks, is to fit into memory: the layout of its arena, and the choice of micro-batches and recomputation that led to
 * it. Where the settings leave the choice open, the first of these that fits is taken: micro-batches, as long as a part
 * is large enough to keep a device busy, for they cost no work; gate and up recomputed; whole layers; whole applications of f;
 * at last smaller parts still.
 */
public final class MemoryPlan {
    /**
     * Rows (lanes times positions) below which a part is thought too small: a matrix product of 128 x 128 tiles then has
     * fewer row tiles than a large GPU has processors (132 on an H100).
     */
    static final int LEAST_ROWS = 1 << 14;

    /** What a run puts on its device. Called to plan and then in earnest, it must ask for the same tensors. */
    @FunctionalInterface
    public interface Contents<T> {
        /** @param settled settings without {@code auto} */
        T allocate(Backend backend, Arena arena, TrainConfig settled);
    }

    /** One choice, and the bytes that it needs. */
    public record Tried(Recompute recompute, int microBatches, long bytes) {}

    private final TrainConfig given;
    private final TrainConfig settled;
    private final Layout layout;
    private final Map<String, Long> overhead;
    private final long limit;
    private final List<Tried> tried;
    private final String advice; // null where the plan fits

    private MemoryPlan(
            TrainConfig given,
            TrainConfig settled,
            Layout layout,
            Map<String, Long> overhead,
            long limit,
            List<Tried> tried,
            String advice) {
        this.given = given;
        this.settled = settled;
        this.layout = layout;
        this.overhead = overhead;
        this.limit = limit;
        this.tried = tried;
        this.advice = advice;
    }

    /**
     * Plans for a device that is here, within what is free on it, or on that of any other rank, and what the settings allow: all
     * ranks have the same plan.
     *
     * @param positions of a sample, the prefix included
     */
    public static MemoryPlan of(Backend device, TrainConfig config, int positions, Contents<?> contents) {
        long free = RankExchange.least(device, device.freeBytes());
        long limit = Math.min(config.memory().limitBytes(), free);
        return of(new PlanningBackend(device), limit, config, positions, contents);
    }

    /** Plans for {@code limit} bytes; a plan that does not fit is the smallest there is. */
    public static MemoryPlan of(
            PlanningBackend device, long limit, TrainConfig config, int positions, Contents<?> contents) {
        Planner planner = new Planner(device, limit, contents);
        List<Tried> tried = new ArrayList<>();
        TrainConfig smallest = null;
        long least = Long.MAX_VALUE;
        for (TrainConfig choice : choices(config, positions, device.collective().ranks())) {
            long bytes = planner.bytes(choice);
            tried.add(new Tried(choice.memory().recompute(), choice.memory().microBatches(), bytes));
            if (bytes < least) {
                smallest = choice;
                least = bytes;
            }
            if (bytes <= limit) {
                smallest = choice;
                break;
            }
        }
        String advice = least <= limit ? null : planner.advice(config, positions);
        return new MemoryPlan(config, smallest, planner.layout(smallest), device.overheadBytes(), limit, tried, advice);
    }

    /**
     * The largest batch that fits into {@code limit} bytes with one choice of recomputation and micro-batches: a multiple of the
     * ranks and of the parts, 0 if not even one such does. The larger the batch, the more it takes.
     */
    public static int largestBatch(
            PlanningBackend device, long limit, TrainConfig config, Recompute mode, int parts, Contents<?> contents) {
        Planner planner = new Planner(device, limit, contents);
        int unit = device.collective().ranks() * parts;
        int fits = 0;
        int fails = ScheduleConfig.MAX_LANES / unit + 1; // in units
        for (int next = 1;
                next < fails && fails - fits > 1;
                next = fails <= 2 * next ? fits + (fails - fits) / 2 : 2 * next) {
            if (planner.bytes(config.with(next * unit, mode, parts)) <= limit) {
                fits = next;
            } else {
                fails = next;
            }
        }
        return fits * unit;
    }

    /** The choices that the settings leave, in the order in which they are tried. */
    private static List<TrainConfig> choices(TrainConfig config, int positions, int ranks) {
        int lanes = config.schedule().globalBatchSize() / ranks;
        List<Recompute> modes = modes(config);
        List<TrainConfig> choices = new ArrayList<>();
        List<TrainConfig> smaller = new ArrayList<>();
        for (Recompute mode : modes) {
            for (int parts = 1; parts <= lanes; parts++) {
                boolean open = config.memory().microBatches() == 0;
                if (open ? lanes % parts != 0 : config.memory().microBatches() != parts) {
                    continue;
                }
                long rows = (long) lanes / parts * positions;
                if (!open || parts == 1 || rows >= LEAST_ROWS) {
                    choices.add(config.with(mode, parts));
                    if (mode == Recompute.NONE && modes.size() > 1) { // before more parts, whose sums have other bits
                        choices.add(config.with(Recompute.ACTIVATION, parts));
                    }
                } else if (mode == modes.get(modes.size() - 1)) {
                    smaller.add(config.with(mode, parts));
                }
            }
        }
        choices.addAll(smaller);
        return choices;
    }

    private static List<Recompute> modes(TrainConfig config) {
        return config.memory().recompute() == Recompute.AUTO
                ? List.of(Recompute.NONE, Recompute.GATE_UP, Recompute.LAYERS, Recompute.APPLICATIONS)
                : List.of(config.memory().recompute());
    }

    /** Lays contents out for one choice after the other. */
    private record Planner(PlanningBackend device, long limit, Contents<?> contents) {
        Layout layout(TrainConfig choice) {
            try (Arena arena = new Arena(device)) {
                contents.allocate(device, arena, choice);
                return arena.layout();
            }
        }

        private int ranks() {
            return device.collective().ranks();
        }

        long bytes(TrainConfig choice) {
            return layout(choice).totalBytes() + sum(device.overheadBytes());
        }

        /** Settings that would fit, for a message. */
        String advice(TrainConfig config, int positions) {
            if (config.memory().recompute() != Recompute.AUTO || config.memory().microBatches() != 0) {
                for (TrainConfig choice : choices(config.with(Recompute.AUTO, 0), positions, ranks())) {
                    if (bytes(choice) <= limit) {
                        return "recompute: " + choice.memory().recompute().key() + " with micro_batches: "
                                + choice.memory().microBatches() + " would fit";
                    }
                }
            }
            // the larger the batch, the more it takes: what is kept for every lane, and one part
            int fits = 0;
            int fails = config.schedule().globalBatchSize() / ranks();
            while (fails - fits > 1) {
                int lanes = fits + (fails - fits) / 2;
                if (bytes(config.with(lanes * ranks(), Recompute.APPLICATIONS, lanes)) <= limit) {
                    fits = lanes;
                } else {
                    fails = lanes;
                }
            }
            return fits > 0
                    ? "the largest batch that fits is global_batch_size: " + fits * ranks()
                            + (config.memory().microBatches() != 0 ? " with micro_batches: auto" : "")
                            + (config.memory().recompute() != Recompute.AUTO ? " and recompute: auto" : "")
                    : "not even a batch of 1 would fit"
                            + (config.evaluation().batchSize() > 1
                                    ? " with eval_batch_size: "
                                            + config.evaluation().batchSize()
                                    : "");
        }
    }

    private static long sum(Map<String, Long> parts) {
        return parts.values().stream().mapToLong(Long::longValue).sum();
    }

    public boolean fits() {
        return totalBytes() <= limit;
    }

    /** Bytes that may be taken. */
    public long limitBytes() {
        return limit;
    }

    /** The settings with the choice made. */
    public TrainConfig settled() {
        return settled;
    }

    /** Bytes of the arena. */
    public long arenaBytes() {
        return layout.totalBytes();
    }

    /** Bytes of the arena and of what the device takes besides. */
    public long totalBytes() {
        return layout.totalBytes() + sum(overhead);
    }

    /** What {@link #totalBytes()} is made of. */
    public Map<String, Long> parts() {
        Map<String, Long> parts = new LinkedHashMap<>(layout.bytesByPurpose());
        parts.putAll(overhead);
        return parts;
    }

    /** The choices that were tried, the last of them taken if it fits. */
    public List<Tried> tried() {
        return List.copyOf(tried);
    }

    /** One line: what was chosen, and why. */
    public String describe() {
        String why;
        if (given.memory().recompute() != Recompute.AUTO && given.memory().microBatches() != 0) {
            why = "as set";
        } else if (tried.size() == 1) {
            why = "nothing had to be saved";
        } else {
            Tried first = tried.get(0);
            why = "recompute " + first.recompute().key() + " with micro_batches " + first.microBatches()
                    + " would need " + MemorySize.text(first.bytes());
        }
        return MemorySize.text(totalBytes()) + " of " + MemorySize.text(limit) + " with recompute "
                + settled.memory().recompute().key() + " and micro_batches "
                + settled.memory().microBatches() + ": " + why;
    }

    /** What to say of a plan that does not fit: what it needs, and a setting that would fit. */
    public String refusal() {
        return "a batch of " + given.schedule().globalBatchSize() + " needs " + MemorySize.text(totalBytes())
                + ", with recompute: "
                + settled.memory().recompute().key() + " and micro_batches: "
                + settled.memory().microBatches() + ", and there are "
                + MemorySize.text(limit) + "; " + advice;
    }

    /** @throws DeviceException if the plan does not fit; the message says what would */
    public void requireFits() {
        if (!fits()) {
            throw new DeviceException(refusal());
        }
    }

    /** An arena with this layout. @throws DeviceException if the plan does not fit */
    public Arena allocate(Backend device) {
        requireFits();
        return new Arena(device, layout);
    }
}
