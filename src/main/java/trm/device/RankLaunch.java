package trm.device;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How a launcher has started this process, as its environment says: which rank it is, of how many, and how they find each
 * other.
 *
 * @param starter who set the variables
 * @param rank number of this one, from 0
 * @param ranks how many there are
 * @param localRank number of this one among those of its machine; its GPU
 * @param localRanks how many its machine has, 0 where nobody says
 * @param address host of rank 0, null where MPI connects them
 * @param port where rank 0 listens, 0 where MPI connects them
 */
public record RankLaunch(
        Starter starter, int rank, int ranks, int localRank, int localRanks, String address, int port) {

    /** Who starts ranks. */
    public enum Starter {
        /** Nobody: a process that trains alone. */
        NONE("no launcher"),
        /** mpirun, or srun --mpi=pmix: MPI connects the ranks. */
        MPI("MPI"),
        /** RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, as torchrun sets them. */
        VARIABLES("RANK and WORLD_SIZE"),
        /** srun: SLURM_PROCID and so on. */
        SLURM("Slurm");

        private final String text;

        Starter(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }

    /** Ports for jobs of Slurm, by job number. */
    private static final int FIRST_PORT = 15000;

    private static final int PORTS = 20000;
    private static final int MOST_RANKS = 1 << 16;
    private static final Pattern FIRST_HOST = Pattern.compile("([^\\[,]*)(?:\\[(\\w+)[^]]*])?([^,\\[]*).*");

    /** A process that trains alone. */
    public static RankLaunch alone() {
        return new RankLaunch(Starter.NONE, 0, 1, 0, 1, null, 0);
    }

    /**
     * What the variables say.
     *
     * @throws DeviceException if one of a kind is missing or no number, or two kinds contradict each other
     */
    public static RankLaunch of(Map<String, String> environment) {
        List<RankLaunch> found = new ArrayList<>();
        Variables variables = new Variables(environment);
        if (variables.has("OMPI_COMM_WORLD_SIZE")) {
            found.add(variables.launch(
                    Starter.MPI,
                    "OMPI_COMM_WORLD_RANK",
                    "OMPI_COMM_WORLD_SIZE",
                    "OMPI_COMM_WORLD_LOCAL_RANK",
                    "OMPI_COMM_WORLD_LOCAL_SIZE"));
        }
        if (variables.has("SLURM_STEP_ID") && variables.has("SLURM_PROCID")) {
            found.add(variables.slurm());
        }
        if (variables.has("RANK") || variables.has("WORLD_SIZE")) {
            RankLaunch plain =
                    variables.launch(Starter.VARIABLES, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
            found.add(plain.ranks == 1 ? plain : plain.at(variables.text("MASTER_ADDR"), variables.port()));
        }
        if (found.isEmpty()) {
            return alone();
        }
        RankLaunch chosen = found.get(0);
        for (RankLaunch other : found) {
            if (other.rank != chosen.rank || other.ranks != chosen.ranks) {
                throw new DeviceException("the environment says two things: " + chosen.describe() + ", and "
                        + other.describe() + "; start ranks by one launcher, or unset the variables of the other");
            }
        }
        return chosen;
    }

    private RankLaunch at(String host, int number) {
        return new RankLaunch(starter, rank, ranks, localRank, localRanks, host, number);
    }

    /** One line for people. */
    public String describe() {
        return starter == Starter.NONE
                ? "one rank (" + starter + ")"
                : "rank " + rank + " of " + ranks + ", number " + localRank + " on its machine, by " + starter
                        + (address == null ? "" : ", rank 0 at " + address + ":" + port);
    }

    /** The first host of a list as Slurm writes it: node03 of {@code node[03-05,7],other}. */
    static String firstHost(String nodes) {
        Matcher m = FIRST_HOST.matcher(nodes);
        return m.matches() ? m.group(1) + (m.group(2) == null ? "" : m.group(2) + m.group(3)) : nodes;
    }

    /** Reads variables and says which of them are wrong. */
    private record Variables(Map<String, String> all) {
        boolean has(String name) {
            return all.get(name) != null && !all.get(name).isEmpty();
        }

        String text(String name) {
            if (!has(name)) {
                throw new DeviceException(
                        "variable " + name + " is not set, expected it where others say that there are several ranks");
            }
            return all.get(name);
        }

        int number(String name, int least, int most) {
            String value = text(name);
            try {
                int number = Integer.parseInt(value.strip());
                if (number >= least && number <= most) {
                    return number;
                }
            } catch (NumberFormatException e) {
                // said below
            }
            throw new DeviceException(
                    "variable " + name + " is '" + value + "', expected a whole number from " + least + " to " + most);
        }

        RankLaunch launch(Starter starter, String rank, String ranks, String localRank, String localRanks) {
            int count = number(ranks, 1, MOST_RANKS);
            return new RankLaunch(
                    starter,
                    number(rank, 0, count - 1),
                    count,
                    number(localRank, 0, count - 1),
                    has(localRanks) ? number(localRanks, 1, count) : 0,
                    null,
                    0);
        }

        int port() {
            return number("MASTER_PORT", 1, 65535);
        }

        /** With --mpi=pmix, MPI connects them; else rank 0 listens on the first node, at a port that follows from the job. */
        RankLaunch slurm() {
            String size = has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
            boolean pmix = has("PMIX_RANK");
            RankLaunch launch = launch(
                    pmix ? Starter.MPI : Starter.SLURM, "SLURM_PROCID", size, "SLURM_LOCALID", "none of Slurm's");
            if (pmix || launch.ranks == 1) {
                return launch;
            }
            int job = has("SLURM_JOB_ID") ? number("SLURM_JOB_ID", 0, Integer.MAX_VALUE) : 0;
            return launch.at(
                    has("MASTER_ADDR") ? text("MASTER_ADDR") : firstHost(text("SLURM_STEP_NODELIST")),
                    has("MASTER_PORT") ? port() : FIRST_PORT + job % PORTS);
        }
    }

    /** The kinds of variables, for help. */
    public static Map<Starter, String> variables() {
        Map<Starter, String> names = new LinkedHashMap<>();
        names.put(Starter.MPI, "OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK; PMIX_RANK with SLURM_PROCID");
        names.put(Starter.SLURM, "SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_STEP_NODELIST");
        names.put(Starter.VARIABLES, "RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT");
        return names;
    }
}
