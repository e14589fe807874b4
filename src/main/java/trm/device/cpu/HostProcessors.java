package trm.device.cpu;

import java.nio.file.Path;
import java.util.Locale;
import trm.device.DeviceException;

/** How many threads compute where a configuration leaves it open. */
final class HostProcessors {
    private HostProcessors() {}

    /**
     * @param threads at least 1
     * @param why what the number follows from
     */
    record Choice(int threads, String why) {}

    /** Threads of this process: TRM_THREADS, else as many as processors, or as its control groups give it time on. */
    static Choice choice() {
        return choice(System.getenv("TRM_THREADS"), Runtime.getRuntime().availableProcessors(), quota(Path.of("/")));
    }

    /**
     * @param given value of TRM_THREADS, or null
     * @param processors that this process may run on
     * @param quota processors whose time it may take, infinite where there is no limit
     */
    static Choice choice(String given, int processors, double quota) {
        if (given != null && !given.isEmpty()) {
            if (!given.matches("[1-9][0-9]{0,3}")) {
                throw new DeviceException("TRM_THREADS is " + given + ", expected a number of threads from 1 to 9999");
            }
            return new Choice(Integer.parseInt(given), "TRM_THREADS");
        }
        // measured on two cores: at a quota of 1.1 to 1.5 two threads beat one, at 0.5 one is no slower than two
        if (quota < processors) {
            return new Choice(
                    (int) Math.max(1, Math.ceil(quota)),
                    String.format(Locale.ROOT, "control groups allow the time of %.2f processors", quota));
        }
        return new Choice(processors, "processors");
    }

    /**
     * Processors whose time the control groups of this process allow it, infinite where there is no limit.
     *
     * @param root under which {@code proc} and {@code sys} lie
     */
    static double quota(Path root) {
        double quota = Double.POSITIVE_INFINITY;
        ControlGroups groups = new ControlGroups(root);
        for (Path group : groups.version2()) {
            String[] fields =
                    ControlGroups.text(group.resolve("cpu.max")).split(" "); // max, or microseconds of microseconds
            if (fields.length == 2 && fields[0].matches("[0-9]{1,18}") && fields[1].matches("[1-9][0-9]{0,17}")) {
                quota = Math.min(quota, (double) Long.parseLong(fields[0]) / Long.parseLong(fields[1]));
            }
        }
        for (Path group : groups.version1("cpu")) {
            long time = ControlGroups.number(group.resolve("cpu.cfs_quota_us"), ""); // -1: no limit
            long period = ControlGroups.number(group.resolve("cpu.cfs_period_us"), "");
            if (time >= 0 && period > 0) {
                quota = Math.min(quota, (double) time / period);
            }
        }
        return quota;
    }
}
