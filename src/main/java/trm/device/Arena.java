package trm.device;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Owner of device memory: tensors are made before the first step, listed by purpose, and freed together. An arena with a
 * {@link Layout} makes one allocation for each of its regions at once and hands out their places; it is asked for exactly
 * what the layout was planned with, in the same order. One without allocates each tensor as it is asked for. Used by one
 * thread.
 */
public final class Arena implements AutoCloseable {
    private final Allocator allocator;
    private final Layout planned; // null: tensors are allocated one by one
    private final long limit; // bytes that these may take
    private final Layout asked = new Layout();
    private final List<DeviceBuffer> buffers = new ArrayList<>();
    private final Map<String, Long> bytesByPurpose = new LinkedHashMap<>();
    private DeviceBuffer lasting;
    private DeviceBuffer shared;

    /** An arena that allocates as it is asked. */
    public Arena(Allocator allocator) {
        this(allocator, Long.MAX_VALUE);
    }

    /** An arena that allocates as it is asked, as long as all of it, and what the device takes besides, is within the limit. */
    public Arena(Allocator allocator, long limitBytes) {
        this.allocator = allocator;
        planned = null;
        limit = limitBytes;
    }

    /** An arena of the planned size. @throws DeviceException when there is not enough memory */
    public Arena(Allocator allocator, Layout planned) {
        this.allocator = allocator;
        this.planned = planned;
        limit = Long.MAX_VALUE; // kept by the plan
        try {
            lasting = region("lasting tensors", planned.lastingBytes());
            shared = region("tape and scratch", planned.sharedBytes());
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private DeviceBuffer region(String name, long bytes) {
        DeviceBuffer buffer = allocator.allocate(name, Math.max(Layout.ALIGNMENT, bytes));
        buffers.add(buffer);
        return buffer;
    }

    /**
     * Tape and scratch that are asked for from here on live within this lifetime: where a layout was planned, another
     * lifetime's tensors lie in the same memory.
     */
    public void begin(Lifetime lifetime) {
        asked.begin(lifetime);
    }

    /** A tensor, zeroed unless other lifetimes share its memory; {@code purpose} groups it in {@link #bytesByPurpose()}. */
    public Tensor tensor(Purpose purpose, String name, Dtype dtype, long... dims) {
        Shape shape = new Shape(dims);
        Layout.Place place = asked.add(purpose, name, dtype, shape);
        if (planned != null) {
            int index = asked.size() - 1;
            Layout.Place expected = index < planned.size() ? planned.place(index) : null;
            if (!place.equals(expected)) {
                throw new IllegalStateException("asked for " + place + ", planned was " + expected);
            }
            DeviceBuffer region = purpose.lasts() ? lasting : shared;
            return new Tensor(region.part(name, place.offset(), place.bytes()), 0, dtype, shape);
        }
        requireWithin(name, place.bytes());
        DeviceBuffer buffer = allocator.allocate(name, place.bytes());
        buffers.add(buffer);
        bytesByPurpose.merge(purpose.toString(), place.bytes(), Long::sum);
        return new Tensor(buffer, 0, dtype, shape);
    }

    private void requireWithin(String name, long bytes) {
        if (limit == Long.MAX_VALUE) {
            return;
        }
        long taken = totalBytes()
                + allocator.overheadBytes().values().stream()
                        .mapToLong(Long::longValue)
                        .sum();
        if (bytes > limit - taken) {
            throw new DeviceException("memory may be " + limit + " bytes, and " + taken + " are taken: no room for "
                    + bytes + " of '" + name + "'; allow more, or take fewer puzzles at once");
        }
    }

    /** Where everything asked for so far would lie in an arena that is planned. */
    public Layout layout() {
        return asked;
    }

    /** Bytes allocated for each purpose, in order of first use. */
    public Map<String, Long> bytesByPurpose() {
        return planned != null ? planned.bytesByPurpose() : new LinkedHashMap<>(bytesByPurpose);
    }

    public long totalBytes() {
        return bytesByPurpose().values().stream().mapToLong(Long::longValue).sum();
    }

    @Override
    public void close() {
        for (int i = buffers.size() - 1; i >= 0; i--) {
            buffers.get(i).close();
        }
        buffers.clear();
    }
}
