package trm.device;

/**
 * What the CPU backend may take of this machine.
 *
 * @param threads that compute where a configuration leaves the number open
 * @param threadsWhy what that number follows from
 * @param memoryBytes of the machine, or the least limit of a control group; {@link Long#MAX_VALUE} where nothing tells
 * @param memoryIsLimited whether that is a limit of a control group
 */
public record Host(int threads, String threadsWhy, long memoryBytes, boolean memoryIsLimited) {}
