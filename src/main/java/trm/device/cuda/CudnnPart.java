package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnBackendDescriptor_t;
import org.bytedeco.cuda.global.cudnn;
import trm.device.DeviceException;
import trm.device.Dtype;

/** So many lanes at once by the library, with one plan of it. A call allocates nothing once its addresses were seen. */
final class CudnnPart {
    private final CudnnSession session;
    private final CudnnSdpa shape;
    private final CudnnGraph graph;
    private final CudnnGraph.Plan plan;
    private final long qk; // addresses in the workspace
    private final long delta;
    private final long room;
    private final List<long[]> known = new ArrayList<>(); // addresses of earlier calls
    private final List<cudnnBackendDescriptor_t> packs = new ArrayList<>(); // and what they became

    CudnnPart(CudnnSession session, CudnnSdpa shape, CudnnGraph graph, CudnnGraph.Plan plan) {
        this.session = session;
        this.shape = shape;
        this.graph = graph;
        this.plan = plan;
        long qkBytes = Workspace.align(shape.rotatedBytes());
        long deltaBytes = Workspace.align(shape.deltaBytes());
        qk = session.workspace().reserve(qkBytes + deltaBytes + plan.workspaceBytes());
        delta = qk + qkBytes;
        room = delta + deltaBytes;
    }

    CudnnSdpa shape() {
        return shape;
    }

    /** The lanes from {@code first} on; the library's or the kernels' words if that fails, else null. */
    String run(CudnnCall c, long first) {
        long row = CudnnCall.rowBytes(shape);
        long rows = first * shape.s();
        long qkv = c.qkv + rows * 3 * row;
        long o = c.o + rows * row;
        long stats = c.lse == 0 ? 0 : c.lse + rows * shape.heads() * Dtype.F32.bytes();
        long dO = shape.backward() ? c.dO + rows * row : 0;
        long dqkv = shape.backward() ? c.dqkv + rows * 3 * row : 0;
        if (shape.rotated()) {
            String error = session.ownError(c.rotate(session.own(), shape, qkv, qk));
            if (error != null) {
                return error;
            }
        }
        cudnnBackendDescriptor_t pack = pack(shape.rotated() ? qk : qkv, qkv, o, stats, dO, dqkv);
        session.scale().put((float) (1 / Math.sqrt(shape.d())));
        int status = cudnn.cudnnBackendExecute(session.library().handle(), plan.descriptor(), pack);
        if (status != 0) {
            return "cudnnBackendExecute: " + Cudnn.reason(status);
        }
        return shape.rotated() && shape.backward() ? session.ownError(c.rotateBack(session.own(), shape, dqkv)) : null;
    }

    private cudnnBackendDescriptor_t pack(long q, long qkv, long o, long stats, long dO, long dqkv) {
        for (int i = 0; i < known.size(); i++) {
            long[] a = known.get(i);
            if (a[0] == q && a[1] == qkv && a[2] == o && a[3] == stats && a[4] == dO && a[5] == dqkv) {
                return packs.get(i);
            }
        }
        try {
            packs.add(graph.addresses(shape.operands(), addresses(q, qkv, o, stats, dO, dqkv), room));
        } catch (CudnnException e) {
            throw new DeviceException(shape + ": " + e.getMessage());
        }
        known.add(new long[] {q, qkv, o, stats, dO, dqkv});
        return packs.get(packs.size() - 1);
    }

    /** In the order of {@link CudnnSdpa#operands()}. */
    private long[] addresses(long q, long qkv, long o, long stats, long dO, long dqkv) {
        long row = CudnnCall.rowBytes(shape);
        long k = q + row;
        long v = qkv + 2 * row;
        long scale = session.scale().address();
        if (shape.backward()) {
            long one = session.one().address();
            return new long[] {q, k, v, o, stats, dO, dqkv, dqkv + row, dqkv + 2 * row, delta, scale, one};
        }
        return shape.stats() ? new long[] {q, k, v, o, stats, scale} : new long[] {q, k, v, o, scale};
    }
}
