package trm.config;

/** What changes a training example as a lane takes it. */
public enum Augment implements Word {
    /** What the data set says: its copies, as they are stored. */
    STORED,
    /** A symmetry of the puzzle, drawn at every admission. */
    FRESH
}
