package trm.train;

/** Who asked a run to stop: a signal, whose exit code its process and those of all other ranks have. */
public enum StopCause {
    /** SIGTERM, or a caller within this process. */
    TERMINATED(143),
    /** SIGINT. */
    INTERRUPTED(130),
    /** SIGUSR1. */
    USER_1(138),
    /** SIGUSR2. */
    USER_2(140);

    private final int exitCode;

    StopCause(int exitCode) {
        this.exitCode = exitCode;
    }

    public int exitCode() {
        return exitCode;
    }
}
