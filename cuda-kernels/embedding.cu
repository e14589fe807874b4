// embedding.cu: x, the embedded question, and the gradients of its tables.
//
//   fwd   x = ([puzzle vector, 0-padded to P D, or prefix | embed[tokens]] (+ pos, times 0.707106781)) * sqrt(D)
//   bwd   with k = sqrt(D) (times 0.707106781 with pos):
//         d_embed[tokens] += k dx,  d_pos += k sum_b dx,  d_rows = k dx at the first E values of a lane,
//         d_prefix += k sum_b dx at the first P positions
//
// shapes    tokens [B, L], ids [B], embed [V, D], pos [S, D] and prefix [P, D] in the compute type, table
//           [identifiers, E] fp32, x [B, S, D]; dx [B, S, D], d_embed, d_pos, d_prefix, d_rows [B, E] fp32
// numerics  in bf16 every operation rounds, as in the reference: cast of the puzzle vector, sum, both factors. Backward
//           sums in fp64. d_embed: a warp adds its rows in order, then the warps in order; d_pos, d_prefix: lanes in order
// cost      forward B S D elements written, DRAM-bound. Backward: each of dx is read once for d_embed, once for d_pos;
//           d_embed also reads all tokens once per vocabulary entry and 32 channels, from L2: cheap for the vocabularies
//           of puzzles (6 to 12), slow for those of language

#include "ops.cuh"

namespace trm {
namespace {

constexpr float HALF_ROOT = 0.707106781f;
constexpr int THREADS = 256;

// ---- forward ------------------------------------------------------------------------------------------------------

/** A pack of x a thread; packs do not cross rows. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    embed_fwd_kernel(const int32_t* tokens, const int32_t* ids, const T* embed, const T* pos, const float* table,
                     const T* prefix, T* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, float root,
                     bool wide) {
    const int64_t S = static_cast<int64_t>(P) + L;
    int64_t row, d, b, t;
    divide(global_thread(), divide_up(D, PACK), &row, &d);
    if (row >= B * S) return;
    divide(row, S, &b, &t);
    d *= PACK;
    const int64_t count = D - d;
    Pack<T> v;
    if (t < P && prefix != nullptr) {
        v = load_pack(prefix + t * D + d, count, wide);
    } else if (t < P) {
        const int64_t at = t * D + d;  // in the puzzle vector, which ends after E values
        const float* vector = table + static_cast<int64_t>(ids[b]) * E;
#pragma unroll
        for (int i = 0; i < PACK; i++) v.v[i] = from_float<T>(at + i < E ? vector[at + i] : 0.0f);
    } else {
        v = load_pack(embed + static_cast<int64_t>(tokens[b * L + t - P]) * D + d, count, wide);
    }
    if (pos != nullptr) {
        const Pack<T> p = load_pack(pos + t * D + d, count, wide);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            v.v[i] = from_float<T>(round_as<T>(to_float(v.v[i]) + to_float(p.v[i])) * HALF_ROOT);
    }
#pragma unroll
    for (int i = 0; i < PACK; i++) v.v[i] = from_float<T>(to_float(v.v[i]) * root);
    store_pack(x + row * D + d, v, count, wide);
}

// ---- backward -----------------------------------------------------------------------------------------------------

constexpr int WARPS = 16, TOKEN_THREADS = WARPS * WARP;

/** A block sums, for one entry of the vocabulary, WARP channels over all rows of dx whose token it is. A warp looks at
 *  32 tokens at once and then at the rows found, in order; the block's other warps share the rows. */
__global__ void __launch_bounds__(TOKEN_THREADS)
    embed_bwd_tokens_kernel(const float* dx, const int32_t* tokens, float* d_embed, int64_t B, int32_t L, int32_t P,
                            int32_t D, double factor) {
    __shared__ double partial[WARPS][WARP];
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const int64_t slabs = divide_up(D, WARP), entry = blockIdx.x / slabs;
    const int64_t d = blockIdx.x % slabs * WARP + lane_id;
    const int64_t rows = B * L;
    double sum = 0.0;
    for (int64_t first = static_cast<int64_t>(warp) * WARP; first < rows; first += TOKEN_THREADS) {
        const bool match = first + lane_id < rows && tokens[first + lane_id] == entry;
        unsigned found = __ballot_sync(FULL_MASK, match);
        while (found != 0) {
            const int64_t row = first + __ffs(static_cast<int>(found)) - 1;
            found &= found - 1;
            if (d < D) sum += static_cast<double>(dx[(row / L * (static_cast<int64_t>(P) + L) + P + row % L) * D + d]);
        }
    }
    partial[warp][lane_id] = sum;
    __syncthreads();
    if (warp != 0 || d >= D) return;
    for (int w = 1; w < WARPS; w++) sum += partial[w][lane_id];
    float* to = d_embed + entry * D + d;
    *to = static_cast<float>(*to + factor * sum);
}

/** One value of d_pos or d_prefix a thread, of the first `count`; a lane of dx has `size`. */
__global__ void __launch_bounds__(THREADS)
    embed_bwd_positions_kernel(const float* dx, float* d_pos, int64_t B, int64_t count, int64_t size, double factor) {
    const int64_t i = global_thread();
    if (i >= count) return;
    double sum = 0.0;
#pragma unroll 8
    for (int64_t b = 0; b < B; b++) sum += static_cast<double>(dx[b * size + i]);
    d_pos[i] = static_cast<float>(d_pos[i] + factor * sum);
}

/** One value of d_rows a thread; a lane of dx has `size` values. */
__global__ void __launch_bounds__(THREADS)
    embed_bwd_rows_kernel(const float* dx, float* d_rows, int64_t B, int64_t size, int32_t E, double factor) {
    int64_t b, i;
    divide(global_thread(), E, &b, &i);
    if (b < B) d_rows[b * E + i] = static_cast<float>(factor * static_cast<double>(dx[b * size + i]));
}

template <typename T>
int forward(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table,
            const void* prefix, void* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, trm_stream stream) {
    const int64_t packs = B * (static_cast<int64_t>(P) + L) * divide_up(D, PACK);
    return launch(embed_fwd_kernel<T>, divide_up(packs, THREADS), THREADS, 0, stream, tokens, ids,
                  static_cast<const T*>(embed), static_cast<const T*>(pos), table, static_cast<const T*>(prefix),
                  static_cast<T*>(x), B, L, P, D, E, sqrtf(static_cast<float>(D)),
                  D % PACK == 0 && aligned(16, embed, pos, prefix, x));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::embed(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table,
               const void* prefix, void* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t dtype,
               trm_stream stream) {
    TRM_CHECK(embed);
    return dtype == TRM_F32 ? forward<float>(tokens, ids, embed, pos, table, prefix, x, B, L, P, D, E, stream)
                            : forward<bf16>(tokens, ids, embed, pos, table, prefix, x, B, L, P, D, E, stream);
}

int ops::embed_bwd(const float* dx, const int32_t* tokens, float* d_embed, float* d_pos, float* d_rows, float* d_prefix,
                   int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t V, trm_stream stream) {
    TRM_CHECK(embed_bwd);
    const int64_t size = (static_cast<int64_t>(P) + L) * D;
    const double factor = sqrt(static_cast<double>(D)) * (d_pos == nullptr ? 1.0 : static_cast<double>(HALF_ROOT));
    int code = launch(embed_bwd_tokens_kernel, V * divide_up(D, WARP), TOKEN_THREADS, 0, stream, dx, tokens, d_embed, B,
                      L, P, D, factor);
    if (code == TRM_OK && d_pos != nullptr)
        code = launch(embed_bwd_positions_kernel, divide_up(size, THREADS), THREADS, 0, stream, dx, d_pos, B, size,
                      size, factor);
    const int64_t before = static_cast<int64_t>(P) * D;
    if (code == TRM_OK && d_prefix != nullptr && P > 0)
        code = launch(embed_bwd_positions_kernel, divide_up(before, THREADS), THREADS, 0, stream, dx, d_prefix, B,
                      before, size, factor);
    if (code == TRM_OK && d_rows != nullptr)
        code = launch(embed_bwd_rows_kernel, divide_up(B * E, THREADS), THREADS, 0, stream, dx, d_rows, B, size, E,
                      factor);
    return code;
}

}  // namespace trm
