// emulator_test.cpp: the emulation itself: faulty kernels are found out, correct ones are not.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

template <typename... P, typename... A>
cudaError_t run(void (*kernel)(P...), unsigned blocks, unsigned threads, size_t shared, A... args) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}

/** The launch failed, and the reason contains `text`. */
void faults(cudaError_t error, const char* text) {
    (void)cudaGetLastError();
    if (error != cudaErrorLaunchFailure || emulator::fault().find(text) == std::string::npos)
        fail("expected a fault with '%s', got %d '%s'", text, error, emulator::fault().c_str());
    emulator::clear_fault();
}

__global__ void reverse(int* out, bool barrier) {
    __shared__ int values[64];
    values[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (barrier) __syncthreads();
    out[blockIdx.x * 64 + threadIdx.x] = values[63 - threadIdx.x];
}

__global__ void one_leaves() {
    if (threadIdx.x == 40) return;
    __syncthreads();
}

__global__ void two_barriers() {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void lane_leaves(float* out) {
    if (threadIdx.x == 3) return;
    *out = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

__global__ void whole_warp() { __syncwarp(); }

__global__ void lane_not_in_mask() { __ballot_sync(0x0000ffffu, 1); }

__global__ void reads_outside_mask(float* out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0f, 20);
}

__global__ void unset_shared(float* out) {
    __shared__ float values[32];
    out[threadIdx.x] = values[threadIdx.x];
    values[threadIdx.x] = 1.0f;
}

__global__ void collectives(int* out) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    int sum = lane;
    for (int mask = 16; mask > 0; mask >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    const unsigned odd = __ballot_sync(0xffffffffu, lane % 2);
    const int up = __shfl_up_sync(0xffffffffu, lane, 3), down = __shfl_down_sync(0xffffffffu, lane, 3, 8);
    int half = -1;
    if (lane < 16) half = __shfl_sync(0x0000ffffu, lane, 5);
    const int any = __syncthreads_or(threadIdx.x == 70), count = __syncthreads_count(lane == 1);
    int* to = out + threadIdx.x * 7;
    to[0] = sum;
    to[1] = static_cast<int>(odd);
    to[2] = up;
    to[3] = down;
    to[4] = half;
    to[5] = any;
    to[6] = count;
}

}  // namespace

TEST(emulator) {
    each_case(
        [](Random&) {
            Buffer<int> out("out", 128);
            if (run(reverse, 2, 64, 0, out.data(), true) != cudaSuccess) fail("%s", emulator::fault().c_str());
            for (int i = 0; i < 128; i++)
                if (out[i] != 63 - i % 64) fail("reverse[%d] is %d", i, out[i]);
        },
        "a kernel with its barrier");
    each_case(
        [](Random&) {
            Buffer<int> out("out", 96 * 7);
            if (run(collectives, 1, 96, 0, out.data()) != cudaSuccess) fail("%s", emulator::fault().c_str());
            for (int i = 0; i < 96; i++) {
                const int lane = i % 32, want[7] = {496,        static_cast<int>(0xaaaaaaaau), lane < 3 ? lane : lane - 3,
                                                    lane % 8 < 5 ? lane + 3 : lane, lane < 16 ? 5 : -1, 1, 3};
                for (int k = 0; k < 7; k++)
                    if (out[i * 7 + k] != want[k]) fail("value %d of thread %d is %d", k, i, out[i * 7 + k]);
            }
        },
        "collectives");
    each_case(
        [](Random&) {
            Buffer<int> a("a", 64);
            run(reverse, 1, 64, 0, a.data(), false);
            int wrong = 0;
            for (int i = 0; i < 64; i++) wrong += a[i] != 63 - i;
            if (wrong == 0) fail("a missing barrier changes nothing");
            memset(a.data(), 0, 64 * sizeof(int));  // the values depend on the order, as they should
        },
        "a missing barrier");
    each_case(
        [](Random&) {
            Buffer<float> out("out", 32);
            faults(run(one_leaves, 1, 64, 0), "thread 40 never reaches");
            faults(run(two_barriers, 1, 64, 0), "waits at the barrier of emulator_test.cpp");
            faults(run(lane_leaves, 1, 32, 0, out.data()), "for lane 3, which has ended");
            faults(run(lane_not_in_mask, 1, 32, 0), "which lacks it");
            faults(run(whole_warp, 1, 20, 0), "the block ends before it");
            faults(run(reads_outside_mask, 1, 32, 0, out.data()), "reads lane 20");
            for (int i = 0; i < 32; i++) out[i] = 0;
        },
        "faults");
    each_case(
        [](Random&) {
            Buffer<float> out("out", 32);
            for (int i = 0; i < 2; i++)
                if (run(unset_shared, 2, 32, 0, out.data()) != cudaSuccess) fail("%s", emulator::fault().c_str());
            for (int i = 0; i < 32; i++)
                if (out[i] == out[i]) fail("shared memory begins with %g", static_cast<double>(out[i]));
        },
        "shared memory begins undefined");
    each_case(
        [](Random&) {
            if (run(one_leaves, 1, 1025, 0) != cudaErrorInvalidConfiguration) fail("1025 threads");
            if (run(one_leaves, 0, 32, 0) != cudaErrorInvalidConfiguration) fail("no block");
            if (run(one_leaves, 1, 32, 50 * 1024) != cudaErrorInvalidValue) fail("50 KB without leave");
            (void)cudaGetLastError();
        },
        "configurations");
}
