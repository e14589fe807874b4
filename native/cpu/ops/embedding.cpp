// embedding.cpp: x, the embedded question, and the gradients of its tables.
//
//   fwd   x = ([puzzle vector, 0-padded to P D, or prefix | embed[tokens]] (+ pos, times 0.707106781)) * sqrt(D)
//   bwd   with k = sqrt(D) (times 0.707106781 with pos):
//         d_embed[tokens] += k dx,  d_pos += k sum_b dx,  d_rows = k dx at the first E values of a lane,
//         d_prefix += k sum_b dx at the first P positions
//
// numerics  in bf16 every operation rounds, as in the reference: cast of the puzzle vector, sum, both factors.
//           Backward sums in float64, over positions, then lanes
// cost      memory-bound; forward a lane a task; backward 64 channels a task, so that sums need no atomics
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr float HALF_ROOT = 0.707106781f;

template <class T>
static void forward(const int32_t* tokens, const int32_t* ids, const T* embed, const T* pos, const float* table,
                    const T* prefix, T* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E) {
    const int64_t S = (int64_t) P + L;
    const float root = __builtin_sqrtf((float) D);
    parallel_for(B, 0.5 * (double) S * D, [=](int64_t b) {
        T* lane = x + b * S * D;
        if (P > 0 && prefix == nullptr) {
            vectors((int64_t) P * D, [=](int64_t i, int k) TRM_LAMBDA { store(lane + i, vf{}, k); });
            const float* row = table + (int64_t) ids[b] * E;
            vectors(E, [=](int64_t i, int k) TRM_LAMBDA { store(lane + i, load(row + i, k), k); });
        }
        for (int64_t t = 0; t < S; t++) {
            T* to = lane + t * D;
            const T* before = prefix == nullptr ? to : prefix + t * D;
            const T* from = t < P ? before : embed + (int64_t) tokens[b * L + t - P] * D;
            if (pos == nullptr) {
                vectors(D, [=](int64_t i, int k) TRM_LAMBDA { store(to + i, load(from + i, k) * root, k); });
            } else {
                const T* position = pos + t * D;
                vectors(D, [=](int64_t i, int k) TRM_LAMBDA {
                    const vf sum = round_as<T>(load(from + i, k) + load(position + i, k));
                    store(to + i, round_as<T>(sum * HALF_ROOT) * root, k);
                });
            }
        }
    });
}

static constexpr int64_t CHANNELS = 64;

int embed(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table,
          const void* prefix, void* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t dtype,
          trm_stream) {
    TRM_CHECK(embed);
    if (dtype == TRM_F32)
        forward(tokens, ids, (const float*) embed, (const float*) pos, table, (const float*) prefix, (float*) x, B, L,
                P, D, E);
    else
        forward(tokens, ids, (const bf16*) embed, (const bf16*) pos, table, (const bf16*) prefix, (bf16*) x, B, L, P, D,
                E);
    return TRM_OK;
}

int embed_bwd(const float* dx, const int32_t* tokens, float* d_embed, float* d_pos, float* d_rows, float* d_prefix,
              int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t V, trm_stream) {
    TRM_CHECK(embed_bwd);
    const int64_t S = (int64_t) P + L;
    const double factor = __builtin_sqrt((double) D) * (d_pos == nullptr ? 1.0 : (double) HALF_ROOT);
    bool short_of_memory = false;
    parallel_for(divide_up(D, CHANNELS), 1.0 * (double) (B * S) * CHANNELS, [&](int64_t task) {
        const int64_t first = task * CHANNELS, width = least(CHANNELS, D - first);
        double* sums = (double*) scratch((int64_t) V * CHANNELS * (int64_t) sizeof(double));
        if (sums == nullptr) {
            __atomic_store_n(&short_of_memory, true, __ATOMIC_RELAXED);
            return;
        }
        memset(sums, 0, (size_t) V * CHANNELS * sizeof(double));
        for (int64_t t = d_pos == nullptr && d_prefix == nullptr ? P : 0; t < S; t++) {
            double position[CHANNELS] = {};
            for (int64_t b = 0; b < B; b++) {
                const float* from = dx + (b * S + t) * D + first;
                for (int64_t i = 0; i < width; i++) position[i] += (double) from[i];
                if (t < P) continue;
                const int32_t token = tokens[b * L + t - P];
                if (token < 0 || token >= V) continue;
                double* sum = sums + (int64_t) token * CHANNELS;
                for (int64_t i = 0; i < width; i++) sum[i] += (double) from[i];
            }
            const auto add = [&](float* table) {
                if (table == nullptr) return;
                float* to = table + t * D + first;
                for (int64_t i = 0; i < width; i++) to[i] = (float) (to[i] + factor * position[i]);
            };
            add(d_pos);
            add(t < P ? d_prefix : nullptr);
        }
        for (int64_t c = 0; c < V; c++) {
            float* to = d_embed + c * D + first;
            for (int64_t i = 0; i < width; i++) to[i] = (float) (to[i] + factor * sums[c * CHANNELS + i]);
        }
    });
    if (short_of_memory) return device_error("no memory for scratch, V=%d", V);
    if (d_rows == nullptr) return TRM_OK;
    parallel_for(B, 0.5 * E, [=](int64_t b) {
        const float* from = dx + b * S * D;
        float* to = d_rows + b * E;
        for (int64_t i = 0; i < E; i++) to[i] = (float) (factor * (double) from[i]);
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
