// sm90.cuh: what the kernels for Hopper (sm_90a) are made of besides products (wgmma_sm90.cuh): copies by the tensor
// memory accelerator (TMA), barriers in shared memory, register allocation of warpgroups, clusters. PTX and nothing
// else; what each instruction does: PTX ISA, "mbarrier" and "cp.async.bulk.tensor".
//
// Tiles in shared memory have rows of 128 bytes and begin at a multiple of 1024 bytes. TMA swizzles them: 16-byte chunk
// c of row r lies at chunk c ^ (r % 8).
//
// A pipeline is a ring of stages with two barriers each. The producer waits for `empty`, announces the bytes at `full`
// and starts the copy; a consumer waits for `full`, reads, and arrives at `empty`. A producer waits with the parity of
// the phase before (phase ^ 1), so that its first pass over the ring does not wait.
#pragma once

#include <cuda.h>

#include "common.cuh"

namespace trm {
namespace sm90 {

// ---- host: tensor maps --------------------------------------------------------------------------------------------

/** Describes a bf16 tensor of three dimensions (of size 1 where it has fewer) to TMA: sizes and strides innermost
 *  first, strides in elements (the innermost is 1); a copy moves a box. What lies outside the tensor reads as zero and
 *  is not written. Strides and the address must be multiples of 16 bytes. */
struct TensorMapShape {
    uint64_t sizes[3];
    uint64_t strides[3];  // strides[0] is not read
    uint32_t box[3];
};

/** Fills `map`, rows of a box swizzled by 128 bytes (box[0] = 64). TRM_OK, or TRM_EDEVICE with the driver's code. */
int tensor_map(CUtensorMap* map, const void* address, const TensorMapShape& shape);

/** Describes a matrix [rows, width] of bf16, boxes of 64 columns and 128 rows, so that the rows of a box lie in the
 *  order in which a thread of a product has its columns: row 32 a + 8 j + 2 q + e of the box is row 32 a + 8 q + 2 j + e of the
 *  matrix. As an operand B that makes d[4 (4 a + j) + e], j = 0..3, e = 0, 1, eight neighbouring columns of the result.
 *  rows must be a multiple of 32. */
int tensor_map_of_columns(CUtensorMap* map, const void* address, uint64_t rows, uint64_t width);

/** Whether the current device runs sm_90a code. */
bool available();

/** Multiprocessors of the current device. */
int multiprocessors();

/** Whether a block of `threads` can give its first 128 threads `few` registers each (decrease_registers) and the others
 *  `many` (increase_registers): what it starts with is all it has, and a warpgroup waits for what it asks for, if need
 *  be for ever. */
constexpr bool registers_fit(int threads, int few, int many) {
    const int start = 65536 / threads / 8 * 8;
    return 128 * few + (threads - 128) * many <= start * threads;
}

/** launch() in clusters of `cluster` blocks. */
template <typename... P, typename... A>
int launch_clusters(void (*kernel)(P...), int blocks, int threads, size_t shared, int cluster, trm_stream stream,
                    const A&... args) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return status(error);
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = 1;
    return status(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...));
}

// ---- device -------------------------------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/** Address in the shared window, as PTX wants it. */
__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/** The dynamic shared memory from its first multiple of 1024 bytes on, where tiles may begin. */
__device__ __forceinline__ uint8_t* shared_tiles() {
    uint8_t* p = dynamic_shared<uint8_t>();
    return p + ((1024 - (shared_address(p) & 1023)) & 1023);
}

/** The stage of a ring that is next, and the parity of the phase that its barriers are in. */
template <int STAGES>
struct PipelineState {
    int stage = 0;
    uint32_t phase = 0;

    __device__ __forceinline__ void next() {
        if (++stage == STAGES) {
            stage = 0;
            phase ^= 1;
        }
    }
};

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

/** Waits for the end of the phase with this parity; what this block and TMA wrote is visible then. */
__device__ __forceinline__ void barrier_wait(uint64_t* barrier, uint32_t parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra end;\n"
        "bra again;\n"
        "end:\n}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

/** The same for what other blocks of the cluster wrote (store_remote); empties the L1 cache, so not for every step. */
__device__ __forceinline__ void barrier_wait_cluster(uint64_t* barrier, uint32_t parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
        "@done bra end;\n"
        "bra again;\n"
        "end:\n}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

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

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

/** All threads of all blocks of the cluster. */
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm
