// emulator_sm90_test.cpp: the emulation of Hopper's instructions: what they do, by the formulas of the PTX manual, and the faulty
// kernels that it reports.
#include <cmath>

#include "check.h"
#include "wgmma_sm90.cuh"

using namespace check;
using namespace trm::sm90;

namespace {

template <typename... P, typename... A>
cudaError_t run(void (*kernel)(P...), int cluster, int threads, A... args) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(cluster));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = 48 * 1024;
    config.attrs = &attribute;
    config.numAttrs = 1;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}

void runs(cudaError_t error) {
    if (error != cudaSuccess) fail("%s", emulator::fault().c_str());
}

/** The launch failed, and the reason contains `text`. */
void faults(cudaError_t error, const char* text) {
    (void) cudaGetLastError();
    if (error != cudaErrorLaunchFailure || emulator::fault().find(text) == std::string::npos)
        fail("expected a fault with '%s', got %d '%s'", text, error, emulator::fault().c_str());
    emulator::clear_fault();
}

/** One of many launches fails, if the order of threads is drawn anew for each. */
template <typename Launch>
void faults_at_times(Launch launch, const char* text) {
    for (int i = 0; i < 50; i++) {
        if (launch() == cudaSuccess) continue;
        (void) cudaGetLastError();
        if (emulator::fault().find(text) == std::string::npos) fail("a fault '%s'", emulator::fault().c_str());
        emulator::clear_fault();
        return;
    }
    if (comparing()) fail("no fault with '%s'", text);
}

// ---- barriers -----------------------------------------------------------------------------------------------------

enum class Wrong { NOTHING, INIT, INIT_FENCE, BYTES, PARITY, ARRIVALS, WAIT, SYNCWARP, CLUSTER_SYNC, SCOPE, EXPECT };

void init(uint64_t* barrier, int arrivals, Wrong wrong) {
    if (threadIdx.x == 0 && wrong != Wrong::INIT) {
        barrier_init(barrier, arrivals);
        if (wrong != Wrong::INIT_FENCE) barrier_init_done();
    }
    __syncthreads();
}

/** 256 bytes by way of shared memory. */
__global__ void copies(const float* from, float* to, Wrong wrong) {
    __shared__ uint64_t barrier;
    float* const shared = trm::dynamic_shared<float>();
    init(&barrier, 1, wrong);
    if (threadIdx.x == 32) {
        if (wrong != Wrong::EXPECT) barrier_expect(&barrier, wrong == Wrong::BYTES ? 272 : 256);
        if (wrong == Wrong::EXPECT) barrier_arrive(&barrier);
        if (wrong == Wrong::ARRIVALS) barrier_arrive(&barrier);
        tma_load_bytes(shared, from, 256, &barrier);
    }
    if (wrong != Wrong::WAIT) barrier_wait(&barrier, wrong == Wrong::PARITY ? 1 : 0);
    if (threadIdx.x < 32) {
        uint32_t r[4] = {};
        load_chunk(r, shared + threadIdx.x % 16 * 4);
        memcpy(to + threadIdx.x % 16 * 4, r, sizeof r);
    }
    __syncthreads();
    if (wrong == Wrong::WAIT || wrong == Wrong::PARITY) barrier_wait(&barrier, 0);
}

/** Each block sends its number to the other one's memory. */
__global__ void exchange(float* out, Wrong wrong) {
    __shared__ uint64_t barrier;
    float* const shared = trm::dynamic_shared<float>();
    const uint32_t other = cluster_rank() ^ 1;
    init(&barrier, 1, wrong);
    if (wrong != Wrong::CLUSTER_SYNC) cluster_sync();
    if (threadIdx.x == 0) {
        barrier_expect(&barrier, 4);
        store_remote(shared, static_cast<float>(cluster_rank()), &barrier, other);
    }
    if (wrong == Wrong::SYNCWARP) {
        if (threadIdx.x == 0) barrier_wait_cluster(&barrier, 0);
        cluster_sync();
    }
    if (wrong == Wrong::SCOPE)
        barrier_wait(&barrier, 0);
    else
        barrier_wait_cluster(&barrier, 0);
    if (threadIdx.x == 0) out[cluster_rank()] = *shared;
    if (wrong != Wrong::CLUSTER_SYNC) cluster_sync();
}

template <int MANY>
__global__ void registers() {
    if (threadIdx.x < 128)
        decrease_registers<40>();
    else
        increase_registers<MANY>();
}

__global__ void groups(int* out, int threads) {
    if (threadIdx.x < 64) out[threadIdx.x] = 1;
    if (threadIdx.x < 64) named_barrier(1, threads);
    if (threadIdx.x < 64) out[64 + threadIdx.x] = out[63 - threadIdx.x];
}

// ---- boxes --------------------------------------------------------------------------------------------------------

/** A box of 64 x 8 from (x, y, z) of a map, rows as they lie, to another one's (x2, y2, z2) by way of matrices. */
__global__ void boxes(const CUtensorMap from, const CUtensorMap to, int x, int y, int x2, int y2, unsigned short* rows,
                      bool fence) {
    __shared__ uint64_t barrier;
    uint8_t* const tile = shared_tiles();
    init(&barrier, 1, Wrong::NOTHING);
    if (threadIdx.x == 0) {
        barrier_expect(&barrier, 1024);
        tma_load(tile, &from, &barrier, x, y, 0);
    }
    barrier_wait(&barrier, 0);
    for (int i = static_cast<int>(threadIdx.x); i < 512; i += 32)
        rows[i] = reinterpret_cast<unsigned short*>(tile + swizzled(static_cast<uint32_t>(i) / 64, i % 64 / 8))[i % 8];
    for (uint32_t c = 0; c < 8; c += 4) {  // a tile in place
        uint32_t r[4];
        const uint32_t row = shared_address(tile) + swizzled(threadIdx.x % 8, c + threadIdx.x / 8);
        ldmatrix_x4_trans(r, row);
        stmatrix_x4_trans(row, r);
    }
    if (fence) fence_proxy_async();
    __syncwarp();
    if (threadIdx.x == 0) {
        tma_store(&to, tile, x2, y2, 0);
        tma_store_commit();
        tma_store_wait();
    }
}

/** 128 rows in the order of columns, to both blocks. */
__global__ void columns(const CUtensorMap map, unsigned short* rows) {
    __shared__ uint64_t barrier;
    uint8_t* const tile = shared_tiles();
    init(&barrier, 1, Wrong::NOTHING);
    cluster_sync();
    if (threadIdx.x == 0) {
        barrier_expect(&barrier, 128 * 128);
        if (cluster_rank() == 0) tma_load_columns(tile, &map, &barrier, 64, 1, uint16_t{3});
    }
    barrier_wait(&barrier, 0);
    for (uint32_t r = threadIdx.x; r < 128; r += 32)
        rows[cluster_rank() * 128 + r] = reinterpret_cast<unsigned short*>(tile + swizzled(r, 0))[0];
    cluster_sync();
}

// ---- products -----------------------------------------------------------------------------------------------------

enum class Misuse { NONE, NO_FENCE, NO_WAIT, WRITES_OPERAND, WRITES_SUM, PROXY, WRITES_AFTER_FENCE };

/** d [64, 64] = a b twice, once with a in registers; a K-major [64][64], b [64 of K][64] MN-major or [64][64 of K]. */
template <int TRANS_B>
__global__ void product(const unsigned short* a, const unsigned short* b, float* out, Misuse misuse) {
    uint8_t* const tiles = shared_tiles();
    const uint32_t warp = threadIdx.x / 32, lane_id = threadIdx.x % 32, quad = lane_id % 4;
    for (uint32_t i = threadIdx.x; i < 2 * 64 * 16; i += 128) {  // four elements at a time
        const uint32_t tile = i / 1024, row = i % 1024 / 16, place = i % 16 * 4;
        uint32_t pairs[2];
        memcpy(pairs, (tile == 0 ? a : b) + row * 64 + place, sizeof pairs);
        store_pairs(shared_address(tiles) + tile * 8192 + swizzled(row, place / 8) + place % 8 * 2, pairs);
    }
    if (misuse != Misuse::PROXY) fence_proxy_async();
    __syncthreads();
    const uint64_t a_at = k_major_descriptor(tiles);
    const uint64_t b_at = TRANS_B ? mn_major_descriptor(tiles + 8192, 0) : k_major_descriptor(tiles + 8192);
    float d[32], e[32];
    uint32_t r[4][4];
    for (uint32_t k = 0; k < 4; k++)
        for (uint32_t i = 0; i < 4; i++)
            memcpy(&r[k][i], a + (warp * 16 + lane_id / 4 + i % 2 * 8) * 64 + k * 16 + i / 2 * 8 + quad * 2, 4);
    if (misuse != Misuse::NO_FENCE) wgmma_fence();
    for (uint32_t k = 0; k < 4; k++)
        wgmma<0, TRANS_B>(d, advance(a_at, k * 32), advance(b_at, k * (TRANS_B ? 2048 : 32)), k > 0);
    for (uint32_t k = 0; k < 4; k++) wgmma<TRANS_B>(e, r[k], advance(b_at, k * (TRANS_B ? 2048 : 32)), k > 0);
    wgmma_commit();
    if (misuse == Misuse::WRITES_OPERAND) r[1][2] ^= 0x8000;
    if (misuse == Misuse::WRITES_SUM) e[5] = 0;
    if (misuse == Misuse::NO_WAIT)
        for (int i = 0; i < 32; i++) out[threadIdx.x * 64 + i] = d[i];
    wgmma_wait<0>();
    if (misuse == Misuse::NO_WAIT) return;
    if (misuse == Misuse::WRITES_AFTER_FENCE) {
        wgmma_fence();
        d[0] = 1;
        wgmma<0, TRANS_B>(d, a_at, b_at, true);
        wgmma_commit();
        wgmma_wait<0>();
    }
    for (int i = 0; i < 32; i++) {
        out[threadIdx.x * 64 + i] = d[i];
        out[threadIdx.x * 64 + 32 + i] = e[i];
    }
}

unsigned short bits(double x) { return narrow<bf16>(x).bits; }

}  // namespace

TEST(emulator_sm90_barriers) {
    const Hopper device(2);
    each_case(
        [](Random&) {
            Buffer<float> from("from", 64), to("to", 64);
            for (int i = 0; i < 64; i++) from[i] = static_cast<float>(i);
            faults(run(copies, 1, 64, from.data(), to.data(), Wrong::INIT), "no barrier has been initialised");
            faults(run(copies, 1, 64, from.data(), to.data(), Wrong::INIT_FENCE), "before fence.mbarrier_init");
            faults(run(copies, 1, 64, from.data(), to.data(), Wrong::BYTES),
                   "0 of 1 arrivals and 16 bytes are missing");
            faults(run(copies, 1, 64, from.data(), to.data(), Wrong::ARRIVALS), "an arrival too many");
            runs(run(copies, 1, 64, from.data(), to.data(), Wrong::NOTHING));
            for (int i = 0; i < 64; i++)
                if (to[i] != from[i]) fail("value %d is %g", i, static_cast<double>(to[i]));
        },
        "a copy");
    each_case(
        [](Random&) {
            Buffer<float> from("from", 64), to("to", 64);
            for (int i = 0; i < 64; i++) from[i] = static_cast<float>(i);
            const auto copy = [&](Wrong wrong) { return run(copies, 1, 64, from.data(), to.data(), wrong); };
            faults_at_times([&] { return copy(Wrong::WAIT); }, "while a copy writes it");
            faults_at_times([&] { return copy(Wrong::PARITY); }, "");
            faults_at_times([&] { return copy(Wrong::EXPECT); }, "");
            emulator::clear_fault();
            memset(to.data(), 0, 64 * sizeof(float));
        },
        "a copy that is not waited for");
    each_case(
        [](Random&) {
            Buffer<float> out("out", 2);
            runs(run(exchange, 2, 32, out.data(), Wrong::NOTHING));
            if (out[0] != 1 || out[1] != 0) fail("%g and %g", static_cast<double>(out[0]), static_cast<double>(out[1]));
            faults(run(exchange, 2, 32, out.data(), Wrong::SYNCWARP), "__syncwarp() is missing");
            faults(run(exchange, 2, 32, out.data(), Wrong::SCOPE), "a wait at block scope");
            faults_at_times([&] { return run(exchange, 2, 32, out.data(), Wrong::CLUSTER_SYNC); }, "barrier");
            out[0] = out[1] = 0;
        },
        "a cluster");
    each_case(
        [](Random&) {
            Buffer<int> out("out", 128);
            runs(run(registers<232>, 1, 384));
            faults(run(registers<240>, 1, 384), "registers");
            runs(run(groups, 1, 96, out.data(), 64));
            for (int i = 0; i < 128; i++)
                if (out[i] != 1) fail("thread %d was not waited for", i % 64);
            faults(run(groups, 1, 96, out.data(), 96), "64 of 96 threads have come to barrier 1");
        },
        "warpgroups");
}

TEST(emulator_sm90_copies) {
    const Hopper device(2);
    each_case(
        [](Random& random) {
            Buffer<bf16> a("a", 2 * 11 * 72), b("b", 9 * 80);
            Buffer<unsigned short> rows("rows", 512);
            random.fill(a);
            for (int i = 0; i < 9 * 80; i++) b[i].bits = 0;
            alignas(64) CUtensorMap from, to;
            succeeded(tensor_map(&from, a, {{72, 11, 2}, {1, 72, 11 * 72}, {64, 8, 1}}));
            succeeded(tensor_map(&to, b, {{80, 9, 1}, {1, 80, 720}, {64, 8, 1}}));
            runs(run(boxes, 1, 32, from, to, 16, 5, 40, 3, rows.data(), true));
            for (int r = 0; r < 8; r++)
                for (int c = 0; c < 64; c++) {
                    const unsigned short want = 16 + c < 72 && 5 + r < 11 ? a[(5 + r) * 72 + 16 + c].bits : 0;
                    if (rows[r * 64 + c] != want) fail("element (%d, %d) of the box", r, c);
                    if (40 + c < 80 && 3 + r < 9 && b[(3 + r) * 80 + 40 + c].bits != want)
                        fail("stored (%d, %d)", r, c);
                }
            for (int i = 0; i < 3 * 80 + 40; i++)
                if (b[i].bits != 0) fail("element %d before the box was stored", i);
            faults(run(boxes, 1, 32, from, to, 16, 5, 40, 3, rows.data(), false), "without fence.proxy.async");
        },
        "boxes");
    each_case(
        [](Random&) {
            Buffer<bf16> w("w", 160 * 128);
            Buffer<unsigned short> rows("rows", 256);
            for (int i = 0; i < 160 * 128; i++) w[i].bits = static_cast<unsigned short>(i % 128 == 64 ? i / 128 : 999);
            alignas(64) CUtensorMap map;
            succeeded(tensor_map_of_columns(&map, w, 160, 128));
            runs(run(columns, 2, 32, map, rows.data()));
            for (int i = 0; i < 256; i++) {
                const int r = i % 128, want = 32 + r / 32 * 32 + r % 8 / 2 * 8 + r % 32 / 8 * 2 + r % 2;
                if (rows[i] != want) fail("row %d of block %d is %d, not %d", r, i / 128, rows[i], want);
            }
        },
        "columns");
}

TEST(emulator_sm90_products) {
    const Hopper device(2);
    each_case(
        [](Random& random) {
            Buffer<unsigned short> a("a", 64 * 64), b("b", 64 * 64);
            Buffer<float> out("out", 128 * 64);
            for (int i = 0; i < 64 * 64; i++) a[i] = bits(random.below(9) - 4);
            for (int i = 0; i < 64 * 64; i++) b[i] = bits(random.below(9) - 4);
            for (const bool mn_major : {false, true}) {
                runs(run(mn_major ? product<1> : product<0>, 1, 128, a.data(), b.data(), out.data(), Misuse::NONE));
                for (int t = 0; t < 128; t++)
                    for (int i = 0; i < 64; i++) {
                        const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8,
                                  column = i % 32 / 4 * 8 + t % 4 * 2 + i % 2;
                        float want = 0;
                        for (int k = 0; k < 64; k++)
                            want += __uint_as_float(unsigned{a[row * 64 + k]} << 16) *
                                    __uint_as_float(unsigned{b[mn_major ? k * 64 + column : column * 64 + k]} << 16);
                        if (out[t * 64 + i] != want)
                            fail("(%d, %d), a in %s", row, column, i < 32 ? "memory" : "registers");
                    }
            }
            const auto misused = [&](Misuse misuse) {
                return run(product<1>, 1, 128, a.data(), b.data(), out.data(), misuse);
            };
            faults(misused(Misuse::NO_FENCE), "without wgmma.fence");
            faults(misused(Misuse::WRITES_OPERAND), "operand A");
            faults(misused(Misuse::WRITES_SUM), "accumulators were written");
            faults(misused(Misuse::PROXY), "without fence.proxy.async");
            faults(misused(Misuse::WRITES_AFTER_FENCE), "written after wgmma.fence");
            runs(misused(Misuse::NO_WAIT));
            for (int t = 0; t < 128; t++)
                if (out[t * 64] == out[t * 64]) fail("accumulators can be read before the wait");
            memset(out.data(), 0, static_cast<size_t>(out.bytes()));
        },
        "products");
}
