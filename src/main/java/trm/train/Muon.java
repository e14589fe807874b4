package trm.train;

import java.util.List;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.OptimizerKernels;
import trm.device.OptimizerKernels.MuonMatrices;
import trm.device.OptimizerKernels.NewtonSchulz;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.Parameters;

/**
 * Muon: momentum, made orthogonal by iterations of Newton and Schulz, for the matrices of the blocks
 * (docs/specification.md#76-muon). Keller Jordan's optimizer (https://kellerjordan.github.io/posts/muon) in the form of
 * "Speed is Confidence" (arXiv 2601.19085, https://github.com/jvdillon/sic):
 *
 * <pre>
 *   m = m + (1 - mu)(g - m)      U = g + mu (m - g)      X = U / max(|U|, 1e-7)
 *   as often as asked: A = X X^T,   X = a X + (b A + c A A) X        X transposed where that makes A smaller
 *   W = (1 - lr wd) W - lr sqrt(max(1, rows / columns)) X
 * </pre>
 *
 * All matrices are in one table on the device, and each operation works on all of them. The iterations run in the compute
 * type of the model. The momentum of a matrix lies where Adam's first moment does; its second moment stays 0.
 */
public final class Muon {
    /** A quintic that is steep at 0 and keeps singular values between about 0.7 and 1.2. */
    private static final NewtonSchulz COEFFICIENTS = new NewtonSchulz(3.4445, -4.7750, 2.0315);

    private static final int UNIT = 8; // sizes of X are rounded up to multiples of it

    private final Kernels kernels;
    private final MuonMatrices matrices;
    private final OptimizerKernels.Muon constants;
    private final double momentum;
    private final int steps;

    /**
     * Asks for the table and for what an update works in, and fills the table.
     *
     * @param dtype compute type of the iterations
     * @param steps number of iterations
     */
    public Muon(
            Backend backend,
            Arena arena,
            List<Parameters.Matrix> blocks,
            Dtype dtype,
            double momentum,
            int steps,
            OptimizerKernels.Muon constants) {
        kernels = backend.kernels();
        this.momentum = momentum;
        this.steps = steps;
        this.constants = constants;
        int[] table = new int[blocks.size() * OptimizerKernels.MUON_FIELDS];
        long elements = 0;
        long squares = 0;
        long sums = 0;
        int at = 0;
        for (Parameters.Matrix m : blocks) {
            table[at++] = Math.toIntExact(m.offset());
            table[at++] = m.rows();
            table[at++] = m.columns();
            table[at++] = Math.toIntExact(elements);
            table[at++] = Math.toIntExact(squares);
            table[at++] = Math.toIntExact(sums);
            long r = roundedUp(Math.min(m.rows(), m.columns()));
            elements += r * roundedUp(Math.max(m.rows(), m.columns()));
            squares += r * r;
            sums += (m.count() + OptimizerKernels.MUON_CHUNK - 1) / OptimizerKernels.MUON_CHUNK;
        }
        matrices = new MuonMatrices(
                arena.tensor(
                        Purpose.OPTIMIZER, "muon.matrices", Dtype.I32, blocks.size(), OptimizerKernels.MUON_FIELDS),
                arena.tensor(Purpose.SCRATCH, "muon.x", dtype, elements),
                arena.tensor(Purpose.SCRATCH, "muon.y", dtype, elements),
                arena.tensor(Purpose.SCRATCH, "muon.gram", dtype, squares),
                arena.tensor(Purpose.SCRATCH, "muon.polynomial", dtype, squares),
                arena.tensor(Purpose.SCRATCH, "muon.partials", Dtype.F64, sums));
        HostCopy.put(backend, matrices.table(), table);
    }

    /**
     * Floating-point operations of the products of one update: in each iteration, of X [r, c] with r at most c, X X^T, its square
     * and the polynomial of both times X.
     *
     * @param steps number of iterations
     */
    public static double flops(List<Parameters.Matrix> blocks, int steps) {
        double sum = 0;
        for (Parameters.Matrix m : blocks) {
            double r = Math.min(m.rows(), m.columns());
            double c = Math.max(m.rows(), m.columns());
            sum += 4 * r * r * c + 2 * r * r * r;
        }
        return steps * sum;
    }

    private static long roundedUp(int size) {
        return (size + UNIT - 1L) / UNIT * UNIT;
    }

    /**
     * One update of all matrices; their gradients become zero. The tensors are flat, over all parameters.
     *
     * @param p in and out, float32: parameters
     * @param g in, float32, zero afterwards: gradients
     * @param m in and out, float32: momentum
     * @param ema in and out, float32: moving average, or null
     * @param bf16 out, bfloat16: the new parameters rounded, or null
     * @param controls in, [CONTROLS] float64: rate of the step
     */
    public void update(Tensor p, Tensor g, Tensor m, Tensor ema, Tensor bf16, Tensor controls) {
        OptimizerKernels optimizers = kernels.optimizers();
        optimizers.muonDirection(g, m, matrices, momentum);
        Tensor x = matrices.x();
        Tensor y = matrices.y();
        for (int i = 0; i < steps; i++) {
            optimizers.muonIterate(x, y, matrices, COEFFICIENTS);
            Tensor newer = y;
            y = x;
            x = newer;
        }
        optimizers.muonUpdate(x, matrices, p, ema, bf16, controls, constants);
    }
}
