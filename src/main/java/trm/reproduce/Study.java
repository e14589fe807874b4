package trm.reproduce;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import trm.config.ConfigException;
import trm.input.DataException;
import trm.io.FormatException;

/** Rows that are trained, each with several seeds, and reported on together: what {@code trm reproduce} is given. */
public interface Study {
    /**
     * What a report wrote.
     *
     * @param markdown the report as people read it
     * @param files names of the files, of which report.md holds it and what else there is to see
     * @param noChart why there is no chart, if there is none
     */
    record Written(String markdown, List<String> files, Optional<String> noChart) {}

    /**
     * The runs of some rows, of all if none is named: each row with seed 0, then each with seed 1, and so on.
     *
     * @throws ConfigException if there is no row of a name; the message lists those that there are
     */
    List<PlannedRun> runs(List<String> rows, int seeds);

    /** The data set of a run, there or not. */
    DataNeed data(PlannedRun run);

    /**
     * Sees to the data of some runs.
     *
     * @throws DataException if they are not there and cannot be made
     */
    void prepareData(List<PlannedRun> runs);

    /**
     * Reports on all runs that are there, also those of other rows and seeds than were just asked for.
     *
     * @param failures messages of runs that could not go on, by row and seed
     * @throws FormatException if a file of a run cannot be read, a run has other settings than planned, or a file cannot be written
     */
    Written report(Map<String, String> failures);
}
