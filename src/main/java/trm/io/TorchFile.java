package trm.io;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import trm.io.TensorUnpickler.Storage;
import trm.io.TensorUnpickler.View;

/**
 * A table of tensors as PyTorch's {@code torch.save(model.state_dict(), file)} writes it, since version 1.6: a zip archive
 * with these records in one folder, whose name does not matter.
 *
 * <pre>
 *   data.pkl      a pickle: name -> storage, offset, sizes, strides     (read by {@link TensorUnpickler})
 *   data/KEY      the elements of one storage, little endian
 *   byteorder     "little"; since version 2, as are some more that tell nothing here
 * </pre>
 *
 * The device on which a tensor was saved is passed over. {@code torch.compile} puts {@value #COMPILED} in front of every
 * name; it is taken off.
 */
public final class TorchFile {
    /** What a compiled model's tensor names begin with. */
    static final String COMPILED = "_orig_mod.";

    private static final long MAX_PICKLE_BYTES = 64L << 20;

    /** Strides of 0 let a small file ask for any amount of memory; this much is granted beyond the storage's size. */
    private static final long MAX_REPEATED_BYTES = 1L << 20;

    private static final byte[] ZIP = {'P', 'K', 3, 4};

    private final Path file;
    private final ZipFile zip;
    private final Map<String, ByteBuffer> storages = new HashMap<>();
    private String folder;

    private TorchFile(Path file, ZipFile zip) {
        this.file = file;
        this.zip = zip;
    }

    /** Whether a file is to be read by this class: it begins as a zip archive does, or is named {@code .pt}. */
    public static boolean is(Path file) {
        if (file.toString().endsWith(".pt")) {
            return true;
        }
        try (InputStream in = Files.newInputStream(file)) {
            return Arrays.equals(ZIP, in.readNBytes(ZIP.length));
        } catch (IOException e) {
            return false; // whoever reads it will say why not
        }
    }

    /**
     * Reads all tensors, each in row-major order whatever its strides were.
     *
     * @throws FormatException if the file cannot be read, is damaged, or has more than a table of tensors in it
     */
    public static SafeTensors read(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] start = in.readNBytes(ZIP.length);
            if (!Arrays.equals(ZIP, start)) {
                throw new FormatException(file + ": not a zip archive, as torch.save has written since PyTorch 1.6"
                        + (start.length > 0 && (start[0] & 0xFF) == 0x80
                                ? "; it looks like the format before that: load it and save it again"
                                : ""));
            }
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
        try (ZipFile zip = new ZipFile(file.toFile())) {
            return new TorchFile(file, zip).read();
        } catch (ZipException e) {
            throw new FormatException(file + ": damaged or truncated zip archive: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private SafeTensors read() throws IOException {
        String pickle = zip.stream()
                .map(ZipEntry::getName)
                .filter(name -> name.endsWith("/data.pkl") && name.indexOf('/') == name.lastIndexOf('/'))
                .findFirst()
                .orElseThrow(
                        () -> new FormatException(file + ": has no record data.pkl; expected a file of torch.save"));
        folder = pickle.substring(0, pickle.length() - "data.pkl".length());
        ZipEntry order = zip.getEntry(folder + "byteorder");
        if (order != null) {
            String found = new String(record(order, 16).array(), java.nio.charset.StandardCharsets.US_ASCII);
            if (!found.equals("little")) {
                throw new FormatException(file + ": byteorder is '" + found + "'; expected 'little'");
            }
        }
        byte[] program = record(zip.getEntry(pickle), MAX_PICKLE_BYTES).array();
        Map<String, View> tensors = new TensorUnpickler(file + ": ").read(new ByteArrayInputStream(program));
        Map<String, SafeTensors.Entry> entries = new LinkedHashMap<>();
        Map<String, ByteBuffer> views = new LinkedHashMap<>();
        for (Map.Entry<String, View> tensor : tensors.entrySet()) {
            String name = tensor.getKey().startsWith(COMPILED)
                    ? tensor.getKey().substring(COMPILED.length())
                    : tensor.getKey();
            View view = tensor.getValue();
            ByteBuffer data = elements(name, view);
            String dtype = view.storage().dtype();
            if (entries.put(name, new SafeTensors.Entry(name, dtype, view.sizes(), 0, data.remaining())) != null) {
                throw new FormatException(
                        file + ": tensor '" + name + "' is there twice, with and without '" + COMPILED + "'");
            }
            views.put(name, data);
        }
        return SafeTensors.of(file, entries, views);
    }

    /** A tensor's elements in row-major order: a part of its storage where that is how they lie there, else a copy. */
    private ByteBuffer elements(String name, View view) throws IOException {
        String what = file + ": tensor '" + name + "': sizes " + Arrays.toString(view.sizes()) + ", strides "
                + Arrays.toString(view.strides()) + ", offset " + view.offset();
        long count = 1;
        long last = view.offset(); // the element that lies furthest behind
        long dense = 1;
        boolean contiguous = true;
        try {
            boolean sane = view.sizes().length == view.strides().length && view.offset() >= 0;
            for (int i = view.sizes().length - 1; sane && i >= 0; i--) {
                sane = view.sizes()[i] >= 0 && view.strides()[i] >= 0;
                contiguous &= view.sizes()[i] == 1 || view.strides()[i] == dense;
                dense = Math.multiplyExact(dense, Math.max(1, view.sizes()[i]));
                count = Math.multiplyExact(count, view.sizes()[i]);
                last = Math.addExact(last, Math.multiplyExact(Math.max(0, view.sizes()[i] - 1), view.strides()[i]));
            }
            if (!sane) {
                throw new FormatException(what + ": not those of a tensor");
            }
        } catch (ArithmeticException e) {
            throw new FormatException(what + ": too large to address", e);
        }
        int width = ElementType.bytes(view.storage().dtype());
        if (count > Integer.MAX_VALUE / width) {
            throw new FormatException(what + ": more than " + Integer.MAX_VALUE + " bytes");
        }
        ByteBuffer storage = storage(name, view.storage());
        if (count == 0) {
            return ByteBuffer.allocate(0);
        }
        if (last >= view.storage().elements()) {
            throw new FormatException(what + ": reach element " + last + " of a storage of "
                    + view.storage().elements());
        }
        if (count > view.storage().elements() && count * width > MAX_REPEATED_BYTES) {
            throw new FormatException(what + ": " + count + " elements of a storage of "
                    + view.storage().elements());
        }
        if (contiguous) {
            return storage.slice((int) view.offset() * width, (int) count * width);
        }
        ByteBuffer copy = ByteBuffer.allocateDirect((int) count * width).order(ByteOrder.LITTLE_ENDIAN);
        gather(storage, view, width, 0, view.offset(), copy);
        return copy.flip().asReadOnlyBuffer();
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

    private ByteBuffer storage(String name, Storage storage) throws IOException {
        String record = folder + "data/" + storage.key();
        ZipEntry entry = zip.getEntry(record);
        if (entry == null) {
            throw new FormatException(file + ": tensor '" + name + "': its record " + record + " is missing");
        }
        long most = Integer.MAX_VALUE / ElementType.bytes(storage.dtype());
        if (storage.elements() < 0 || storage.elements() > most) {
            throw new FormatException(file + ": tensor '" + name + "': a storage of " + storage.elements()
                    + " elements; expected at most " + most);
        }
        long bytes = storage.elements() * ElementType.bytes(storage.dtype());
        if (entry.getSize() != bytes) {
            throw new FormatException(file + ": tensor '" + name + "': its record " + record + " has " + entry.getSize()
                    + " bytes; expected " + bytes + " for " + storage.elements() + " elements of " + storage.dtype());
        }
        ByteBuffer data = storages.get(storage.key());
        if (data == null) {
            data = record(entry, bytes).asReadOnlyBuffer();
            storages.put(storage.key(), data);
        }
        return data;
    }

    /** A record's content, compared with its checksum. */
    private ByteBuffer record(ZipEntry entry, long most) throws IOException {
        long size = entry.getSize();
        if (size > most) {
            throw new FormatException(
                    file + ": record " + entry.getName() + " has " + size + " bytes; expected at most " + most);
        }
        byte[] content = new byte[(int) size];
        try (InputStream in = zip.getInputStream(entry)) {
            int got = in.readNBytes(content, 0, content.length);
            CRC32 sum = new CRC32();
            sum.update(content, 0, got);
            if (got < size || in.read() >= 0 || sum.getValue() != entry.getCrc()) {
                throw new FormatException(file + ": record " + entry.getName() + " is damaged: " + got + " of " + size
                        + " bytes, checksum " + Long.toHexString(sum.getValue()) + ", expected "
                        + Long.toHexString(entry.getCrc()));
            }
        }
        return ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    }
}
