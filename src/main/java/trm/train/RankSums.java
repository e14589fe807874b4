package trm.train;

import trm.device.Arena;
import trm.device.Backend;
import trm.device.Collective;
import trm.device.Dtype;
import trm.device.Metric;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.Parameters;

/**
 * What ranks bring together between a step's gradients and its update: the sum of their gradients, and the puzzle vectors
 * that their lanes name with their gradients, which are added up by vector. A process that trains alone has its own.
 */
final class RankSums {
    private final Collective collective;
    private final Tensor ownIds;
    private final Tensor ownRows;
    private final Tensor ids;
    private final Tensor rows;

    /**
     * @param ids [B] int32: puzzle identifiers of this rank's lanes
     * @param rows [B, E] float32: gradients of their vectors, or null without a puzzle table
     */
    RankSums(Backend backend, Arena arena, Parameters parameters, Tensor ids, Tensor rows) {
        collective = backend.collective();
        ownIds = ids;
        ownRows = rows;
        boolean gathered = collective.ranks() > 1 && parameters.puzzleTable() != null;
        long all = collective.ranks() * ids.count();
        this.ids = gathered ? arena.tensor(Purpose.LANES, "puzzle_identifiers of all ranks", Dtype.I32, all) : ids;
        this.rows = gathered
                ? arena.tensor(Purpose.LANES, "d_puzzle_rows of all ranks", Dtype.F32, all, rows.size(1))
                : rows;
    }

    /** Adds the gradients of all ranks, and gathers what belongs to the puzzle vectors. @param gradient float32, in place */
    void add(Tensor gradient) {
        collective.allReduce(gradient);
        if (rows != ownRows) {
            collective.allGather(ownIds, ids);
            collective.allGather(ownRows, rows);
        }
    }

    /**
     * metrics = the sums over the lanes of all ranks. All ranks have the same norm of the gradient, which counts once.
     *
     * @param metrics [METRICS] float64: a copy of one's own sums, in place
     */
    static void addMetrics(Backend backend, Tensor metrics) {
        if (backend.collective().rank() > 0) {
            backend.kernels().elementwise().zero(metrics.view(Metric.GRAD_NORM.ordinal(), 1));
        }
        backend.collective().allReduce(metrics);
    }

    /** [B of all ranks] int32. */
    Tensor ids() {
        return ids;
    }

    /** [B of all ranks, E] float32, or null without a puzzle table. */
    Tensor rowGradients() {
        return rows;
    }
}
