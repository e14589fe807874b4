/**
 * Data sets that are open: their examples, the kind of their puzzles and the batch order of training and evaluation. Builders and
 * what differs by puzzle are in {@code sudoku}, {@code maze} and {@code arc}, files in {@code format} and {@code table}. Everything
 * here runs on the host; random numbers repeat NumPy's bit for bit ({@code random}), so that a folder or a batch sequence equals the
 * published pipeline's.
 */
package trm.data;
