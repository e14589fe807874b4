package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import trm.input.Budget;
import trm.io.PickleValues.Items;
import trm.io.PickleValues.Storage;
import trm.io.PickleValues.Table;

/**
 * A file as {@code torch.save} wrote it before version 1.6, and still does where it is told to:
 *
 * <pre>
 *   five pickles   a magic number; 1001; a table with little_endian; what was saved; the keys of its storages
 *   each storage   i64 number of elements, then the elements
 * </pre>
 */
final class TorchLegacy implements TorchFile.Storages {
    private static final int MAX_PICKLE_BYTES = 32 << 20;

    private final Path file;
    private final FileChannel channel;
    private final ByteBuffer whole; // null where the file is larger than one mapping
    private final Budget budget;
    private final Map<String, Long> places = new HashMap<>(); // of a storage's first element in the file
    private final Map<String, Storage> kinds = new HashMap<>();

    private TorchLegacy(Path file, FileChannel channel) throws IOException {
        this.file = file;
        this.channel = channel;
        whole = channel.size() > Integer.MAX_VALUE
                ? null
                : channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
        budget = new Budget(file.toString(), channel.size());
    }

    /** Reads the weights; {@link TorchFile#read} says more. */
    static SafeTensors read(Path file, boolean part) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return new TorchLegacy(file, channel).read(part);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private SafeTensors read(boolean part) throws IOException {
        ByteBuffer start = map(0, Math.min(channel.size(), MAX_PICKLE_BYTES));
        TensorUnpickler pickles = new TensorUnpickler(file + ": ", start, budget);
        pickles.read(); // the magic number, by which the file was recognised
        pickles.read();
        if (pickles.read() instanceof Table system
                && Boolean.FALSE.equals(system.entries().get("little_endian"))) {
            throw new FormatException(file + ": was written on a big-endian machine; expected little-endian elements");
        }
        Object root = pickles.read();
        kinds.putAll(pickles.storages());
        Object keys = pickles.read();
        long at = start.position();
        for (Object key : keys instanceof Items items ? items.values() : java.util.List.of()) {
            Storage storage = kinds.get(String.valueOf(key));
            if (storage == null) {
                break; // of an unknown type, so of unknown length: what follows cannot be found
            }
            if (storage.bytes() > channel.size() - at - Long.BYTES) {
                throw new FormatException(file + ": is cut short: the storage at byte " + at + " should have "
                        + storage.bytes() + " bytes, the file has " + channel.size());
            }
            ByteBuffer count = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            while (count.hasRemaining() && channel.read(count, at + count.position()) >= 0) {
                continue;
            }
            long elements = count.getLong(0);
            if (elements != storage.elements()) {
                throw new FormatException(file + ": the storage at byte " + at + " has " + elements
                        + " elements; expected " + storage.elements());
            }
            places.put(storage.key(), at + Long.BYTES);
            at += Long.BYTES + storage.bytes();
        }
        return TorchFile.tensors(file, root, this, part);
    }

    private ByteBuffer map(long from, long bytes) throws IOException {
        ByteBuffer part = whole != null
                ? whole.slice((int) from, (int) bytes)
                : channel.map(FileChannel.MapMode.READ_ONLY, from, bytes);
        return part.order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void check(String what, Storage storage) {
        if (!places.containsKey(storage.key()) || !storage.equals(kinds.get(storage.key()))) {
            throw new FormatException(what + "its storage is missing");
        }
        if (storage.bytes() > Integer.MAX_VALUE) {
            throw new FormatException(
                    what + "a storage of " + storage.bytes() + " bytes; expected at most " + Integer.MAX_VALUE);
        }
    }

    @Override
    public ByteBuffer read(String what, Storage storage) throws IOException {
        check(what, storage);
        return map(places.get(storage.key()), storage.bytes());
    }

    @Override
    public void held(long bytes) {
        budget.bytes(bytes);
    }
}
