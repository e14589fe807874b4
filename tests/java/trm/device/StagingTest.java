package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.device.cpu.CpuBackend;

/** Oracle: the bytes put in. */
class StagingTest {
    private static Backend backend;

    @BeforeAll
    static void open() {
        backend = new CpuBackend(1);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        new SplittableRandom(count).nextBytes(bytes);
        return bytes;
    }

    /** Sizes around that of the buffer; parts that end anywhere between elements. */
    @ParameterizedTest
    @ValueSource(ints = {4, Staging.BYTES - 4, Staging.BYTES, Staging.BYTES + 4, 2 * Staging.BYTES + 12})
    void anySizeGoesThrough(int count) {
        byte[] bytes = bytes(count);
        try (Arena arena = new Arena(backend);
                Staging staging = new Staging(backend)) {
            Tensor t = arena.tensor(Purpose.DATA, "t", Dtype.F32, count / 4);
            int cut = count / 12 * 4;
            ByteBuffer all = ByteBuffer.wrap(bytes);
            staging.upload(List.of(all.slice(0, cut), all.slice(cut, count - cut)), t);
            ByteBuffer back = ByteBuffer.allocate(count);
            staging.download(t, piece -> {
                assertTrue(piece.remaining() <= Staging.BYTES);
                back.put(piece);
            });
            assertEquals(all, back.flip());
        }
    }

    @Test
    void otherSizesAreRefused() {
        try (Arena arena = new Arena(backend);
                Staging staging = new Staging(backend)) {
            Tensor t = arena.tensor(Purpose.DATA, "t", Dtype.F32, 3);
            String message = assertThrows(
                            IllegalArgumentException.class, () -> staging.upload(List.of(ByteBuffer.allocate(8)), t))
                    .getMessage();
            assertTrue(message.contains("has 12 bytes, found 8"), message);
        }
    }

    /** Arrays beyond one piece. */
    @Test
    void hostCopiesOfAnySize() {
        int count = (1 << 18) + 3;
        int[] ints = new int[count];
        double[] doubles = new double[count];
        float[] floats = new float[count];
        for (int i = 0; i < count; i++) {
            ints[i] = i * 0x9E3779B9;
            doubles[i] = i / 7.0;
            floats[i] = i;
        }
        try (Arena arena = new Arena(backend)) {
            Tensor i32 = arena.tensor(Purpose.DATA, "i", Dtype.I32, count);
            Tensor f64 = arena.tensor(Purpose.DATA, "d", Dtype.F64, count);
            Tensor bf16 = arena.tensor(Purpose.DATA, "b", Dtype.BF16, count);
            HostCopy.put(backend, i32, ints);
            HostCopy.put(backend, f64, doubles);
            HostCopy.put(backend, bf16, floats);
            assertArrayEquals(ints, HostCopy.ints(backend, i32));
            assertArrayEquals(doubles, HostCopy.doubles(backend, f64));
            float[] rounded = HostCopy.floats(backend, bf16);
            for (int i = 0; i < count; i++) {
                assertEquals(Dtype.fromBf16(Dtype.toBf16(floats[i])), rounded[i]);
            }
        }
    }
}
