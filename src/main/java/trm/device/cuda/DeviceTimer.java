package trm.device.cuda;

import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;

/** Measures what a stream does, in milliseconds of device time. */
final class DeviceTimer implements AutoCloseable {
    private final CUstream_st stream;
    private final CUevent_st begin = new CUevent_st();
    private final CUevent_st end = new CUevent_st();
    private final float[] elapsed = new float[1];
    private int status; // the first that was not 0

    DeviceTimer(CUstream_st stream) {
        this.stream = stream;
        check(cudart.cudaEventCreate(begin));
        check(cudart.cudaEventCreate(end));
    }

    /** From here on time is taken. */
    void start() {
        check(cudart.cudaEventRecord(begin, stream));
    }

    /** Waits for all that was enqueued; the time since {@link #start}. */
    float stop() {
        check(cudart.cudaEventRecord(end, stream));
        check(cudart.cudaEventSynchronize(end));
        check(cudart.cudaEventElapsedTime(elapsed, begin, end));
        return elapsed[0];
    }

    private void check(int result) {
        if (status == 0) {
            status = result;
        }
    }

    /** What the runtime says of the first call that failed, or null: times are worthless then. */
    String error() {
        return status == 0 ? null : Cuda.text(status);
    }

    @Override
    public void close() {
        for (CUevent_st event : new CUevent_st[] {begin, end}) {
            if (!event.isNull()) {
                cudart.cudaEventDestroy(event);
            }
        }
    }
}
