// emulator_test.cpp: the emulation itself: it reports faulty kernels, and no correct ones.
#include <mma.cuh>

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
    (void) cudaGetLastError();
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

__global__ void thread_leaves(float* out) {
    if (threadIdx.x == 3) return;
    *out = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

__global__ void whole_warp() { __syncwarp(); }

__global__ void thread_not_in_mask() { __ballot_sync(0x0000ffffu, 1); }

__global__ void reads_outside_mask(float* out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0f, 20);
}

__global__ void unset_shared(float* out) {
    __shared__ float values[32];
    out[threadIdx.x] = values[threadIdx.x];
    values[threadIdx.x] = 1.0f;
}

__global__ void collectives(int* out) {
    const int lane_id = static_cast<int>(threadIdx.x) % 32;
    int sum = lane_id;
    for (int mask = 16; mask > 0; mask >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    const unsigned odd = __ballot_sync(0xffffffffu, lane_id % 2);
    const int up = __shfl_up_sync(0xffffffffu, lane_id, 3), down = __shfl_down_sync(0xffffffffu, lane_id, 3, 8);
    int half = -1;
    if (lane_id < 16) half = __shfl_sync(0x0000ffffu, lane_id, 5);
    const int any = __syncthreads_or(threadIdx.x == 70), count = __syncthreads_count(lane_id == 1);
    int* to = out + threadIdx.x * 7;
    to[0] = sum;
    to[1] = static_cast<int>(odd);
    to[2] = up;
    to[3] = down;
    to[4] = half;
    to[5] = any;
    to[6] = count;
}

__device__ uint32_t pair_of(float low, float high) {
    return static_cast<uint32_t>(narrow<bf16>(low).bits) | static_cast<uint32_t>(narrow<bf16>(high).bits) << 16;
}

/** d [16, 8] = a [16, 16] b [16, 8], element i of a fragment where the PTX manual's formulas place it. */
__global__ void product(const float* a, const float* b, float* d) {
    const int lane_id = static_cast<int>(threadIdx.x), group = lane_id / 4, in_group = lane_id % 4;
    uint32_t a_pairs[4], b_pairs[2];
    float sums[4];
    for (int i = 0; i < 8; i += 2) {
        const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8, k = in_group * 2 + (i < 4 ? 0 : 8);
        a_pairs[i / 2] = pair_of(a[row * 16 + k], a[row * 16 + k + 1]);
    }
    for (int i = 0; i < 4; i += 2) {
        const int k = in_group * 2 + (i < 2 ? 0 : 8);
        b_pairs[i / 2] = pair_of(b[k * 8 + group], b[(k + 1) * 8 + group]);
    }
    for (int i = 0; i < 4; i++) sums[i] = 0.5f;
    trm::mma_16x8x16(sums, a_pairs, b_pairs[0], b_pairs[1]);
    for (int i = 0; i < 4; i++) d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + i % 2] = sums[i];
}

/** Element (row, column) of matrix m is 64 m + 8 row + column; out has the two elements of each register of each
 *  thread. */
__global__ void matrices(int* out, bool trans) {
    __shared__ __align__(16) unsigned short rows[32 * 8];
    const int lane_id = static_cast<int>(threadIdx.x);
    for (int i = 0; i < 8; i++) rows[lane_id * 8 + i] = static_cast<unsigned short>(lane_id * 8 + i);
    __syncwarp();
    uint32_t r[4];
    if (trans)
        trm::ldmatrix_x4_trans(r, trm::shared_address(rows + lane_id * 8));
    else
        trm::ldmatrix_x4(r, trm::shared_address(rows + lane_id * 8));
    for (int i = 0; i < 8; i++) out[lane_id * 8 + i] = static_cast<int>(r[i / 2] >> (16 * (i % 2)) & 0xffffu);
}

/** Each thread reads what its neighbour has copied; `groups_left` of the two groups are not waited for. */
template <int LEFT>
__global__ void copies(const float4* from, float4* out) {
    __shared__ float4 values[64];
    const int lane_id = static_cast<int>(threadIdx.x);
    for (int i = 0; i < 2; i++) {
        trm::copy_async_16(trm::shared_address(values + i * 32 + lane_id), from + lane_id, i == 0 || lane_id != 7);
        trm::copy_async_commit();
    }
    trm::copy_async_wait<LEFT>();
    __syncwarp();
    for (int i = 0; i < 2; i++) out[i * 32 + lane_id] = values[i * 32 + (lane_id + 1) % 32];
    __syncwarp();
    trm::copy_async_wait<0>();
}

__global__ void copy_not_awaited(const float4* from) {
    __shared__ float4 value;
    trm::copy_async_16(trm::shared_address(&value), from, true);
}

}  // namespace

TEST(emulator_mma) {
    each_case(
        [](Random& random) {
            Buffer<float> a("a", 256), b("b", 128), d("d", 128);
            for (int i = 0; i < 256; i++) a[i] = static_cast<float>(random.below(9) - 4);
            for (int i = 0; i < 128; i++) b[i] = static_cast<float>(random.below(9) - 4);
            if (run(product, 1, 32, 0, a.data(), b.data(), d.data()) != cudaSuccess)
                fail("%s", emulator::fault().c_str());
            for (int row = 0; row < 16; row++)
                for (int column = 0; column < 8; column++) {
                    float want = 0.5f;
                    for (int k = 0; k < 16; k++) want += a[row * 16 + k] * b[k * 8 + column];
                    if (d[row * 8 + column] != want) fail("product (%d, %d)", row, column);
                }
        },
        "a product");
    each_case(
        [](Random&) {
            for (const bool trans : {false, true}) {
                Buffer<int> out("out", 256);
                if (run(matrices, 1, 32, 0, out.data(), trans) != cudaSuccess) fail("%s", emulator::fault().c_str());
                for (int lane_id = 0; lane_id < 32; lane_id++)
                    for (int i = 0; i < 8; i++) {
                        const int row = lane_id / 4, column = lane_id % 4 * 2 + i % 2;
                        const int want = i / 2 * 64 + (trans ? column * 8 + row : row * 8 + column);
                        if (out[lane_id * 8 + i] != want) fail("element %d of lane %d, trans %d", i, lane_id, trans);
                    }
            }
        },
        "matrices");
    each_case(
        [](Random&) {
            Buffer<float4> from("from", 32), out("out", 64);
            for (int i = 0; i < 32; i++) from[i] = make_float4(static_cast<float>(i), 1, 2, 3);
            if (run(copies<0>, 1, 32, 0, from.data(), out.data()) != cudaSuccess) fail("%s", emulator::fault().c_str());
            for (int i = 0; i < 64; i++) {
                const int source = (i + 1) % 32;
                if (out[i].x != static_cast<float>(i / 32 == 1 && source == 7 ? 0 : source)) fail("copy %d", i);
            }
            run(copies<1>, 1, 32, 0, from.data(), out.data());
            int early = 0;
            for (int i = 0; i < 64; i++) early += out[i].x != out[i].x;
            if (comparing() && (early == 0 || early > 32))
                fail("%d values of the last group were read too early", early);
            memset(out.data(), 0, 64 * sizeof(float4));  // they depend on the seed, as they should
            faults(run(copy_not_awaited, 1, 1, 0, from.data()), "copies are under way");
        },
        "copies");
}

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
                const int lane_id = i % 32;
                const int want[7] = {496,
                                     static_cast<int>(0xaaaaaaaau),
                                     lane_id < 3 ? lane_id : lane_id - 3,
                                     lane_id % 8 < 5 ? lane_id + 3 : lane_id,
                                     lane_id < 16 ? 5 : -1,
                                     1,
                                     3};
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
            faults(run(thread_leaves, 1, 32, 0, out.data()), "for lane 3, which has ended");
            faults(run(thread_not_in_mask, 1, 32, 0), "which lacks it");
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
            (void) cudaGetLastError();
        },
        "configurations");
}
