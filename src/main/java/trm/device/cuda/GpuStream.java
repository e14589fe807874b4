package trm.device.cuda;

import java.util.concurrent.locks.LockSupport;
import java.util.function.IntSupplier;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import trm.device.Capture;
import trm.device.DeviceException;
import trm.device.StickyError;

/** The one stream of a GPU, with what every use of it looks at. */
final class GpuStream {
    private static final long SPIN = 100_000; // ns of a wait without a pause
    private static final long LONGEST = 200_000; // ns of a pause

    private final CUstream_st handle;
    private final StickyError stickyError;
    private final Capture capture;
    private final IntSupplier streamDone;
    private RankWatch watch = RankWatch.NOBODY;

    /**
     * @param stickyError refuses all that comes after an error from which the GPU cannot recover
     * @param capture refuses what a captured step cannot hold
     */
    GpuStream(CUstream_st handle, StickyError stickyError, Capture capture) {
        this.handle = handle;
        this.stickyError = stickyError;
        this.capture = capture;
        streamDone = () -> cudart.cudaStreamQuery(handle);
    }

    CUstream_st handle() {
        return handle;
    }

    StickyError stickyError() {
        return stickyError;
    }

    Capture capture() {
        return capture;
    }

    /** The GPU's work may wait for other ranks from now on: waits look after them. */
    void watch(RankWatch others) {
        watch = others;
    }

    /** @throws DeviceException if the GPU can no longer be used, or a step is being captured, which cannot hold this */
    void before(String what) {
        before(what, "");
    }

    /** As {@link #before(String)}; the text begins with {@code what} and {@code subject}. */
    void before(String what, Object subject) {
        stickyError.check();
        capture.refuse(what, subject);
    }

    /** @throws DeviceException unless the status is 0; the GPU can then no longer be used */
    void check(int status, String call) {
        check(status, call, "");
    }

    /** As {@link #check(int, String)}; the text begins with {@code call} and {@code subject}, and is formed only then. */
    void check(int status, String call, Object subject) {
        if (status != 0) {
            throw stickyError.raise(call + subject + ": " + Cuda.text(status));
        }
    }

    /** What to throw for a library's call that failed: within a captured step it leaves the GPU as it was. */
    DeviceException failure(String text) {
        return capture.active() ? new DeviceException(text) : stickyError.raise(text);
    }

    /** Waits for all enqueued work; the status of the wait. */
    int await() {
        return watch == RankWatch.NOBODY ? cudart.cudaStreamSynchronize(handle) : await(streamDone);
    }

    /**
     * Waits with a look at other ranks; the status of the wait.
     *
     * @param done {@code cudaErrorNotReady} as long as it goes on
     * @throws DeviceException if it is given up; the GPU can then no longer be used
     */
    int await(IntSupplier done) {
        long began = System.nanoTime();
        long pause = 1000;
        while (true) {
            int status = done.getAsInt();
            if (status != cudart.cudaErrorNotReady) {
                return status;
            }
            long waited = System.nanoTime() - began;
            String reason = watch.watch(waited);
            if (reason != null) {
                throw stickyError.raise(reason);
            }
            if (waited < SPIN) {
                Thread.onSpinWait();
            } else {
                LockSupport.parkNanos(pause);
                pause = Math.min(LONGEST, pause + pause / 4);
            }
        }
    }

    /** Whether waits look after other ranks. */
    boolean watched() {
        return watch != RankWatch.NOBODY;
    }
}
