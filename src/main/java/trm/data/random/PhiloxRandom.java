package trm.data.random;

import java.util.Arrays;
import trm.input.DataException;

/**
 * NumPy's {@code Generator(Philox(seed))}: Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
 * 1, 2, 3"), keyed by NumPy's SeedSequence. Not thread-safe.
 */
public final class PhiloxRandom {
    private static final long MULTIPLIER_0 = 0xD2E7470EE14C6C93L;
    private static final long MULTIPLIER_1 = 0xCA5A826395121157L;
    private static final long WEYL_0 = 0x9E3779B97F4A7C15L;
    private static final long WEYL_1 = 0xBB67AE8584CAA73BL;
    private static final int STATE_LONGS = 13;

    private final long[] key;
    private final long[] counter = new long[4]; // 256 bits, low word first
    private final long[] block = new long[4];
    private int used = 4; // words of the block already handed out
    private boolean hasHalf; // high half of the last word waits for next32
    private int half;

    /**
     * @throws DataException if seed is negative
     */
    public PhiloxRandom(long seed) {
        key = seedSequence(seed);
    }

    private PhiloxRandom(long[] state, boolean restored) {
        key = Arrays.copyOf(state, 2);
        System.arraycopy(state, 2, counter, 0, 4);
        System.arraycopy(state, 6, block, 0, 4);
        used = (int) state[10];
        hasHalf = state[11] != 0;
        half = (int) state[12];
    }

    /** The two 64-bit key words. */
    public long[] key() {
        return key.clone();
    }

    /** 13 longs: key [2], counter [4], block [4], words used 0 .. 4, has half 0 or 1, half. */
    public long[] state() {
        long[] state = new long[STATE_LONGS];
        System.arraycopy(key, 0, state, 0, 2);
        System.arraycopy(counter, 0, state, 2, 4);
        System.arraycopy(block, 0, state, 6, 4);
        state[10] = used;
        state[11] = hasHalf ? 1 : 0;
        state[12] = half & 0xFFFFFFFFL;
        return state;
    }

    /**
     * A generator that continues from {@link #state()}.
     *
     * @throws DataException if the array cannot be such a state
     */
    public static PhiloxRandom restore(long[] state) {
        if (state.length != STATE_LONGS) {
            throw new DataException("Philox state: found " + state.length + " longs, expected " + STATE_LONGS
                    + ": key, counter, block," + " words used, whether half a word is left, that half");
        }
        inRange(state, 10, 4, "words of the block used");
        inRange(state, 11, 1, "whether half a word is left");
        inRange(state, 12, 0xFFFFFFFFL, "that half");
        PhiloxRandom random = new PhiloxRandom(state, true);
        long[] fresh = new long[4];
        if (!Arrays.equals(random.counter, fresh)) {
            random.formBlock(fresh);
        }
        if (!Arrays.equals(random.block, fresh)) {
            throw new DataException("Philox state: found a block that its key and counter do not give");
        }
        return random;
    }

    private static void inRange(long[] state, int index, long most, String what) {
        if (state[index] < 0 || state[index] > most) {
            throw new DataException(
                    "Philox state: element " + index + " is " + state[index] + ", expected 0 .. " + most + ": " + what);
        }
    }

    /** A shuffled 0 .. n - 1; each swap index by masked rejection on 32-bit draws. */
    public int[] permutation(int n) {
        int[] items = new int[n];
        for (int i = 0; i < n; i++) {
            items[i] = i;
        }
        for (int i = n - 1; i > 0; i--) {
            int mask = -1 >>> Integer.numberOfLeadingZeros(i);
            int j;
            do {
                j = next32() & mask;
            } while (j > i);
            int kept = items[i];
            items[i] = items[j];
            items[j] = kept;
        }
        return items;
    }

    /**
     * A value in lo .. hi - 1 by Lemire's method on 32-bit draws; a single candidate draws nothing.
     *
     * @throws IllegalArgumentException if hi - lo is not in 1 .. 2^32 - 1
     */
    public long integers(long lo, long hi) {
        long count = hi - lo;
        if (count < 1 || count > 0xFFFFFFFFL) {
            throw new IllegalArgumentException("integers(" + lo + ", " + hi + "): need 1 <= hi - lo < 2^32");
        }
        if (count == 1) {
            return lo;
        }
        long product = (next32() & 0xFFFFFFFFL) * count;
        if ((product & 0xFFFFFFFFL) < count) {
            long threshold = (0x100000000L - count) % count;
            while ((product & 0xFFFFFFFFL) < threshold) {
                product = (next32() & 0xFFFFFFFFL) * count;
            }
        }
        return lo + (product >>> 32);
    }

    private int next32() {
        if (hasHalf) {
            hasHalf = false;
            return half;
        }
        if (used == 4) {
            nextBlock();
        }
        long word = block[used++];
        hasHalf = true;
        half = (int) (word >>> 32);
        return (int) word;
    }

    private void nextBlock() {
        for (int i = 0; i < 4 && ++counter[i] == 0; i++) {} // carry into the next word on overflow
        formBlock(block);
        used = 0;
    }

    /** The block of the counter, [4]. */
    private void formBlock(long[] out) {
        long c0 = counter[0];
        long c1 = counter[1];
        long c2 = counter[2];
        long c3 = counter[3];
        long k0 = key[0];
        long k1 = key[1];
        for (int round = 0; round < 10; round++) {
            if (round > 0) {
                k0 += WEYL_0;
                k1 += WEYL_1;
            }
            long high0 = multiplyHighUnsigned(MULTIPLIER_0, c0);
            long low0 = MULTIPLIER_0 * c0;
            long high1 = multiplyHighUnsigned(MULTIPLIER_1, c2);
            long low1 = MULTIPLIER_1 * c2;
            c0 = high1 ^ c1 ^ k0;
            c1 = low1;
            c2 = high0 ^ c3 ^ k1;
            c3 = low0;
        }
        out[0] = c0;
        out[1] = c1;
        out[2] = c2;
        out[3] = c3;
    }

    private static long multiplyHighUnsigned(long a, long b) {
        return Math.multiplyHigh(a, b) + ((a >> 63) & b) + ((b >> 63) & a);
    }

    /** NumPy's SeedSequence for one non-negative seed of at most two 32-bit words. */
    private static long[] seedSequence(long seed) {
        if (seed < 0) {
            throw new DataException("seed=" + seed + ": expected 0 .. " + Long.MAX_VALUE);
        }
        int[] pool = {(int) seed, (int) (seed >>> 32), 0, 0};
        int h = 0x43b0d7e5;
        for (int i = 0; i < 4; i++) {
            int next = h * 0x931e8875;
            pool[i] = hash(pool[i], h, next);
            h = next;
        }
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                if (j != i) {
                    int next = h * 0x931e8875;
                    int mixed = pool[j] * 0xca01f9dd - hash(pool[i], h, next) * 0x4973f715;
                    pool[j] = mixed ^ (mixed >>> 16);
                    h = next;
                }
            }
        }
        long[] key = new long[2];
        int g = 0x8b51f9dd;
        for (int i = 0; i < 4; i++) {
            int next = g * 0x58f38ded;
            key[i / 2] |= (hash(pool[i], g, next) & 0xFFFFFFFFL) << (32 * (i % 2));
            g = next;
        }
        return key;
    }

    private static int hash(int value, int before, int after) {
        int v = (value ^ before) * after;
        return v ^ (v >>> 16);
    }
}
