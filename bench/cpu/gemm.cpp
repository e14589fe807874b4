// gemm.cpp: the rate of a library's bare matrix product, at the shapes of the trainer's operations.
//
//   gemm [--threads 1,2] [--ms 100] [--openblas libopenblas.so.0] [--packed] [--json]   < shapes
//
// A line of input is `operation dtype batch m n k`: batch products [m, k] x [k, n] of that operation of trm_ops.h, which
// says how the operands lie. Each library runs the whole product with its own threads; operands are warm. Rounds of the
// libraries alternate; printed are the median and the best of five rounds of --ms milliseconds each, in GFLOP/s.
//
// Operands follow native/cpu/products.cpp: `linear` y = x W^T, weight gradients transposed and added to, a product over
// positions with one W for all lanes; its weight gradient is one accumulating product a lane. `--packed` lets oneDNN
// choose the layout of its second operand, reordered beforehand. OpenBLAS is measured in float32 only.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace {

struct Problem {
    std::string operation, dtype;
    int64_t batch, m, n, k;
    bool a_transposed, b_transposed, accumulate, sum_batch, shared_a;

    double flops() const { return 2.0 * double(batch) * double(m) * double(n) * double(k); }
};

bool parse(const std::string& line, Problem& p) {
    std::istringstream in(line);
    if (!(in >> p.operation >> p.dtype >> p.batch >> p.m >> p.n >> p.k)) return false;
    const std::string& o = p.operation;
    const bool linear = o == "linear" || o == "linear_bwd_x" || o == "linear_bwd_w";
    const bool mix = o == "mix" || o == "mix_bwd_x" || o == "mix_bwd_w";
    p.a_transposed = o == "linear_bwd_w" || o == "mix_bwd_x";
    p.b_transposed = o == "linear" || o == "mix_bwd_w";
    p.accumulate = o == "linear_bwd_w" || o == "mix_bwd_w";
    p.sum_batch = o == "mix_bwd_w";
    p.shared_a = o == "mix" || o == "mix_bwd_x";
    return (linear || mix) && (p.dtype == "float32" || p.dtype == "bfloat16") && p.batch > 0 && p.m > 0 && p.n > 0 &&
           p.k > 0 && (mix || p.batch == 1);
}

// Zeroed memory on a page boundary, filled with small numbers of either type's bits.
struct Buffer {
    explicit Buffer(size_t bytes) : data(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)) {
        if (!data) {
            std::fprintf(stderr, "gemm: no memory for %zu bytes\n", bytes);
            std::exit(1);
        }
        for (size_t i = 0; i < bytes / 4; i++) static_cast<uint32_t*>(data)[i] = 0x3c003c00u + uint32_t(i % 113);
    }
    ~Buffer() { std::free(data); }
    Buffer(const Buffer&) = delete;

    void* data;
};

using Work = std::function<void()>;

dnnl::memory::dims strides(int64_t rows, int64_t columns, bool transposed) {
    return transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1};
}

struct OneDnn {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};

    // One call of the operation. A product over positions is one batched call; its weight gradient is one call a lane.
    Work work(const Problem& p, Buffer& a, Buffer& b, Buffer& c, bool packed) {
        using dnnl::memory;
        const auto in = p.dtype == "bfloat16" ? memory::data_type::bf16 : memory::data_type::f32;
        const auto out = p.accumulate ? memory::data_type::f32 : in;
        const bool batched = p.shared_a && p.batch > 1;
        memory::dims sa = strides(p.m, p.k, p.a_transposed), sb = strides(p.k, p.n, p.b_transposed), sc = {p.n, 1};
        memory::dims da = {p.m, p.k}, db = {p.k, p.n}, dc = {p.m, p.n};
        if (batched) {
            da.insert(da.begin(), 1), sa.insert(sa.begin(), p.m * p.k);
            db.insert(db.begin(), p.batch), sb.insert(sb.begin(), p.k * p.n);
            dc.insert(dc.begin(), p.batch), sc.insert(sc.begin(), p.m * p.n);
        }
        memory::desc ma(da, in, sa), mb(db, in, sb), mc(dc, out, sc);
        dnnl::primitive_attr attributes;
        if (p.accumulate) {
            dnnl::post_ops sum;
            sum.append_sum(1.0f);
            attributes.set_post_ops(sum);
        }
        memory::desc chosen = packed ? memory::desc(db, in, memory::format_tag::any) : mb;
        dnnl::matmul::primitive_desc description(engine, ma, chosen, mc, attributes);
        dnnl::matmul product(description);
        memory mem_b(mb, engine, b.data);
        if (packed) {
            memory reordered(description.weights_desc(), engine);
            dnnl::reorder(mem_b, reordered).execute(stream, mem_b, reordered);
            mem_b = reordered;
        }
        const size_t size = in == memory::data_type::bf16 ? 2 : 4;
        const int64_t calls = p.sum_batch ? p.batch : 1;
        memory mem_a(ma, engine, a.data), mem_c(mc, engine, c.data);
        return [=, this, &a, &b]() mutable {
            for (int64_t i = 0; i < calls; i++) {
                if (calls > 1) {
                    mem_a.set_data_handle(static_cast<char*>(a.data) + size_t(i * p.m * p.k) * size);
                    mem_b.set_data_handle(static_cast<char*>(b.data) + size_t(i * p.k * p.n) * size);
                }
                product.execute(stream, {{DNNL_ARG_SRC, mem_a}, {DNNL_ARG_WEIGHTS, mem_b}, {DNNL_ARG_DST, mem_c}});
            }
            stream.wait();
        };
    }
};

struct OpenBlas {
    using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*,
                           int);
    Sgemm sgemm = nullptr;
    void (*set_threads)(int) = nullptr;
    const char* (*config)() = nullptr;

    explicit OpenBlas(const char* path) {
        void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            std::fprintf(stderr, "gemm: %s\n", dlerror());
            std::exit(1);
        }
        sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
        set_threads = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
        config = reinterpret_cast<const char* (*) ()>(dlsym(library, "openblas_get_config"));
        if (!sgemm || !set_threads || !config) {
            std::fprintf(stderr, "gemm: %s is no OpenBLAS\n", path);
            std::exit(1);
        }
    }

    Work work(const Problem& p, Buffer& a, Buffer& b, Buffer& c) const {
        const int m = int(p.m), n = int(p.n), k = int(p.k);
        const int row_major = 101, plain = 111, transposed = 112;
        return [=, this, &a, &b, &c] {
            for (int64_t i = 0; i < p.batch; i++) {
                const float* x = static_cast<const float*>(a.data) + (p.shared_a ? 0 : i * p.m * p.k);
                const float* y = static_cast<const float*>(b.data) + i * p.k * p.n;
                float* z = static_cast<float*>(c.data) + (p.sum_batch ? 0 : i * p.m * p.n);
                sgemm(row_major, p.a_transposed ? transposed : plain, p.b_transposed ? transposed : plain, m, n, k, 1,
                      x, p.a_transposed ? m : k, y, p.b_transposed ? k : n, p.accumulate ? 1 : 0, z, n);
            }
        };
    }
};

struct Candidate {
    std::string library;
    int threads;
    Work set_threads, work;
    std::vector<double> seconds;  // of one call, by round; sorted in the end

    std::string column() const {
        return library + ", " + std::to_string(threads) + (threads > 1 ? " threads" : " thread");
    }
};

double rate(const Problem& p, const Candidate& c) { return p.flops() / c.seconds[c.seconds.size() / 2] * 1e-9; }

double seconds_of(const Work& work, int64_t calls) {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; i++) work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / double(calls);
}

void measure(std::vector<Candidate>& candidates, double round_seconds) {
    constexpr int rounds = 5;
    for (int round = -1; round < rounds; round++) {  // the first warms up
        for (Candidate& c : candidates) {
            c.set_threads();
            const double once = seconds_of(c.work, 1);
            const double mean = seconds_of(c.work, std::max<int64_t>(1, int64_t(round_seconds / once)));
            if (round >= 0) c.seconds.push_back(mean);
        }
    }
    for (Candidate& c : candidates) std::sort(c.seconds.begin(), c.seconds.end());
}

[[noreturn]] void usage(const std::string& why) {
    std::fprintf(stderr,
                 "gemm: %s\nusage: gemm [--threads 1,2] [--ms 100] [--openblas FILE] [--packed] [--json] < shapes\n",
                 why.c_str());
    std::exit(2);
}

}  // namespace

int main(int count, char** values) {
    std::vector<int> threads = {1};
    double milliseconds = 100;
    bool packed = false, json = false;
    std::unique_ptr<OpenBlas> blas;
    for (int i = 1; i < count; i++) {
        const std::string option = values[i];
        const char* value = i + 1 < count ? values[i + 1] : "";
        if (option == "--packed")
            packed = true;
        else if (option == "--json")
            json = true;
        else if (option == "--openblas")
            blas = std::make_unique<OpenBlas>(value), i++;
        else if (option == "--ms" && (milliseconds = std::atof(value)) > 0)
            i++;
        else if (option == "--threads") {
            threads.clear();
            std::istringstream in(value);
            for (std::string item; std::getline(in, item, ',');) threads.push_back(std::atoi(item.c_str()));
            if (threads.empty() || *std::min_element(threads.begin(), threads.end()) < 1)
                usage("--threads " + std::string(value));
            i++;
        } else
            usage("unknown or incomplete option " + option);
    }
    // Of the OpenMP library that oneDNN brings along.
    auto set_omp_threads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (!set_omp_threads) usage("oneDNN's OpenMP library has no omp_set_num_threads");
    if (blas) std::fprintf(stderr, "%s\n", blas->config());

    OneDnn dnnl;
    std::vector<std::string> columns;
    for (int t : threads) {
        columns.push_back(Candidate{"oneDNN", t, {}, {}, {}}.column());
        if (packed) columns.push_back(Candidate{"oneDNN packed", t, {}, {}, {}}.column());
        if (blas) columns.push_back(Candidate{"OpenBLAS", t, {}, {}, {}}.column());
    }
    if (!json) {
        std::string names = "| operation | dtype | m x k x n |", rule = "| --- | --- | --- |";
        for (const std::string& column : columns) names += " " + column + " |", rule += " --- |";
        std::printf("%s\n%s\n", names.c_str(), rule.c_str());
    }
    std::string line;
    while (std::getline(std::cin, line)) {
        if (line.empty() || line[0] == '#') continue;
        Problem p;
        if (!parse(line, p)) usage("bad line: " + line);
        Buffer a(size_t((p.shared_a ? 1 : p.batch) * p.m * p.k * 4)), b(size_t(p.batch * p.k * p.n * 4));
        Buffer c(size_t((p.sum_batch ? 1 : p.batch) * p.m * p.n * 4));
        std::vector<Candidate> candidates;
        for (int t : threads) {
            set_omp_threads(t);  // primitives remember the number
            Work omp = [=] { set_omp_threads(t); };
            candidates.push_back({"oneDNN", t, omp, dnnl.work(p, a, b, c, false), {}});
            if (packed && p.batch == 1)
                candidates.push_back({"oneDNN packed", t, omp, dnnl.work(p, a, b, c, true), {}});
            if (blas && p.dtype == "float32") {
                auto set = blas->set_threads;
                candidates.push_back({"OpenBLAS", t, [=] { set(t); }, blas->work(p, a, b, c), {}});
            }
        }
        measure(candidates, milliseconds * 1e-3);
        if (json) {
            for (const Candidate& r : candidates) {
                std::printf(
                    "{\"operation\":\"%s\",\"dtype\":\"%s\",\"shape\":[%lld,%lld,%lld,%lld],\"library\":\"%s\","
                    "\"threads\":%d,\"gflops\":%.2f,\"best\":%.2f}\n",
                    p.operation.c_str(), p.dtype.c_str(), (long long) p.batch, (long long) p.m, (long long) p.n,
                    (long long) p.k, r.library.c_str(), r.threads, rate(p, r), p.flops() / r.seconds.front() * 1e-9);
            }
        } else {
            std::printf("| `%s` | %s | %s%lld x %lld x %lld |", p.operation.c_str(), p.dtype.c_str(),
                        p.batch > 1 ? (std::to_string(p.batch) + " * ").c_str() : "", (long long) p.m, (long long) p.k,
                        (long long) p.n);
            size_t next = 0;  // candidates come in the columns' order
            for (const std::string& column : columns) {
                if (next < candidates.size() && column == candidates[next].column()) {
                    const Candidate& r = candidates[next++];
                    std::printf(" %.0f (%.0f) |", rate(p, r), p.flops() / r.seconds.front() * 1e-9);
                } else
                    std::printf(" |");
            }
            std::printf("\n");
        }
        std::fflush(stdout);
    }
    return 0;
}
