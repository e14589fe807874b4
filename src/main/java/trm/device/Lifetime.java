package trm.device;

/**
 * For how long tape and scratch are needed. Lifetimes never overlap, so they share memory: what lies there is undefined
 * when one begins.
 */
public enum Lifetime {
    /** One step of training. */
    TRAINING_STEP("training step"),
    /** One supervision step of an evaluation, and what it hands to the next. */
    EVALUATION("evaluation");

    private final String text;

    Lifetime(String text) {
        this.text = text;
    }

    @Override
    public String toString() {
        return text;
    }
}
