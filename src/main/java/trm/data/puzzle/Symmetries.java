package trm.data.puzzle;

/**
 * Which symmetries of a square board there are to draw: each with the same probability. They are compositions of a transposition,
 * permutations of rows and of columns, and one of tokens (an {@link Augmentation}).
 *
 * @param transposes whether boards may be transposed
 * @param boxRows    rows of a band, within which rows are permuted as bands are among each other; 0: rows are reversed or not
 * @param boxColumns columns of a stack, likewise
 * @param firstToken the tokens from this one on are permuted
 */
public record Symmetries(boolean transposes, int boxRows, int boxColumns, int firstToken) {}
