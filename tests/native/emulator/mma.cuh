// mma.cuh of the emulator: tensor cores (mma.sync) and asynchronous copies (cp.async) by the fragment layouts of the
// PTX manual. It precedes the header of cuda-kernels/ on the include path.
//
// A product is summed in ascending order of k in double and rounded once; the hardware's order and rounding are not
// documented, so a test's tolerance must allow for them. A copy happens when it is waited for or when it is started, as
// the seed says: this detects a kernel that reads too early, or overwrites what others read.
#pragma once

#include <cstdint>

#include "cuda_bf16.h"

namespace emulator {

/** Calls `work` once, with the arguments of the 32 threads of a warp, when all have called. */
void warp_together(void* argument, void (*work)(void* const* arguments), const char* file, int line);

void copy_begin(void* to, const void* from);  // from NULL: zeros
void copy_commit();
void copy_wait(unsigned groups_left);

}  // namespace emulator

namespace trm {

using Shared = uintptr_t;

inline Shared shared_address(const void* p) { return reinterpret_cast<Shared>(p); }

inline void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMULATOR_SITE) {
    struct Thread {
        float* d;
        const uint32_t* a;
        uint32_t b[2];
    } own{d, a, {b0, b1}};
    emulator::warp_together(
        &own,
        [](void* const* threads) {
            const auto of = [&](int i) -> Thread& { return *static_cast<Thread*>(threads[i]); };
            const auto half = [](uint32_t pair, int which) -> double {
                return __uint_as_float(which == 0 ? pair << 16 : pair & 0xffff0000u);
            };
            double a_of[16][16], b_of[16][8];
            for (int row = 0; row < 16; row++)
                for (int k = 0; k < 16; k++)
                    a_of[row][k] = half(of(row % 8 * 4 + k % 8 / 2).a[row / 8 + k / 8 * 2], k % 2);
            for (int k = 0; k < 16; k++)
                for (int column = 0; column < 8; column++)
                    b_of[k][column] = half(of(column * 4 + k % 8 / 2).b[k / 8], k % 2);
            for (int row = 0; row < 16; row++)
                for (int column = 0; column < 8; column++) {
                    float& to = of(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2];
                    double sum = to;
                    for (int k = 0; k < 16; k++) sum += a_of[row][k] * b_of[k][column];
                    to = static_cast<float>(sum);
                }
        },
        file, line);
}

inline void load_matrices(uint32_t (&r)[4], Shared row, bool trans, const char* file, int line) {
    struct Thread {
        uint32_t* r;
        const unsigned short* row;
        bool trans;
    } own{r, reinterpret_cast<const unsigned short*>(row), trans};
    emulator::warp_together(
        &own,
        [](void* const* threads) {
            const auto of = [&](int i) -> Thread& { return *static_cast<Thread*>(threads[i]); };
            for (int i = 0; i < 32; i++) {
                const uint4 whole = *reinterpret_cast<const uint4*>(of(i).row);  // checked: 16 bytes, aligned
                (void) whole;
            }
            for (int i = 0; i < 32; i++)
                for (int m = 0; m < 4; m++) {
                    const int g = i / 4, t = i % 4;
                    const bool trans = of(i).trans;
                    const uint32_t low = trans ? of(m * 8 + 2 * t).row[g] : of(m * 8 + g).row[2 * t];
                    const uint32_t high = trans ? of(m * 8 + 2 * t + 1).row[g] : of(m * 8 + g).row[2 * t + 1];
                    of(i).r[m] = low | high << 16;
                }
        },
        file, line);
}

inline void ldmatrix_x4(uint32_t (&r)[4], Shared row, EMULATOR_SITE) { load_matrices(r, row, false, file, line); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], Shared row, EMULATOR_SITE) { load_matrices(r, row, true, file, line); }

inline void copy_async_16(Shared to, const void* from, bool inside) {
    emulator::copy_begin(reinterpret_cast<void*>(to), inside ? from : nullptr);
}
inline void copy_async_commit() { emulator::copy_commit(); }
template <int N>
void copy_async_wait() {
    emulator::copy_wait(N);
}

inline void forget(uint32_t&) {}

inline float fast_exp2(float x) {
    const float y = std::exp2(x);
    return y < 0x1p-126f ? 0.0f : y;
}

}  // namespace trm
