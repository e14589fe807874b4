// attention_short.cu: attention.cu's operation for at most 128 positions: a block holds the rows of one (lane, head) in
// shared memory, rotated once, on load.
//
//   fwd   s = q k^T / sqrt(d),  o = softmax(s) v,  lse = log sum exp s
//   bwd   p = exp(s - lse),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//         dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// A warp takes four rows at a time; its threads are up to 128 columns, four each, so that a value read from a column
// serves four rows. Their weights go through shared memory, then the threads are channels. Backward takes queries as
// rows for dq, then keys as rows for dk and dv, and computes the scores twice: dk and dv need no sum over warps.
//
// shapes    as attention.cu; d even, d <= 128
// numerics  as attention.cu: rotated q and k rounded to the compute type, all else fp32 until the store; fixed order
// cost      DRAM: 4 S A d elements a lane forward, 8 backward. Arithmetic on the fp32 units: 4 S^2 d FLOP a head forward,
//           14 backward, S rounded up to 32, which binds: 97 positions, 8 heads of 64, 768 lanes are 20 and 68 GFLOP
// paths     d % 16 == 0 and 16-byte aligned: 16-byte loads; else one element at a time

#include "attention.cuh"

namespace trm {
namespace {

// Two blocks a multiprocessor at least: left to itself, ptxas takes 64 registers on some targets and spills.
constexpr int WARPS = 8, THREADS = WARP * WARPS;
constexpr int MOST_POSITIONS = 128, MOST_WIDTH = 128;
constexpr int ROWS = 4;                       // of a warp at a time
constexpr int TILES = MOST_POSITIONS / WARP;  // columns of a thread: lane_id, lane_id + 32, ...
constexpr int PAIRS = MOST_WIDTH / 2 / WARP;  // pairs of channels of a thread

/** Elements of a row in shared memory: an odd number of 4-byte words in bf16 (twice that in fp32), so that threads
 *  that read a column touch different banks. */
__host__ __device__ constexpr int row_of(int d) { return d + 2; }

__device__ __forceinline__ float2 load_pair(const float* p) { return *reinterpret_cast<const float2*>(p); }

__device__ __forceinline__ float2 load_pair(const bf16* p) {
    return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(p));
}

/** Weights of each column: those of the four rows of a warp side by side. */
using Weights = float4[MOST_POSITIONS];

/** to = the S rows of a head, rotated and rounded if `rotate`. */
template <typename T>
__device__ __forceinline__ void load_head(T* to, const Attention& H, const T* from, int64_t stride, bool rotate,
                                          bool wide) {
    const int packs = (H.half + PACK - 1) / PACK;
    for (int task = threadIdx.x; task < H.S * packs; task += THREADS) {
        const int t = task / packs, i = task % packs * PACK, count = H.half - i;
        const T* x = from + t * stride + i;
        Pack<T> low = load_pack(x, count, wide), high = load_pack(x + H.half, count, wide);
        if (rotate && H.cos != nullptr) {
            const Pack<float> c = load_pack(H.cos + t * H.half + i, count, wide);
            const Pack<float> s = load_pack(H.sin + t * H.half + i, count, wide);
#pragma unroll
            for (int j = 0; j < PACK; j++) {
                const float a = to_float(low.v[j]), b = to_float(high.v[j]);
                low.v[j] = from_float<T>(a * c.v[j] - b * s.v[j]);
                high.v[j] = from_float<T>(b * c.v[j] + a * s.v[j]);
            }
        }
        T* row = to + t * row_of(H.d) + i;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            if (j < count) {
                row[j] = low.v[j];
                row[H.half + j] = high.v[j];
            }
    }
}

/** sum[r][k] += row r times column lane_id + 32 k. Rows and columns past S read the last one; their sums are unused. */
template <typename T>
__device__ __forceinline__ void dot(const T* rows, const T* columns, int first, const Attention& H,
                                    float (&sum)[ROWS][TILES]) {
    const int lane_id = threadIdx.x % WARP, last = H.S - 1, width = row_of(H.d);
    const T* row[ROWS];
    const T* column[TILES];
#pragma unroll
    for (int r = 0; r < ROWS; r++) row[r] = rows + min(first + r, last) * width;
#pragma unroll
    for (int k = 0; k < TILES; k++) column[k] = columns + min(lane_id + WARP * k, last) * width;
    for (int i = 0; i < H.d; i += 2) {
        float2 left[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) left[r] = load_pair(row[r] + i);
#pragma unroll
        for (int k = 0; k < TILES; k++) {
            if (k * WARP > last) break;  // the same for the whole warp
            const float2 right = load_pair(column[k] + i);
#pragma unroll
            for (int r = 0; r < ROWS; r++) sum[r][k] += left[r].x * right.x + left[r].y * right.y;
        }
    }
}

/** out[r][m] += sum over columns j of weights[j][r] values[j], at channels lane_id + 32 m (x) and half + that (y). */
template <typename T>
__device__ __forceinline__ void pv_product(const Weights& weights, const T* values, const Attention& H,
                                           float2 (&out)[ROWS][PAIRS]) {
    const int lane_id = threadIdx.x % WARP;
    for (int j = 0; j < H.S; j++) {
        const float4 w = weights[j];
        const float weight[ROWS] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int m = 0; m < PAIRS; m++) {
            const int i = lane_id + WARP * m;
            if (i >= H.half) break;
            const float low = to_float(values[j * row_of(H.d) + i]);
            const float high = to_float(values[j * row_of(H.d) + H.half + i]);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                out[r][m].x += weight[r] * low;
                out[r][m].y += weight[r] * high;
            }
        }
    }
}

/** Stores four rows times factor[r]: rotated by -t if they are the gradient of rotated ones, rounded. */
template <typename T>
__device__ __forceinline__ void store_rows(T* to, int64_t stride, int first, const Attention& H, bool rotate,
                                           const float (&factor)[ROWS], const float2 (&out)[ROWS][PAIRS]) {
    const int lane_id = threadIdx.x % WARP;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int t = first + r;
        if (t >= H.S) break;
#pragma unroll
        for (int m = 0; m < PAIRS; m++) {
            const int i = lane_id + WARP * m;
            if (i >= H.half) break;
            float low = out[r][m].x * factor[r], high = out[r][m].y * factor[r];
            if (rotate && H.cos != nullptr) {
                const float c = H.cos[t * H.half + i], s = H.sin[t * H.half + i];
                const float rotated = low * c + high * s;
                high = high * c - low * s;
                low = rotated;
            }
            to[t * stride + i] = from_float<T>(low);
            to[t * stride + H.half + i] = from_float<T>(high);
        }
    }
}

__device__ __forceinline__ float4 four(const float (&v)[ROWS]) { return make_float4(v[0], v[1], v[2], v[3]); }

// ---- forward ------------------------------------------------------------------------------------------------------

/** Shared memory: weights of each warp, then q, k, v. */
template <typename T>
size_t shared_fwd(const Attention& H) {
    return WARPS * sizeof(Weights) + static_cast<size_t>(3 * H.S) * row_of(H.d) * sizeof(T);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    attention_short_fwd_kernel(Attention H, const T* qkv, T* o, float* lse, bool wide) {
    const int64_t head = blockIdx.x, b = head / H.A, a = head % H.A;
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP, size = H.S * row_of(H.d);
    Weights* weights = dynamic_shared<Weights>() + warp;
    T* queries = reinterpret_cast<T*>(dynamic_shared<Weights>() + WARPS);
    T* keys = queries + size;
    T* values = keys + size;
    const T* q = qkv + H.qkv_at(b, a);
    load_head(queries, H, q, H.qkv_stride(), true, wide);
    load_head(keys, H, q + H.o_stride(), H.qkv_stride(), true, wide);
    load_head(values, H, q + 2 * H.o_stride(), H.qkv_stride(), false, wide);
    __syncthreads();  // the head is complete

    for (int first = warp * ROWS; first < H.S; first += WARPS * ROWS) {
        float s[ROWS][TILES] = {};
        dot(queries, keys, first, H, s);
        float inverse[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float most = -INFINITY;
#pragma unroll
            for (int k = 0; k < TILES; k++) {
                s[r][k] *= H.scale;
                if (lane_id + WARP * k < H.S && s[r][k] > most) most = s[r][k];
            }
            most = warp_max(most);
            float sum = 0.0f;
#pragma unroll
            for (int k = 0; k < TILES; k++) {
                s[r][k] = lane_id + WARP * k < H.S ? expf(s[r][k] - most) : 0.0f;
                sum += s[r][k];
            }
            sum = warp_sum(sum);
            inverse[r] = 1.0f / sum;
            if (lse != nullptr && lane_id == 0 && first + r < H.S) lse[head * H.S + first + r] = most + logf(sum);
        }
        __syncwarp();  // the weights of the previous rows have been read
#pragma unroll
        for (int k = 0; k < TILES; k++)
            (*weights)[lane_id + WARP * k] = make_float4(s[0][k], s[1][k], s[2][k], s[3][k]);
        __syncwarp();  // the weights are complete
        float2 out[ROWS][PAIRS] = {};
        pv_product(*weights, values, H, out);
        store_rows(o + H.o_at(b, a), H.o_stride(), first, H, false, inverse, out);
    }
}

// ---- backward -----------------------------------------------------------------------------------------------------

/** Shared memory: two sets of weights of each warp, lse and delta of each query, then q, k, v, do. */
template <typename T>
size_t shared_bwd(const Attention& H) {
    return 2 * WARPS * sizeof(Weights) + 2 * MOST_POSITIONS * sizeof(float) +
           static_cast<size_t>(4 * H.S) * row_of(H.d) * sizeof(T);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
    attention_short_bwd_kernel(Attention H, const T* qkv, const T* o, const float* lse, const T* d_o, T* dqkv,
                               bool wide) {
    const int64_t head = blockIdx.x, b = head / H.A, a = head % H.A;
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP, size = H.S * row_of(H.d);
    Weights* weights = dynamic_shared<Weights>() + warp;
    Weights* d_weights = dynamic_shared<Weights>() + WARPS + warp;
    float* shift = reinterpret_cast<float*>(dynamic_shared<Weights>() + 2 * WARPS);
    float* delta = shift + MOST_POSITIONS;
    T* queries = reinterpret_cast<T*>(delta + MOST_POSITIONS);
    T* keys = queries + size;
    T* values = keys + size;
    T* d_out = values + size;
    const T* q = qkv + H.qkv_at(b, a);
    T* dq = dqkv + H.qkv_at(b, a);
    o += H.o_at(b, a);
    load_head(queries, H, q, H.qkv_stride(), true, wide);
    load_head(keys, H, q + H.o_stride(), H.qkv_stride(), true, wide);
    load_head(values, H, q + 2 * H.o_stride(), H.qkv_stride(), false, wide);
    load_head(d_out, H, d_o + H.o_at(b, a), H.o_stride(), false, wide);
    __syncthreads();  // the head is complete
    for (int t = warp; t < H.S; t += WARPS) {
        float sum = 0.0f;
        for (int i = lane_id; i < H.d; i += WARP)
            sum += to_float(d_out[t * row_of(H.d) + i]) * to_float(o[t * H.o_stride() + i]);
        sum = warp_sum(sum);
        if (lane_id == 0) {
            delta[t] = sum;
            shift[t] = lse[head * H.S + t];
        }
    }
    __syncthreads();  // delta and lse are complete

    const float scales[ROWS] = {H.scale, H.scale, H.scale, H.scale}, ones[ROWS] = {1.0f, 1.0f, 1.0f, 1.0f};
    for (int first = warp * ROWS; first < H.S; first += WARPS * ROWS) {  // queries are rows
        float s[ROWS][TILES] = {}, dp[ROWS][TILES] = {};
        dot(queries, keys, first, H, s);
        dot(d_out, values, first, H, dp);
        __syncwarp();  // the weights of the previous rows have been read
#pragma unroll
        for (int k = 0; k < TILES; k++) {
            float ds[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int t = min(first + r, H.S - 1);
                ds[r] = lane_id + WARP * k < H.S ? expf(s[r][k] * H.scale - shift[t]) * (dp[r][k] - delta[t]) : 0.0f;
            }
            (*weights)[lane_id + WARP * k] = four(ds);
        }
        __syncwarp();  // the weights are complete
        float2 out[ROWS][PAIRS] = {};
        pv_product(*weights, keys, H, out);
        store_rows(dq, H.qkv_stride(), first, H, true, scales, out);
    }
    for (int first = warp * ROWS; first < H.S; first += WARPS * ROWS) {  // keys are rows
        float s[ROWS][TILES] = {}, dp[ROWS][TILES] = {};
        dot(keys, queries, first, H, s);
        dot(values, d_out, first, H, dp);
        __syncwarp();  // the weights of the previous rows have been read
#pragma unroll
        for (int k = 0; k < TILES; k++) {
            const int t = lane_id + WARP * k;
            const float own_shift = t < H.S ? shift[t] : 0.0f, own_delta = t < H.S ? delta[t] : 0.0f;
            float p[ROWS], ds[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                p[r] = t < H.S ? expf(s[r][k] * H.scale - own_shift) : 0.0f;
                ds[r] = p[r] * (dp[r][k] - own_delta);
            }
            (*weights)[t] = four(p);
            (*d_weights)[t] = four(ds);
        }
        __syncwarp();  // the weights are complete
        float2 out[ROWS][PAIRS] = {};
        pv_product(*d_weights, queries, H, out);
        store_rows(dq + H.o_stride(), H.qkv_stride(), first, H, true, scales, out);
        float2 d_value[ROWS][PAIRS] = {};
        pv_product(*weights, d_out, H, d_value);
        store_rows(dq + 2 * H.o_stride(), H.qkv_stride(), first, H, false, ones, d_value);
    }
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <typename T>
int forward(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream) {
    const bool wide = H.d % (2 * PACK) == 0 && aligned(16, qkv, H.cos, H.sin);
    return launch(attention_short_fwd_kernel<T>, H.B * H.A, THREADS, shared_fwd<T>(H), stream, H,
                  static_cast<const T*>(qkv), static_cast<T*>(o), lse, wide);
}

template <typename T>
int backward(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
             trm_stream stream) {
    const bool wide = H.d % (2 * PACK) == 0 && aligned(16, qkv, d_o, H.cos, H.sin);
    return launch(attention_short_bwd_kernel<T>, H.B * H.A, THREADS, shared_bwd<T>(H), stream, H,
                  static_cast<const T*>(qkv), static_cast<const T*>(o), lse, static_cast<const T*>(d_o),
                  static_cast<T*>(dqkv), wide);
}

}  // namespace

bool attention_short_fits(const Attention& H, int32_t dtype, bool backward) {
    if (H.S > MOST_POSITIONS || H.d > MOST_WIDTH || H.d % 2 != 0) return false;
    const size_t needed = backward ? (dtype == TRM_F32 ? shared_bwd<float>(H) : shared_bwd<bf16>(H))
                                   : (dtype == TRM_F32 ? shared_fwd<float>(H) : shared_fwd<bf16>(H));
    return shared_fits(needed);
}

int attention_short(const Attention& H, const void* qkv, void* o, float* lse, int32_t dtype, trm_stream stream) {
    return dtype == TRM_F32 ? forward<float>(H, qkv, o, lse, stream) : forward<bf16>(H, qkv, o, lse, stream);
}

int attention_short_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o,
                        void* dqkv, int32_t dtype, trm_stream stream) {
    return dtype == TRM_F32 ? backward<float>(H, qkv, o, lse, d_o, dqkv, stream)
                            : backward<bf16>(H, qkv, o, lse, d_o, dqkv, stream);
}

}  // namespace trm
