package trm.data;

import java.util.Arrays;
import trm.data.random.LegacyRandom;
import trm.data.random.PhiloxRandom;
import trm.input.DataException;

/**
 * The order of training examples, as in the published loader. A pass visits {@code epochsPerIter} permutations of the
 * groups; each visit picks one puzzle of the group and, without replacement, as many of its examples as fit the batch.
 * Groups and puzzles are drawn from Philox(seed + iteration), the examples from the global legacy generator, which
 * others may share. An incomplete last batch is drawn and dropped. Batches allocate nothing. Not thread-safe.
 *
 * <p>A data set of several parts ({@link Dataset}) is visited part by part within a pass, each with permutations of its own
 * groups, a Philox generator of its own (the next iteration) and no last batch that is incomplete.
 */
public final class TrainLoader {
    private final int[] puzzleIndices;
    private final int[] groupIndices;
    private final int[] firstGroups; // of each part, and the number of groups
    private final long seed;
    private final LegacyRandom global;
    private final int globalBatch;
    private final int epochsPerIter;
    private final int[] rows; // of the batch last returned
    private final int[] examples; // a puzzle's, shuffled

    private long iteration; // parts of passes begun
    private int batchesDone;
    private int cursor; // groups of the part visited
    private int[] groupOrder = {};
    private PhiloxRandom random; // null before the first pass

    /**
     * Where a loader stands, between two batches. Together with the legacy generator's state it determines the rest.
     *
     * @param iteration         passes begun, or parts of them where there are several; 0 before the first
     * @param batchesDoneInPass full batches emitted in this pass
     * @param cursor            groups of this part of the pass visited
     * @param philoxState       {@link PhiloxRandom#state()}; empty before the first pass
     */
    public record Position(long iteration, int batchesDoneInPass, int cursor, long[] philoxState) {}

    /**
     * @param seed          of the configuration; pass i draws from Philox(seed + i)
     * @param global        the legacy generator of the training run
     * @param globalBatch   rows of a batch over all ranks
     * @param epochsPerIter permutations of the groups in one pass
     * @throws DataException if a size is below 1 or the seed is negative
     */
    public TrainLoader(Dataset dataset, long seed, LegacyRandom global, int globalBatch, int epochsPerIter) {
        if (globalBatch < 1 || epochsPerIter < 1) {
            throw new DataException(
                    "globalBatch=" + globalBatch + ", epochsPerIter=" + epochsPerIter + ": expected at least 1 each");
        }
        if (seed < 0) {
            throw new DataException("seed=" + seed + ": expected at least 0");
        }
        puzzleIndices = dataset.puzzleIndices();
        groupIndices = dataset.groupIndices();
        firstGroups = dataset.firstGroups();
        this.seed = seed;
        this.global = global;
        this.globalBatch = globalBatch;
        this.epochsPerIter = epochsPerIter;
        rows = new int[globalBatch];
        int most = 0;
        for (int puzzle = 0; puzzle + 1 < puzzleIndices.length; puzzle++) {
            most = Math.max(most, puzzleIndices[puzzle + 1] - puzzleIndices[puzzle]);
        }
        examples = new int[most];
        if ((long) epochsPerIter * (groupIndices.length - 1) > Integer.MAX_VALUE) {
            throw new DataException("epochsPerIter=" + epochsPerIter + ": found "
                    + (long) epochsPerIter * (groupIndices.length - 1) + " group visits, expected at most 2147483647");
        }
    }

    /** Begins the next pass, leaving what remains of the current one. */
    public void startPass() {
        iteration = (iteration + parts() - 1) / parts() * parts();
        batchesDone = 0;
        startPart();
    }

    /** Passes begun. */
    public long passes() {
        return (iteration + parts() - 1) / parts();
    }

    private int parts() {
        return firstGroups.length - 1;
    }

    private void startPart() {
        iteration++;
        cursor = 0;
        random = new PhiloxRandom(seed + iteration);
        groupOrder = drawGroupOrder(random, iteration);
    }

    private int[] drawGroupOrder(PhiloxRandom generator, long iterationOf) {
        int part = (int) ((iterationOf - 1) % parts());
        int first = firstGroups[part];
        int groups = firstGroups[part + 1] - first;
        int[] order = new int[epochsPerIter * groups];
        for (int epoch = 0; epoch < epochsPerIter; epoch++) {
            System.arraycopy(generator.permutation(groups), 0, order, epoch * groups, groups);
        }
        for (int i = 0; i < order.length && first > 0; i++) {
            order[i] += first;
        }
        return order;
    }

    /**
     * Example rows [globalBatch] of the next batch of this pass, or null once it has no full batch left, until
     * {@link #startPass()}. The first call begins the first pass. The array is the loader's own: the next call overwrites
     * it.
     */
    public int[] nextBatch() {
        if (random == null) {
            startPass();
        }
        while (!fill()) {
            if (iteration % parts() == 0) {
                return null; // that was the last part
            }
            startPart();
        }
        batchesDone++;
        return rows;
    }

    /** Draws the next batch of the part; false if no more groups fill one. */
    private boolean fill() {
        int filled = 0;
        while (cursor < groupOrder.length && filled < globalBatch) {
            int group = groupOrder[cursor++];
            int puzzle = (int) random.integers(groupIndices[group], groupIndices[group + 1]);
            int first = puzzleIndices[puzzle];
            int owned = puzzleIndices[puzzle + 1] - first;
            global.permutation(owned, examples); // NumPy's choice without replacement: the head of a permutation
            int taken = Math.min(owned, globalBatch - filled);
            for (int i = 0; i < taken; i++) {
                rows[filled++] = first + examples[i];
            }
        }
        return filled == globalBatch;
    }

    /**
     * The next batch as {@link #nextBatch()} gives it, beginning the next pass when this one has no full batch left.
     *
     * @throws DataException if a whole pass cannot fill one batch
     */
    public int[] next() {
        int[] batch = nextBatch();
        if (batch == null) {
            startPass();
            batch = nextBatch();
        }
        if (batch == null) {
            throw new DataException("globalBatch=" + globalBatch + ": a pass over " + (groupIndices.length - 1)
                    + " groups, epochsPerIter=" + epochsPerIter + ", fills no batch; expected a smaller batch or more"
                    + " epochs");
        }
        return batch;
    }

    /** Where this loader stands; save it with the legacy generator's state. */
    public Position position() {
        return new Position(iteration, batchesDone, cursor, random == null ? new long[0] : random.state());
    }

    /**
     * Continues from a position bit for bit. The pass's group order is derived again from its own generator, so nothing
     * is drawn from the legacy one, whose state is replaced.
     *
     * @param legacyState {@link LegacyRandom#state()} at the position
     * @throws DataException if the position does not belong to a loader of this dataset, seed, batch and epochsPerIter
     */
    public void restore(Position position, int[] legacyState) {
        Pass pass = replayed(position);
        global.setState(legacyState);
        iteration = position.iteration();
        batchesDone = position.batchesDoneInPass();
        cursor = position.cursor();
        random = pass.random;
        groupOrder = pass.order;
    }

    /**
     * Whether a loader like this one can stand at a position after so many batches in all.
     *
     * @throws DataException if it cannot, naming what was found and what is expected
     */
    public void check(Position position, int[] legacyState, long batches) {
        replayed(position);
        LegacyRandom.checkState(legacyState);
        long before = batches - position.batchesDoneInPass();
        long passes = Math.max(0, position.iteration() - 1) / parts();
        long least = saturated(passes, batchesOf(fewest()));
        long most = saturated(passes, batchesOf(examples.length));
        if (before < least || before > most) {
            throw new DataException("loader position: found " + position.batchesDoneInPass() + " batches in pass "
                    + (passes + 1) + " after " + batches + " in all, expected the passes before to have given "
                    + least + " .. " + most + ", not " + before);
        }
    }

    private static long saturated(long a, long b) {
        return a != 0 && b > Long.MAX_VALUE / a ? Long.MAX_VALUE : a * b;
    }

    /** Batches that a pass gives where every visit of a group gives so many examples, as far as the batch has room. */
    private long batchesOf(int examplesOfVisit) {
        long batches = 0;
        for (int part = 0; part < parts() && examplesOfVisit > 0; part++) {
            int visits = epochsPerIter * (firstGroups[part + 1] - firstGroups[part]);
            batches += visits / ((globalBatch + examplesOfVisit - 1) / examplesOfVisit);
        }
        return batches;
    }

    private int fewest() {
        int fewest = Integer.MAX_VALUE;
        for (int puzzle = 0; puzzle + 1 < puzzleIndices.length; puzzle++) {
            fewest = Math.min(fewest, puzzleIndices[puzzle + 1] - puzzleIndices[puzzle]);
        }
        return fewest;
    }

    /** A pass under way: its generator, and the order of its groups. */
    private record Pass(PhiloxRandom random, int[] order) {}

    /** The pass of a position, drawn again from its beginning up to there. */
    private Pass replayed(Position position) {
        long begun = position.iteration();
        if (begun < 0 || (begun == 0) != (position.philoxState().length == 0)) {
            throw new DataException("loader position: found iteration " + begun + " with "
                    + position.philoxState().length
                    + " longs of Philox state, expected iteration 0 with none or 13 longs");
        }
        if (begun > Long.MAX_VALUE - seed) {
            throw new DataException(
                    "loader position: found iteration " + begun + ", expected 0 .. " + (Long.MAX_VALUE - seed));
        }
        PhiloxRandom generator = null;
        int[] order = {};
        if (begun > 0) {
            generator = new PhiloxRandom(seed + begun);
            if (!Arrays.equals(
                    generator.key(),
                    PhiloxRandom.restore(position.philoxState()).key())) {
                throw new DataException("loader position: found the generator of another seed, expected seed " + seed
                        + " + iteration " + begun);
            }
            order = drawGroupOrder(generator, begun);
        }
        if (position.cursor() < 0 || position.cursor() > order.length) {
            throw new DataException("loader position: found cursor " + position.cursor() + ", expected 0 .. "
                    + order.length + " group visits");
        }
        int batches = 0;
        for (long part = begun - (begun > 0 ? (begun - 1) % parts() : 0); part < begun; part++) {
            PhiloxRandom ofPart = new PhiloxRandom(seed + part);
            int[] all = drawGroupOrder(ofPart, part);
            batches += visit(all, all.length, ofPart).batches;
        }
        Visits visits = visit(order, position.cursor(), generator);
        boolean within = visits.left > 0 && position.cursor() < order.length;
        if (position.batchesDoneInPass() != batches + visits.batches || within) {
            throw new DataException("loader position: found cursor " + position.cursor() + " after "
                    + position.batchesDoneInPass() + " batches of the pass, expected "
                    + (within ? "a cursor between two batches" : batches + visits.batches + " batches"));
        }
        if (generator != null && !Arrays.equals(generator.state(), position.philoxState())) {
            int at = Arrays.mismatch(generator.state(), position.philoxState());
            throw new DataException("Philox state: element " + at + " is " + position.philoxState()[at] + ", expected "
                    + generator.state()[at] + " after " + position.cursor() + " group visits");
        }
        return new Pass(generator, order);
    }

    /** What visits of groups give: full batches, and examples left over. */
    private record Visits(int batches, int left) {}

    /** Draws the puzzles of the groups visited again: they settle the batches, and where the generator stands. */
    private Visits visit(int[] order, int cursor, PhiloxRandom generator) {
        int batches = 0;
        int filled = 0;
        for (int i = 0; i < cursor; i++) {
            int puzzle = (int) generator.integers(groupIndices[order[i]], groupIndices[order[i] + 1]);
            filled += Math.min(puzzleIndices[puzzle + 1] - puzzleIndices[puzzle], globalBatch - filled);
            if (filled == globalBatch) {
                batches++;
                filled = 0;
            }
        }
        return new Visits(batches, filled);
    }

    /**
     * The consecutive part of a global batch that rank {@code rank} of {@code ranks} takes.
     *
     * @throws DataException if the batch is not a multiple of ranks
     */
    public static int[] rankPart(int[] rows, int rank, int ranks) {
        if (ranks < 1 || rank < 0 || rank >= ranks || rows.length % ranks != 0) {
            throw new DataException("rank " + rank + " of " + ranks + ": expected 0 <= rank < ranks and a batch of "
                    + rows.length + " rows divisible by ranks");
        }
        int part = rows.length / ranks;
        return Arrays.copyOfRange(rows, rank * part, (rank + 1) * part);
    }
}
