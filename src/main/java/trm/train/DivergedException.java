package trm.train;

import trm.input.InputException;

/** A loss, a gradient or a weight of a run is not finite. The message names the step, what it was and the checkpoint to go back to. */
public final class DivergedException extends InputException {
    private static final long serialVersionUID = 1L;

    DivergedException(String message) {
        super(message);
    }
}
