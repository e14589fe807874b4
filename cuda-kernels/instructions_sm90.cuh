// instructions_sm90.cuh: the instructions of Hopper (sm_90a) that CUDA C++ has no function for, one function each, but products
// (wgmma_instructions_sm90.cuh): barriers in shared memory, copies by the tensor memory accelerator (TMA), matrices, clusters,
// registers of warpgroups. What each does: PTX ISA, "mbarrier" and "cp.async.bulk.tensor". sm90.cuh says how they are used.
//
// The kernel tests replace this header by one of the same name, so it holds nothing else and is included in <>.
#pragma once

#include <cuda.h>

#include "common.cuh"

namespace trm {
namespace sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/** Address in the shared window, as PTX wants it. */
__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// ---- barriers: a phase ends when all arrivals and all bytes announced are complete --------------------------------

__device__ __forceinline__ void barrier_init(uint64_t* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

/** After all barrier_init, before another thread (of the cluster) or TMA uses them. */
__device__ __forceinline__ void barrier_init_done() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/** One arrival, and `bytes` more to wait for. */
__device__ __forceinline__ void barrier_expect(uint64_t* barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

/** Arrival at the same barrier of another block of the cluster: says that this thread's products have read, no more. (At
 *  cluster scope, the arrival would wait for all earlier memory accesses, and each wait below would drop the L1 cache:
 *  that took 40 % of the token mixer's time on an H100.) */
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n.reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}\n" ::"r"(shared_address(barrier)),
        "r"(block)
        : "memory");
}

/** The same after ordinary loads from where another block of the cluster will write by TMA: they are complete for it, too. It waits
 *  for all earlier memory accesses of the thread, so it is for a few places of an epilogue. */
__device__ __forceinline__ void barrier_arrive_released(uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n.reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}\n" ::"r"(shared_address(barrier)),
        "r"(block)
        : "memory");
}

// With TRM_WATCHDOG a wait of more than two seconds is one for ever: the kernel ends with an error instead of holding the device.
// The lower half of the clock, in nanoseconds, passes zero every 4.3 s. In one block of PTX, since ptxas spills where the compiler
// sees the trap.
#if defined(TRM_WATCHDOG)
#define TRM_WAIT(scope) \
    "{\n.reg .pred done;\n.reg .u32 begin, time;\n" \
    "mov.u32 begin, %%globaltimer_lo;\n" \
    "again:\n" \
    "mbarrier.try_wait.parity" scope \
    ".shared::cta.b64 done, [%0], %1;\n" \
    "@done bra end;\n" \
    "mov.u32 time, %%globaltimer_lo;\n" \
    "sub.u32 time, time, begin;\n" \
    "setp.gt.u32 done, time, 2000000000;\n" \
    "@done trap;\n" \
    "bra again;\n" \
    "end:\n}\n"
#else
#define TRM_WAIT(scope) \
    "{\n.reg .pred done;\n" \
    "again:\n" \
    "mbarrier.try_wait.parity" scope \
    ".shared::cta.b64 done, [%0], %1;\n" \
    "@done bra end;\n" \
    "bra again;\n" \
    "end:\n}\n"
#endif

/** Waits for the end of the phase with this parity; what this block and TMA wrote is visible then. */
__device__ __forceinline__ void barrier_wait(uint64_t* barrier, uint32_t parity) {
    asm volatile(TRM_WAIT("")::"r"(shared_address(barrier)), "r"(parity) : "memory");
}

/** The same for what other blocks of the cluster wrote (store_remote); empties the L1 cache, so not for every step. */
__device__ __forceinline__ void barrier_wait_cluster(uint64_t* barrier, uint32_t parity) {
    asm volatile(TRM_WAIT(".acquire.cluster")::"r"(shared_address(barrier)), "r"(parity) : "memory");
}

#undef TRM_WAIT

// ---- TMA: one thread issues a copy, the barrier of the destination's block counts its bytes -----------------------

__device__ __forceinline__ void tma_prefetch_map(const CUtensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/** `bytes` of device memory, a multiple of 16, between addresses that are multiples of 16. */
__device__ __forceinline__ void tma_load_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

/** A box whose first element is (x, y, z). */
__device__ __forceinline__ void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
            "r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
        : "memory");
}

/** To the same place in every block of the cluster whose bit is set in `blocks`; each one's own barrier counts. */
__device__ __forceinline__ void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z,
                                         uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, "
        "{%3, %4, %5}], [%2], %6;" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "h"(blocks)
        : "memory");
}

/** 128 rows of a matrix that tensor_map_of_columns describes, from row 32 * `group`, columns from x. */
__device__ __forceinline__ void tma_load_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int group,
                                                 uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, "
        "{%3, %4, %4, %4, %5}], [%2], %6;" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(0), "r"(group), "h"(blocks)
        : "memory");
}

/** To this block only. */
__device__ __forceinline__ void tma_load_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x,
                                                 int group) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %4, %4, %5}], "
        "[%2];" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(0), "r"(group)
        : "memory");
}

/** Brings a box into the L2 cache; nothing waits for it. */
__device__ __forceinline__ void tma_prefetch(const CUtensorMap* map, int x, int y, int z) {
    asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global [%0, {%1, %2, %3}];" ::"l"(map), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

/** From shared to device memory; what lies outside the tensor is left out. tma_store_commit and tma_store_wait end it.
 *  */
__device__ __forceinline__ void tma_store(const CUtensorMap* map, const void* from, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
                 "r"(shared_address(from)), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

__device__ __forceinline__ void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

/** The shared memory of all but the last N groups of this thread may be written again. */
template <int N>
__device__ __forceinline__ void tma_store_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

/** All stores of this thread are done. */
__device__ __forceinline__ void tma_store_wait() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

/** Orders this thread's ordinary accesses of shared memory before those of TMA and the tensor cores (the async proxy).
 *  */
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- warpgroups, clusters -----------------------------------------------------------------------------------------

/** A value to the same place in another block of the cluster, whose barrier counts its 4 bytes. */
__device__ __forceinline__ void store_remote(float* to, float value, uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n.reg .b32 place, bar;\n"
        "mapa.shared::cluster.u32 place, %0, %3;\n"
        "mapa.shared::cluster.u32 bar, %2, %3;\n"
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [place], %1, [bar];\n}\n" ::"r"(shared_address(to)),
        "r"(__float_as_uint(value)), "r"(shared_address(barrier)), "r"(block)
        : "memory");
}

/** Waits for all threads of a group, number 1 to 15 (0 is __syncthreads). */
__device__ __forceinline__ void named_barrier(int number, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

template <int REGISTERS>
__device__ __forceinline__ void increase_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ __forceinline__ void decrease_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

/** threadIdx.x, read anew: for code whose registers are few. */
__device__ __forceinline__ int thread_number() {
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
}

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

/** All threads of all blocks of the cluster. */
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}

// ---- matrices, pairs and rows -------------------------------------------------------------------------------------

/** Two floats rounded to bf16, `low` in the lower half. */
__device__ __forceinline__ uint32_t pack(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/** Four 8 x 8 matrices, transposed; the threads with lane_id 8 i to 8 i + 7 give the addresses of the rows of matrix i.
 *  */
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void stmatrix_x4_trans(uint32_t address, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/** Four pairs to 16 bytes of device memory; in PTX, since the compiler splits some of these stores otherwise. */
__device__ __forceinline__ void store_row(bf16* to, const uint32_t (&r)[4]) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/** A float of shared memory, read here and not earlier. */
__device__ __forceinline__ float load_here(const float* from) {
    float value;
    asm volatile("ld.volatile.shared.f32 %0, [%1];" : "=f"(value) : "r"(shared_address(from)) : "memory");
    return value;
}

/** 16 bytes of shared memory. */
__device__ __forceinline__ void load_chunk(uint32_t (&r)[4], const void* from) {
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(from))
                 : "memory");
}

/** Eight bytes, and their way back. */
__device__ __forceinline__ void load_pairs(uint32_t (&r)[2], uint32_t from) {
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(from) : "memory");
}

__device__ __forceinline__ void store_pairs(uint32_t to, const uint32_t (&r)[2]) {
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(to), "r"(r[0]), "r"(r[1]) : "memory");
}

/** 2^x to two units in the last place; results below 2^-126 are zero. */
__device__ __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm
