package trm.device.cuda;

/** Looks after other ranks while this one waits for its GPU, whose work may wait for them. */
interface RankWatch {
    /** Nobody else is waited for. */
    RankWatch NOBODY = waited -> null;

    /**
     * Asked again and again during a wait.
     *
     * @param waited nanoseconds since it began
     * @return why the wait is over, with what the GPU had to do given up; null while it goes on
     */
    String watch(long waited);
}
