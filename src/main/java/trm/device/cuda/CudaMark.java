package trm.device.cuda;

import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import trm.device.Fault;
import trm.device.Mark;
import trm.device.Recording;

/** An event on the backend's stream. */
final class CudaMark implements Mark {
    private final CUevent_st event = new CUevent_st();
    private final CUstream_st stream;
    private final Fault fault;
    private final Recording recording;
    private final float[] milliseconds = new float[1];

    CudaMark(CUstream_st stream, Fault fault, Recording recording) {
        this.stream = stream;
        this.fault = fault;
        this.recording = recording;
        fault.check();
        check(cudart.cudaEventCreate(event), "cudaEventCreate");
    }

    @Override
    public void set() {
        before("a mark");
        check(cudart.cudaEventRecord(event, stream), "cudaEventRecord");
    }

    @Override
    public boolean reached() {
        before("a question for a mark");
        int status = cudart.cudaEventQuery(event);
        if (status == cudart.cudaErrorNotReady) {
            return false;
        }
        check(status, "cudaEventQuery");
        return true;
    }

    @Override
    public void await() {
        before("a wait for a mark");
        check(cudart.cudaEventSynchronize(event), "cudaEventSynchronize");
    }

    @Override
    public double millisecondsSince(Mark earlier) {
        before("the time between marks");
        check(cudart.cudaEventElapsedTime(milliseconds, ((CudaMark) earlier).event, event), "cudaEventElapsedTime");
        return milliseconds[0];
    }

    private void before(String what) {
        fault.check();
        recording.refuse(what);
    }

    private void check(int status, String call) {
        if (status != 0) {
            throw fault.raise(call + ": " + Cuda.text(status));
        }
    }

    @Override
    public void close() {
        if (!event.isNull()) {
            cudart.cudaEventDestroy(event);
            event.setNull();
        }
    }
}
