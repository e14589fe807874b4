package trm.model;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import trm.config.Update;

/**
 * The backward pass through the differentiated updates of a {@link RecursionSchedule}: which gradient is formed when, and in
 * which buffer (docs/backward.md#several-latents). For each update k
 *
 * <pre>
 *   u_k  = the sum of x and the latents that update k reads
 *   v_k  = f(u_k), which update k writes
 *   dv_k = the sum of du_i over all updates i that read v_k; of the answer's last value also dy
 *   df_k = dv_k
 *   du_k = J_f(u_k)^T df_k;   dx += du_k where update k reads x
 * </pre>
 *
 * Where latents relax, v_k = (1 - lambda) v_j + lambda f(u_k), with v_j what the latent held before. Then df_k = lambda dv_k,
 * and dv_j has the further term (1 - lambda) dv_k. What a latent held before the first differentiated update is a constant.
 *
 * <p>Updates are visited from the last to the first. When update k is reached, all readers of v_k have been visited, and of
 * each latent only one value has an incomplete gradient. So one sum for each latent is enough. Mostly fewer buffers are:
 *
 * <ul>
 *   <li>A sum of one term is that term: it is handed over in the buffer that it lies in. TRM needs a single buffer, which holds
 *       dy, then the gradient of each z in turn.
 *   <li>Latents whose values have had the same readers so far share one sum. It is copied when one of them is used up.
 * </ul>
 *
 * <p>An update whose value nothing reads has no gradient and is left out. The arithmetic is up to {@link Operations}.
 */
final class BackwardPass {
    /** What is done, on buffers [B, S, D] by their numbers. Buffer 0 comes with the gradient of the answer's last value. */
    interface Operations {
        /** into = from. */
        void copy(int from, int into);

        /** into = a + b; {@code into} may be a. */
        void add(int a, int b, int into);

        /** dF = lambda d, then d = (1 - lambda) d. */
        void relax(int d, int dF);

        /** Update k, from df_k in buffer d to du_k in the same buffer; adds to the gradients of f's weights and of x. */
        void update(int k, int d);
    }

    private static final int NONE = -1;

    private final RecursionSchedule schedule;
    private final Operations operations;
    private final int[] sums; // of each latent: the buffer of its value's gradient, NONE as long as nothing reads it
    private int buffers = 1;

    private BackwardPass(RecursionSchedule schedule, Operations operations) {
        this.schedule = schedule;
        this.operations = operations;
        sums = new int[schedule.latents()];
        Arrays.fill(sums, NONE);
        sums[0] = 0;
    }

    /** Number of buffers that the pass works in. */
    static int buffers(RecursionSchedule schedule) {
        return run(schedule, new Operations() {
            @Override
            public void copy(int from, int into) {}

            @Override
            public void add(int a, int b, int into) {}

            @Override
            public void relax(int d, int dF) {}

            @Override
            public void update(int k, int d) {}
        });
    }

    /** Runs the pass; returns the number of buffers that it works in. */
    static int run(RecursionSchedule schedule, Operations operations) {
        BackwardPass pass = new BackwardPass(schedule, operations);
        for (int k = schedule.updates() - 1; k >= schedule.firstDifferentiated(); k--) {
            if (pass.sums[schedule.update(k).target()] != NONE) {
                int d = pass.takeOutputGradient(k);
                operations.update(k, d);
                pass.addToReads(k, d);
            }
        }
        return pass.buffers;
    }

    /** The buffer with df_k, for update k to use up; what its latent held before it has the rest of dv_k, or none yet. */
    private int takeOutputGradient(int k) {
        int target = schedule.update(k).target();
        int shared = sums[target];
        if (Arrays.stream(sums).filter(sum -> sum == shared).count() > 1) {
            sums[target] = free(NONE);
            operations.copy(shared, sums[target]);
        }
        int d = sums[target];
        if (!schedule.relaxed()) {
            sums[target] = NONE;
            return d;
        }
        int dF = free(NONE);
        operations.relax(d, dF);
        if (schedule.differentiatedWriter(target, k) < 0) {
            sums[target] = NONE;
        }
        return dF;
    }

    /** Adds du_k, in buffer d, to the gradients of all that update k reads and differentiated updates wrote. */
    private void addToReads(int k, int d) {
        Update u = schedule.update(k);
        List<Integer> read = u.latents().stream()
                .filter(latent -> schedule.differentiatedWriter(latent, k) >= 0)
                .toList();
        Map<Integer, Integer> moved = new HashMap<>(); // from the sum without du_k to the one with it
        for (int latent : read) {
            sums[latent] = moved.computeIfAbsent(sums[latent], sum -> sum == NONE ? d : added(sum, d, read));
        }
    }

    /** The buffer of sum + d: that of the sum unless latents that are not read need it as it is. */
    private int added(int sum, int d, List<Integer> read) {
        boolean neededAsItIs = IntStream.range(0, sums.length).anyMatch(i -> sums[i] == sum && !read.contains(i));
        int into = neededAsItIs ? free(d) : sum;
        operations.add(sum, d, into);
        return into;
    }

    /** The first buffer that holds no latent's sum and is not {@code busy}. */
    private int free(int busy) {
        int buffer = 0;
        while (buffer == busy || holdsASum(buffer)) {
            buffer++;
        }
        buffers = Math.max(buffers, buffer + 1);
        return buffer;
    }

    private boolean holdsASum(int buffer) {
        return Arrays.stream(sums).anyMatch(sum -> sum == buffer);
    }
}
