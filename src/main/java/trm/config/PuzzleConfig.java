package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ValueType.INTEGER;

/**
 * The puzzle embedding: a trained vector for each puzzle identifier, in positions before the tokens.
 *
 * @param width values of a puzzle's vector, E; 0 for none, {@code puzzle_emb_ndim}
 * @param positions before the tokens, 0 for as few as hold the vector, {@code puzzle_emb_len}
 */
public record PuzzleConfig(int width, int positions) {
    private static final int MAX_PUZZLE_WIDTH = 1 << 20;

    private static final int PUBLISHED_POSITIONS = 16;

    private static final ConfigKey<PuzzleConfig, Integer> WIDTH = dependent(
            "arch.puzzle_emb_ndim",
            INTEGER,
            in -> in.value(BlockConfig.HIDDEN_SIZE),
            PuzzleConfig::width,
            "values",
            "Width of the trained vector of each puzzle, 0 for none; by default hidden_size.");

    static final ConfigSection<PuzzleConfig> KEYS = ConfigSection.of(
            PuzzleConfig.class,
            "Puzzle embedding",
            WIDTH,
            dependent(
                    "arch.puzzle_emb_len",
                    INTEGER,
                    in -> in.value(WIDTH) == 0 || in.value(ArchConfig.NAME).packsPuzzleVector()
                            ? 0
                            : PUBLISHED_POSITIONS,
                    PuzzleConfig::positions,
                    "positions",
                    "Positions before the tokens for that vector, 0 for as few as hold it."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public PuzzleConfig {
        Check.within("arch.puzzle_emb_ndim", width, 0, MAX_PUZZLE_WIDTH);
        Check.within("arch.puzzle_emb_len", positions, 0, BlockConfig.MAX_WIDTH);
        Check.that(
                width > 0 || positions == 0, "arch.puzzle_emb_len", positions, "must be 0 when puzzle_emb_ndim is 0");
    }
}
