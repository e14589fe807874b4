package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import trm.input.Shown;
import trm.io.PickleValues.Storage;
import trm.io.PickleValues.View;
import trm.io.WeightNames.Chosen;

/**
 * The weights in a file of PyTorch's {@code torch.save}: a pickle, which says where each tensor lies in which storage
 * ({@link TensorUnpickler}), and the storages. {@link TorchZip} reads the format since version 1.6, {@link TorchLegacy} the one
 * before. {@link TorchTables} finds the weights among what else was saved, {@link WeightNames} names them.
 *
 * <p>Only the storages of these weights are read; of which type the others are does not matter, nor whether they are there. The
 * device on which a tensor was saved is passed over.
 */
public final class TorchFile {
    /** Strides of 0 let a small file ask for any amount of memory; this much is granted beyond the storage's size. */
    private static final long MAX_REPEATED_BYTES = 1L << 20;

    /** What a file of PyTorch has beside its pickle. */
    interface Storages {
        /** Whether the file has a storage of this key, of as many bytes as it should. A FormatException says why not. */
        void check(String what, Storage storage);

        /** A storage's content, little endian. */
        ByteBuffer read(String what, Storage storage) throws IOException;

        /** More bytes are about to be held in memory, beyond the storages. */
        void held(long bytes);
    }

    private final Path file;
    private final Storages storages;

    private TorchFile(Path file, Storages storages) {
        this.file = file;
        this.storages = storages;
    }

    /**
     * Reads the weights, each tensor in row-major order whatever its strides were.
     *
     * @throws trm.input.InputException if the file cannot be read, is damaged, or has no table of weights in it
     */
    public static SafeTensors read(Path file) {
        return read(file, false);
    }

    /** @param part whether the file is one of several: all its tensors, under their own names */
    static SafeTensors read(Path file, boolean part) {
        return switch (WeightsKind.of(file)) {
            case TORCH_ZIP -> TorchZip.read(file, part);
            case TORCH_LEGACY -> TorchLegacy.read(file, part);
            default -> throw new FormatException(file + ": is not a file of torch.save");
        };
    }

    /** The weights in what a pickle describes. */
    static SafeTensors tensors(Path file, Object root, Storages storages, boolean part) throws IOException {
        TorchFile torch = new TorchFile(file, storages);
        Chosen<View> chosen =
                part ? TorchTables.all(file + ": ", root) : TorchTables.choose(file + ": ", root, torch::same);
        Map<String, SafeTensors.Entry> entries = new LinkedHashMap<>();
        Map<String, ByteBuffer> views = new LinkedHashMap<>();
        for (Map.Entry<String, View> tensor : chosen.tensors().entrySet()) {
            String name = tensor.getKey();
            View view = tensor.getValue();
            long count = torch.elementCount(name, view);
            long bytes = count * ElementType.bytes(view.dtype());
            entries.put(name, new SafeTensors.Entry(name, view.dtype(), view.sizes(), 0, bytes));
            if (ElementType.bytes(view.dtype()) > 0 && bytes <= Integer.MAX_VALUE) {
                views.put(name, torch.elements(name, view, count));
            }
        }
        return SafeTensors.of(file, entries, Map.of(), views, chosen.tables());
    }

    private boolean same(View a, View b) {
        if (a == b) {
            return true;
        }
        if (!a.dtype().equals(b.dtype()) || !Arrays.equals(a.sizes(), b.sizes())) {
            return false;
        }
        if (a.storage().equals(b.storage()) && a.offset() == b.offset() && Arrays.equals(a.strides(), b.strides())) {
            return true;
        }
        try {
            long count = elementCount("", a);
            return ElementType.bytes(a.dtype()) > 0
                    && count * ElementType.bytes(a.dtype()) <= Integer.MAX_VALUE
                    && elements("", a, count).equals(elements("", b, elementCount("", b)));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private String what(String name, View view) {
        return file + ": tensor " + Shown.quoted(name) + ": sizes " + Arrays.toString(view.sizes()) + ", strides "
                + Arrays.toString(view.strides()) + ", offset " + view.offset();
    }

    /** Number of elements; the view is checked to lie within its storage. */
    private long elementCount(String name, View view) {
        long count = 1;
        long last = view.offset(); // the element that lies furthest behind
        boolean sane = view.sizes().length == view.strides().length && view.offset() >= 0;
        boolean empty = Arrays.stream(view.sizes()).anyMatch(size -> size == 0);
        try {
            for (int i = 0; sane && i < view.sizes().length; i++) {
                sane = view.sizes()[i] >= 0 && view.strides()[i] >= 0;
                count = empty ? 0 : Math.multiplyExact(count, view.sizes()[i]);
                last = Math.addExact(last, Math.multiplyExact(Math.max(0, view.sizes()[i] - 1), view.strides()[i]));
            }
            Math.multiplyExact(count, 16); // bytes of the widest element
        } catch (ArithmeticException e) {
            throw new FormatException(what(name, view) + ": too large to address", e);
        }
        if (!sane) {
            throw new FormatException(what(name, view) + ": not those of a tensor");
        }
        int width = ElementType.bytes(view.dtype());
        long elements = width == 0 ? Long.MAX_VALUE : view.storage().bytes() / width;
        if (count > 0 && last >= elements) {
            throw new FormatException(what(name, view) + ": reach element " + last + " of a storage of " + elements);
        }
        if (count > elements && count * width > MAX_REPEATED_BYTES) {
            throw new FormatException(what(name, view) + ": " + count + " elements of a storage of " + elements);
        }
        return count;
    }

    /** A tensor's elements in row-major order: a part of its storage where that is how they lie there, else a copy. */
    private ByteBuffer elements(String name, View view, long count) throws IOException {
        String what = file + ": tensor " + Shown.quoted(name) + ": ";
        if (count == 0) {
            storages.check(what, view.storage());
            return ByteBuffer.allocate(0);
        }
        ByteBuffer storage = storages.read(what, view.storage());
        int width = ElementType.bytes(view.dtype());
        if (isContiguous(view)) {
            return storage.slice(Math.toIntExact(view.offset() * width), (int) count * width);
        }
        storages.held(count * width);
        ByteBuffer copy = ByteBuffer.allocate((int) count * width).order(ByteOrder.LITTLE_ENDIAN);
        gather(storage, view, width, 0, view.offset(), copy);
        return copy.flip().asReadOnlyBuffer();
    }

    private static boolean isContiguous(View view) {
        long dense = 1;
        for (int i = view.sizes().length - 1; i >= 0; i--) {
            if (view.sizes()[i] != 1 && view.strides()[i] != dense) {
                return false;
            }
            dense *= view.sizes()[i];
        }
        return true;
    }

    private static void gather(ByteBuffer from, View view, int width, int axis, long at, ByteBuffer to) {
        if (axis == view.sizes().length) {
            to.put(from.slice((int) at * width, width));
            return;
        }
        for (long i = 0; i < view.sizes()[axis]; i++) {
            gather(from, view, width, axis + 1, at + i * view.strides()[axis], to);
        }
    }
}
