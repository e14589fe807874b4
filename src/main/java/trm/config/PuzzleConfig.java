package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;

/**
 * What stands before the tokens: a trained vector for each puzzle identifier, the puzzle embedding; or trained positions that
 * are the same for all puzzles, as SiC has one (arXiv 2601.19085); or nothing.
 *
 * @param width values of a puzzle's vector, E; 0 for none, {@code puzzle_emb_ndim}
 * @param positions before the tokens, 0 for as few as hold the vector, {@code puzzle_emb_len}
 * @param learnedPrefix positions that are the same for all puzzles, trained as the other weights are; 0 for none
 */
public record PuzzleConfig(int width, int positions, int learnedPrefix) {
    private static final int MAX_PUZZLE_WIDTH = 1 << 20;

    private static final int PUBLISHED_POSITIONS = 16;

    private static final ConfigKey<PuzzleConfig, Integer> LEARNED_PREFIX = key(
            "arch.learned_prefix",
            INTEGER,
            0,
            PuzzleConfig::learnedPrefix,
            "positions",
            "Trained positions before the tokens, the same for all puzzles, in place of a vector of each puzzle.");

    private static final ConfigKey<PuzzleConfig, Integer> WIDTH = dependent(
            "arch.puzzle_emb_ndim",
            INTEGER,
            in -> in.value(LEARNED_PREFIX) > 0 ? 0 : in.value(BlockConfig.HIDDEN_SIZE),
            PuzzleConfig::width,
            "values",
            "Width of the trained vector of each puzzle, 0 for none; by default hidden_size, or 0 with learned_prefix.");

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
                    "Positions before the tokens for that vector, 0 for as few as hold it."),
            LEARNED_PREFIX);

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public PuzzleConfig {
        Check.within("arch.puzzle_emb_ndim", width, 0, MAX_PUZZLE_WIDTH);
        Check.within("arch.puzzle_emb_len", positions, 0, BlockConfig.MAX_WIDTH);
        Check.that(
                width > 0 || positions == 0, "arch.puzzle_emb_len", positions, "must be 0 when puzzle_emb_ndim is 0");
        Check.within("arch.learned_prefix", learnedPrefix, 0, BlockConfig.MAX_WIDTH);
        Check.that(
                learnedPrefix == 0 || width == 0,
                "arch.learned_prefix",
                learnedPrefix,
                "stands in place of the puzzle vectors, of which puzzle_emb_ndim asks for " + width
                        + " values; leave that out, or 0");
    }
}
