// sign_sgd.cpp: SignSGD on the puzzle vectors of the batch.
//
//   e_i = (1 - lr wd) e_i - lr sign(sum of the rows of d_rows whose identifier is i),  sign(0) = 0
//
// The first lane that holds an identifier updates its vector, and adds the rows of all its lanes in lane order, in
// float64; other rows of the table are not touched.
//
// cost  B^2 / 2 comparisons of identifiers and B E values: small. 16 lanes a task
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t LANES = 16, CHANNELS = 64;

static bool held_before(const int32_t* ids, int64_t b) {
    int32_t found = 0;
    for (int64_t i = 0; i < b; i++) found |= ids[i] == ids[b];  // no early exit: this loop vectorises
    return found != 0;
}

int sign_sgd(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
             double weight_decay, trm_stream) {
    TRM_CHECK(sign_sgd);
    const double lr = controls[TRM_CTRL_PUZZLE_LR];
    const float keep = (float) (1 - lr * weight_decay), step = (float) lr;
    parallel_for(divide_up(B, LANES), LANES * (0.2 * (double) B * (double) divide_up(E, CHANNELS) + E),
                 [=](int64_t task) {
                     for (int64_t b = task * LANES; b < least(B, (task + 1) * LANES); b++) {
                         if (held_before(ids, b)) continue;
                         float* row = table + (int64_t) ids[b] * E;
                         for (int64_t first = 0; first < E; first += CHANNELS) {
                             const int64_t width = least(CHANNELS, E - first);
                             double sum[CHANNELS] = {};
                             for (int64_t i = b; i < B; i++) {
                                 if (ids[i] != ids[b]) continue;
                                 const float* gradient = d_rows + i * E + first;
                                 for (int64_t c = 0; c < width; c++) sum[c] += (double) gradient[c];
                             }
                             for (int64_t c = 0; c < width; c++) {
                                 const float sign = (float) ((sum[c] > 0) - (sum[c] < 0));
                                 row[first + c] = keep * row[first + c] - step * sign;
                             }
                         }
                     }
                 });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
