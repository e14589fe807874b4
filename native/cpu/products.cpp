// products.cpp: matrix products through oneDNN.
//
// A product is cut into tiles whose sizes follow from the shapes alone, and each tile is one single-threaded oneDNN
// call: oneDNN's own split over threads changes with their number, ours does not.
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <unordered_map>

#include "cpu.h"
#include "oneapi/dnnl/dnnl.h"
#include "oneapi/dnnl/dnnl_debug.h"

namespace trm {
namespace {

// ---- one tile: C[m, n] (+)= A[m, k] B[k, n] -------------------------------------------------------------------------

// Element (i, j) of a matrix lies at i * row + j * column; C is row-major.
struct Tile {
    int64_t m, n, k;
    int64_t a_row, a_column, b_row, b_column, c_row;
    int64_t in, out;  // TRM_F32 or TRM_BF16
    int64_t accumulate;

    bool operator==(const Tile& other) const { return !std::memcmp(this, &other, sizeof *this); }
};

struct TileHash {
    size_t operator()(const Tile& tile) const {
        uint64_t words[sizeof tile / 8], hash = 0;
        std::memcpy(words, &tile, sizeof tile);
        for (uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
        return hash;
    }
};

struct Primitive {
    dnnl_primitive_t primitive = nullptr;
    dnnl_memory_t a = nullptr, b = nullptr, c = nullptr, scratch = nullptr;

    Primitive() = default;
    Primitive(const Primitive&) = delete;
    ~Primitive() {
        for (dnnl_memory_t memory : {a, b, c, scratch})
            if (memory) dnnl_memory_destroy(memory);
        if (primitive) dnnl_primitive_destroy(primitive);
    }
};

struct Engine {
    dnnl_engine_t engine = nullptr;
    dnnl_status_t status = dnnl_success;
    void (*set_threads)(int) = nullptr;  // of the OpenMP library that oneDNN runs on
};

const Engine& engine() {
    static const Engine instance = [] {
        Engine e;
        // Looked up by name because the OpenMP library comes with oneDNN and is not known when this is linked. This
        // library's search order ends with its dependencies, so it finds the one that oneDNN is bound to.
        e.set_threads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
        e.status = e.set_threads ? dnnl_engine_create(&e.engine, dnnl_cpu, 0) : dnnl_runtime_error;
        return e;
    }();
    return instance;
}

#define TRM_DNNL(call) \
    do { \
        dnnl_status_t status_ = (call); \
        if (status_ != dnnl_success) return status_; \
    } while (0)

// What a thread needs to run tiles. After the first use of a shape, running it allocates nothing here.
class Worker {
public:
    ~Worker() {
        primitives_.clear();
        std::free(scratch_);
        if (stream_) dnnl_stream_destroy(stream_);
    }

    dnnl_status_t run(const Tile& tile, const void* a, const void* b, void* c) {
        auto found = primitives_.find(tile);
        if (found == primitives_.end()) {
            TRM_DNNL(start());
            found = primitives_.try_emplace(tile).first;
            dnnl_status_t status = create(tile, found->second);
            if (status != dnnl_success) {
                primitives_.erase(found);
                return status;
            }
        }
        const Primitive& p = found->second;
        TRM_DNNL(dnnl_memory_set_data_handle(p.a, const_cast<void*>(a)));
        TRM_DNNL(dnnl_memory_set_data_handle(p.b, const_cast<void*>(b)));
        TRM_DNNL(dnnl_memory_set_data_handle(p.c, c));
        TRM_DNNL(dnnl_memory_set_data_handle(p.scratch, scratch_));
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, p.a},
                                             {DNNL_ARG_WEIGHTS, p.b},
                                             {DNNL_ARG_DST, p.c},
                                             {DNNL_ARG_SCRATCHPAD, p.scratch}};
        return dnnl_primitive_execute(p.primitive, stream_, 4, arguments);
    }

private:
    dnnl_status_t start() {
        if (stream_) return dnnl_success;
        const Engine& e = engine();
        if (e.status != dnnl_success) return e.status;
        e.set_threads(1);  // holds for this thread only; primitives remember it
        return dnnl_stream_create(&stream_, e.engine, dnnl_stream_default_flags);
    }

    static dnnl_status_t describe(dnnl_memory_desc_t* desc, int64_t rows, int64_t columns, int64_t row, int64_t column,
                                  int64_t dtype) {
        const dnnl_dims_t dims = {rows, columns}, strides = {row, column};
        return dnnl_memory_desc_create_with_strides(desc, 2, dims, dtype == TRM_BF16 ? dnnl_bf16 : dnnl_f32, strides);
    }

    dnnl_status_t create(const Tile& t, Primitive& p) {
        struct Parts {
            dnnl_memory_desc_t a = nullptr, b = nullptr, c = nullptr;
            dnnl_post_ops_t sum = nullptr;
            dnnl_primitive_attr_t attributes = nullptr;
            dnnl_primitive_desc_t desc = nullptr;
            ~Parts() {
                for (dnnl_memory_desc_t memory : {a, b, c})
                    if (memory) dnnl_memory_desc_destroy(memory);
                if (sum) dnnl_post_ops_destroy(sum);
                if (attributes) dnnl_primitive_attr_destroy(attributes);
                if (desc) dnnl_primitive_desc_destroy(desc);
            }
        } parts;
        dnnl_engine_t cpu = engine().engine;
        TRM_DNNL(describe(&parts.a, t.m, t.k, t.a_row, t.a_column, t.in));
        TRM_DNNL(describe(&parts.b, t.k, t.n, t.b_row, t.b_column, t.in));
        TRM_DNNL(describe(&parts.c, t.m, t.n, t.c_row, 1, t.out));
        TRM_DNNL(dnnl_primitive_attr_create(&parts.attributes));
        TRM_DNNL(dnnl_primitive_attr_set_scratchpad_mode(parts.attributes, dnnl_scratchpad_mode_user));
        if (t.accumulate) {
            TRM_DNNL(dnnl_post_ops_create(&parts.sum));
            TRM_DNNL(dnnl_post_ops_append_sum(parts.sum, 1.0f, 0, dnnl_data_type_undef));
            TRM_DNNL(dnnl_primitive_attr_set_post_ops(parts.attributes, parts.sum));
        }
        TRM_DNNL(
            dnnl_matmul_primitive_desc_create(&parts.desc, cpu, parts.a, parts.b, nullptr, parts.c, parts.attributes));
        TRM_DNNL(dnnl_primitive_create(&p.primitive, parts.desc));
        const_dnnl_memory_desc_t scratch = dnnl_primitive_desc_query_md(parts.desc, dnnl_query_scratchpad_md, 0);
        TRM_DNNL(reserve(scratch ? dnnl_memory_desc_get_size(scratch) : 0));
        TRM_DNNL(dnnl_memory_create(&p.a, parts.a, cpu, DNNL_MEMORY_NONE));
        TRM_DNNL(dnnl_memory_create(&p.b, parts.b, cpu, DNNL_MEMORY_NONE));
        TRM_DNNL(dnnl_memory_create(&p.c, parts.c, cpu, DNNL_MEMORY_NONE));
        return dnnl_memory_create(&p.scratch, scratch, cpu, DNNL_MEMORY_NONE);
    }

    dnnl_status_t reserve(size_t bytes) {
        if (bytes <= size_) return dnnl_success;
        size_t size = (bytes + 4095) / 4096 * 4096;
        void* scratch = std::aligned_alloc(4096, size);
        if (!scratch) return dnnl_out_of_memory;
        std::free(scratch_);
        scratch_ = scratch;
        size_ = size;
        return dnnl_success;
    }

    dnnl_stream_t stream_ = nullptr;
    void* scratch_ = nullptr;
    size_t size_ = 0;
    std::unordered_map<Tile, Primitive, TileHash> primitives_;
};

thread_local Worker worker;

// ---- a product cut into tiles ---------------------------------------------------------------------------------------

// C_b (+)= A_b B_b for b = 0 .. batch-1, the matrices of one batch entry `*_step` elements after those of the one
// before. With c_step = 0 all are added into one C, in the order of b.
struct Product {
    int64_t batch;
    Tile whole;
    const void* a;
    const void* b;
    void* c;
    int64_t a_step, b_step, c_step;
    int64_t rows, columns;  // of a tile; the last ones may be smaller
};

int64_t parts(int64_t count, int64_t size) { return (count + size - 1) / size; }

// The size of `pieces` equal pieces, rounded up to a multiple of `unit` where there is more than one.
int64_t piece(int64_t count, int64_t pieces, int64_t unit) {
    return pieces == 1 ? count : std::min(count, parts(parts(count, pieces), unit) * unit);
}

int run(const Product& p) {
    const Tile& whole = p.whole;
    const int64_t rows = p.rows, columns = p.columns;
    const int64_t row_parts = parts(whole.m, rows), column_parts = parts(whole.n, columns);
    const int64_t lanes = p.c_step ? p.batch : 1, inner = p.c_step ? 1 : p.batch;
    const int64_t in_size = whole.in == TRM_BF16 ? 2 : 4, out_size = whole.out == TRM_BF16 ? 2 : 4;
    std::atomic<int> status{dnnl_success};
    auto task = [&](int64_t index) {
        const int64_t row = index % row_parts * rows;
        const int64_t column = index / row_parts % column_parts * columns;
        const int64_t lane = index / row_parts / column_parts;
        Tile tile = whole;
        tile.m = std::min(rows, whole.m - row);
        tile.n = std::min(columns, whole.n - column);
        const char* a = static_cast<const char*>(p.a) + (lane * p.a_step + row * whole.a_row) * in_size;
        const char* b = static_cast<const char*>(p.b) + (lane * p.b_step + column * whole.b_column) * in_size;
        char* c = static_cast<char*>(p.c) + (lane * p.c_step + row * whole.c_row + column) * out_size;
        for (int64_t i = 0; i < inner; i++) {
            if (status.load(std::memory_order_relaxed) != dnnl_success) return;
            int result = worker.run(tile, a + i * p.a_step * in_size, b + i * p.b_step * in_size, c);
            if (result != dnnl_success) status.store(result, std::memory_order_relaxed);
        }
    };
    const double flops = 2.0 * double(std::min(rows, whole.m)) * double(std::min(columns, whole.n)) * double(whole.k);
    parallel_for(lanes * row_parts * column_parts, double(inner) * (500 + flops / 60), task);
    const int result = status.load();
    if (result == dnnl_success) return TRM_OK;
    if (!engine().set_threads) return device_error("the OpenMP library of oneDNN has no omp_set_num_threads");
    return device_error("oneDNN: %s, for %lld x [%lld, %lld] x [%lld, %lld] in %s%s",
                        dnnl_status2str(dnnl_status_t(result)), (long long) p.batch, (long long) whole.m,
                        (long long) whole.k, (long long) whole.k, (long long) whole.n,
                        whole.in == TRM_BF16 ? "bfloat16" : "float32",
                        whole.in == TRM_BF16 && result == dnnl_unimplemented
                            ? "; this processor may lack bfloat16 products (AVX-512), use float32"
                            : "");
}

// ---- entries --------------------------------------------------------------------------------------------------------

// Sizes of a tile: large enough for oneDNN's full rate, small enough to give several threads work. Cut in half, across
// the longer side, while there are few tiles and each is long; the numbers depend on the shapes alone.
Product cut(Product p) {
    const Tile& w = p.whole;
    const int64_t lanes = p.c_step ? p.batch : 1, inner = p.c_step ? 1 : p.batch, wanted = p.c_step ? 8 : 4;
    int64_t row_parts = parts(w.m, 224), column_parts = parts(w.n, 768);
    for (;;) {
        p.rows = piece(w.m, row_parts, 16);
        p.columns = piece(w.n, column_parts, 64);
        const double flops = 2.0 * double(inner) * double(p.rows) * double(p.columns) * double(w.k);
        if (lanes * row_parts * column_parts >= wanted || flops < 4e6) return p;
        if (p.columns >= 2 * p.rows && p.columns >= 128)
            column_parts *= 2;
        else if (p.rows >= 32)
            row_parts *= 2;
        else
            return p;
    }
}

}  // namespace

namespace products {

TRM_PRODUCTS(TRM_DECLARE)

int linear(const void* x, const void* w, void* y, int64_t M, int32_t N, int32_t K, int32_t dtype, trm_stream) {
    TRM_CHECK(linear);
    if (M == 0) return TRM_OK;
    return run(cut({1, {M, N, K, K, 1, 1, K, N, dtype, dtype, 0}, x, w, y, 0, 0, 1, 0, 0}));
}

int linear_bwd_x(const void* dy, const void* w, void* dx, int64_t M, int32_t N, int32_t K, int32_t accumulate,
                 int32_t dtype, trm_stream) {
    TRM_CHECK(linear_bwd_x);
    if (M == 0) return TRM_OK;
    return run(cut({1, {M, K, N, N, 1, K, 1, K, dtype, dtype, accumulate != 0}, dy, w, dx, 0, 0, 1, 0, 0}));
}

int linear_bwd_w(const void* dy, const void* x, float* dw, int64_t M, int32_t N, int32_t K, int32_t dtype, trm_stream) {
    TRM_CHECK(linear_bwd_w);
    if (M == 0) return TRM_OK;
    return run(cut({1, {N, K, M, 1, N, K, 1, K, dtype, TRM_F32, 1}, dy, x, dw, 0, 0, 1, 0, 0}));
}

int mix(const void* x, const void* w, void* y, int64_t B, int32_t N, int32_t K, int32_t D, int32_t dtype, trm_stream) {
    TRM_CHECK(mix);
    const int64_t k_d = int64_t(K) * D, n_d = int64_t(N) * D;
    if (B == 0) return TRM_OK;
    return run(cut({B, {N, D, K, K, 1, D, 1, D, dtype, dtype, 0}, w, x, y, 0, k_d, n_d, 0, 0}));
}

int mix_bwd_x(const void* dy, const void* w, void* dx, int64_t B, int32_t N, int32_t K, int32_t D, int32_t accumulate,
              int32_t dtype, trm_stream) {
    TRM_CHECK(mix_bwd_x);
    const int64_t k_d = int64_t(K) * D, n_d = int64_t(N) * D;
    if (B == 0) return TRM_OK;
    return run(cut({B, {K, D, N, 1, K, D, 1, D, dtype, dtype, accumulate != 0}, w, dy, dx, 0, n_d, k_d, 0, 0}));
}

int mix_bwd_w(const void* dy, const void* x, float* dw, int64_t B, int32_t N, int32_t K, int32_t D, int32_t dtype,
              trm_stream) {
    TRM_CHECK(mix_bwd_w);
    const int64_t k_d = int64_t(K) * D, n_d = int64_t(N) * D;
    if (B == 0) return TRM_OK;
    return run(cut({B, {N, K, D, D, 1, 1, D, K, dtype, TRM_F32, 1}, dy, x, dw, n_d, k_d, 0, 0, 0}));
}

static void enter(trm_backend* table) { TRM_PRODUCTS(TRM_ENTER) }

}  // namespace products

void fill_products(trm_backend* table) { products::enter(table); }

}  // namespace trm
