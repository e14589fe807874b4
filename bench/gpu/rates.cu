// rates.cu: what the GPU and its library reach without us: copy bandwidth, and cuBLASLt at every product of the step.
//
//   gpu_rates [--lt libcublasLt.so.13] [--seconds S] [--yardstick-seconds S] [--only TEXT] [--pool-gib G] [--operands random|zeros]
//
// One JSON object a line: {"what": "copy", ...}, {"what": "product", "name": ..., "m", "n", "k", "tflops", ...}. Operands
// hold random values (power, and with it the clock, depends on them) and rotate over more memory than the L2 cache has.
// A product is asked for as trm.device.cuda.Gemm does: bfloat16 operands, float32 sums; of up to 16 proposals the
// fastest is kept, then repeated for S seconds; the rate is the median over groups of runs.
//
// cuBLASLt is opened with dlopen, and the little of its interface that is used here is declared here: nothing of it is
// needed to build.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace {

// ---- cublasLt.h of CUDA 13, as far as needed -----------------------------------------------------------------------

struct Algorithm {
    uint64_t data[8];
};
struct Proposal {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
constexpr int COMPUTE_32F = 68, R_32F = 0, R_16BF = 14, OP_T = 1;
constexpr int DESC_TRANSA = 3, DESC_TRANSB = 4;
constexpr int LAYOUT_BATCH_COUNT = 5, LAYOUT_BATCH_STRIDE = 6;
constexpr int PREFERENCE_MAX_WORKSPACE = 1, PREFERENCE_REDUCTION_SCHEMES = 3;
constexpr int PREFERENCE_ALIGN_A = 5, PREFERENCE_ALIGN_B = 6, PREFERENCE_ALIGN_C = 7, PREFERENCE_ALIGN_D = 8;
constexpr uint32_t REDUCTION_COMPUTE_TYPE = 2;  // partial sums are not rounded

struct Lt {
    int (*create)(void**);
    size_t (*version)();
    const char* (*text)(int);
    int (*desc_create)(void**, int, int);
    int (*desc_set)(void*, int, const void*, size_t);
    int (*desc_destroy)(void*);
    int (*layout_create)(void**, int, uint64_t, uint64_t, int64_t);
    int (*layout_set)(void*, int, const void*, size_t);
    int (*layout_destroy)(void*);
    int (*preference_create)(void**);
    int (*preference_set)(void*, int, const void*, size_t);
    int (*preference_destroy)(void*);
    int (*propose)(void*, void*, void*, void*, void*, void*, void*, int, Proposal*, int*);
    int (*matmul)(void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, void*,
                  void*, void*, const Algorithm*, void*, size_t, cudaStream_t);
};

[[noreturn]] void stop(const std::string& text) {
    fprintf(stderr, "gpu_rates: %s\n", text.c_str());
    exit(1);
}

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) stop(std::string(what) + ": " + cudaGetErrorString(error));
}

template <typename Function>
void find(void* library, const char* name, Function* function) {
    void* const symbol = dlsym(library, name);
    if (symbol == nullptr) stop(std::string("the library lacks ") + name);
    memcpy(function, &symbol, sizeof symbol);
}

Lt open(const char* path) {
    void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) stop(dlerror());
    Lt lt;
    find(library, "cublasLtCreate", &lt.create);
    find(library, "cublasLtGetVersion", &lt.version);
    find(library, "cublasLtGetStatusString", &lt.text);
    find(library, "cublasLtMatmulDescCreate", &lt.desc_create);
    find(library, "cublasLtMatmulDescSetAttribute", &lt.desc_set);
    find(library, "cublasLtMatmulDescDestroy", &lt.desc_destroy);
    find(library, "cublasLtMatrixLayoutCreate", &lt.layout_create);
    find(library, "cublasLtMatrixLayoutSetAttribute", &lt.layout_set);
    find(library, "cublasLtMatrixLayoutDestroy", &lt.layout_destroy);
    find(library, "cublasLtMatmulPreferenceCreate", &lt.preference_create);
    find(library, "cublasLtMatmulPreferenceSetAttribute", &lt.preference_set);
    find(library, "cublasLtMatmulPreferenceDestroy", &lt.preference_destroy);
    find(library, "cublasLtMatmulAlgoGetHeuristic", &lt.propose);
    find(library, "cublasLtMatmul", &lt.matmul);
    return lt;
}

// ---- memory --------------------------------------------------------------------------------------------------------

__global__ void fill_kernel(uint32_t* words, int64_t count, uint32_t seed) {
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        uint64_t z = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u + seed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        // two bfloat16 of magnitude 2^-4 to 2^-1 and either sign; read as one float32 it is of that size too
        const uint32_t r = static_cast<uint32_t>(z >> 20);
        const uint32_t low = (r & 0x807fu) | ((0x7bu + ((r >> 8) & 3u)) << 7);
        const uint32_t s = r >> 16;
        const uint32_t high = (s & 0x807fu) | ((0x7bu + ((s >> 8) & 3u)) << 7);
        words[i] = high << 16 | low;
    }
}

__global__ void copy_kernel(const uint4* from, uint4* to, int64_t count) {
    const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) * 4 + threadIdx.x;
    uint4 v[4];
#pragma unroll
    for (int j = 0; j < 4; j++)
        if (i + j * blockDim.x < count) v[j] = from[i + j * blockDim.x];
#pragma unroll
    for (int j = 0; j < 4; j++)
        if (i + j * blockDim.x < count) to[i + j * blockDim.x] = v[j];
}

char* pool;
size_t pool_bytes;
bool zeros = false;  // instead of random numbers: the same work at less power

void fill(char* p, size_t bytes, uint32_t seed) {
    if (zeros) {
        check(cudaMemset(p, 0, bytes), "fill");
        return;
    }
    fill_kernel<<<2048, 256>>>(reinterpret_cast<uint32_t*>(p), static_cast<int64_t>(bytes / 4), seed);
    check(cudaGetLastError(), "fill");
}

// ---- timing --------------------------------------------------------------------------------------------------------

struct Times {
    double median, p10, p90;  // milliseconds a run
    int64_t runs;
};

/** Repeats `run(i)` for some seconds, after `warm` runs. Events stand between groups of runs of 2 ms or more. */
template <typename Run>
Times timed(double seconds, int warm, const Run& run) {
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "cudaEventCreate");
    check(cudaEventCreate(&end), "cudaEventCreate");
    int64_t i = 0;
    const auto group = [&](int64_t count) {
        check(cudaEventRecord(begin), "cudaEventRecord");
        for (int64_t j = 0; j < count; j++) run(i++);
        check(cudaEventRecord(end), "cudaEventRecord");
        check(cudaEventSynchronize(end), "cudaEventSynchronize");
        float ms = 0;
        check(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
        return static_cast<double>(ms) / static_cast<double>(count);
    };
    if (warm > 0) group(warm);
    const double first = group(1);
    const int64_t size = std::max<int64_t>(1, static_cast<int64_t>(2 / std::max(first, 1e-4)));
    std::vector<double> ms;
    double spent = 0;
    while (ms.size() < 3 || spent < seconds * 1e3) {
        ms.push_back(group(size));
        spent += ms.back() * static_cast<double>(size);
    }
    check(cudaEventDestroy(begin), "cudaEventDestroy");
    check(cudaEventDestroy(end), "cudaEventDestroy");
    std::sort(ms.begin(), ms.end());
    return {ms[ms.size() / 2], ms[ms.size() / 10], ms[ms.size() * 9 / 10], i};
}

void copies(double seconds) {
    const size_t bytes = pool_bytes / 2 / 4096 * 4096;
    char* const to = pool + bytes;
    const int64_t packs = static_cast<int64_t>(bytes / 16);
    for (const int threads : {256, 512, 1024}) {
        const int64_t blocks = (packs + threads * 4 - 1) / (threads * 4);
        const Times t = timed(seconds, 2, [&](int64_t i) {
            const bool forth = i % 2 == 0;
            copy_kernel<<<static_cast<unsigned>(blocks), threads>>>(reinterpret_cast<uint4*>(forth ? pool : to),
                                                                    reinterpret_cast<uint4*>(forth ? to : pool), packs);
        });
        check(cudaGetLastError(), "copy_kernel");
        printf(
            "{\"what\": \"copy\", \"name\": \"kernel, %d threads\", \"bytes\": %zu, \"ms\": %.5f, \"gb_per_s\": "
            "%.1f}\n",
            threads, 2 * bytes, t.median, 2.0 * static_cast<double>(bytes) / t.median * 1e-6);
    }
    const Times t = timed(seconds, 2, [&](int64_t i) {
        check(cudaMemcpyAsync(i % 2 == 0 ? to : pool, i % 2 == 0 ? pool : to, bytes, cudaMemcpyDeviceToDevice), "copy");
    });
    printf("{\"what\": \"copy\", \"name\": \"cudaMemcpyAsync\", \"bytes\": %zu, \"ms\": %.5f, \"gb_per_s\": %.1f}\n",
           2 * bytes, t.median, 2.0 * static_cast<double>(bytes) / t.median * 1e-6);
}

// ---- products ------------------------------------------------------------------------------------------------------

/** C = op(A) op(B), column-major, as in trm.device.cuda.Gemm; C is added to where `add`. */
struct Product {
    std::string name;
    bool transpose_a, transpose_b;
    int64_t m, n, k, lda, ldb, ldc;
    int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
    bool wide = false;  // C in float32
    bool add = false;

    int64_t bytes_a() const { return 2 * (stride_a * (batch - 1) + lda * (transpose_a ? m : k)); }
    int64_t bytes_b() const { return 2 * (stride_b * (batch - 1) + ldb * (transpose_b ? k : n)); }
    int64_t bytes_c() const { return (wide ? 4 : 2) * (stride_c * (batch - 1) + ldc * n); }
    double flop() const {
        return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) *
               static_cast<double>(batch);
    }
    /** What must move: each operand once, without the padding of leading dimensions. */
    double bytes() const {
        const double of_a = 2.0 * static_cast<double>(m * k * (stride_a > 0 ? batch : 1));
        const double of_b = 2.0 * static_cast<double>(k * n * (stride_b > 0 ? batch : 1));
        return of_a + of_b + (wide ? 4.0 : 2.0) * (add ? 2.0 : 1.0) * static_cast<double>(m * n * batch);
    }
};

Product single(const std::string& name, bool ta, bool tb, int64_t m, int64_t n, int64_t k) {
    Product p{name, ta, tb, m, n, k, ta ? k : m, tb ? n : k, m};
    return p;
}

/** y [rows, n] = x [rows, k] w^T; its gradients of x and, in float32 and added, of w. */
void linear(std::vector<Product>& all, int64_t rows, int64_t n, int64_t k) {
    const std::string of = "rows=" + std::to_string(rows) + " n=" + std::to_string(n) + " k=" + std::to_string(k);
    all.push_back(single("linear " + of, true, false, n, rows, k));
    all.push_back(single("linear_bwd_x " + of, false, false, k, rows, n));
    Product dw = single("linear_bwd_w " + of, false, true, k, n, rows);
    dw.wide = dw.add = true;
    all.push_back(dw);
    if (n == 512) {  // could take the residual along
        Product add = single("linear+residual " + of, true, false, n, rows, k);
        add.add = true;
        all.push_back(add);
    }
}

/** y_b [n, d] = w [n, k] x_b [k, d] over lanes, and gradients; rows of w lie `ld` elements apart. */
void mix(std::vector<Product>& all, int64_t lanes, int64_t n, int64_t k, int64_t d, int64_t ld) {
    const std::string of = "lanes=" + std::to_string(lanes) + " n=" + std::to_string(n) + " k=" + std::to_string(k) +
                           " d=" + std::to_string(d) + " ld=" + std::to_string(ld);
    all.push_back({"mix " + of, false, false, d, n, k, d, ld, d, lanes, k * d, 0, n * d});
    all.push_back({"mix_bwd_x " + of, false, true, d, k, n, d, ld, d, lanes, n * d, 0, k * d});
    Product dw{"mix_bwd_w " + of, true, false, k, n, lanes * d, lanes * d, lanes * d, ld};
    dw.wide = dw.add = true;
    all.push_back(dw);
    // positions outermost, [k, lanes * d]: one product, as long as that many columns
    all.push_back({"mix, positions outermost " + of, false, false, lanes * d, n, k, lanes * d, ld, lanes * d});
    all.push_back({"mix_bwd_x, positions outermost " + of, false, true, lanes * d, k, n, lanes * d, ld, lanes * d});
}

std::vector<Product> products() {
    std::vector<Product> all;
    all.push_back(single("yardstick 8192^3", true, false, 8192, 8192, 8192));
    for (const int64_t rows : {768 * 97, 192 * 916}) {
        linear(all, rows, 3072, 512);
        linear(all, rows, 512, 1536);
        linear(all, rows, 1536, 512);
        linear(all, rows, 512, 512);
    }
    for (const int64_t ld : {97, 104, 128}) mix(all, 768, 1024, 97, 512, ld);
    mix(all, 768, 97, 512, 512, 512);
    mix(all, 768, 1024, 128, 512, 128);  // positions padded with zeros
    mix(all, 768, 128, 512, 512, 512);
    return all;
}

int alignment_of(int64_t ld, int64_t stride, int64_t element) {
    const int64_t bits = 256 | ld * element | stride * element;
    return static_cast<int>(bits & -bits);
}

class Library {
public:
    explicit Library(const char* path) : lt_(open(path)) {
        ok(lt_.create(&handle_), "cublasLtCreate");
        check(cudaMalloc(&workspace_, WORKSPACE), "workspace");
    }

    size_t version() const { return lt_.version(); }

    void measure(const Product& p, double seconds) {
        void *desc, *a, *b, *c, *wanted;
        ok(lt_.desc_create(&desc, COMPUTE_32F, R_32F), "MatmulDescCreate");
        const int32_t transposed = OP_T;
        if (p.transpose_a) ok(lt_.desc_set(desc, DESC_TRANSA, &transposed, sizeof transposed), "TRANSA");
        if (p.transpose_b) ok(lt_.desc_set(desc, DESC_TRANSB, &transposed, sizeof transposed), "TRANSB");
        a = layout(R_16BF, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.batch, p.stride_a);
        b = layout(R_16BF, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.batch, p.stride_b);
        c = layout(p.wide ? R_32F : R_16BF, p.m, p.n, p.ldc, p.batch, p.stride_c);
        ok(lt_.preference_create(&wanted), "PreferenceCreate");
        const uint64_t most = WORKSPACE;
        ok(lt_.preference_set(wanted, PREFERENCE_MAX_WORKSPACE, &most, sizeof most), "workspace");
        const uint32_t schemes = REDUCTION_COMPUTE_TYPE;
        ok(lt_.preference_set(wanted, PREFERENCE_REDUCTION_SCHEMES, &schemes, sizeof schemes), "reduction schemes");
        const uint32_t of_a = alignment_of(p.lda, p.stride_a, 2), of_b = alignment_of(p.ldb, p.stride_b, 2),
                       of_c = alignment_of(p.ldc, p.stride_c, p.wide ? 4 : 2);
        ok(lt_.preference_set(wanted, PREFERENCE_ALIGN_A, &of_a, sizeof of_a), "alignment");
        ok(lt_.preference_set(wanted, PREFERENCE_ALIGN_B, &of_b, sizeof of_b), "alignment");
        ok(lt_.preference_set(wanted, PREFERENCE_ALIGN_C, &of_c, sizeof of_c), "alignment");
        ok(lt_.preference_set(wanted, PREFERENCE_ALIGN_D, &of_c, sizeof of_c), "alignment");
        Proposal proposals[CANDIDATES] = {};
        int count = 0;
        const int status = lt_.propose(handle_, desc, a, b, c, c, wanted, CANDIDATES, proposals, &count);
        if (status != 0 || count == 0) {
            printf("{\"what\": \"product\", \"name\": \"%s\", \"error\": \"no proposal: %s\"}\n", p.name.c_str(),
                   lt_.text(status));
        } else {
            const int64_t set = round_up(p.bytes_a()) + round_up(p.bytes_b()) + round_up(p.bytes_c());
            const int64_t sets = std::clamp<int64_t>(static_cast<int64_t>(pool_bytes) / set, 1, ROTATED / set + 1);
            if (set > static_cast<int64_t>(pool_bytes)) stop(p.name + " needs " + std::to_string(set) + " bytes");
            const float one = 1, beta = p.add ? 1 : 0;
            int last = 0;
            const auto run = [&](const Algorithm& algorithm, int64_t i) {
                char* const at_a = pool + i % sets * set;
                char* const at_b = at_a + round_up(p.bytes_a());
                char* const at_c = at_b + round_up(p.bytes_b());
                last = lt_.matmul(handle_, desc, &one, at_a, a, at_b, b, &beta, at_c, c, at_c, c, &algorithm,
                                  workspace_, WORKSPACE, nullptr);
            };
            int best = -1;
            double best_ms = INFINITY, first_ms = 0;
            for (int i = 0; i < count; i++) {
                run(proposals[i].algorithm, 0);
                const cudaError_t error = cudaDeviceSynchronize();
                if (error != cudaSuccess) stop(p.name + ": " + cudaGetErrorString(error));
                if (last != 0) continue;
                const double ms = timed(0, 1, [&](int64_t j) { run(proposals[i].algorithm, j); }).median;
                if (i == 0) first_ms = ms;
                if (ms < best_ms) {
                    best_ms = ms;
                    best = i;
                }
            }
            if (best < 0) {
                printf("{\"what\": \"product\", \"name\": \"%s\", \"error\": \"no proposal runs: %s\"}\n",
                       p.name.c_str(), lt_.text(last));
            } else {
                refill();
                const Times t = timed(seconds, 2, [&](int64_t j) { run(proposals[best].algorithm, j); });
                const double tflops = p.flop() / t.median * 1e-9;
                printf(
                    "{\"what\": \"product\", \"name\": \"%s\", \"m\": %lld, \"n\": %lld, \"k\": %lld, \"batch\": %lld, "
                    "\"ms\": %.5f, \"ms_p10\": %.5f, \"ms_p90\": %.5f, \"runs\": %lld, \"flop\": %.6g, \"bytes\": "
                    "%.6g, "
                    "\"tflops\": %.1f, \"gb_per_s\": %.1f, \"proposals\": %d, \"chosen\": %d, \"first_ms\": %.5f, "
                    "\"buffer_sets\": %lld}\n",
                    p.name.c_str(), static_cast<long long>(p.m), static_cast<long long>(p.n),
                    static_cast<long long>(p.k), static_cast<long long>(p.batch), t.median, t.p10, t.p90,
                    static_cast<long long>(t.runs), p.flop(), p.bytes(), tflops, p.bytes() / t.median * 1e-6, count,
                    best, first_ms, static_cast<long long>(sets));
            }
        }
        fflush(stdout);
        lt_.preference_destroy(wanted);
        lt_.layout_destroy(a);
        lt_.layout_destroy(b);
        lt_.layout_destroy(c);
        lt_.desc_destroy(desc);
    }

private:
    static constexpr size_t WORKSPACE = 32u << 20;
    static constexpr int CANDIDATES = 16;
    static constexpr int64_t ROTATED = 512ll << 20;  // bytes: several times any L2 cache

    static int64_t round_up(int64_t bytes) { return (bytes + 255) / 256 * 256; }

    /** Sums that were added over and over grow: every product begins with fresh operands. */
    static void refill() { fill(pool, pool_bytes, 1); }

    void ok(int status, const char* what) const {
        if (status != 0) stop(std::string(what) + ": " + lt_.text(status));
    }

    void* layout(int type, int64_t rows, int64_t columns, int64_t ld, int64_t batch, int64_t stride) const {
        void* made;
        ok(lt_.layout_create(&made, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), ld),
           "MatrixLayoutCreate");
        const int32_t count = static_cast<int32_t>(batch);
        ok(lt_.layout_set(made, LAYOUT_BATCH_COUNT, &count, sizeof count), "batch count");
        ok(lt_.layout_set(made, LAYOUT_BATCH_STRIDE, &stride, sizeof stride), "batch stride");
        return made;
    }

    Lt lt_;
    void* handle_ = nullptr;
    void* workspace_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const char* path = "libcublasLt.so.13";
    std::string only;
    double seconds = 0.5, yardstick = 2;
    pool_bytes = 8ull << 30;
    for (int i = 1; i < argc; i += 2) {
        const std::string option = argv[i];
        if (i + 1 == argc) stop(option + " lacks its value");
        if (option == "--lt")
            path = argv[i + 1];
        else if (option == "--seconds")
            seconds = atof(argv[i + 1]);
        else if (option == "--yardstick-seconds")
            yardstick = atof(argv[i + 1]);
        else if (option == "--only")
            only = argv[i + 1];
        else if (option == "--pool-gib")
            pool_bytes = static_cast<size_t>(atof(argv[i + 1]) * (1ull << 30));
        else if (option == "--operands" &&
                 (std::string(argv[i + 1]) == "random" || std::string(argv[i + 1]) == "zeros"))
            zeros = std::string(argv[i + 1]) == "zeros";
        else
            stop("unknown option " + option);
    }
    if (!(seconds >= 0 && yardstick >= 0) || pool_bytes < (1u << 20)) stop("a value is out of range");
    check(cudaMalloc(reinterpret_cast<void**>(&pool), pool_bytes), "operands");
    fill(pool, pool_bytes, 1);
    check(cudaDeviceSynchronize(), "fill");
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
    Library library(path);
    printf(
        "{\"what\": \"device\", \"name\": \"%s\", \"sms\": %d, \"l2_bytes\": %d, \"memory_bytes\": %zu, "
        "\"cublaslt\": %zu}\n",
        device.name, device.multiProcessorCount, device.l2CacheSize, device.totalGlobalMem, library.version());
    if (only.empty() || only == "copy") copies(seconds);
    for (const Product& p : products())
        if (only.empty() || p.name.find(only) != std::string::npos)
            library.measure(p, p.name.rfind("yardstick", 0) == 0 ? yardstick : seconds);
    return 0;
}
