package trm.train;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import trm.device.Dtype;
import trm.device.Tensor;
import trm.input.Shown;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;

/**
 * Gives out what a checkpoint holds once it is what it can be. A message names the file, the tensor, the element, what was
 * found and what is expected; and the checkpoint before this one, where there is one to go back to.
 */
final class CheckedTensors {
    private final SafeTensors file;
    private final Set<String> known = new HashSet<>();

    CheckedTensors(SafeTensors file) {
        this.file = file;
    }

    FormatException refused(String what) {
        return new FormatException(file.file() + ": " + what + before());
    }

    private FormatException refused(String name, long element, Object found, String expected) {
        return refused("tensor " + name + ": element " + element + " is " + found + ", expected " + expected);
    }

    private String before() {
        long step = CheckpointStore.stepOf(file.file()).orElse(0L);
        return new CheckpointStore(file.file().toAbsolutePath().getParent(), 1)
                .list().stream()
                        .filter(other -> CheckpointStore.stepOf(other).orElseThrow() < step)
                        .reduce((earlier, later) -> later)
                        .map(other -> "; the checkpoint before it is " + other.getFileName()
                                + ": without this file the run goes on from there")
                        .orElse("");
    }

    /** Checks that a tensor is there, with this shape and exactly this element type. */
    void require(String name, String dtype, long... shape) {
        Checkpoint.check(file, name, shape, dtype);
        String found = file.entry(name).dtype();
        if (!found.equals(dtype)) {
            throw refused("tensor " + name + " is " + found + ", expected " + dtype);
        }
        known.add(name);
    }

    /** Checks that a tensor is there for one of the device's. */
    void require(String name, Tensor like) {
        require(name, like, 1);
    }

    /** Checks that a tensor is there for as many as there are ranks, one after the other. */
    void require(String name, Tensor like, int ranks) {
        long[] shape = like.shape().dims();
        shape[0] *= ranks;
        require(name, like.dtype().name(), shape);
    }

    /** Checks that every tensor of the file was asked for. */
    void requireNothingElse() {
        for (String name : file.names()) {
            if (!known.contains(name)) {
                throw refused("tensor " + Shown.quoted(name) + " "
                        + Arrays.toString(file.entry(name).shape())
                        + " is no part of the run; is this a checkpoint of another architecture?");
            }
        }
    }

    /** A value that an int tensor may hold besides a range. */
    private static final int NO_OTHER = Integer.MIN_VALUE;

    /** The elements of a required I32 tensor, each in {@code least .. most}. */
    int[] ints(String name, int least, int most, String what) {
        return ints(name, least, most, NO_OTHER, what);
    }

    /** As above; elements may also be {@code other}. */
    int[] ints(String name, int least, int most, int other, String what) {
        int[] values = file.ints(name);
        for (int i = 0; i < values.length; i++) {
            if ((values[i] < least || values[i] > most) && (values[i] != other || other == NO_OTHER)) {
                throw refused(
                        name,
                        i,
                        values[i],
                        least + " .. " + most + (other == NO_OTHER ? "" : ", or " + other) + ": " + what);
            }
        }
        return values;
    }

    /** Checks a condition that ties an element to others. */
    void that(boolean holds, String name, long element, Object found, String expected) {
        if (!holds) {
            throw refused(name, element, found, expected);
        }
    }

    /**
     * Checks the values of a required F32 or BF16 tensor.
     *
     * @param finite      whether each must be a finite number
     * @param notNegative whether none may be below 0
     */
    void numbers(String name, boolean finite, boolean notNegative) {
        boolean wide = file.entry(name).dtype().equals(Dtype.F32.name());
        long first = 0;
        for (ByteBuffer part : file.parts(name)) {
            int count = part.remaining() / (wide ? 4 : 2);
            FloatBuffer floats = part.asFloatBuffer();
            ShortBuffer shorts = part.asShortBuffer();
            for (int i = 0; i < count; i++) {
                float value = wide ? floats.get(i) : Dtype.fromBf16(shorts.get(i));
                if (finite && !Float.isFinite(value)) {
                    throw refused(name, first + i, value, "a finite number");
                }
                if (notNegative && value < 0) {
                    throw refused(name, first + i, value, "at least 0");
                }
            }
            first += count;
        }
    }

    double[] doubles(String name) {
        return file.doubles(name);
    }

    long[] longs(String name) {
        return file.longs(name);
    }

    /** Raw bytes, for the device. */
    List<ByteBuffer> parts(String name) {
        return file.parts(name);
    }

    /** Part {@code index} of {@code count} equal ones of the raw bytes. */
    List<ByteBuffer> parts(String name, int index, int count) {
        List<ByteBuffer> all = file.parts(name);
        long size = all.stream().mapToLong(ByteBuffer::remaining).sum() / count;
        long from = index * size;
        List<ByteBuffer> part = new ArrayList<>();
        long at = 0;
        for (ByteBuffer each : all) {
            long first = Math.max(from, at);
            long end = Math.min(from + size, at + each.remaining());
            if (first < end) {
                part.add(each.slice(each.position() + (int) (first - at), (int) (end - first))
                        .order(each.order()));
            }
            at += each.remaining();
        }
        return part;
    }

    /** The shape of a tensor; null if it is not there. */
    long[] shape(String name) {
        return file.contains(name) ? file.entry(name).shape() : null;
    }

    /** An entry of the metadata. */
    String text(String key) {
        String value = file.metadata().get(key);
        if (value == null) {
            throw refused("metadata '" + key + "' is missing, expected what trm train writes");
        }
        return value;
    }

    /** A whole number of the metadata, of steps. */
    long count(String key) {
        String value = file.metadata().get(key);
        if (value == null || !value.matches("[0-9]{1,18}")) {
            throw refused("metadata '" + key + "' is " + (value == null ? "missing" : Shown.quoted(value))
                    + ", expected a number of steps");
        }
        return Long.parseLong(value);
    }

    /** The same, in {@code least .. most}. */
    long count(String key, long least, long most) {
        long value = count(key);
        if (value < least || value > most) {
            throw refused("metadata '" + key + "' is " + value + ", expected "
                    + (least == most ? least : least + " .. " + most) + " steps");
        }
        return value;
    }

    SafeTensors file() {
        return file;
    }
}
