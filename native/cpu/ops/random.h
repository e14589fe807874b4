// random.h: counter-based random numbers: Philox4x32-10, and a word as a normal deviate.
//
//   u = (w + 1/2) / 2^32       eps = Phi^-1(u)       cut to +-2, of deviation 1: Phi^-1(1/2 + (u - 1/2) P) / s
//
// Phi^-1 is Wichura's algorithm AS 241 (PPND7, float32) from the distance to the nearer end of (0, 1), which float32 holds
// to full precision: an error below 2^-20 (1 + |eps|). |eps| < 6.4, so that its third range, beyond 7.6, is not needed.
#pragma once

#include <cstdint>

#include "vec.h"

namespace trm {
namespace TRM_ISA {

TRM_INLINE void philox(uint32_t counter[4], uint64_t key) {
    uint32_t key0 = (uint32_t) key, key1 = (uint32_t) (key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t) 0xD2511F53u * counter[0], b = (uint64_t) 0xCD9E8D57u * counter[2];
        counter[0] = (uint32_t) (b >> 32) ^ counter[1] ^ key0;
        counter[1] = (uint32_t) b;
        counter[2] = (uint32_t) (a >> 32) ^ counter[3] ^ key1;
        counter[3] = (uint32_t) a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

// Phi^-1(1/2 + q) for 0 <= q < 1/2; p = 1/2 - q.
TRM_INLINE float normal_quantile(float q, float p) {
    if (q <= 0.425f) {
        const float r = 0.180625f - q * q;
        return q * (((59.109374720f * r + 159.29113202f) * r + 50.434271938f) * r + 3.3871327179f) /
               (((67.187563600f * r + 78.757757664f) * r + 17.895169469f) * r + 1.0f);
    }
    const float r = __builtin_sqrtf(-__builtin_logf(p)) - 1.6f;
    return (((0.17023821103f * r + 1.3067284816f) * r + 2.7568153900f) * r + 1.4234372777f) /
           ((0.12021132975f * r + 0.73700164250f) * r + 1.0f);
}

// The distance of u to the nearer end of (0, 1).
TRM_INLINE float distance(uint32_t w) { return ((float) (w >> 31 ? ~w : w) + 0.5f) * 0x1p-32f; }

TRM_INLINE float normal(uint32_t w) {
    const float p = distance(w), z = normal_quantile(0.5f - p, p);
    return w >> 31 ? z : -z;
}

TRM_INLINE float truncated_normal(uint32_t w) {
    constexpr float mass = 0.9544997361036416f, deviation = 0.87962566103423978f;  // P(|eps| < 2); of eps cut to +-2
    const float q = (0.5f - distance(w)) * mass, z = normal_quantile(q, 0.5f - q);
    const float cut = (z > 2.0f ? 2.0f : z) * (1.0f / deviation);
    return w >> 31 ? cut : -cut;
}

// What a lane's draws of one step are addressed by.
struct Draw {
    uint64_t key;
    uint32_t lane, step, number;
};

// to[i] = deviate(word of element from + i), [count]; from % 4 = 0.
template <class F>
TRM_INLINE void deviates(const Draw& draw, int64_t from, float* to, int64_t count, F&& deviate) {
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t w[4] = {(uint32_t) ((from + i) / 4), draw.lane, draw.step, draw.number};
        philox(w, draw.key);
        for (int64_t k = 0; k < 4 && i + k < count; k++) to[i + k] = deviate(w[k]);
    }
}

}  // namespace TRM_ISA
}  // namespace trm
