// attention_mma.cu: attention.cu's forward operation in bf16 on tensor cores, for head widths of 32, 64 and 128.
//
//   s = q k^T,  m = max s,  p = exp2((s - m) log2(e) / sqrt(d)),  o = p v / sum p,  lse = log sum exp(s / sqrt(d))
//
// A warp owns 16 or 32 queries, whose fragments, sums and results stay in registers. At most 128 positions: a block is
// a head, keys and values are all in shared memory, and the largest score of a row is known before the first
// exponential. Else a block takes a run of queries and walks over tiles of keys, double-buffered in shared memory, with
// an online softmax. There m need not be the largest score: it is raised, and what was summed is scaled, only when an
// exponential would exceed 2^RAISE, which no sum here can feel.
//
// shapes    as attention.cu; bf16, d 32, 64 or 128; pointers 16-byte aligned
// numerics  rotated q and k rounded to bf16; p rounded to bf16 for the product with v, summed unrounded; sums fp32, in
//           a fixed order
// cost      DRAM: 4 S A d elements a lane. 4 S^2 d FLOP a head on tensor cores, S^2 exponentials. 97 positions: DRAM
//           binds (305 MB for 768 lanes of 8 heads of 64); 916 positions: tensor cores do (1.3 TFLOP)

#include "attention_mma.cuh"

namespace trm {
namespace {

constexpr float RAISE = 8.0f;  // 2^8 times 2^31 keys is far from overflow

/** How a block works. WARPS_ warps of TILES_ times 16 queries; KEYS_ keys in shared memory at a time, CHUNK_ of them in
 *  registers; whether KEYS_ are all there are; BLOCKS_ at least on a multiprocessor, for the sake of its registers. */
template <int D_, int WARPS_, int TILES_, int KEYS_, int CHUNK_, bool WHOLE_, int BLOCKS_>
struct Plan {
    static constexpr int D = D_, WARPS = WARPS_, TILES = TILES_, KEYS = KEYS_, CHUNK = CHUNK_, BLOCKS = BLOCKS_;
    static constexpr bool WHOLE = WHOLE_;
    static constexpr int THREADS = WARPS * WARP, OWN = TILES * 16, QUERIES = WARPS * OWN;
    static constexpr int BUFFER = 2 * KEYS * ROW<D>;  // elements: keys, then values
    static constexpr size_t SHARED = (QUERIES * ROW<D> + (WHOLE ? 1 : 2) * BUFFER) * sizeof(bf16);
    static_assert(KEYS % CHUNK == 0 && CHUNK % 16 == 0, "a chunk is made of tiles of 16 keys");
};

/** At most 16 TILES positions. */
template <int D, int TILES>
using Short = Plan<D, TILES, 1, 16 * TILES, 16 * TILES, true, D == 128 ? (TILES > 4 ? 1 : 2) : 16 / TILES>;

/** Every length. */
template <int D>
using Long = std::conditional_t<D == 128, Plan<D, 8, 1, 32, 32, false, 1>, Plan<D, 6, 2, 96, 16, false, 2>>;

/** What a warp holds: row g of a tile at [0], row g + 8 at [1]. With all keys there the queries are read once, as they
 *  are needed. */
template <typename P>
struct Queries {
    uint32_t q[P::TILES][P::WHOLE ? 1 : P::D / 16][4];
    float out[P::TILES][P::D / 8][4];
    float shift[P::TILES][2], sum[P::TILES][2];  // m log2(e) / sqrt(d); this thread's share of the sum
};

/** Reads channels 16 c to 16 c + 15 of this warp's queries. */
template <typename P>
__device__ __forceinline__ void load_queries(uint32_t (&q)[P::TILES][P::WHOLE ? 1 : P::D / 16][4], int c, Shared at) {
#pragma unroll
    for (int m = 0; m < P::TILES; m++)
        ldmatrix_x4(q[m][P::WHOLE ? 0 : c], at + (m * 16 * ROW<P::D> + c * 16) * sizeof(bf16));
}

/** The online softmax over CHUNK more keys, of which `inside` exist: raises m, adds to the sums and to p v. */
template <typename P>
__device__ __forceinline__ void attend(Queries<P>& w, Shared queries, Shared keys, Shared values, int inside,
                                       float factor) {
    constexpr int D = P::D, N = P::CHUNK / 8, BYTES = sizeof(bf16);
    float s[P::TILES][N][4] = {};
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        if (P::WHOLE) load_queries<P>(w.q, c, queries);
#pragma unroll
        for (int j = 0; j < N / 2; j++) {
            uint32_t k[4];
            ldmatrix_x4(k, keys + (j * 16 * ROW<D> + c * 16) * BYTES);
#pragma unroll
            for (int m = 0; m < P::TILES; m++) {
                mma_16x8x16(s[m][2 * j], w.q[m][P::WHOLE ? 0 : c], k[0], k[1]);
                mma_16x8x16(s[m][2 * j + 1], w.q[m][P::WHOLE ? 0 : c], k[2], k[3]);
            }
        }
    }
    if (inside < P::CHUNK) {
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (n * 8 + column + i % 2 >= inside)
#pragma unroll
                    for (int m = 0; m < P::TILES; m++) s[m][n][i] = -INFINITY;
    }

    float top[P::TILES][2];
    bool far = false;
#pragma unroll
    for (int m = 0; m < P::TILES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float x = fmaxf(s[m][0][2 * r], s[m][0][2 * r + 1]);
#pragma unroll
            for (int n = 1; n < N; n++) x = fmaxf(x, fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
            x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
            top[m][r] = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2)) * factor;
            far = far || top[m][r] - w.shift[m][r] > RAISE;
        }
    if (P::WHOLE || __any_sync(FULL_MASK, far)) {
#pragma unroll
        for (int m = 0; m < P::TILES; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float shift = fmaxf(w.shift[m][r], top[m][r]);
                if (!P::WHOLE) {
                    const float scale = fast_exp2(w.shift[m][r] - shift);
                    w.sum[m][r] *= scale;
#pragma unroll
                    for (int n = 0; n < D / 8; n++) {
                        w.out[m][n][2 * r] *= scale;
                        w.out[m][n][2 * r + 1] *= scale;
                    }
                }
                w.shift[m][r] = shift;
            }
    }
#pragma unroll
    for (int m = 0; m < P::TILES; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[m][n][i] = fast_exp2(s[m][n][i] * factor - w.shift[m][i / 2]);
                w.sum[m][i / 2] += s[m][n][i];
            }
#pragma unroll
    for (int j = 0; j < N / 2; j++) {
        uint32_t p[P::TILES][4];
#pragma unroll
        for (int m = 0; m < P::TILES; m++) a_fragment(p[m], s[m][2 * j], s[m][2 * j + 1]);
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            uint32_t v[4];
            ldmatrix_x4_trans(v, values + (j * 16 * ROW<D> + c * 16) * BYTES);
#pragma unroll
            for (int m = 0; m < P::TILES; m++) {
                mma_16x8x16(w.out[m][2 * c], p[m], v[0], v[1]);
                mma_16x8x16(w.out[m][2 * c + 1], p[m], v[2], v[3]);
            }
        }
    }
}

template <typename P>
__global__ void __launch_bounds__(P::THREADS, P::BLOCKS)
    attention_mma_fwd_kernel(Attention H, const bf16* qkv, bf16* o, float* lse) {
    constexpr int D = P::D, KEYS = P::KEYS, THREADS = P::THREADS;
    __shared__ Block kept;  // for the end: two registers too many to wait in
    const Block block = block_of(H, P::QUERIES);
    if (threadIdx.x == 0) kept = block;
    const int stride = static_cast<int>(H.qkv_stride()), lane_id = threadIdx.x % WARP;
    const int own = static_cast<int>(threadIdx.x / WARP) * P::OWN, first = block.first + own;
    const bf16* q = qkv + H.qkv_at(block.b, block.a);
    const bf16* k = q + H.o_stride();
    const bf16* v = k + H.o_stride();
    bf16* queries = dynamic_shared<bf16>();
    bf16* buffers = queries + P::QUERIES * ROW<D>;

    load_rows<D, P::QUERIES, THREADS>(queries, q, stride, block.first, H.S);
    load_rows<D, KEYS, THREADS>(buffers, k, stride, 0, H.S);
    load_rows<D, KEYS, THREADS>(buffers + KEYS * ROW<D>, v, stride, 0, H.S);
    copy_async_commit();
    if constexpr (P::WHOLE) {
        const auto rope = load_rope_packs<D, KEYS, THREADS>(H);
        copy_async_wait<0>();
        rotate_head<D, KEYS, THREADS>(queries, buffers, H, rope);
    } else {
        copy_async_wait<0>();
        rotate_rows<D, P::QUERIES, THREADS>(queries, H, block.first);
    }
    Queries<P> w = {};
#pragma unroll
    for (int m = 0; m < P::TILES; m++) w.shift[m][0] = w.shift[m][1] = -INFINITY;

    const float factor = H.scale * LOG2_E;
    int used = 0;  // the buffer that holds this tile, in elements
    for (int key = 0; key < H.S; key += P::WHOLE ? H.S : KEYS) {
        if (!P::WHOLE) {
            copy_async_wait<0>();
            rotate_rows<D, KEYS, THREADS>(buffers + used, H, key);
        }
        __syncthreads();  // this tile is complete, and the previous one has been read
        if (!P::WHOLE && key + KEYS < H.S) {
            bf16* next = buffers + (P::BUFFER - used);
            load_rows<D, KEYS, THREADS>(next, k, stride, key + KEYS, H.S);
            load_rows<D, KEYS, THREADS>(next + KEYS * ROW<D>, v, stride, key + KEYS, H.S);
            copy_async_commit();
        }
        if (first < H.S) {  // the same for the whole warp
            const Shared rows = shared_address(queries + own * ROW<D>) + by_rows<ROW<D>>();
            const Shared k_tile = shared_address(buffers + used) + by_columns<ROW<D>>();
            const Shared v_tile = shared_address(buffers + used + KEYS * ROW<D>) + by_rows<ROW<D>>();
            if (!P::WHOLE && key == 0)
#pragma unroll
                for (int c = 0; c < D / 16; c++) load_queries<P>(w.q, c, rows);
#pragma unroll 1
            for (int c = 0; c < KEYS && key + c < H.S; c += P::CHUNK)
                attend(w, rows, k_tile + c * ROW<D> * sizeof(bf16), v_tile + c * ROW<D> * sizeof(bf16), H.S - key - c,
                       factor);
        }
        used = P::BUFFER - used;
    }
    if (first >= H.S) return;
    const Block end = kept;

#pragma unroll
    for (int m = 0; m < P::TILES; m++) {
        float inverse[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float sum = w.sum[m][r];
            sum += __shfl_xor_sync(FULL_MASK, sum, 1);
            sum += __shfl_xor_sync(FULL_MASK, sum, 2);
            inverse[r] = 1.0f / sum;
            const int t = first + m * 16 + r * 8 + lane_id / 4;
            if (lse != nullptr && lane_id % 4 == 0 && t < H.S)
                lse[static_cast<int64_t>(end.head) * H.S + t] = w.shift[m][r] * LN_2 + logf(sum);
        }
        __syncwarp();  // this warp has read its queries, which no other reads: the results go to their memory
        stage_tile<D>(queries + (own + m * 16) * ROW<D>, w.out[m], inverse[0], inverse[1]);
    }
    __syncwarp();  // the results are complete
    store_rows<D, P::OWN>(o + H.o_at(end.b, end.a), static_cast<int>(H.o_stride()), queries + own * ROW<D>, first, H.S);
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <typename P>
int run(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream) {
    return launch(attention_mma_fwd_kernel<P>, H.B * H.A * divide_up(H.S, P::QUERIES), P::THREADS, P::SHARED, stream, H,
                  qkv, o, lse);
}

template <int D>
int forward(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream) {
    if (H.S <= 32) return run<Short<D, 2>>(H, qkv, o, lse, stream);
    if (H.S <= 64) return run<Short<D, 4>>(H, qkv, o, lse, stream);
    if (H.S <= 112 && shared_fits(Short<D, 7>::SHARED)) return run<Short<D, 7>>(H, qkv, o, lse, stream);
    if (H.S <= 128 && shared_fits(Short<D, 8>::SHARED)) return run<Short<D, 8>>(H, qkv, o, lse, stream);
    return run<Long<D>>(H, qkv, o, lse, stream);
}

}  // namespace

bool attention_mma_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o) {
    return dtype == TRM_BF16 && (H.d == 32 || H.d == 64 || H.d == 128) && H.qkv_stride() <= INT32_MAX &&
           aligned(16, qkv, o, H.cos, H.sin) &&
           shared_fits(H.d == 32   ? Long<32>::SHARED
                       : H.d == 64 ? Long<64>::SHARED
                                   : Long<128>::SHARED);
}

int attention_mma(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream) {
    const bf16* from = static_cast<const bf16*>(qkv);
    bf16* to = static_cast<bf16*>(o);
    return H.d == 32   ? forward<32>(H, from, to, lse, stream)
           : H.d == 64 ? forward<64>(H, from, to, lse, stream)
                       : forward<128>(H, from, to, lse, stream);
}

}  // namespace trm
