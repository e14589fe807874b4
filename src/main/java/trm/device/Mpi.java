package trm.device;

/**
 * MPI, with the ranks joined that mpirun or srun has started ({@code native/mpi/ranks.cpp}).
 *
 * @param table whose collectives can be captured
 */
public record Mpi(NativeOps.Table table, int rank, int ranks) {
    /** What carries it, in builds that found MPI. */
    public static final String LIBRARY = "libtrm_mpi.so";

    private static final String INSTALL =
            "; with MPI installed (Debian: apt-get install openmpi-bin libopenmpi-dev), ./trm"
                    + " builds it and mpirun starts ranks";

    /**
     * Joins the ranks; waits for all of them. Once in a process.
     *
     * @param timeout seconds that a collective waits for the others
     * @throws DeviceException if this build or this machine has no MPI
     */
    public static Mpi join(double timeout) {
        if (!NativeBuild.carries(LIBRARY)) {
            throw new DeviceException("these ranks need MPI, and this build carries no " + LIBRARY + INSTALL);
        }
        NativeOps.Table table;
        try {
            table = NativeBuild.openRanks(LIBRARY);
        } catch (DeviceException e) {
            throw new DeviceException("these ranks need MPI: " + e.getMessage() + INSTALL);
        }
        int[] rank = new int[1];
        int[] ranks = new int[1];
        if (table.join(rank, ranks, timeout) != 0) {
            throw new DeviceException(table.last_error().getString());
        }
        return new Mpi(NativeOps.trm_capturable_ranks(table), rank[0], ranks[0]);
    }

    /** Ends all processes, this one at once. */
    public void abort(int exitCode) {
        table.end_ranks(exitCode);
    }

    public void leave() {
        if (table.leave() != 0) {
            throw new DeviceException(table.last_error().getString());
        }
    }

    /** The bytes of rank 0, in all ranks. */
    public byte[] first(byte[] own) {
        try (HostBuffer host = HostBuffer.allocate(own.length)) {
            host.bytes().put(own);
            if (table.broadcast(host.address(0, own.length), own.length, 0, 0) != 0) {
                throw new DeviceException(table.last_error().getString());
            }
            byte[] theirs = new byte[own.length];
            host.bytes().rewind().get(theirs);
            return theirs;
        }
    }
}
