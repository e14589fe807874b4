package trm.lanes;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import trm.data.Dataset;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Symmetries;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.input.DataException;

/** Puts a data set into device memory, one byte a token, in the form in which it is stored. */
public final class DeviceExamples {
    private DeviceExamples() {}

    /**
     * What memory must know of a data set.
     *
     * @param examples       copies included
     * @param storedRows     rows of tokens: as many as examples, or fewer in the compact form
     * @param augmentations  records of the compact form, 0 in the expanded one
     * @param recordBytes    of each of them, 0 likewise
     * @param ignoreLabel    byte of the labels that carry no loss, -1 for none
     * @param fresh          symmetries to draw in place of the records, null to take those
     */
    public record Size(
            long examples,
            long storedRows,
            long augmentations,
            int recordBytes,
            int ignoreLabel,
            LaneKernels.Symmetries fresh) {
        /** With the records that are stored, if there are any. */
        public Size(long examples, long storedRows, long augmentations, int recordBytes, int ignoreLabel) {
            this(examples, storedRows, augmentations, recordBytes, ignoreLabel, null);
        }

        /** Of the expanded form. */
        public static Size expanded(long examples, int ignoreLabel) {
            return new Size(examples, examples, 0, 0, ignoreLabel);
        }

        public static Size of(Dataset data) {
            int records = data.augmentations();
            return new Size(
                    data.examples(),
                    data.storedRows(),
                    records,
                    records == 0 ? 0 : data.augmentationBytes().capacity() / records,
                    data.ignoredLabel());
        }

        /** Of the same data set, in the compact form, without its records. */
        public Size fresh(Symmetries drawn) {
            LaneKernels.Symmetries symmetries = new LaneKernels.Symmetries(
                    drawn.transposes(), drawn.boxRows(), drawn.boxColumns(), drawn.firstToken());
            return new Size(examples, storedRows, 0, 0, ignoreLabel, symmetries);
        }
    }

    /** Memory for a data set. */
    public static LaneKernels.Examples allocate(Arena arena, Size size, int seqLen) {
        boolean records = size.augmentations() > 0;
        boolean compact = records || size.fresh() != null;
        return new LaneKernels.Examples(
                arena.tensor(Purpose.DATA, "data.inputs", Dtype.U8, size.storedRows(), seqLen),
                arena.tensor(Purpose.DATA, "data.labels", Dtype.U8, size.storedRows(), seqLen),
                arena.tensor(Purpose.DATA, "data.ids", Dtype.I32, size.examples()),
                size.ignoreLabel(),
                compact ? arena.tensor(Purpose.DATA, "data.origins", Dtype.I32, size.examples(), 2) : null,
                records
                        ? arena.tensor(
                                Purpose.DATA, "data.augmentations", Dtype.U8, size.augmentations(), size.recordBytes())
                        : null,
                size.fresh());
    }

    public static LaneKernels.Examples upload(Backend backend, Arena arena, Dataset data) {
        LaneKernels.Examples to = allocate(arena, Size.of(data), data.seqLen());
        upload(backend, data, to);
        return to;
    }

    /**
     * Symmetric copies of the first {@code count} examples, which the device makes as it admits them: example i changed by
     * symmetry k is number i * symmetries + k. The data set may have either form.
     *
     * @param symmetries one or more; they keep the token of labels that are ignored
     * @throws DataException if those have no token that is free
     */
    public static LaneKernels.Examples uploadCopies(
            Backend backend, Arena arena, Dataset data, int count, List<Augmentation> symmetries) {
        int copies = symmetries.size();
        int length = data.seqLen();
        if (2L * count * copies > Integer.MAX_VALUE || (long) count * length > Integer.MAX_VALUE) {
            throw new DataException(
                    count + " puzzles in " + copies + " copies are more than can be numbered; take fewer");
        }
        int ignored = ignoredToken(data, count);
        int[] inputs = new int[count * length];
        int[] labels = new int[count * length];
        int[] ids = new int[count * copies];
        int[] origins = new int[2 * count * copies];
        for (int i = 0; i < count; i++) {
            System.arraycopy(data.inputRow(i), 0, inputs, i * length, length);
            int[] label = data.labelRow(i);
            for (int j = 0; j < length; j++) {
                labels[i * length + j] = label[j] == Dataset.IGNORED ? ignored : label[j];
            }
            for (int k = 0; k < copies; k++) {
                int copy = i * copies + k;
                ids[copy] = data.identifierOf(i);
                origins[2 * copy] = i;
                origins[2 * copy + 1] = k;
            }
        }
        int[] records =
                symmetries.stream().flatMapToInt(s -> Arrays.stream(s.record())).toArray();
        Size size = new Size(ids.length, count, copies, records.length / copies, ignored);
        LaneKernels.Examples to = allocate(arena, size, length);
        HostCopy.put(backend, to.inputs(), inputs);
        HostCopy.put(backend, to.labels(), labels);
        HostCopy.put(backend, to.ids(), ids);
        HostCopy.put(backend, to.origins(), origins);
        HostCopy.put(backend, to.augmentations(), records);
        return to;
    }

    /** Token 0 for labels without loss, which symmetries keep, if no other label is it; -1 if there are none. */
    private static int ignoredToken(Dataset data, int count) {
        if (data.ignoredLabel() <= 0) {
            return data.ignoredLabel();
        }
        for (int i = 0; i < count; i++) {
            if (Arrays.stream(data.labelRow(i)).anyMatch(label -> label == 0)) {
                throw new DataException(
                        "example " + i + ": found label 0 beside labels that are ignored (ignore_label_id "
                                + data.info().ignoreLabelId()
                                + "), expected token 0 free for those where symmetric copies are made");
            }
        }
        return 0;
    }

    /** Fills memory that has the data set's size. */
    public static void upload(Backend backend, Dataset data, LaneKernels.Examples to) {
        upload(backend, data.inputChunks(), to.inputs());
        upload(backend, data.labelChunks(), to.labels());
        int[] identifiers = new int[data.examples()];
        for (int i = 0; i < identifiers.length; i++) {
            identifiers[i] = data.identifierOf(i);
        }
        HostCopy.put(backend, to.ids(), identifiers);
        if (to.origins() != null) {
            HostCopy.put(backend, to.origins(), data.origins());
        }
        if (to.augmentations() != null) {
            backend.upload(data.augmentationBytes(), to.augmentations());
        }
    }

    private static void upload(Backend backend, List<ByteBuffer> chunks, Tensor to) {
        long at = 0;
        for (ByteBuffer chunk : chunks) {
            backend.upload(chunk, to.view(at, chunk.remaining()));
            at += chunk.remaining();
        }
    }
}
