package trm.device.cuda;

import org.bytedeco.javacpp.FloatPointer;
import trm.device.NativeOps;
import trm.device.Operations;

/**
 * What all calls of the library share.
 *
 * @param own kernels that rotate
 * @param table whose last error is theirs
 * @param workspace for rotated q and k, delta, and what the library wants
 * @param scale of the scores; host memory that a call reads when it is enqueued
 * @param one a factor that changes nothing, as scale
 */
record CudnnSession(
        Cudnn library,
        Operations own,
        NativeOps.Table table,
        Workspace workspace,
        FloatPointer scale,
        FloatPointer one) {
    CudnnSession(Cudnn library, Operations own, NativeOps.Table table, Workspace workspace) {
        this(library, own, table, workspace, new FloatPointer(1f), new FloatPointer(1f));
    }

    /** What our kernels' status says, null for OK. */
    String ownError(int status) {
        return status == 0 ? null : table.last_error().getString();
    }
}
