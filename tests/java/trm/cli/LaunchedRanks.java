package trm.cli;

import java.util.List;

/** Main class of a test: what {@code trm launch} does on a machine with two GPUs, as its driver would count them. */
public final class LaunchedRanks {
    private LaunchedRanks() {}

    /** @param args command of the ranks */
    public static void main(String[] args) {
        System.exit(new RankProcesses(2, 29400, List.of(args)).run());
    }
}
