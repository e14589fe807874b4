package trm.device.cuda;

import org.bytedeco.cuda.cudart.CUstream_st;
import trm.device.Capture;
import trm.device.DeviceException;
import trm.device.StickyError;

/**
 * The one stream of a GPU, with what every use of it looks at.
 *
 * @param stickyError refuses all that comes after an error from which the GPU cannot recover
 * @param capture refuses what a captured step cannot hold
 */
record GpuStream(CUstream_st handle, StickyError stickyError, Capture capture) {
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
}
