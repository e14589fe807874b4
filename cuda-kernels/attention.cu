// attention.cu: softmax(q k^T / sqrt(d)) v per lane and head, rotary positions included, for every length, head width
// and type. The plain one: it keeps no intermediate and is what faster ones are compared with.
//
//   fwd   s = q k^T / sqrt(d),  lse = log sum exp s,  o = exp(s - lse) v
//   bwd   p = exp(s - lse),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//         dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// A block takes 32 rows (queries; keys in the pass for dk and dv) of one head and walks over the columns in tiles of
// 32. A warp owns every eighth row, its threads are the columns. Scores are computed from tiles of 64 channels, channel
// i of the lower half beside channel i of the upper, so that a rotation stays within a tile; results are computed 64
// channels at a time, and wider heads recompute their scores for each such slice.
//
// shapes    qkv dqkv [B, S, 3, A, d], o d_o [B, S, A, d] fp32 or bf16; lse [B, A, S] fp32; cos sin [S, d/2] fp32
// numerics  rotated q and k are rounded to the compute type, then q is scaled in fp32; everything else is fp32 until the
//           store. Sums: channels in order, columns in order; no atomics, so dk and dv have a pass of their own
// cost      4 S^2 d FLOP forward in three products (scores twice), 10 S^2 d backward in seven: bound by fp32 arithmetic

#include "attention.cuh"

namespace trm {
namespace {

constexpr int WARPS = 8, THREADS = WARP * WARPS;
constexpr int TILE = 32;            // rows and columns
constexpr int ROWS = TILE / WARPS;  // of a warp: warp, warp + WARPS, ...
constexpr int PAIRS = 32;           // channels of the lower half in a tile, and as many of the upper

using Channels = float[TILE][2 * PAIRS + 1];  // odd: threads that read a column touch 32 banks
using Weights = float[TILE][TILE + 1];

/** The lane, head and first row of this block. */
struct Task {
    int64_t b, a, head;
    int32_t first;
};

__device__ __forceinline__ Task task_of(const Attention& H) {
    const int64_t tiles = divide_up(H.S, TILE), head = blockIdx.x / tiles;
    return {head / H.A, head % H.A, head, static_cast<int32_t>(blockIdx.x % tiles) * TILE};
}

/** tile[r] = position first + r: channels pair + i at i, half + pair + i at PAIRS + i; zeros outside the head. */
template <typename T>
__device__ __forceinline__ void load_tile(Channels& tile, const Attention& H, const T* x, int64_t stride, int32_t first,
                                          int32_t pair, bool rotate, float factor) {
    const int lane_id = threadIdx.x % WARP;
    const int32_t i = pair + lane_id;
    for (int r = threadIdx.x / WARP; r < TILE; r += WARPS) {
        const int64_t t = first + r;
        float low = 0.0f, high = 0.0f;
        if (t < H.S && i < H.half) {
            low = to_float(x[t * stride + i]);
            if (H.half + i < H.d) high = to_float(x[t * stride + H.half + i]);
            if (rotate && H.cos != nullptr) {
                const float c = H.cos[t * H.half + i], s = H.sin[t * H.half + i];
                const float rotated = round_as<T>(low * c - high * s);
                high = round_as<T>(high * c + low * s);
                low = rotated;
            }
        }
        tile[r][lane_id] = low * factor;
        tile[r][PAIRS + lane_id] = high * factor;
    }
}

/** Stores channels i and half + i of position t: rotated by -t if they are the gradient of rotated ones, rounded. */
template <typename T>
__device__ __forceinline__ void store_row(const Attention& H, T* x, int64_t stride, int64_t t, int32_t i, bool rotate,
                                          float low, float high) {
    if (t >= H.S || i >= H.half) return;
    if (rotate && H.cos != nullptr) {
        const float c = H.cos[t * H.half + i], s = H.sin[t * H.half + i];
        const float rotated = low * c + high * s;
        high = high * c - low * s;
        low = rotated;
    }
    x[t * stride + i] = from_float<T>(low);
    if (H.half + i < H.d) x[t * stride + H.half + i] = from_float<T>(high);
}

/** sum[k] += row k of this warp times column lane_id. */
__device__ __forceinline__ void dot(const Channels& rows, const Channels& columns, float (&sum)[ROWS]) {
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
#pragma unroll 8
    for (int c = 0; c < 2 * PAIRS; c++) {
        const float v = columns[lane_id][c];
#pragma unroll
        for (int k = 0; k < ROWS; k++) sum[k] += rows[warp + WARPS * k][c] * v;
    }
}

/** out[k] += the sum over columns j of weights[row k][j] values[j], at the channels of this thread. */
__device__ __forceinline__ void pv_product(const Weights& weights, const Channels& values, float (&out)[ROWS][2]) {
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
#pragma unroll 8
    for (int j = 0; j < TILE; j++) {
        const float low = values[j][lane_id], high = values[j][PAIRS + lane_id];
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            const float w = weights[warp + WARPS * k][j];
            out[k][0] += w * low;
            out[k][1] += w * high;
        }
    }
}

/** delta of a warp's rows' positions: sum_d(do o), the same in all its threads. */
template <typename T>
__device__ __forceinline__ float delta_of(const Attention& H, const T* d_o, const T* o, int64_t t) {
    float sum = 0.0f;
    if (t < H.S)
        for (int32_t i = threadIdx.x % WARP; i < H.d; i += WARP)
            sum += to_float(d_o[t * H.o_stride() + i]) * to_float(o[t * H.o_stride() + i]);
    return warp_sum(sum);
}

// ---- forward ------------------------------------------------------------------------------------------------------

/** s[k] = scores of the rows of this warp in column first_key + lane_id. The whole block calls. */
template <typename T>
__device__ __forceinline__ void scores(Channels& rows, Channels& columns, const Attention& H, const T* q, const T* k,
                                       int32_t first_query, int32_t first_key, float (&s)[ROWS]) {
#pragma unroll
    for (int r = 0; r < ROWS; r++) s[r] = 0.0f;
    for (int32_t pair = 0; pair < H.half; pair += PAIRS) {
        __syncthreads();  // the tiles are free
        load_tile(rows, H, q, H.qkv_stride(), first_query, pair, true, H.scale);
        load_tile(columns, H, k, H.qkv_stride(), first_key, pair, true, 1.0f);
        __syncthreads();  // the tiles are complete
        dot(rows, columns, s);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) attention_fwd_kernel(Attention H, const T* qkv, T* o, float* lse) {
    __shared__ Channels rows, columns;
    __shared__ Weights weights;
    const Task task = task_of(H);
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const T* q = qkv + H.qkv_at(task.b, task.a);
    const T* k = q + H.o_stride();
    const T* v = k + H.o_stride();

    // The largest score and the sum of exponentials: each thread over its columns, then the warp.
    float most[ROWS], sum[ROWS], s[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        most[r] = -INFINITY;
        sum[r] = 0.0f;
    }
    for (int32_t key = 0; key < H.S; key += TILE) {
        scores(rows, columns, H, q, k, task.first, key, s);
        if (key + lane_id < H.S) {
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float larger = s[r] > most[r] ? s[r] : most[r];
                sum[r] = sum[r] * expf(most[r] - larger) + expf(s[r] - larger);
                most[r] = larger;
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float largest = warp_max(most[r]);
        sum[r] = warp_sum(sum[r] * expf(most[r] - largest));
        most[r] = largest;
        const int32_t t = task.first + warp + WARPS * r;
        if (lse != nullptr && lane_id == 0 && t < H.S) lse[task.head * H.S + t] = largest + logf(sum[r]);
    }

    for (int32_t pair = 0; pair < H.half; pair += PAIRS) {
        float out[ROWS][2] = {};
        for (int32_t key = 0; key < H.S; key += TILE) {
            scores(rows, columns, H, q, k, task.first, key, s);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                weights[warp + WARPS * r][lane_id] = key + lane_id < H.S ? expf(s[r] - most[r]) : 0.0f;
            __syncthreads();  // the keys have been read, and a warp's rows of weights are written
            load_tile(columns, H, v, H.qkv_stride(), key, pair, false, 1.0f);
            __syncthreads();  // the values are complete
            pv_product(weights, columns, out);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            store_row(H, o + H.o_at(task.b, task.a), H.o_stride(), task.first + warp + WARPS * r, pair + lane_id, false,
                      out[r][0] / sum[r], out[r][1] / sum[r]);
    }
}

// ---- backward -----------------------------------------------------------------------------------------------------

/** s = rows . columns and dp = d_rows . d_columns: of (q, k) and (do, v), or the other way round. */
template <typename T>
__device__ __forceinline__ void both_scores(Channels& rows, Channels& columns, Channels& d_rows, Channels& d_columns,
                                            const Attention& H, const T* q, const T* k, const T* v, const T* d_o,
                                            int32_t first_query, int32_t first_key, bool queries_are_rows,
                                            float (&s)[ROWS], float (&dp)[ROWS]) {
#pragma unroll
    for (int r = 0; r < ROWS; r++) s[r] = dp[r] = 0.0f;
    for (int32_t pair = 0; pair < H.half; pair += PAIRS) {
        __syncthreads();  // the tiles are free
        load_tile(queries_are_rows ? rows : columns, H, q, H.qkv_stride(), first_query, pair, true, H.scale);
        load_tile(queries_are_rows ? columns : rows, H, k, H.qkv_stride(), first_key, pair, true, 1.0f);
        load_tile(queries_are_rows ? d_rows : d_columns, H, d_o, H.o_stride(), first_query, pair, false, 1.0f);
        load_tile(queries_are_rows ? d_columns : d_rows, H, v, H.qkv_stride(), first_key, pair, false, 1.0f);
        __syncthreads();  // the tiles are complete
        dot(rows, columns, s);
        dot(d_rows, d_columns, dp);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    attention_bwd_queries_kernel(Attention H, const T* qkv, const T* o, const float* lse, const T* d_o, T* dqkv) {
    __shared__ Channels rows, columns, d_rows, d_columns;
    __shared__ Weights weights;
    const Task task = task_of(H);
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const T* q = qkv + H.qkv_at(task.b, task.a);
    const T* k = q + H.o_stride();
    const T* v = k + H.o_stride();
    o += H.o_at(task.b, task.a);
    d_o += H.o_at(task.b, task.a);

    float delta[ROWS], shift[ROWS], s[ROWS], dp[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const int32_t t = task.first + warp + WARPS * r;
        delta[r] = delta_of(H, d_o, o, t);
        shift[r] = t < H.S ? lse[task.head * H.S + t] : 0.0f;
    }
    for (int32_t pair = 0; pair < H.half; pair += PAIRS) {
        float dq[ROWS][2] = {};
        for (int32_t key = 0; key < H.S; key += TILE) {
            both_scores(rows, columns, d_rows, d_columns, H, q, k, v, d_o, task.first, key, true, s, dp);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                weights[warp + WARPS * r][lane_id] =
                    key + lane_id < H.S ? expf(s[r] - shift[r]) * (dp[r] - delta[r]) : 0.0f;
            __syncthreads();  // the tiles have been read, and a warp's rows of weights are written
            load_tile(columns, H, k, H.qkv_stride(), key, pair, true, 1.0f);
            __syncthreads();  // the keys are complete
            pv_product(weights, columns, dq);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            store_row(H, dqkv + H.qkv_at(task.b, task.a), H.qkv_stride(), task.first + warp + WARPS * r, pair + lane_id,
                      true, dq[r][0] * H.scale, dq[r][1] * H.scale);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    attention_bwd_keys_kernel(Attention H, const T* qkv, const T* o, const float* lse, const T* d_o, T* dqkv) {
    __shared__ Channels rows, columns, d_rows, d_columns;
    __shared__ Weights weights, d_weights;
    __shared__ float delta[TILE];
    const Task task = task_of(H);
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const T* q = qkv + H.qkv_at(task.b, task.a);
    const T* k = q + H.o_stride();
    const T* v = k + H.o_stride();
    T* dk = dqkv + H.qkv_at(task.b, task.a) + H.o_stride();
    T* dv = dk + H.o_stride();
    o += H.o_at(task.b, task.a);
    d_o += H.o_at(task.b, task.a);

    float s[ROWS], dp[ROWS];
    for (int32_t pair = 0; pair < H.half; pair += PAIRS) {
        float d_key[ROWS][2] = {}, d_value[ROWS][2] = {};
        for (int32_t query = 0; query < H.S; query += TILE) {
            __syncthreads();  // delta is free
            for (int r = warp; r < TILE; r += WARPS) {
                const float sum = delta_of(H, d_o, o, query + r);
                if (lane_id == 0) delta[r] = sum;
            }
            both_scores(rows, columns, d_rows, d_columns, H, q, k, v, d_o, query, task.first, false, s, dp);
            const bool inside = query + lane_id < H.S;
            const float shift = inside ? lse[task.head * H.S + query + lane_id] : 0.0f;
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float p = inside ? expf(s[r] - shift) : 0.0f;
                weights[warp + WARPS * r][lane_id] = p;
                d_weights[warp + WARPS * r][lane_id] = inside ? p * (dp[r] - delta[lane_id]) : 0.0f;
            }
            __syncthreads();  // the tiles have been read, and a warp's rows of weights are written
            load_tile(columns, H, q, H.qkv_stride(), query, pair, true, H.scale);
            load_tile(d_columns, H, d_o, H.o_stride(), query, pair, false, 1.0f);
            __syncthreads();  // queries and gradients are complete
            pv_product(d_weights, columns, d_key);
            pv_product(weights, d_columns, d_value);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const int32_t t = task.first + warp + WARPS * r;
            store_row(H, dk, H.qkv_stride(), t, pair + lane_id, true, d_key[r][0], d_key[r][1]);
            store_row(H, dv, H.qkv_stride(), t, pair + lane_id, false, d_value[r][0], d_value[r][1]);
        }
    }
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <typename T>
int forward(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream) {
    return launch(attention_fwd_kernel<T>, H.B * H.A * divide_up(H.S, TILE), THREADS, 0, stream, H,
                  static_cast<const T*>(qkv), static_cast<T*>(o), lse);
}

template <typename T>
int backward(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
             trm_stream stream) {
    const int64_t blocks = H.B * H.A * divide_up(H.S, TILE);
    const int code = launch(attention_bwd_queries_kernel<T>, blocks, THREADS, 0, stream, H, static_cast<const T*>(qkv),
                            static_cast<const T*>(o), lse, static_cast<const T*>(d_o), static_cast<T*>(dqkv));
    if (code != TRM_OK) return code;
    return launch(attention_bwd_keys_kernel<T>, blocks, THREADS, 0, stream, H, static_cast<const T*>(qkv),
                  static_cast<const T*>(o), lse, static_cast<const T*>(d_o), static_cast<T*>(dqkv));
}

Attention call(int64_t B, int32_t S, int32_t A, int32_t d, const float* cos, const float* sin) {
    return {B, S, A, d, (d + 1) / 2, cos, sin, 1.0f / sqrtf(static_cast<float>(d)), static_cast<int64_t>(A) * d};
}

}  // namespace

bool shared_fits(size_t bytes) {
    int device = 0, limit = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) {
        (void) cudaGetLastError();  // the launch reports what is wrong
        return false;
    }
    return bytes <= static_cast<size_t>(limit);
}

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::attention(const void* qkv, const float* cos, const float* sin, void* o, float* lse, int64_t B, int32_t S,
                   int32_t A, int32_t d, int32_t dtype, trm_stream stream) {
    TRM_CHECK(attention);
    const Attention H = call(B, S, A, d, cos, sin);
    if (attention_sm90_fits(H, dtype, qkv, o)) return attention_sm90(H, qkv, o, lse, stream);
    if (attention_mma_fits(H, dtype, qkv, o)) return attention_mma(H, qkv, o, lse, stream);
    if (attention_short_fits(H, dtype, false)) return attention_short(H, qkv, o, lse, dtype, stream);
    return dtype == TRM_F32 ? forward<float>(H, qkv, o, lse, stream) : forward<bf16>(H, qkv, o, lse, stream);
}

int ops::attention_bwd(const void* qkv, const float* cos, const float* sin, const void* o, const float* lse,
                       const void* d_o, void* dqkv, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype,
                       trm_stream stream) {
    TRM_CHECK(attention_bwd);
    const Attention H = call(B, S, A, d, cos, sin);
    if (attention_sm90_bwd_fits(H, dtype, qkv, o, d_o, dqkv))
        return attention_sm90_bwd(H, qkv, o, lse, d_o, dqkv, stream);
    if (attention_mma_bwd_fits(H, dtype, qkv, o, d_o, dqkv))
        return attention_mma_bwd(H, qkv, o, lse, d_o, dqkv, stream);
    if (attention_short_fits(H, dtype, true)) return attention_short_bwd(H, qkv, o, lse, d_o, dqkv, dtype, stream);
    return dtype == TRM_F32 ? backward<float>(H, qkv, o, lse, d_o, dqkv, stream)
                            : backward<bf16>(H, qkv, o, lse, d_o, dqkv, stream);
}

}  // namespace trm
