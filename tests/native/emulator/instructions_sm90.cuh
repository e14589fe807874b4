// instructions_sm90.cuh of the emulator: barriers in shared memory, copies by TMA, matrices, clusters and registers of Hopper. It
// precedes the header of cuda-kernels/ on the include path. What is modelled, and which faults are found: ../emulator.h.
//
// An address in the shared window is the lower half of the pointer; the block is the one that runs.
#pragma once

#include <cuda.h>

#include <initializer_list>

#include "cuda_bf16.h"

namespace emulator {

constexpr int OWN = -1;  // the block's own, for a number or mask of blocks

void barrier_init(uint64_t* barrier, int arrivals, const char* file, int line);
void barrier_init_done();
/** block: whose barrier; expected: bytes; released: at cluster scope. */
void barrier_arrive(uint64_t* barrier, int block, uint32_t expected, bool released, const char* file, int line);
void barrier_wait(uint64_t* barrier, uint32_t parity, bool cluster, const char* file, int line);

void load_box(void* to, const CUtensorMap* map, uint64_t* barrier, std::initializer_list<int> at, int mask,
              const char* file, int line);
void load_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier, const char* file, int line);
void store_box(const CUtensorMap* map, const void* from, std::initializer_list<int> at, const char* file, int line);
void store_commit();
void store_wait(unsigned groups_left, bool read_only);
void store_remote(float* to, float value, uint64_t* barrier, uint32_t block, const char* file, int line);
void proxy_fence();

void named_barrier(int number, int threads, const char* file, int line);
void set_registers(int count, bool increase, const char* file, int line);
uint32_t cluster_rank();
void cluster_sync(const char* file, int line);

/** Four 8 x 8 matrices, transposed; the threads of the warp give the addresses of rows. */
void load_matrices(uint32_t (&r)[4], uint32_t row, const char* file, int line);
void store_matrices(uint32_t row, const uint32_t (&r)[4], const char* file, int line);
/** Accesses of one thread. */
void load_shared(void* to, uint32_t from, uint32_t bytes, const char* file, int line);
void store_shared(uint32_t to, const void* from, uint32_t bytes, const char* file, int line);

}  // namespace emulator

namespace trm {
namespace sm90 {

inline uint32_t shared_address(const void* p) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p)); }

// ---- barriers -----------------------------------------------------------------------------------------------------

inline void barrier_init(uint64_t* barrier, int arrivals, EMULATOR_SITE) {
    emulator::barrier_init(barrier, arrivals, file, line);
}
inline void barrier_init_done() { emulator::barrier_init_done(); }
inline void barrier_expect(uint64_t* barrier, uint32_t bytes, EMULATOR_SITE) {
    emulator::barrier_arrive(barrier, emulator::OWN, bytes, false, file, line);
}
inline void barrier_arrive(uint64_t* barrier, EMULATOR_SITE) {
    emulator::barrier_arrive(barrier, emulator::OWN, 0, false, file, line);
}
inline void barrier_arrive(uint64_t* barrier, uint32_t block, EMULATOR_SITE) {
    emulator::barrier_arrive(barrier, static_cast<int>(block), 0, false, file, line);
}
inline void barrier_arrive_released(uint64_t* barrier, uint32_t block, EMULATOR_SITE) {
    emulator::barrier_arrive(barrier, static_cast<int>(block), 0, true, file, line);
}
inline void barrier_wait(uint64_t* barrier, uint32_t parity, EMULATOR_SITE) {
    emulator::barrier_wait(barrier, parity, false, file, line);
}
inline void barrier_wait_cluster(uint64_t* barrier, uint32_t parity, EMULATOR_SITE) {
    emulator::barrier_wait(barrier, parity, true, file, line);
}

// ---- TMA ----------------------------------------------------------------------------------------------------------

inline void tma_prefetch_map(const CUtensorMap*) {}
inline void tma_prefetch(const CUtensorMap*, int, int, int) {}
inline void tma_load_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier, EMULATOR_SITE) {
    emulator::load_bytes(to, from, bytes, barrier, file, line);
}
inline void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z, EMULATOR_SITE) {
    emulator::load_box(to, map, barrier, {x, y, z}, emulator::OWN, file, line);
}
inline void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z, uint16_t blocks,
                     EMULATOR_SITE) {
    emulator::load_box(to, map, barrier, {x, y, z}, blocks, file, line);
}
inline void tma_load_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int group, EMULATOR_SITE) {
    emulator::load_box(to, map, barrier, {x, 0, 0, 0, group}, emulator::OWN, file, line);
}
inline void tma_load_columns(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int group, uint16_t blocks,
                             EMULATOR_SITE) {
    emulator::load_box(to, map, barrier, {x, 0, 0, 0, group}, blocks, file, line);
}
inline void tma_store(const CUtensorMap* map, const void* from, int x, int y, int z, EMULATOR_SITE) {
    emulator::store_box(map, from, {x, y, z}, file, line);
}
inline void tma_store_commit() { emulator::store_commit(); }
template <int N>
void tma_store_wait_read() {
    emulator::store_wait(N, true);
}
inline void tma_store_wait() { emulator::store_wait(0, false); }
inline void fence_proxy_async() { emulator::proxy_fence(); }

// ---- warpgroups, clusters -----------------------------------------------------------------------------------------

inline void store_remote(float* to, float value, uint64_t* barrier, uint32_t block, EMULATOR_SITE) {
    emulator::store_remote(to, value, barrier, block, file, line);
}
inline void named_barrier(int number, int threads, EMULATOR_SITE) {
    emulator::named_barrier(number, threads, file, line);
}
template <int REGISTERS>
void increase_registers(EMULATOR_SITE) {
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256, "setmaxnreg takes no other number");
    emulator::set_registers(REGISTERS, true, file, line);
}
template <int REGISTERS>
void decrease_registers(EMULATOR_SITE) {
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256, "setmaxnreg takes no other number");
    emulator::set_registers(REGISTERS, false, file, line);
}
inline int thread_number() { return static_cast<int>(threadIdx.x); }
inline uint32_t cluster_rank() { return emulator::cluster_rank(); }
inline void cluster_sync(EMULATOR_SITE) { emulator::cluster_sync(file, line); }

// ---- matrices, pairs and rows -------------------------------------------------------------------------------------

inline uint32_t pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address, EMULATOR_SITE) {
    emulator::load_matrices(r, address, file, line);
}
inline void stmatrix_x4_trans(uint32_t address, const uint32_t (&r)[4], EMULATOR_SITE) {
    emulator::store_matrices(address, r, file, line);
}
inline void store_row(__nv_bfloat16* to, const uint32_t (&r)[4]) {
    *reinterpret_cast<uint4*>(to) = uint4{r[0], r[1], r[2], r[3]};
}
inline void load_chunk(uint32_t (&r)[4], const void* from, EMULATOR_SITE) {
    emulator::load_shared(r, shared_address(from), 16, file, line);
}
inline void load_pairs(uint32_t (&r)[2], uint32_t from, EMULATOR_SITE) {
    emulator::load_shared(r, from, 8, file, line);
}
inline void store_pairs(uint32_t to, const uint32_t (&r)[2], EMULATOR_SITE) {
    emulator::store_shared(to, r, 8, file, line);
}
inline float load_here(const float* from) { return *static_cast<const volatile float*>(from); }
inline float fast_exp2(float x) {
    const float y = std::exp2(x);
    return y < 0x1p-126f ? 0.0f : y;
}

}  // namespace sm90
}  // namespace trm
