// wgmma_instructions_sm90.cuh of the emulator: warpgroup products. It precedes the header of cuda-kernels/ on the include path.
// What is modelled, and which faults are found: ../emulator.h.
#pragma once

#include "cuda_bf16.h"

namespace emulator {

/** An operand: a descriptor and whether it is MN-major, or four registers. */
struct Operand {
    uint64_t descriptor;
    bool mn_major;
    const uint32_t* registers;
};

void product_fence();
void product(float* d, int count, const Operand& a, const Operand& b, bool add, const char* file, int line);
void product_commit(const char* file, int line);
void product_wait(unsigned groups_left, const char* file, int line);

}  // namespace emulator

namespace trm {
namespace sm90 {

inline void wgmma_fence() { emulator::product_fence(); }
inline void wgmma_commit(EMULATOR_SITE) { emulator::product_commit(file, line); }
template <int N>
void wgmma_wait(EMULATOR_SITE) {
    emulator::product_wait(N, file, line);
}
template <int N>
void pin(float (&)[N]) {}

template <int TRANS_A, int TRANS_B, int N>
void wgmma(float (&d)[N], uint64_t a, uint64_t b, bool add, EMULATOR_SITE) {
    static_assert(N % 4 == 0 && N <= 128, "a multiple of 8 columns, 256 at most");
    emulator::product(d, N, {a, TRANS_A != 0, nullptr}, {b, TRANS_B != 0, nullptr}, add, file, line);
}
template <int TRANS_B, int N>
void wgmma(float (&d)[N], const uint32_t (&a)[4], uint64_t b, bool add, EMULATOR_SITE) {
    static_assert(N % 4 == 0 && N <= 128, "a multiple of 8 columns, 256 at most");
    emulator::product(d, N, {0, false, a}, {b, TRANS_B != 0, nullptr}, add, file, line);
}

}  // namespace sm90
}  // namespace trm
