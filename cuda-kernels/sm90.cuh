// sm90.cuh: what the kernels for Hopper (sm_90a) are made of: tensor memory copies, barriers in shared memory,
// warpgroup products, clusters. PTX and nothing else; what each instruction does: PTX ISA, "Asynchronous Warpgroup
// Level Matrix Instructions" and "cp.async.bulk.tensor".
//
// Tiles in shared memory have rows of 128 bytes, swizzled by the copy engine (16-byte chunk c of row r lies at chunk
// c ^ (r % 8)) and begin at a multiple of 1024 bytes.
//
//   K-major tile   [rows of the matrix][64 of K]: a row is 64 values along the summed dimension
//   MN-major tile  [K][64 of M or N]: a row is 64 values of M (of N) at one place of the summed dimension
//
// Fragments of a warpgroup's product [64, N]: warp w has rows 16 w to 16 w + 15; with g = lane / 4 and q = lane % 4,
// d[4 j + 0, 1] are row g, columns 8 j + 2 q + {0, 1}, and d[4 j + 2, 3] row g + 8. A in registers for 16 of K: a[0]
// row g, k 2 q + {0, 1}; a[1] row g + 8; a[2], a[3] the same at k + 8. So the d of columns 16 k to 16 k + 15, packed in
// pairs, are the a of step k.
#pragma once

#include <cuda.h>

#include "common.cuh"
#include "swiglu.cuh"

namespace trm {
namespace sm90 {

// ---- host: tensor maps --------------------------------------------------------------------------------------------

/** Describes a bf16 tensor of three dimensions (of size 1 where it has fewer) for the copy engine: sizes and strides innermost first, strides in
 *  elements (the innermost is 1); a copy moves a box. What lies outside the tensor reads as zero and is not written.
 *  Strides and the address must be multiples of 16 bytes. */
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

/** Whether a block of `threads` can give its first 128 threads `few` registers each (fewer_registers) and the others `many`
 *  (more_registers): what it starts with is all it has, and a warpgroup waits for what it asks for, if need be for ever. */
constexpr bool registers_fit(int threads, int few, int many) {
    const int start = 65536 / threads / 8 * 8;
    return 128 * few + (threads - 128) * many <= start * threads;
}

/** launch() in clusters of `cluster` blocks. */
template <typename... P, typename... A>
int launch_clusters(void (*kernel)(P...), int blocks, int threads, size_t shared, int cluster,
                    trm_stream stream, const A&... args) {
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

/** A place in a ring of barriers, and the parity of the phase that it is in. */
template <int SIZE>
struct RingPlace {
    int slot = 0;
    uint32_t phase = 0;

    __device__ __forceinline__ void next() {
        if (++slot == SIZE) {
            slot = 0;
            phase ^= 1;
        }
    }
};

// barriers: a phase ends when all arrivals and all bytes announced have come

__device__ __forceinline__ void barrier_init(uint64_t* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

/** After all barrier_init, before another thread (of the cluster) or the copy engine sees them. */
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
 *  that took 40 % of the position MLP's time on an H100.) */
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n.reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}\n" ::"r"(shared_address(barrier)),
        "r"(block)
        : "memory");
}

/** Waits for the end of the phase with this parity; what this block and the copy engine wrote is visible then. */
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

// copies: one thread issues, the barrier of the destination's block counts the bytes

__device__ __forceinline__ void prefetch_map(const CUtensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/** `bytes` of device memory, a multiple of 16, between addresses that are multiples of 16. */
__device__ __forceinline__ void copy_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

/** A box whose first element is (x, y, z). */
__device__ __forceinline__ void copy_box(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
            "r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
        : "memory");
}

/** To the same place in every block of the cluster whose bit is set in `blocks`; each one's own barrier counts. */
__device__ __forceinline__ void copy_box(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z,
                                         uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, "
        "{%3, %4, %5}], [%2], %6;" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "h"(blocks)
        : "memory");
}

/** 128 rows of a matrix that tensor_map_of_columns describes, from row 32 * `group`, columns from x. */
__device__ __forceinline__ void copy_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int group,
                                             uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, "
        "{%3, %4, %4, %4, %5}], [%2], %6;" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(0), "r"(group), "h"(blocks)
        : "memory");
}

/** To this block only. */
__device__ __forceinline__ void copy_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int group) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %4, %4, %5}], "
        "[%2];" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(0), "r"(group)
        : "memory");
}

/** Brings a box into the L2 cache; nothing waits for it. */
__device__ __forceinline__ void prefetch_box(const CUtensorMap* map, int x, int y, int z) {
    asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global [%0, {%1, %2, %3}];" ::"l"(map), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

/** From shared to device memory; what lies outside the tensor is left out. Ends with store_commit and store_wait. */
__device__ __forceinline__ void store_box(const CUtensorMap* map, const void* from, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
                 "r"(shared_address(from)), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

__device__ __forceinline__ void store_commit() {
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/** The shared memory of all but the last N groups of this thread may be written again. */
template <int N>
__device__ __forceinline__ void store_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

/** All stores of this thread are done. */
__device__ __forceinline__ void store_wait() {
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

/** Orders this thread's ordinary accesses of shared memory before those of the copy engine and the tensor cores. */
__device__ __forceinline__ void fence_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// warpgroups, clusters

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
__device__ __forceinline__ void more_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ __forceinline__ void fewer_registers() {
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

// products

/** A K-major tile of 64 along K: rows of 128 bytes, eight rows 1024 bytes apart. 16 of K further: + 32 bytes. */
__device__ __forceinline__ uint64_t describe_k(const void* tile) {
    const uint64_t address = (shared_address(tile) & 0x3ffff) >> 4;
    return address | uint64_t{1} << 16 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

/** An MN-major tile: 64 of M or N a row, `stride` bytes to the tile of the next 64. 16 of K further: + 2048 bytes. */
__device__ __forceinline__ uint64_t describe_mn(const void* tile, uint32_t stride) {
    const uint64_t address = (shared_address(tile) & 0x3ffff) >> 4;
    return address | uint64_t{stride >> 4} << 16 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

/** `bytes` further, within the same tile. */
__device__ __forceinline__ uint64_t advance(uint64_t descriptor, uint32_t bytes) {
    return descriptor + (bytes >> 4);
}

/** Before the first product of a group, and after registers that it reads or adds to were written. */
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/** All but the last N groups are complete. */
template <int N>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

/** Keeps the compiler from moving reads of a product's result before the wait. */
template <int N>
__device__ __forceinline__ void pin(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define TRM_D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define TRM_D8(d, i) TRM_D4(d, i), TRM_D4(d, i + 4)
#define TRM_REGISTERS_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TRM_OPERANDS_32(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24)

#define TRM_REGISTERS_48 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define TRM_OPERANDS_48(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40)

#define TRM_REGISTERS_52 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51"
#define TRM_OPERANDS_52(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), \
    TRM_D4(d, 48)

#define TRM_REGISTERS_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TRM_OPERANDS_64(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), \
    TRM_D8(d, 48), TRM_D8(d, 56)

#define TRM_REGISTERS_128 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define TRM_OPERANDS_128(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), \
    TRM_D8(d, 48), TRM_D8(d, 56), TRM_D8(d, 64), TRM_D8(d, 72), TRM_D8(d, 80), TRM_D8(d, 88), \
    TRM_D8(d, 96), TRM_D8(d, 104), TRM_D8(d, 112), TRM_D8(d, 120)

/** d [64, 64] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[32], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRM_REGISTERS_32 "}, %32, %33, p, 1, 1, %35, %36;\n}\n"
        : TRM_OPERANDS_32(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 64] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRM_REGISTERS_32 "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}\n"
        : TRM_OPERANDS_32(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 96] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[48], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %53, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {" TRM_REGISTERS_48 "}, {%48, %49, %50, %51}, %52, p, 1, 1, %54;\n}\n"
        : TRM_OPERANDS_48(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 104] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[52], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %54, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n104k16.f32.bf16.bf16 {" TRM_REGISTERS_52 "}, %52, %53, p, 1, 1, %55, %56;\n}\n"
        : TRM_OPERANDS_52(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 104] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[52], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %57, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n104k16.f32.bf16.bf16 {" TRM_REGISTERS_52 "}, {%52, %53, %54, %55}, %56, p, 1, 1, %58;\n}\n"
        : TRM_OPERANDS_52(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 128] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRM_REGISTERS_64 "}, %64, %65, p, 1, 1, %67, %68;\n}\n"
        : TRM_OPERANDS_64(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 128] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRM_REGISTERS_64 "}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}\n"
        : TRM_OPERANDS_64(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 256] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[128], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" TRM_REGISTERS_128 "}, %128, %129, p, 1, 1, %131, %132;\n}\n"
        : TRM_OPERANDS_128(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 256] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[128], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %133, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" TRM_REGISTERS_128 "}, {%128, %129, %130, %131}, %132, p, 1, 1, %134;\n}\n"
        : TRM_OPERANDS_128(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

// fragments

/** Two floats rounded to bf16, `low` in the lower half. */
__device__ __forceinline__ uint32_t pack(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ float low(uint32_t pair) {
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high(uint32_t pair) {
    return __uint_as_float(pair & 0xffff0000u);
}

/** Four 8 x 8 blocks, transposed; lanes 8 i to 8 i + 7 give the addresses of the rows of block i. */
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void store_transposed(uint32_t address, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

__device__ __forceinline__ void store_matrices(uint32_t address, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r[0]), "r"(r[1]),
                 "r"(r[2]), "r"(r[3])
                 : "memory");
}

/** Within each quad of lanes: r[i] of lane q becomes r[q] of lane i. Four pairs of columns of one row, one 8 columns
 *  further each, become eight neighbouring columns. */
__device__ __forceinline__ void transpose_quad(uint32_t (&r)[4]) {
#pragma unroll
    for (int bit = 1; bit <= 2; bit *= 2) {
        const bool upper = threadIdx.x & bit;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & bit) continue;
            const uint32_t other = __shfl_xor_sync(ALL_LANES, upper ? r[i] : r[i + bit], bit);
            r[i] = upper ? other : r[i];
            r[i + bit] = upper ? r[i + bit] : other;
        }
    }
}

/** Four pairs to 16 bytes of device memory; in PTX, since the compiler splits some of these stores otherwise. */
__device__ __forceinline__ void store_row(bf16* to, const uint32_t (&r)[4]) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/** Byte offset in a swizzled tile: row r, 16-byte chunk c. */
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t chunk) {
    return row * 128 + ((chunk ^ (row & 7)) << 4);
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm
