package trm.data.random;

import java.util.Arrays;
import trm.input.DataException;

/**
 * NumPy's legacy global generator ({@code np.random.seed} and friends): MT19937, Matsumoto and Nishimura 1998, with the
 * classic initialiser. Every draw consumes tempered 32-bit outputs in order, as NumPy does. Not thread-safe.
 */
public final class LegacyRandom {
    private static final int N = 624;
    private static final int M = 397;

    private final int[] words = new int[N];
    private int position = N; // next word to temper; N: regenerate first

    /**
     * The state after {@code np.random.seed(seed)}.
     *
     * @throws DataException if seed is outside 0 .. 2^32 - 1
     */
    public LegacyRandom(long seed) {
        if (seed < 0 || seed > 0xFFFFFFFFL) {
            throw new DataException("seed=" + seed + ": expected 0 .. 4294967295");
        }
        words[0] = (int) seed;
        for (int i = 1; i < N; i++) {
            words[i] = 1812433253 * (words[i - 1] ^ (words[i - 1] >>> 30)) + i;
        }
    }

    /** A generator that continues from {@link #state()}. */
    public static LegacyRandom restore(int[] state) {
        LegacyRandom random = new LegacyRandom(0);
        random.setState(state);
        return random;
    }

    /** The 624 state words followed by the position 0 .. 624 of the next one: 625 ints. */
    public int[] state() {
        int[] state = Arrays.copyOf(words, N + 1);
        state[N] = position;
        return state;
    }

    /**
     * Continues from a state in place, so that every holder of this generator sees it.
     *
     * @throws DataException if the array cannot be such a state
     */
    public void setState(int[] state) {
        checkState(state);
        System.arraycopy(state, 0, words, 0, N);
        position = state[N];
    }

    /** @throws DataException unless the array is 625 ints, words that are not all zero and a position 0 .. 624 */
    public static void checkState(int[] state) {
        if (state.length != N + 1 || state[N] < 0 || state[N] > N) {
            throw new DataException("MT19937 state: found " + state.length + " ints"
                    + (state.length == N + 1 ? " and position " + state[N] : "")
                    + ", expected 625 and position 0 .. 624");
        }
        // of the first word only the highest bit counts; where all the rest is zero, the generator gives zeros for ever
        int bits = state[0] & 0x80000000;
        for (int i = 1; i < N; i++) {
            bits |= state[i];
        }
        if (bits == 0) {
            throw new DataException("MT19937 state: found words that are all zero, expected those of a generator");
        }
    }

    /** A value in 0 .. m, m included, by masked rejection; m = 0 draws nothing. */
    public int bounded(int m) {
        if (m < 0) {
            throw new IllegalArgumentException("bounded(" + m + "): need m >= 0");
        }
        if (m == 0) {
            return 0;
        }
        int mask = -1 >>> Integer.numberOfLeadingZeros(m);
        int value;
        do {
            value = next32() & mask;
        } while (value > m);
        return value;
    }

    /** A value in lo .. hi - 1. */
    public int randint(int lo, int hi) {
        return lo + bounded(Math.subtractExact(Math.subtractExact(hi, 1), lo));
    }

    /** A double in [0, 1) with 53 random bits. */
    public double rand() {
        long high = next32() >>> 5;
        long low = next32() >>> 6;
        return (high * 67108864.0 + low) / 9007199254740992.0;
    }

    /** Shuffles in place, last item first. */
    public void shuffle(int[] items) {
        shuffle(items, items.length);
    }

    private void shuffle(int[] items, int n) {
        for (int i = n - 1; i > 0; i--) {
            int j = bounded(i);
            int kept = items[i];
            items[i] = items[j];
            items[j] = kept;
        }
    }

    /** A shuffled 0 .. n - 1. */
    public int[] permutation(int n) {
        int[] items = new int[n];
        permutation(n, items);
        return items;
    }

    /** The same, in the first n elements of {@code items}. */
    public void permutation(int n, int[] items) {
        for (int i = 0; i < n; i++) {
            items[i] = i;
        }
        shuffle(items, n);
    }

    /** A shuffled copy. */
    public int[] permutation(int[] items) {
        int[] copy = items.clone();
        shuffle(copy);
        return copy;
    }

    /** k distinct values of 0 .. n - 1: the head of {@code permutation(n)}, which is drawn in full. */
    public int[] choice(int n, int k) {
        if (k < 0 || k > n) {
            throw new IllegalArgumentException("choice(" + n + ", " + k + "): need 0 <= k <= n");
        }
        return Arrays.copyOf(permutation(n), k);
    }

    private int next32() {
        if (position == N) {
            regenerate();
        }
        int y = words[position++];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >>> 18);
    }

    private void regenerate() {
        for (int i = 0; i < N; i++) {
            int y = (words[i] & 0x80000000) | (words[(i + 1) % N] & 0x7fffffff);
            words[i] = words[(i + M) % N] ^ (y >>> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
        }
        position = 0;
    }
}
