package trm.train;

import java.util.Optional;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Tensor;
import trm.model.Parameters;

/** Which tensor of a model is not finite. The puzzle table is left out: it moves by signs, which are finite for any gradient. */
final class Divergence {
    private Divergence() {}

    /** The first one among the weights, then among the gradients, as their first moments show them. */
    static Optional<String> first(Backend backend, Parameters parameters) {
        return weights(backend, parameters).or(() -> parameters.names().stream()
                .filter(name -> !isFinite(backend, parameters.moment1Of(name)))
                .findFirst()
                .map(name -> "the gradient of " + Parameters.ROOT + name));
    }

    /** The first one among the weights. */
    static Optional<String> weights(Backend backend, Parameters parameters) {
        return parameters.names().stream()
                .filter(name -> !isFinite(backend, parameters.masterOf(name)))
                .findFirst()
                .map(name -> Parameters.ROOT + name);
    }

    private static boolean isFinite(Backend backend, Tensor tensor) {
        for (float value : HostCopy.floats(backend, tensor)) {
            if (!Float.isFinite(value)) {
                return false;
            }
        }
        return true;
    }
}
