package trm.data;

import java.util.Iterator;
import java.util.NoSuchElementException;
import trm.input.DataException;

/**
 * Batches of evaluation: all rows in order, each batch of the same size, the last one padded with {@link #PADDING}. A
 * padded row stands for input {@code padId}, label {@link Dataset#IGNORED} and identifier {@code blankIdentifierId}.
 */
public final class TestBatches implements Iterable<int[]> {
    /** The row number of padding. */
    public static final int PADDING = -1;

    private final int examples;
    private final int batch;

    /**
     * @param batch rows of a batch over all ranks
     * @throws DataException if batch is below 1
     */
    public TestBatches(Dataset dataset, int batch) {
        if (batch < 1) {
            throw new DataException("batch=" + batch + ": expected at least 1");
        }
        this.examples = dataset.examples();
        this.batch = batch;
    }

    /** Number of batches. */
    public int count() {
        return (int) (((long) examples + batch - 1) / batch);
    }

    /** Real rows of batch {@code index}. */
    public int realRows(int index) {
        check(index);
        return (int) Math.min(batch, examples - (long) index * batch);
    }

    /** Rows [batch] of batch {@code index}, padding last. */
    public int[] rows(int index) {
        int real = realRows(index);
        int[] rows = new int[batch];
        for (int i = 0; i < batch; i++) {
            rows[i] = i < real ? index * batch + i : PADDING;
        }
        return rows;
    }

    private void check(int index) {
        if (index < 0 || index >= count()) {
            throw new IndexOutOfBoundsException("batch " + index + " of " + count());
        }
    }

    @Override
    public Iterator<int[]> iterator() {
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < count();
            }

            @Override
            public int[] next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                return rows(next++);
            }
        };
    }
}
