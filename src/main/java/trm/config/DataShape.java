package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;

/**
 * What the model must know of a dataset.
 *
 * @param seqLen tokens per sample
 * @param vocabSize token values, padding included
 * @param numPuzzleIdentifiers rows of the puzzle table
 */
public record DataShape(int seqLen, int vocabSize, int numPuzzleIdentifiers) {
    /** Tokens of a sample, and values of a token: more than any model could take. */
    private static final int MOST = 1 << 20;

    static final ConfigSection<DataShape> KEYS = ConfigSection.of(
            DataShape.class,
            "Shape of the data",
            key(
                    "data_shape.seq_len",
                    INTEGER,
                    null,
                    DataShape::seqLen,
                    "tokens",
                    "Length of a sample, without puzzle positions. The table is needed only where the data are not there."),
            key(
                    "data_shape.vocab_size",
                    INTEGER,
                    null,
                    DataShape::vocabSize,
                    "tokens",
                    "Different ones, padding included."),
            key(
                    "data_shape.num_puzzle_identifiers",
                    INTEGER,
                    null,
                    DataShape::numPuzzleIdentifiers,
                    "identifiers",
                    "Rows of the puzzle embedding."));

    /**
     * @throws ConfigException if one of the values is below 1 or beyond all measure
     */
    public DataShape {
        Check.within("data_shape.seq_len", seqLen, 1, MOST);
        Check.within("data_shape.vocab_size", vocabSize, 1, MOST);
        Check.atLeast("data_shape.num_puzzle_identifiers", numPuzzleIdentifiers, 1);
    }

    /**
     * The shape of the data that are there, which a configuration may repeat but not contradict.
     *
     * @param given {@code data_shape} of the configuration, null if it has none
     * @param found the shape of the data
     * @param where what messages call the data
     * @throws ConfigException if the two differ
     */
    public static DataShape of(DataShape given, DataShape found, String where) {
        Check.that(
                given == null || given.equals(found),
                "data_shape",
                given,
                "the data in " + where + " have " + found + "; leave data_shape out, or correct it");
        return found;
    }

    /** As configurations write it. */
    @Override
    public String toString() {
        return "{seq_len: " + seqLen + ", vocab_size: " + vocabSize + ", num_puzzle_identifiers: "
                + numPuzzleIdentifiers + "}";
    }
}
