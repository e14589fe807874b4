// token_loss.cu: cross entropy of the logits over stablemax or softmax, with its gradient, argmax and exactness.
//
//   stablemax  s(a) = a + 1 for a >= 0, 1 / (1 - a) below      loss = -log(s(a_label) / sum_c s(a_c))
//              d loss / d a_c = s'(a_c) (1 / sum - [c = label] / s(a_c)),  s' = 1 or 1 / (1 - a)^2 = s^2
//   softmax    loss = log sum_c e^a_c - a_label                 d loss / d a_c = e^a_c / sum - [c = label]
//   smoothed   softmax against t_c = (1 - smoothing) [c = label] + smoothing / V:
//              loss = log sum_c e^a_c - sum_c t_c a_c           d loss / d a_c = e^a_c / sum - t_c
//
// The loss of a lane is the mean over its labelled tokens. A label outside the vocabulary makes it NaN.
//
// shapes    logits d_logits [B, P + L, V] fp32 or bf16; labels preds [B, L], hits labelled [B] int32; lane_loss [B] fp64
// numerics  fp64; argmax takes the first of equal logits. Sums over a row: its threads' shares, then a butterfly; over
//           tokens: a thread its tokens in order, then warp and block sums of fixed order
// aliasing  d_logits may alias logits: a row belongs to one thread (or warp, which has met before it writes), and is
//           read before it is written
// cost      V reads and writes and 2 fp64 divisions or exponentials an element: DRAM-bound on data-centre devices; on
//           others fp64 runs at 1/64 of fp32, some 100 us at 62,000 tokens of 11 entries
// paths     V <= 32: a thread a token, its row is in L1; else a warp a token

#include "ops.cuh"

namespace trm {
namespace {

constexpr int WARPS = 4;
constexpr int THREADS = WARP * WARPS;
constexpr int SMOOTHED = 2;  // a kind beside those of the ABI

__device__ __forceinline__ double stable(double a) { return a >= 0 ? a + 1 : 1 / (1 - a); }

template <typename T>
__device__ __forceinline__ T round_once(double v);

template <>
__device__ __forceinline__ float round_once<float>(double v) {
    return static_cast<float>(v);
}

/** Through float32 the value would be rounded twice. Towards zero, with the last bit set where that loses anything (round to
 *  odd), the float32 stays on v's side of every bfloat16 tie. */
template <>
__device__ __forceinline__ bf16 round_once<bf16>(double v) {
    float f = static_cast<float>(v);
    if (f == f && static_cast<double>(f) != v) {
        uint32_t bits = __float_as_uint(f);
        bits -= fabs(static_cast<double>(f)) > fabs(v);
        f = __uint_as_float(bits | 1);
    }
    return from_float<bf16>(f);
}

template <int KIND>
__device__ __forceinline__ double weight(double a, float most) {
    return KIND == TRM_STABLEMAX ? stable(a) : exp(a - static_cast<double>(most));
}

/** GROUP threads, 1 or a warp, share the row of a token. Four blocks at least: left to itself, ptxas takes 40 registers
 *  and spills around the calls of log and of the division. */
template <typename T, int KIND, int GROUP>
__global__ void __launch_bounds__(THREADS, 4)
    token_loss_kernel(const T* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
                      int32_t* labelled, T* d_logits, int32_t L, int32_t P, int32_t V, double smoothing, double scale) {
    __shared__ int32_t counts[WARPS], corrects[WARPS];
    __shared__ double totals[WARPS];
    const int64_t b = blockIdx.x;
    const int member = static_cast<int>(threadIdx.x) % GROUP;
    const int32_t first = static_cast<int32_t>(threadIdx.x) / GROUP;
    logits += b * (static_cast<int64_t>(P) + L) * V;
    if (d_logits != nullptr) d_logits += b * (static_cast<int64_t>(P) + L) * V;
    labels += b * L;
    preds += b * L;

    int32_t count = 0;
#pragma unroll 1
    for (int32_t t = static_cast<int32_t>(threadIdx.x); t < L; t += THREADS) count += labels[t] != TRM_IGNORE;
    count = block_sum<WARPS>(count, counts);
    const double share = 1.0 / (count > 1 ? count : 1), factor = scale * share;
    const double kept = 1 - smoothing, spread = smoothing / V;

    if (d_logits != nullptr)
        for (int64_t i = threadIdx.x; i < static_cast<int64_t>(P) * V; i += THREADS) d_logits[i] = from_float<T>(0.0f);

    int32_t correct = 0;
    double total = 0.0;
    for (int32_t t = first; t < L; t += THREADS / GROUP) {
        const T* row = logits + (static_cast<int64_t>(P) + t) * V;
        const int32_t label = labels[t];

        // Every member begins with the first logit, as the sequential search does: one that is NaN stays the result.
        int32_t best = 0;
        float most = to_float(row[0]);
#pragma unroll 1
        for (int32_t c = member; c < V; c += GROUP) {
            const float a = to_float(row[c]);
            if (a > most) {
                most = a;
                best = c;
            }
        }
        if (GROUP > 1) {
#pragma unroll
            for (int mask = GROUP / 2; mask > 0; mask >>= 1) {
                const float other = __shfl_xor_sync(FULL_MASK, most, mask);
                const int32_t index = __shfl_xor_sync(FULL_MASK, best, mask);
                if (other > most || (other == most && index < best)) {
                    most = other;
                    best = index;
                }
            }
        }
        if (member == 0) preds[t] = best;
        if (label == TRM_IGNORE) {
            if (d_logits != nullptr)
                for (int32_t c = member; c < V; c += GROUP) d_logits[row - logits + c] = from_float<T>(0.0f);
            continue;
        }
        const bool known = label >= 0 && label < V;
        const double own = known ? static_cast<double>(to_float(row[label])) : nan("");
        double sum = 0.0, below = 0.0;
#pragma unroll 1  // unrolled, the exponentials and divisions leave no registers for the rest
        for (int32_t c = member; c < V; c += GROUP) {
            const double a = static_cast<double>(to_float(row[c]));
            sum += weight<KIND>(a, most);
            if (KIND == SMOOTHED) below += static_cast<double>(most) - a;
        }
        if (GROUP > 1) sum = warp_sum(sum);  // and no member has a read before it, so all may write after it
        if (GROUP > 1 && KIND == SMOOTHED) below = warp_sum(below);
        // Every member counts, as all hold the same values; the first of a warp is asked at the end.
        correct += best == label;
        if (KIND == SMOOTHED)
            total += log(sum) + kept * (static_cast<double>(most) - own) + spread * below;
        else
            total += KIND == TRM_STABLEMAX ? log(sum / stable(own)) : log(sum) + static_cast<double>(most) - own;
        if (d_logits == nullptr) continue;
        T* d_row = d_logits + (row - logits);
        const double inverse = 1 / sum;
#pragma unroll 1
        for (int32_t c = member; c < V; c += GROUP) {
            const double a = static_cast<double>(to_float(row[c])), hit = c == label;
            double gradient;
            if (KIND == TRM_STABLEMAX) {
                const double s = stable(a), slope = a >= 0 ? 1 : s * s, ratio = a >= 0 ? 1 / s : s;
                gradient = slope * inverse - hit * ratio;
            } else if (KIND == SMOOTHED) {
                gradient = exp(a - static_cast<double>(most)) * inverse - (hit * kept + spread);
            } else {
                gradient = exp(a - static_cast<double>(most)) * inverse - hit;
            }
            d_row[c] = round_once<T>(factor * gradient);
        }
    }
    correct = block_sum<WARPS>(member == 0 ? correct : 0, corrects);
    total = block_sum<WARPS>(member == 0 ? total : 0.0, totals);
    if (threadIdx.x == 0) {
        lane_loss[b] = total * share;
        hits[b] = correct;
        labelled[b] = count;
    }
}

template <typename T>
int run(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits, int32_t* labelled,
        void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind, double smoothing, double scale,
        trm_stream stream) {
    const bool alone = V <= 32;
    const auto kernel =
        kind == TRM_STABLEMAX
            ? (alone ? token_loss_kernel<T, TRM_STABLEMAX, 1> : token_loss_kernel<T, TRM_STABLEMAX, WARP>)
        : smoothing == 0 ? (alone ? token_loss_kernel<T, TRM_SOFTMAX, 1> : token_loss_kernel<T, TRM_SOFTMAX, WARP>)
                         : (alone ? token_loss_kernel<T, SMOOTHED, 1> : token_loss_kernel<T, SMOOTHED, WARP>);
    return launch(kernel, B, THREADS, 0, stream, static_cast<const T*>(logits), labels, preds, lane_loss, hits,
                  labelled, static_cast<T*>(d_logits), L, P, V, smoothing, scale);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::token_loss(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
                    int32_t* labelled, void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind,
                    double smoothing, double scale, int32_t dtype, trm_stream stream) {
    TRM_CHECK(token_loss);
    return dtype == TRM_F32 ? run<float>(logits, labels, preds, lane_loss, hits, labelled, d_logits, B, L, P, V, kind,
                                         smoothing, scale, stream)
                            : run<bf16>(logits, labels, preds, lane_loss, hits, labelled, d_logits, B, L, P, V, kind,
                                        smoothing, scale, stream);
}

}  // namespace trm
