// attention_mma_bwd.cu: the gradients of attention_mma.cu.
//
//   p = exp2((s log2(e) / sqrt(d)) - lse log2(e)),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//   dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// At most 128 positions: a block is a head and forms each of the five products once. A warp owns 16 keys: s^T and dp^T
// of 16 queries at a time leave the tensor cores in the layout that the left factor of dv and dk needs, so p and ds stay
// in registers; ds^T also goes to shared memory, in the place of v, which by then lives in fragments. After a barrier
// the same warp owns 16 queries and adds up their dq over all keys.
// Else two kernels, so that no sum crosses blocks: one for dk and dv, whose blocks own keys and walk over queries, one
// for dq the other way round. They form s and dp twice, seven products in all, and delta for each block anew.
//
// shapes    as attention.cu; bf16, d 32, 64 or 128; pointers 16-byte aligned
// numerics  rotated q and k, p and ds are rounded to bf16 for the products; delta from the rounded o; sums fp32, fixed
//           order, no atomics
// cost      DRAM: 8 S A d elements a lane. FLOP a head: 10 S^2 d, from 129 positions on 14 S^2 d; 97 positions: DRAM
//           binds (610 MB for 768 lanes of 8 heads of 64); 916 positions: tensor cores do (4.6 TFLOP)

#include "attention_mma.cuh"

namespace trm {
namespace {

// ---- dk and dv: a warp owns 16 keys -------------------------------------------------------------------------------

template <int D>
struct Keys {
    uint32_t k[D / 16][4], v[D / 16][4];
    float dk[D / 8][4], dv[D / 8][4];
};

/** Reads a warp's keys and values, whose rows begin at these addresses of this lane. */
template <int D>
__device__ __forceinline__ void load_keys(Keys<D>& w, Shared keys, Shared values) {
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        ldmatrix_x4(w.k[c], keys + c * 16 * sizeof(bf16));
        ldmatrix_x4(w.v[c], values + c * 16 * sizeof(bf16));
    }
}

/** Takes in 16 queries, and leaves their ds^T. `upper`, `lower`: whether the keys of rows g and g + 8 exist. */
template <int D>
__device__ __forceinline__ void take_queries(Keys<D>& w, uint32_t (&ds_pairs)[4], Shared queries, Shared d_out,
                                             const float* shift, const float* delta, float factor, bool upper,
                                             bool lower) {
    constexpr int BYTES = sizeof(bf16);
    float s[2][4] = {}, dp[2][4] = {};
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4(b, queries + c * 16 * BYTES);
        mma_16x8x16(s[0], w.k[c], b[0], b[2]);
        mma_16x8x16(s[1], w.k[c], b[1], b[3]);
        ldmatrix_x4(b, d_out + c * 16 * BYTES);
        mma_16x8x16(dp[0], w.v[c], b[0], b[2]);
        mma_16x8x16(dp[1], w.v[c], b[1], b[3]);
    }
    const int column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < 2; n++) {
        const float2 from = *reinterpret_cast<const float2*>(shift + n * 8 + column);
        const float2 mean = *reinterpret_cast<const float2*>(delta + n * 8 + column);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float p = fast_exp2(s[n][i] * factor - (i % 2 == 0 ? from.x : from.y));
            s[n][i] = (i < 2 ? upper : lower) ? p : 0.0f;
            dp[n][i] = s[n][i] * (dp[n][i] - (i % 2 == 0 ? mean.x : mean.y));
        }
    }
    uint32_t p_pairs[4];
    left_factor(p_pairs, s[0], s[1]);
    left_factor(ds_pairs, dp[0], dp[1]);
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, d_out + c * 16 * BYTES);
        mma_16x8x16(w.dv[2 * c], p_pairs, b[0], b[1]);
        mma_16x8x16(w.dv[2 * c + 1], p_pairs, b[2], b[3]);
        ldmatrix_x4_trans(b, queries + c * 16 * BYTES);
        mma_16x8x16(w.dk[2 * c], ds_pairs, b[0], b[1]);
        mma_16x8x16(w.dk[2 * c + 1], ds_pairs, b[2], b[3]);
    }
}

/** Stores the gradients of a warp's keys by way of 16 rows of its own. */
template <int D>
__device__ __forceinline__ void store_keys(Keys<D>& w, const Attention& H, bf16* dk, bf16* dk_rows, bf16* dv_rows,
                                           int first) {
    turn_back<D>(w.dk, H, first);
    stage_tile<D>(dk_rows, w.dk, H.scale, H.scale);
    stage_tile<D>(dv_rows, w.dv, 1.0f, 1.0f);
    __syncwarp();  // the rows are complete
    const int stride = static_cast<int>(H.qkv_stride());
    store_rows<D, 16>(dk, stride, dk_rows, first, H.S);
    store_rows<D, 16>(dk + H.o_stride(), stride, dv_rows, first, H.S);
}

// ---- a head at a time ---------------------------------------------------------------------------------------------

/** At most 16 TILES_ positions. Shared memory: q, k, do, then v or ds^T, then shift and delta. */
template <int D_, int TILES_>
struct Short {
    static constexpr int D = D_, TILES = TILES_, ROWS = 16 * TILES, THREADS = TILES * WARP;
    static constexpr int BLOCKS = D == 128 ? (TILES > 4 ? 1 : 2) : 16 / TILES;
    static constexpr int RUN = ROWS * ROW<D>, DS_ROW = ROWS + 8;  // elements; rows of ds^T are keys
    static constexpr int LAST = RUN > ROWS * DS_ROW ? RUN : ROWS * DS_ROW;
    static constexpr size_t SHARED = (3 * RUN + LAST) * sizeof(bf16) + 2 * ROWS * sizeof(float);
};

template <typename P>
__global__ void __launch_bounds__(P::THREADS, P::BLOCKS)
    attention_mma_short_bwd_kernel(Attention H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o,
                                   bf16* dqkv) {
    constexpr int D = P::D, ROWS = P::ROWS, THREADS = P::THREADS, BYTES = sizeof(bf16);
    __shared__ Block kept;  // for the end: two registers too many to wait in
    const Block block = block_of(H, ROWS);
    if (threadIdx.x == 0) kept = block;
    const int stride = static_cast<int>(H.qkv_stride()), o_stride = static_cast<int>(H.o_stride());
    const int lane = threadIdx.x % WARP, own = static_cast<int>(threadIdx.x / WARP) * 16;
    bf16* queries = dynamic_shared<bf16>();
    bf16* keys = queries + P::RUN;
    bf16* d_out = keys + P::RUN;
    bf16* values = d_out + P::RUN;
    bf16* d_scores = values;
    float* shift = reinterpret_cast<float*>(values + P::LAST);
    float* delta = shift + ROWS;

    const bf16* q = qkv + H.qkv_at(block.b, block.a);
    load_rows<D, ROWS, THREADS>(queries, q, stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(keys, q + H.o_stride(), stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(values, q + 2 * H.o_stride(), stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(d_out, d_o + H.o_at(block.b, block.a), o_stride, 0, H.S);
    copy_async_commit();
    const auto packs = load_packs<D, ROWS, THREADS>(o + H.o_at(block.b, block.a), o_stride, 0, H.S);
    const auto logs = load_logs<D, ROWS, THREADS>(lse + static_cast<int64_t>(block.head) * H.S, 0, H.S);
    const auto turns = load_turns<D, ROWS, THREADS>(H);
    copy_async_wait<0>();
    statistics<D, ROWS, THREADS>(shift, delta, d_out, packs, logs);
    rotate_head<D, ROWS, THREADS>(queries, keys, H, turns);
    __syncthreads();  // the head is complete
    Keys<D> w = {};
    const int at = lane_offset<ROW<D>>();
    load_keys<D>(w, shared_address(keys + own * ROW<D>) + at, shared_address(values + own * ROW<D>) + at);
    __syncthreads();  // the values have been read: their place serves for ds^T

    const float factor = H.scale * LOG2_E;
    const bool active = own < H.S;  // the same for all lanes
    if (active) {
        const bool upper = own + lane / 4 < H.S, lower = own + 8 + lane / 4 < H.S;
        bf16* to = d_scores + (own + lane / 4) * P::DS_ROW + lane % 4 * 2;
#pragma unroll 1
        for (int t = 0; t < H.S; t += 16) {
            uint32_t ds[4];
            take_queries<D>(w, ds, shared_address(queries + t * ROW<D>) + at, shared_address(d_out + t * ROW<D>) + at,
                            shift + t, delta + t, factor, upper, lower);
            *reinterpret_cast<uint32_t*>(to + t) = ds[0];
            *reinterpret_cast<uint32_t*>(to + t + 8 * P::DS_ROW) = ds[1];
            *reinterpret_cast<uint32_t*>(to + t + 8) = ds[2];
            *reinterpret_cast<uint32_t*>(to + t + 8 + 8 * P::DS_ROW) = ds[3];
        }
    }
    __syncthreads();  // ds^T is complete, queries and gradients have been read: their rows serve for results
    if (!active) return;
    const Block end = kept;
    bf16* dq = dqkv + H.qkv_at(end.b, end.a);
    store_keys<D>(w, H, dq + H.o_stride(), queries + own * ROW<D>, d_out + own * ROW<D>, own);

    float sums[D / 8][4] = {};
    const Shared left = shared_address(d_scores + own) + lane_offset<P::DS_ROW>();
#pragma unroll 1
    for (int t = 0; t < H.S; t += 16) {
        uint32_t a[4];
        ldmatrix_x4_trans(a, left + t * P::DS_ROW * BYTES);
        const uint32_t ds[4] = {a[0], a[2], a[1], a[3]};  // the quarters of ds^T lie the other way round
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, shared_address(keys) + at + (t * ROW<D> + c * 16) * BYTES);
            mma_16x8x16(sums[2 * c], ds, b[0], b[1]);
            mma_16x8x16(sums[2 * c + 1], ds, b[2], b[3]);
        }
    }
    turn_back<D>(sums, H, own);
    __syncwarp();  // dk has left these rows
    stage_tile<D>(queries + own * ROW<D>, sums, H.scale, H.scale);
    __syncwarp();  // the rows are complete
    store_rows<D, 16>(dq, stride, queries + own * ROW<D>, own, H.S);
}

// ---- dk and dv of long sequences ----------------------------------------------------------------------------------

/** WARPS_ times 16 keys a block, QUERIES_ queries in shared memory at a time, twice. Shared memory: k and v, two buffers
 *  of q and do, one of o, two of shift and delta. */
template <int D_, int WARPS_, int QUERIES_, int BLOCKS_>
struct LongKeys {
    static constexpr int D = D_, WARPS = WARPS_, QUERIES = QUERIES_, BLOCKS = BLOCKS_;
    static constexpr int THREADS = WARPS * WARP, KEYS = WARPS * 16;
    static constexpr int RUN = KEYS * ROW<D>, TILE = QUERIES * ROW<D>;
    static constexpr size_t SHARED = (2 * RUN + 5 * TILE) * sizeof(bf16) + 4 * QUERIES * sizeof(float);
};

template <typename P>
__global__ void __launch_bounds__(P::THREADS, P::BLOCKS)
    attention_mma_bwd_keys_kernel(Attention H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o,
                                  bf16* dqkv) {
    constexpr int D = P::D, KEYS = P::KEYS, QUERIES = P::QUERIES, THREADS = P::THREADS, BYTES = sizeof(bf16);
    __shared__ Block kept;  // for the end: two registers too many to wait in
    const Block block = block_of(H, KEYS);
    if (threadIdx.x == 0) kept = block;
    const int stride = static_cast<int>(H.qkv_stride()), o_stride = static_cast<int>(H.o_stride());
    const int own = static_cast<int>(threadIdx.x / WARP) * 16, first = block.first + own;
    bf16* keys = dynamic_shared<bf16>();
    bf16* values = keys + P::RUN;
    bf16* buffers = values + P::RUN;  // queries, then their do, twice
    bf16* out = buffers + 4 * P::TILE;
    float* shifts = reinterpret_cast<float*>(out + P::TILE);
    float* deltas = shifts + 2 * QUERIES;

    const bf16* q = qkv + H.qkv_at(block.b, block.a);
    o += H.o_at(block.b, block.a);
    d_o += H.o_at(block.b, block.a);
    lse += static_cast<int64_t>(block.head) * H.S;
    load_rows<D, KEYS, THREADS>(keys, q + H.o_stride(), stride, block.first, H.S);
    load_rows<D, KEYS, THREADS>(values, q + 2 * H.o_stride(), stride, block.first, H.S);
    load_rows<D, QUERIES, THREADS>(buffers, q, stride, 0, H.S);
    load_rows<D, QUERIES, THREADS>(buffers + P::TILE, d_o, o_stride, 0, H.S);
    load_rows<D, QUERIES, THREADS>(out, o, o_stride, 0, H.S);
    copy_async_commit();
    auto logs = load_logs<D, QUERIES, THREADS>(lse, 0, H.S);

    Keys<D> w = {};
    const float factor = H.scale * LOG2_E;
    const int at = lane_offset<ROW<D>>();
    int used = 0;  // 0 or 1: the buffer that holds this tile
#pragma unroll 1
    for (int query = 0; query < H.S; query += QUERIES) {
        bf16* tile = buffers + used * 2 * P::TILE;
        float* shift = shifts + used * QUERIES;
        float* delta = deltas + used * QUERIES;
        copy_async_wait<0>();
        if (query == 0) rotate_rows<D, KEYS, THREADS>(keys, H, block.first);
        rotate_rows<D, QUERIES, THREADS>(tile, H, query);
        statistics<D, QUERIES, THREADS>(shift, delta, tile + P::TILE,
                                        load_packs<D, QUERIES, THREADS>(out, ROW<D>, 0, QUERIES), logs);
        __syncthreads();  // this tile is complete, and the one before has been read
        if (query + QUERIES < H.S) {
            bf16* next = buffers + (1 - used) * 2 * P::TILE;
            load_rows<D, QUERIES, THREADS>(next, q, stride, query + QUERIES, H.S);
            load_rows<D, QUERIES, THREADS>(next + P::TILE, d_o, o_stride, query + QUERIES, H.S);
            load_rows<D, QUERIES, THREADS>(out, o, o_stride, query + QUERIES, H.S);  // read by this thread alone
            copy_async_commit();
            logs = load_logs<D, QUERIES, THREADS>(lse, query + QUERIES, H.S);
        }
        if (first < H.S) {  // the same for all lanes
            if (query == 0)
                load_keys<D>(w, shared_address(keys + own * ROW<D>) + at, shared_address(values + own * ROW<D>) + at);
            const Shared rows = shared_address(tile) + at;
#pragma unroll 1
            for (int t = 0; t < QUERIES && query + t < H.S; t += 16) {
                uint32_t ds[4];
                take_queries<D>(w, ds, rows + t * ROW<D> * BYTES, rows + (QUERIES + t) * ROW<D> * BYTES, shift + t,
                                delta + t, factor, true, true);  // what follows from keys past the end is not stored
            }
        }
        used = 1 - used;
    }
    if (first >= H.S) return;
    const Block end = kept;
    store_keys<D>(w, H, dqkv + H.qkv_at(end.b, end.a) + H.o_stride(), keys + own * ROW<D>, values + own * ROW<D>, first);
}

// ---- dq of long sequences: a warp owns 16 or 32 queries -----------------------------------------------------------

/** WARPS_ warps of TILES_ times 16 queries a block, KEYS_ keys in shared memory at a time, twice. Shared memory: q and do,
 *  two buffers of k and v, shift and delta. */
template <int D_, int WARPS_, int TILES_, int KEYS_, int BLOCKS_>
struct LongQueries {
    static constexpr int D = D_, WARPS = WARPS_, TILES = TILES_, KEYS = KEYS_, BLOCKS = BLOCKS_;
    static constexpr int THREADS = WARPS * WARP, OWN = TILES * 16, QUERIES = WARPS * OWN;
    static constexpr int RUN = QUERIES * ROW<D>, TILE = KEYS * ROW<D>;
    static constexpr size_t SHARED = (2 * RUN + 4 * TILE) * sizeof(bf16) + 2 * QUERIES * sizeof(float);
};

template <typename P>
struct Queries {
    uint32_t q[P::TILES][P::D / 16][4], d_out[P::TILES][P::D / 16][4];
    float shift[P::TILES][2], delta[P::TILES][2];
    float dq[P::TILES][P::D / 8][4];
};

/** Takes in 16 keys; `inside` of them exist. */
template <typename P>
__device__ __forceinline__ void take_keys(Queries<P>& w, Shared keys, Shared values, float factor, int inside) {
    constexpr int D = P::D, BYTES = sizeof(bf16);
    float s[P::TILES][2][4] = {}, dp[P::TILES][2][4] = {};
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t k[4], v[4];
        ldmatrix_x4(k, keys + c * 16 * BYTES);
        ldmatrix_x4(v, values + c * 16 * BYTES);
#pragma unroll
        for (int m = 0; m < P::TILES; m++) {
            mma_16x8x16(s[m][0], w.q[m][c], k[0], k[2]);
            mma_16x8x16(s[m][1], w.q[m][c], k[1], k[3]);
            mma_16x8x16(dp[m][0], w.d_out[m][c], v[0], v[2]);
            mma_16x8x16(dp[m][1], w.d_out[m][c], v[1], v[3]);
        }
    }
    const int column = threadIdx.x % 4 * 2;
    uint32_t ds[P::TILES][4];
#pragma unroll
    for (int m = 0; m < P::TILES; m++) {
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float p = fast_exp2(s[m][n][i] * factor - w.shift[m][i / 2]) * (dp[m][n][i] - w.delta[m][i / 2]);
                dp[m][n][i] = n * 8 + column + i % 2 < inside ? p : 0.0f;
            }
        left_factor(ds[m], dp[m][0], dp[m][1]);
    }
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t k[4];
        ldmatrix_x4_trans(k, keys + c * 16 * BYTES);
#pragma unroll
        for (int m = 0; m < P::TILES; m++) {
            mma_16x8x16(w.dq[m][2 * c], ds[m], k[0], k[1]);
            mma_16x8x16(w.dq[m][2 * c + 1], ds[m], k[2], k[3]);
        }
    }
}

template <typename P>
__global__ void __launch_bounds__(P::THREADS, P::BLOCKS)
    attention_mma_bwd_queries_kernel(Attention H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o,
                                     bf16* dqkv) {
    constexpr int D = P::D, KEYS = P::KEYS, QUERIES = P::QUERIES, THREADS = P::THREADS, BYTES = sizeof(bf16);
    __shared__ Block kept;  // for the end: two registers too many to wait in
    const Block block = block_of(H, QUERIES);
    if (threadIdx.x == 0) kept = block;
    const int stride = static_cast<int>(H.qkv_stride()), o_stride = static_cast<int>(H.o_stride());
    const int lane = threadIdx.x % WARP, own = static_cast<int>(threadIdx.x / WARP) * P::OWN;
    const int first = block.first + own;
    bf16* queries = dynamic_shared<bf16>();
    bf16* d_out = queries + P::RUN;
    bf16* buffers = d_out + P::RUN;  // keys, then values, twice
    float* shift = reinterpret_cast<float*>(buffers + 4 * P::TILE);
    float* delta = shift + QUERIES;

    const bf16* q = qkv + H.qkv_at(block.b, block.a);
    const bf16* k = q + H.o_stride();
    const bf16* v = k + H.o_stride();
    load_rows<D, QUERIES, THREADS>(queries, q, stride, block.first, H.S);
    load_rows<D, QUERIES, THREADS>(d_out, d_o + H.o_at(block.b, block.a), o_stride, block.first, H.S);
    load_rows<D, KEYS, THREADS>(buffers, k, stride, 0, H.S);
    load_rows<D, KEYS, THREADS>(buffers + P::TILE, v, stride, 0, H.S);
    copy_async_commit();
    const auto packs = load_packs<D, QUERIES, THREADS>(o + H.o_at(block.b, block.a), o_stride, block.first, H.S);
    const auto logs =
        load_logs<D, QUERIES, THREADS>(lse + static_cast<int64_t>(block.head) * H.S, block.first, H.S);
    copy_async_wait<0>();
    statistics<D, QUERIES, THREADS>(shift, delta, d_out, packs, logs);
    rotate_rows<D, QUERIES, THREADS>(queries, H, block.first);

    Queries<P> w = {};
    const float factor = H.scale * LOG2_E;
    const int at = lane_offset<ROW<D>>();
    int used = 0;  // the buffer that holds this tile, in elements
#pragma unroll 1
    for (int key = 0; key < H.S; key += KEYS) {
        copy_async_wait<0>();
        rotate_rows<D, KEYS, THREADS>(buffers + used, H, key);
        __syncthreads();  // this tile is complete, and the one before has been read
        if (key + KEYS < H.S) {
            bf16* next = buffers + (2 * P::TILE - used);
            load_rows<D, KEYS, THREADS>(next, k, stride, key + KEYS, H.S);
            load_rows<D, KEYS, THREADS>(next + P::TILE, v, stride, key + KEYS, H.S);
            copy_async_commit();
        }
        if (first < H.S) {  // the same for all lanes
            if (key == 0)
#pragma unroll
                for (int m = 0; m < P::TILES; m++) {
                    const int row = own + m * 16;
#pragma unroll
                    for (int c = 0; c < D / 16; c++) {
                        ldmatrix_x4(w.q[m][c], shared_address(queries + row * ROW<D> + c * 16) + at);
                        ldmatrix_x4(w.d_out[m][c], shared_address(d_out + row * ROW<D> + c * 16) + at);
                    }
#pragma unroll
                    for (int r = 0; r < 2; r++) {
                        w.shift[m][r] = shift[row + 8 * r + lane / 4];
                        w.delta[m][r] = delta[row + 8 * r + lane / 4];
                    }
                }
            const Shared tile = shared_address(buffers + used) + at;
#pragma unroll 1
            for (int t = 0; t < KEYS && key + t < H.S; t += 16)
                take_keys<P>(w, tile + t * ROW<D> * BYTES, tile + (KEYS + t) * ROW<D> * BYTES, factor, H.S - key - t);
        }
        used = 2 * P::TILE - used;
    }
    if (first >= H.S) return;
    const Block end = kept;
#pragma unroll
    for (int m = 0; m < P::TILES; m++) {
        turn_back<D>(w.dq[m], H, first + m * 16);
        stage_tile<D>(queries + (own + m * 16) * ROW<D>, w.dq[m], H.scale, H.scale);
    }
    __syncwarp();  // the rows are complete
    store_rows<D, P::OWN>(dqkv + H.qkv_at(end.b, end.a), stride, queries + own * ROW<D>, first, H.S);
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <int D>
using KeysPlan = std::conditional_t<D == 128, LongKeys<D, 4, 32, 2>, LongKeys<D, 6, 48, 2>>;
template <int D>
using QueriesPlan = std::conditional_t<D == 128, LongQueries<D, 4, 1, 32, 2>, LongQueries<D, 4, 2, 64, 2>>;

struct Call {
    Attention H;
    const bf16 *qkv, *o;
    const float* lse;
    const bf16* d_o;
    bf16* dqkv;
    trm_stream stream;
};

template <typename P, typename Kernel>
int run(Kernel* kernel, const Call& c, int rows) {
    return launch("attention_bwd", kernel, c.H.B * c.H.A * divide_up(c.H.S, rows), P::THREADS, P::SHARED, c.stream, c.H,
                  c.qkv, c.o, c.lse, c.d_o, c.dqkv);
}

template <typename P>
int run_short(const Call& c) {
    return run<P>(attention_mma_short_bwd_kernel<P>, c, P::ROWS);
}

template <int D>
int backward(const Call& c) {
    const int S = c.H.S;
    if (S <= 32) return run_short<Short<D, 2>>(c);
    if (S <= 64 && shared_fits(Short<D, 4>::SHARED)) return run_short<Short<D, 4>>(c);
    if (S <= 112 && shared_fits(Short<D, 7>::SHARED)) return run_short<Short<D, 7>>(c);
    if (S <= 128 && shared_fits(Short<D, 8>::SHARED)) return run_short<Short<D, 8>>(c);
    const int code = run<KeysPlan<D>>(attention_mma_bwd_keys_kernel<KeysPlan<D>>, c, KeysPlan<D>::KEYS);
    if (code != TRM_OK) return code;
    return run<QueriesPlan<D>>(attention_mma_bwd_queries_kernel<QueriesPlan<D>>, c, QueriesPlan<D>::QUERIES);
}

template <int D>
constexpr size_t NEEDED = KeysPlan<D>::SHARED > QueriesPlan<D>::SHARED ? KeysPlan<D>::SHARED : QueriesPlan<D>::SHARED;

}  // namespace

bool attention_mma_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                            const void* dqkv) {
    return dtype == TRM_BF16 && (H.d == 32 || H.d == 64 || H.d == 128) && H.qkv_stride() <= INT32_MAX &&
           aligned(16, qkv, o, d_o, dqkv, H.cos, H.sin) &&
           shared_fits(H.d == 32 ? NEEDED<32> : H.d == 64 ? NEEDED<64> : NEEDED<128>);
}

int attention_mma_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
                      trm_stream stream) {
    const Call c = {H,
                    static_cast<const bf16*>(qkv),
                    static_cast<const bf16*>(o),
                    lse,
                    static_cast<const bf16*>(d_o),
                    static_cast<bf16*>(dqkv),
                    stream};
    return H.d == 32 ? backward<32>(c) : H.d == 64 ? backward<64>(c) : backward<128>(c);
}

}  // namespace trm
