// fake_kernels.cpp: the kernels of the GPU that is this processor: libtrm_cuda.so with the CPU's operations, found
// where FAKE_CUDA_OPERATIONS says (libtrm_cpu.so). With FAKE_CUDA_FUSED=1 it also has the products with what follows
// them, in float32, composed of the CPU's operations: the Java code that chooses and calls them runs, no kernel does.
// With FAKE_CUDA_TRACE, a line on standard error for each of them that is called.
#include <dlfcn.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "trm_ops.h"

namespace {

const trm_backend* cpu = nullptr;
char error[256];

const char* last_error() { return error[0] != 0 ? error : cpu->last_error(); }

bool fuses(int32_t dtype) {
    const char* fused = std::getenv("FAKE_CUDA_FUSED");
    return fused != nullptr && std::strcmp(fused, "1") == 0 && dtype == TRM_F32;
}

int32_t fuses_linear_swiglu(int32_t I, int32_t, int32_t normed, int32_t dtype) {
    return fuses(dtype) && (normed == 0 || I % TRM_SQUARES == 0);
}

int32_t fuses_linear_add_rms_norm(int32_t, int32_t K, int32_t normed, int32_t dtype) {
    return fuses(dtype) && (normed == 0 || K % TRM_SQUARES == 0);
}

/** Whether a fused operation may run; it says so once. */
bool begin(const char* op, int32_t dtype, bool* said) {
    error[0] = 0;
    if (std::getenv("FAKE_CUDA_TRACE") != nullptr && !*said) std::fprintf(stderr, "fused %s\n", op);
    *said = true;
    if (fuses(dtype)) return true;
    std::snprintf(error, sizeof error, "%s: not a size it is made for", op);
    return false;
}

int linear_swiglu(const void* x, const void* w, void* gu, void* p, float* squares, int64_t M, int32_t I, int32_t K,
                  int32_t dtype, trm_stream stream) {
    static bool said = false;
    if (!begin("linear_swiglu", dtype, &said)) return TRM_EINVAL;
    std::vector<float> scratch(gu == nullptr ? static_cast<size_t>(2 * M * I) : 0);
    void* both = gu == nullptr ? scratch.data() : gu;
    const int code = cpu->linear(x, w, both, M, 2 * I, K, dtype, stream);
    for (int64_t i = 0; i < M * I && squares != nullptr; i++) {
        const float* g = static_cast<const float*>(both) + i / I * 2 * I + i % I;
        if (i % TRM_SQUARES == 0) squares[i / TRM_SQUARES] = 0;
        squares[i / TRM_SQUARES] += g[0] * g[I] * (g[0] * g[I]);
    }
    return code != TRM_OK ? code : cpu->swiglu(both, p, M, I, dtype, stream);
}

int linear_add_rms_norm(const void* x, const float* squares, const void* w, const void* h, const void* c, void* y,
                        void* u, float* s, int64_t M, int32_t N, int32_t K, float eps, int32_t dtype,
                        trm_stream stream) {
    static bool said = false;
    if (!begin("linear_add_rms_norm", dtype, &said)) return TRM_EINVAL;
    std::vector<float> branch(static_cast<size_t>(M * N));
    const int code = cpu->linear(x, w, branch.data(), M, N, K, dtype, stream);
    for (int64_t m = 0; m < M && squares != nullptr; m++) {
        float sum = 0;
        for (int part = 0; part < K / TRM_SQUARES; part++) sum += squares[m * (K / TRM_SQUARES) + part];
        const float rho = 1 / std::sqrt(sum / static_cast<float>(K) + eps);
        for (int32_t n = 0; n < N; n++) branch[static_cast<size_t>(m * N + n)] *= rho;
    }
    return code != TRM_OK ? code : cpu->add_rms_norm(h, branch.data(), c, y, u, s, M, N, eps, dtype, stream);
}

trm_backend build() {
    const char* path = std::getenv("FAKE_CUDA_OPERATIONS");
    void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void* table = library == nullptr ? nullptr : dlsym(library, "trm_backend_table");
    if (table == nullptr) {
        std::fprintf(stderr, "fake_kernels: FAKE_CUDA_OPERATIONS: %s\n", path == nullptr ? "not set" : dlerror());
        std::exit(1);
    }
    cpu = reinterpret_cast<decltype(&trm_backend_table)>(table)();
    trm_backend all = *cpu;
    all.last_error = last_error;
    all.fuses_linear_swiglu = fuses_linear_swiglu;
    all.fuses_linear_add_rms_norm = fuses_linear_add_rms_norm;
    all.linear_swiglu = linear_swiglu;
    all.linear_add_rms_norm = linear_add_rms_norm;
    return all;
}

}  // namespace

const trm_backend* trm_backend_table() {
    static const trm_backend table = build();
    return &table;
}
