// status.cu: the error text of the calling thread. No exception and no exit crosses the ABI: a call returns a number,
// and last_error() says what it means.

#include "common.cuh"

namespace trm {

static thread_local char error_text[512] = "";

int fail(int code, const char* format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error_text, sizeof error_text, format, args);
    va_end(args);
    return code;
}

const char* last_error() {
    return error_text;
}

int status(const char* op, cudaError_t error) {
    if (error == cudaSuccess) return TRM_OK;
    (void)cudaGetLastError();  // the runtime keeps an error of a launch until it is read; a fault of the device stays
    return fail(TRM_EDEVICE, "%s: %s (%s)", op, cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace trm
