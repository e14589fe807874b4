package trm.device.cuda;

import java.util.function.IntSupplier;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.global.cudart;
import trm.device.Event;

/** An event on the backend's stream. */
final class CudaEvent implements Event {
    private final CUevent_st event = new CUevent_st();
    private final GpuStream stream;
    private final float[] milliseconds = new float[1];
    private final IntSupplier done = () -> cudart.cudaEventQuery(event);

    CudaEvent(GpuStream stream) {
        this.stream = stream;
        stream.stickyError().check();
        stream.check(cudart.cudaEventCreate(event), "cudaEventCreate");
    }

    @Override
    public void set() {
        stream.before("an event");
        stream.check(cudart.cudaEventRecord(event, stream.handle()), "cudaEventRecord");
    }

    @Override
    public boolean reached() {
        stream.before("a question for an event");
        int status = cudart.cudaEventQuery(event);
        if (status == cudart.cudaErrorNotReady) {
            return false;
        }
        stream.check(status, "cudaEventQuery");
        return true;
    }

    @Override
    public void await() {
        stream.before("a wait for an event");
        stream.check(
                stream.watched() ? stream.await(done) : cudart.cudaEventSynchronize(event), "cudaEventSynchronize");
    }

    @Override
    public double millisecondsSince(Event earlier) {
        stream.before("the time between events");
        stream.check(
                cudart.cudaEventElapsedTime(milliseconds, ((CudaEvent) earlier).event, event), "cudaEventElapsedTime");
        return milliseconds[0];
    }

    @Override
    public void close() {
        if (!event.isNull()) {
            cudart.cudaEventDestroy(event);
            event.setNull();
        }
    }
}
