package trm.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import trm.input.Budget;
import trm.input.InputException;
import trm.input.Shown;
import trm.io.PickleValues.Storage;

/**
 * A file as {@code torch.save} writes it since version 1.6: a zip archive with these records in one folder, whose name does not
 * matter.
 *
 * <pre>
 *   data.pkl      a pickle
 *   data/KEY      the elements of one storage, little endian
 *   byteorder     "little"; since version 2, as are some more that tell nothing here
 * </pre>
 *
 * {@code torch.save} compresses nothing. An archive that was packed again is read, too, as far as the {@link Budget} of its size
 * allows.
 */
final class TorchZip implements TorchFile.Storages {
    private static final int MAX_PICKLE_BYTES = 32 << 20;

    /** What is unpacked stays in memory and counts that many times: a file may have 2 MiB + 25 bytes for each of its own. */
    private static final int HELD = 8;

    private final Path file;
    private final ZipFile zip;
    private final Budget budget;
    private final Map<String, ByteBuffer> storages = new HashMap<>();
    private String folder;

    private TorchZip(Path file, ZipFile zip, Budget budget) {
        this.file = file;
        this.zip = zip;
        this.budget = budget;
    }

    /** Reads the weights; {@link TorchFile#read} says more. */
    static SafeTensors read(Path file, boolean part) {
        try (ZipFile zip = new ZipFile(file.toFile())) {
            return new TorchZip(file, zip, new Budget(file.toString(), Files.size(file))).read(part);
        } catch (ZipException | IllegalArgumentException e) {
            throw new FormatException(file + ": damaged or truncated zip archive: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private SafeTensors read(boolean part) throws IOException {
        List<String> names = zip.stream().map(ZipEntry::getName).toList();
        String pickle = names.stream()
                .filter(name -> name.endsWith("/data.pkl") && name.indexOf('/') == name.lastIndexOf('/'))
                .findFirst()
                .orElseThrow(() -> new FormatException(
                        file + ": a zip archive without a record data.pkl; " + WeightsKind.insteadOfZip(names)));
        folder = pickle.substring(0, pickle.length() - "data.pkl".length());
        ZipEntry order = zip.getEntry(folder + "byteorder");
        if (order != null) {
            String found = new String(record(order, 16).array(), StandardCharsets.US_ASCII);
            if (!found.equals("little")) {
                throw new FormatException(file + ": byteorder is " + Shown.quoted(found) + "; expected 'little'");
            }
        }
        ByteBuffer program = record(zip.getEntry(pickle), MAX_PICKLE_BYTES);
        try {
            return TorchFile.tensors(file, new TensorUnpickler(file + ": ", program, budget).read(), this, part);
        } catch (InputException e) {
            if (names.contains(folder + "constants.pkl")) {
                throw new FormatException(
                        file + ": a TorchScript archive; save its weights instead: "
                                + "torch.save(torch.jit.load(file).state_dict(), new_file)",
                        e);
            }
            throw e;
        }
    }

    private ZipEntry entry(String what, Storage storage) {
        String record = folder + "data/" + storage.key();
        ZipEntry entry = zip.getEntry(record);
        if (entry == null) {
            throw new FormatException(what + "its record " + Shown.quoted(record) + " is missing");
        }
        if (entry.getSize() != storage.bytes()) {
            throw new FormatException(what + "its record " + Shown.quoted(record) + " has " + entry.getSize()
                    + " bytes; expected " + storage.bytes() + " for " + storage.elements() + " elements of "
                    + storage.dtype());
        }
        return entry;
    }

    @Override
    public void check(String what, Storage storage) {
        entry(what, storage);
    }

    @Override
    public ByteBuffer read(String what, Storage storage) throws IOException {
        ZipEntry entry = entry(what, storage);
        ByteBuffer data = storages.get(storage.key());
        if (data == null) {
            data = record(entry, Integer.MAX_VALUE - 8).asReadOnlyBuffer();
            storages.put(storage.key(), data);
        }
        return data.duplicate();
    }

    @Override
    public void held(long bytes) {
        budget.bytes(HELD * bytes);
    }

    /** A record's content, compared with its checksum. */
    private ByteBuffer record(ZipEntry entry, int most) throws IOException {
        long size = entry.getSize();
        String what = file + ": record " + Shown.quoted(entry.getName());
        if (size < 0 || size > most) {
            throw new FormatException(what + " has " + size + " bytes; expected at most " + most);
        }
        held(size);
        byte[] content = new byte[(int) size];
        try (InputStream in = zip.getInputStream(entry)) {
            int got = in.readNBytes(content, 0, content.length);
            CRC32 sum = new CRC32();
            sum.update(content, 0, got);
            if (got < size || in.read() >= 0 || sum.getValue() != entry.getCrc()) {
                throw new FormatException(what + " is damaged: " + got + " of " + size + " bytes, checksum "
                        + Long.toHexString(sum.getValue()) + ", expected " + Long.toHexString(entry.getCrc()));
            }
        }
        return ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    }
}
