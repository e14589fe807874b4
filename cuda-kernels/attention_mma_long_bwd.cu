// attention_mma_long_bwd.cu: attention_mma_bwd.cu's operation for every length, in two kernels so that no sum crosses
// blocks: one for dk and dv, whose blocks own keys and walk over queries, one for dq the other way round. The tiles
// they walk over are double-buffered.
//
// Both kernels compute s and dp, and each block delta: an operation has no memory of its own for sums of other blocks.
//
// shapes    as attention_mma_bwd.cu
// numerics  as attention_mma_bwd.cu
// cost      14 S^2 d FLOP a head in seven products, which bind: 4.6 TFLOP for 768 lanes of 916 positions and 8 heads
//           of 64. L2 at that width, with rotation: 640 bytes a query for each 96 keys, 512 a key for each 128 queries

#include "attention_mma_bwd.cuh"

namespace trm {
namespace {

// ---- dk and dv of long sequences ----------------------------------------------------------------------------------

/** WARPS_ times 16 keys a block, QUERIES_ queries in shared memory at a time, twice. Shared memory: k and v, two
 *  buffers of q and do, one of o, two of shift and delta. */
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

    Keys<D, D / 16> w = {};
    const Shared own_keys = shared_address(keys + own * ROW<D>) + by_rows<ROW<D>>();
    const float factor = H.scale * LOG2_E;
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
        __syncthreads();  // this tile is complete, and the previous one has been read
        if (query + QUERIES < H.S) {
            bf16* next = buffers + (1 - used) * 2 * P::TILE;
            load_rows<D, QUERIES, THREADS>(next, q, stride, query + QUERIES, H.S);
            load_rows<D, QUERIES, THREADS>(next + P::TILE, d_o, o_stride, query + QUERIES, H.S);
            load_rows<D, QUERIES, THREADS>(out, o, o_stride, query + QUERIES, H.S);  // read by this thread alone
            copy_async_commit();
            logs = load_logs<D, QUERIES, THREADS>(lse, query + QUERIES, H.S);
        }
        if (first < H.S) {  // the same for the whole warp
            if (query == 0) load_keys(w, own_keys, own_keys + P::RUN * BYTES);
            const Shared columns = shared_address(tile) + by_columns<ROW<D>>();
            const Shared rows = shared_address(tile) + by_rows<ROW<D>>();
#pragma unroll 1
            for (int t = 0; t < QUERIES && query + t < H.S; t += 16) {
                uint32_t ds[4];
                take_queries<P::TILE, 2 * QUERIES, false>(w, ds, own_keys, columns + t * ROW<D> * BYTES,
                                                          rows + t * ROW<D> * BYTES, shift + t + threadIdx.x % 4 * 2,
                                                          factor);
            }
        }
        used = 1 - used;
    }
    if (first >= H.S) return;
    const Block end = kept;
    store_keys(w, H, dqkv + H.qkv_at(end.b, end.a) + H.o_stride(), keys + own * ROW<D>, values + own * ROW<D>, first);
}

// ---- dq of long sequences: a warp owns 16 or 32 queries -----------------------------------------------------------

/** WARPS_ warps of TILES_ times 16 queries a block, KEYS_ keys in shared memory at a time, twice. Shared memory: q and
 *  do, two buffers of k and v, shift and delta. */
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

/** Adds the share of 16 keys to dq; `inside` of them exist. */
template <typename P>
__device__ __forceinline__ void take_keys(Queries<P>& w, Shared keys, Shared values, float factor, int inside) {
    constexpr int D = P::D, BYTES = sizeof(bf16);
    const int rows = by_rows<ROW<D>>(), columns = by_columns<ROW<D>>();
    float s[P::TILES][2][4] = {}, dp[P::TILES][2][4] = {};
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t k[4], v[4];
        ldmatrix_x4(k, keys + columns + c * 16 * BYTES);
        ldmatrix_x4(v, values + columns + c * 16 * BYTES);
#pragma unroll
        for (int m = 0; m < P::TILES; m++) {
            mma_16x8x16(s[m][0], w.q[m][c], k[0], k[1]);
            mma_16x8x16(s[m][1], w.q[m][c], k[2], k[3]);
            mma_16x8x16(dp[m][0], w.d_out[m][c], v[0], v[1]);
            mma_16x8x16(dp[m][1], w.d_out[m][c], v[2], v[3]);
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
        a_fragment(ds[m], dp[m][0], dp[m][1]);
    }
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t k[4];
        ldmatrix_x4_trans(k, keys + rows + c * 16 * BYTES);
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
    const int lane_id = threadIdx.x % WARP, own = static_cast<int>(threadIdx.x / WARP) * P::OWN;
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
    const auto logs = load_logs<D, QUERIES, THREADS>(lse + static_cast<int64_t>(block.head) * H.S, block.first, H.S);
    copy_async_wait<0>();
    statistics<D, QUERIES, THREADS>(shift, delta, d_out, packs, logs);
    rotate_rows<D, QUERIES, THREADS>(queries, H, block.first);

    Queries<P> w = {};
    const float factor = H.scale * LOG2_E;
    const int at = by_rows<ROW<D>>();
    int used = 0;  // the buffer that holds this tile, in elements
#pragma unroll 1
    for (int key = 0; key < H.S; key += KEYS) {
        copy_async_wait<0>();
        rotate_rows<D, KEYS, THREADS>(buffers + used, H, key);
        __syncthreads();  // this tile is complete, and the previous one has been read
        if (key + KEYS < H.S) {
            bf16* next = buffers + (2 * P::TILE - used);
            load_rows<D, KEYS, THREADS>(next, k, stride, key + KEYS, H.S);
            load_rows<D, KEYS, THREADS>(next + P::TILE, v, stride, key + KEYS, H.S);
            copy_async_commit();
        }
        if (first < H.S) {  // the same for the whole warp
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
                        w.shift[m][r] = shift[row + 8 * r + lane_id / 4];
                        w.delta[m][r] = delta[row + 8 * r + lane_id / 4];
                    }
                }
            const Shared tile = shared_address(buffers + used);
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
        rope_bwd<D>(w.dq[m], H, first + m * 16);
        stage_tile<D>(queries + (own + m * 16) * ROW<D>, w.dq[m], H.scale, H.scale);
    }
    __syncwarp();  // the rows are complete
    store_rows<D, P::OWN>(dqkv + H.qkv_at(end.b, end.a), stride, queries + own * ROW<D>, first, H.S);
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <int D>
using KeysPlan = LongKeys<D, 6, 48, 2>;
template <int D>
using QueriesPlan = LongQueries<D, 4, 2, 64, 2>;

template <int D>
int backward(const Backward& c) {
    using K = KeysPlan<D>;
    using Q = QueriesPlan<D>;
    const int code = run_backward<K>(attention_mma_bwd_keys_kernel<K>, c, K::KEYS);
    if (code != TRM_OK) return code;
    return run_backward<Q>(attention_mma_bwd_queries_kernel<Q>, c, Q::QUERIES);
}

template <int D>
bool fits() {
    return shared_fits(KeysPlan<D>::SHARED) && shared_fits(QueriesPlan<D>::SHARED);
}

}  // namespace

bool attention_mma_long_bwd_fits(int d) { return d == 32 ? fits<32>() : fits<64>(); }

int attention_mma_long_bwd(const Backward& c) { return c.H.d == 32 ? backward<32>(c) : backward<64>(c); }

}  // namespace trm
