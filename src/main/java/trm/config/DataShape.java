package trm.config;

/**
 * What the model must know of a dataset.
 *
 * @param seqLen tokens per sample
 * @param vocabSize token values, padding included
 * @param numPuzzleIdentifiers rows of the puzzle table
 */
public record DataShape(int seqLen, int vocabSize, int numPuzzleIdentifiers) {
    /**
     * @throws ConfigException if one of the values is below 1
     */
    public DataShape {
        Check.atLeast("data_shape.seq_len", seqLen, 1);
        Check.atLeast("data_shape.vocab_size", vocabSize, 1);
        Check.atLeast("data_shape.num_puzzle_identifiers", numPuzzleIdentifiers, 1);
    }
}
