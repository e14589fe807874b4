package trm.data.format;

import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.LocalDateTime;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Writes arrays one after the other as {@code numpy.savez_compressed} does; equal arrays give equal bytes. */
public final class Npz implements Closeable {
    private static final LocalDateTime DATE = LocalDateTime.of(1980, 1, 1, 0, 0);

    private final ZipOutputStream zip;

    public Npz(OutputStream out) {
        zip = new ZipOutputStream(out);
    }

    /** Puts the elements of an array, as many as its shape says, in C order. */
    @FunctionalInterface
    public interface Content {
        void write(Items items) throws IOException;
    }

    /** Where the elements go. */
    public static final class Items {
        private final OutputStream out;
        private final ByteBuffer item;

        private Items(OutputStream out, int itemBytes) {
            this.out = out;
            item = ByteBuffer.allocate(itemBytes).order(ByteOrder.LITTLE_ENDIAN);
        }

        private void put() throws IOException {
            out.write(item.array());
        }

        /** A whole number, cut to the bytes of an element. */
        public void put(long value) throws IOException {
            for (int i = 0; i < item.capacity(); i++) {
                item.put(i, (byte) (value >> 8 * i));
            }
            put();
        }

        /** Of an array of f4. */
        public void put(float value) throws IOException {
            item.putFloat(0, value);
            put();
        }

        /** Of an array of text, with zeros after it. */
        public void put(String value) throws IOException {
            item.clear();
            value.codePoints().forEach(item::putInt);
            while (item.hasRemaining()) {
                item.putInt(0);
            }
            put();
        }
    }

    /** @param dtype {@code u1}, {@code i1}, {@code i2}, {@code i4}, {@code i8}, {@code f4}; {@code U3} for texts of 3 characters */
    public void array(String name, String dtype, Content content, long... shape) throws IOException {
        ZipEntry entry = new ZipEntry(name + ".npy");
        entry.setTimeLocal(DATE);
        zip.putNextEntry(entry);
        int size = Integer.parseInt(dtype.substring(1));
        OutputStream out = new BufferedOutputStream(zip, 1 << 16);
        out.write(Npy.header(dtype, shape));
        content.write(new Items(out, dtype.startsWith("U") ? Integer.BYTES * size : size));
        out.flush();
        zip.closeEntry();
    }

    /** Ends the archive and closes what it is written to. */
    @Override
    public void close() throws IOException {
        zip.close();
    }
}
