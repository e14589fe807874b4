// status.cu: the error text of the calling thread. No exception and no exit crosses the ABI: a call returns a number,
// and trm_cuda_last_error() says what it means.

#include "common.cuh"

namespace trm {

static thread_local char last_error[512] = "";

int fail(int code, const char* format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return code;
}

int launch_status(const char* op) {
    const cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return TRM_OK;
    return fail(TRM_EDEVICE, "%s: %s (%s)", op, cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace trm

/** Text of this thread's last failed call, empty if none failed. Valid until the thread's next failing call. */
TRM_EXPORT const char* trm_cuda_last_error(void) {
    return trm::last_error;
}
