package trm.device;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the tensors of an {@link Arena} lie: every one at a multiple of {@link #ALIGNMENT} bytes in one of two regions.
 * What lasts has a place of its own. What lives within one turn (a training step, an evaluation) shares its region with
 * the other turns, which never run at the same time: the region is as large as the largest of them.
 *
 * <p>Filled by an arena, in the order in which tensors are asked for; the same requests give the same layout.
 */
public final class Layout {
    /** Bytes. What cudaMalloc aligns to; a multiple of every access of a kernel and of a cache line. */
    public static final int ALIGNMENT = 256;

    /** Purpose of what the last cycle keeps for its backward pass; lives within a turn. */
    public static final String TAPE = "tape";

    /** Purpose of what else lives within a turn. */
    public static final String SCRATCH = "scratch";

    /** A tensor's place. {@code bytes} is a multiple of {@link #ALIGNMENT}. */
    record Place(String purpose, String name, Dtype dtype, Shape shape, boolean lasts, long offset, long bytes) {}

    private final List<Place> places = new ArrayList<>();
    private final Map<String, Long> lasting = new LinkedHashMap<>();
    private final Map<String, Map<String, Long>> turns = new LinkedHashMap<>();
    private String turn = "step";

    /** What is asked for from here on lives within the turn of this name. */
    void turn(String name) {
        turn = name;
    }

    Place add(String purpose, String name, Dtype dtype, Shape shape) {
        boolean lasts = !purpose.equals(TAPE) && !purpose.equals(SCRATCH);
        Map<String, Long> region = lasts ? lasting : turns.computeIfAbsent(turn, t -> new LinkedHashMap<>());
        long bytes = Math.max(1, Math.multiplyExact(shape.count(), dtype.bytes()));
        bytes = Math.multiplyExact((bytes + ALIGNMENT - 1) / ALIGNMENT, ALIGNMENT);
        Place place = new Place(purpose, name, dtype, shape, lasts, sum(region), bytes);
        places.add(place);
        region.merge(purpose, bytes, Math::addExact);
        return place;
    }

    private static long sum(Map<String, Long> parts) {
        return parts.values().stream().mapToLong(Long::longValue).sum();
    }

    int size() {
        return places.size();
    }

    Place place(int index) {
        return places.get(index);
    }

    /** Bytes of the region of what lasts. */
    public long lastingBytes() {
        return sum(lasting);
    }

    /** Bytes of the region that the turns share. */
    public long turnBytes() {
        return turns.values().stream().mapToLong(Layout::sum).max().orElse(0);
    }

    /**
     * Bytes by purpose, in order of first use; they add up to {@link #totalBytes()}. Tape and scratch are those of the
     * first turn; a later turn counts under its own name, with what it needs beyond those before it.
     */
    public Map<String, Long> bytesByPurpose() {
        Map<String, Long> parts = new LinkedHashMap<>(lasting);
        long largest = 0;
        for (Map.Entry<String, Map<String, Long>> entry : turns.entrySet()) {
            long bytes = sum(entry.getValue());
            if (largest == 0) {
                parts.putAll(entry.getValue());
            } else {
                parts.put(entry.getKey(), Math.max(0, bytes - largest));
            }
            largest = Math.max(largest, bytes);
        }
        return parts;
    }

    public long totalBytes() {
        return Math.addExact(lastingBytes(), turnBytes());
    }
}
