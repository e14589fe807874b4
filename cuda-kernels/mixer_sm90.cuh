// mixer_sm90.cuh: what the forward and backward kernels of the token mixer (mlp_t) on Hopper share (mixer_sm90*.cu).
//
// A block works on slabs: SLAB channels of a lane at all its positions, TILE of them a consumer warpgroup. The weights
// stream through shared memory in two rings of stages; a stage of either holds CHUNK inner units. Each of the two
// blocks of a cluster loads one half of a stage and multicasts it to both:
//
//   gate_up  two K-major tiles [2 * CHUNK rows][64 positions]: HALF rows of the gate, the same HALF of up, the next HALF
//            of either; from the packed copy, whose rows have ROWS positions with zeros past S
//   down     one tile [ROWS positions][CHUNK inner], zeros past S
#pragma once

#include "swiglu.cuh"
#include "wgmma_sm90.cuh"

namespace trm {
namespace mixer {

constexpr int TILE = 64;        // channels of a warpgroup: M of its products
constexpr int SLAB = 2 * TILE;  // channels of a block
constexpr int CHUNK = 64;       // inner units of a stage
constexpr int HALF = CHUNK / 2;
constexpr int N = 104;     // positions as columns of a product, a multiple of 8
constexpr int ROWS = 112;  // positions as the summed dimension, a multiple of 16
constexpr int STEPS = ROWS / 16;
constexpr int GROUPS = N / 8;
constexpr int BLOCKS = 2;      // of a cluster
constexpr uint16_t BOTH = 3;   // as a mask
constexpr int WARPGROUPS = 2;  // consumers; a further one is the producer
constexpr int THREADS = 128 * (WARPGROUPS + 1);
constexpr int PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;  // of a thread
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");

constexpr uint32_t GATE_UP_BYTES = 2 * CHUNK * 128;  // one of the two tiles
constexpr uint32_t DOWN_BYTES = ROWS * 128;
constexpr uint32_t HALF_BYTES = 2 * HALF * 128;  // the rows of HALF inner units in one of them
constexpr uint32_t TILE_BYTES = ROWS * 128;      // the channels of a warpgroup at all positions
constexpr uint32_t CHUNK_BYTES = CHUNK * 128;    // and at a chunk of inner units

static_assert(DOWN_BYTES % 1024 == 0 && TILE_BYTES % 1024 == 0, "swizzled tiles begin at multiples of 1024 bytes");

/** Sizes that the kernels take; the blocks of a cluster need slabs in pairs. */
inline bool fits(int32_t S, int32_t I, int32_t D, int32_t dtype) {
    return dtype == TRM_BF16 && S <= N && I % SLAB == 0 && D % (BLOCKS * SLAB) == 0 && sm90::available();
}

/** The halves of ops::position_mlp* for sizes that fit; work_bytes is the memory that they need. */
int64_t work_bytes(int64_t B, int32_t S, int32_t I, int32_t D, bool backward);
int forward(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho, void* work,
            int64_t B, int32_t S, int32_t I, int32_t D, float eps, trm_stream stream);
int backward(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up, const void* w_down,
             void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I, int32_t D,
             trm_stream stream);

/** Elements of the packed gate and up weights. */
inline int64_t packed_elements(int32_t I) { return static_cast<int64_t>(2) * I * ROWS; }

/** packed [I / HALF, gate or up, HALF, ROWS] from w_gate_up [2 I, S], zeros past S. */
int pack_gate_up(const bf16* w_gate_up, bf16* packed, int32_t S, int32_t I, trm_stream stream);

/** The maps of a stage and of a state [B, S, D]. */
int map_packed(CUtensorMap* map, const bf16* packed, int32_t I);
int map_down(CUtensorMap* map, const void* w_down, int32_t S, int32_t I);
int map_state(CUtensorMap* map, const void* state, int64_t B, int32_t S, int32_t D);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/** Loads this block's half of the gate and up weights of chunk `chunk` into `stage` of both blocks. */
__device__ __forceinline__ void load_gate_up(char* stage, const CUtensorMap* packed, uint64_t* full, int chunk,
                                             uint32_t rank) {
    sm90::barrier_expect(full, 2 * GATE_UP_BYTES);
    sm90::tma_load(stage + rank * GATE_UP_BYTES, packed, full, static_cast<int>(rank) * 64, chunk * 2 * CHUNK, 0, BOTH);
}

__device__ __forceinline__ void load_down(char* stage, const CUtensorMap* down, uint64_t* full, int chunk,
                                          uint32_t rank) {
    constexpr int OWN_ROWS = ROWS / BLOCKS;
    sm90::barrier_expect(full, DOWN_BYTES);
    sm90::tma_load(stage + rank * OWN_ROWS * 128, down, full, chunk * CHUNK, static_cast<int>(rank) * OWN_ROWS, 0,
                   BOTH);
}

/** Byte offset, in a tile [positions][TILE channels], of the row that this thread addresses when its warp loads or
 *  stores positions 16 k to 16 k + 15 of its 16 channels, transposed. */
__device__ __forceinline__ uint32_t transposed_at(int k) {
    const uint32_t lane_id = threadIdx.x % WARP, warp = threadIdx.x / WARP % 4, block = lane_id / 8;
    return sm90::swizzled(16 * k + (block & 2) * 4 + lane_id % 8, 2 * warp + (block & 1));
}

/** Arrives at the empty barrier of a stage of weights in both blocks: this warpgroup has read it. */
__device__ __forceinline__ void release_stage(uint64_t* empty) {
    if (threadIdx.x % 128 < BLOCKS) sm90::barrier_arrive(empty, threadIdx.x % 128);
}

/** Sum over the quad of threads that share a row of a fragment. */
__device__ __forceinline__ float quad_sum(float v) {
    v += __shfl_xor_sync(FULL_MASK, v, 1);
    return v + __shfl_xor_sync(FULL_MASK, v, 2);
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace mixer
}  // namespace trm
