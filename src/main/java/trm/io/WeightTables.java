package trm.io;

/**
 * Which sets of weights a file of others has.
 *
 * @param raw where the weights are, {@code under 'model'}; null if there are none
 * @param average where a moving average of them is, null if there is none beside them
 * @param averaged whether {@code raw} is itself called an average
 * @param averages how many averages there are; more than one cannot be told apart, and none of them is read
 */
public record WeightTables(String raw, String average, boolean averaged, int averages) {}
