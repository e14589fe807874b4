package trm.device;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the tensors of an {@link Arena} lie: every one at a multiple of {@link #ALIGNMENT} bytes in one of two regions.
 * What lasts has a place of its own. What lives within one {@link Lifetime} shares its region with the other lifetimes: the
 * region is as large as the largest of them.
 *
 * <p>Filled by an arena, in the order in which tensors are asked for; the same requests give the same layout.
 */
public final class Layout {
    /** Bytes. What cudaMalloc aligns to; a multiple of every access of a kernel and of a cache line. */
    public static final int ALIGNMENT = 256;

    /** A tensor's place. {@code bytes} is a multiple of {@link #ALIGNMENT}. */
    record Place(Purpose purpose, String name, Dtype dtype, Shape shape, long offset, long bytes) {}

    private final List<Place> places = new ArrayList<>();
    private final Map<Purpose, Long> lasting = new LinkedHashMap<>();
    private final Map<Lifetime, Map<Purpose, Long>> lifetimes = new LinkedHashMap<>();
    private Lifetime lifetime = Lifetime.TRAINING_STEP;

    /** Tape and scratch that are asked for from here on live within this lifetime. */
    void begin(Lifetime next) {
        lifetime = next;
    }

    Place add(Purpose purpose, String name, Dtype dtype, Shape shape) {
        Map<Purpose, Long> region =
                purpose.lasts() ? lasting : lifetimes.computeIfAbsent(lifetime, t -> new LinkedHashMap<>());
        long bytes = Math.max(1, Math.multiplyExact(shape.count(), dtype.bytes()));
        bytes = Math.multiplyExact((bytes + ALIGNMENT - 1) / ALIGNMENT, ALIGNMENT);
        Place place = new Place(purpose, name, dtype, shape, sum(region), bytes);
        places.add(place);
        region.merge(purpose, bytes, Math::addExact);
        return place;
    }

    private static long sum(Map<Purpose, Long> parts) {
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

    /** Bytes of the region that the lifetimes share. */
    public long sharedBytes() {
        return lifetimes.values().stream().mapToLong(Layout::sum).max().orElse(0);
    }

    /**
     * Bytes by purpose, in order of first use; they add up to {@link #totalBytes()}. Tape and scratch are those of the
     * first lifetime; a later one counts under its own name, with what it needs beyond those before it.
     */
    public Map<String, Long> bytesByPurpose() {
        Map<String, Long> parts = new LinkedHashMap<>();
        lasting.forEach((purpose, bytes) -> parts.put(purpose.toString(), bytes));
        long largest = 0;
        for (Map.Entry<Lifetime, Map<Purpose, Long>> entry : lifetimes.entrySet()) {
            long bytes = sum(entry.getValue());
            if (largest == 0) {
                entry.getValue().forEach((purpose, part) -> parts.put(purpose.toString(), part));
            } else {
                parts.put(entry.getKey().toString(), Math.max(0, bytes - largest));
            }
            largest = Math.max(largest, bytes);
        }
        return parts;
    }

    public long totalBytes() {
        return Math.addExact(lastingBytes(), sharedBytes());
    }
}
