// fake_cuda.cpp: a GPU that is this processor. Stands in for libcuda.so.1, libcudart.so.13 and libcublasLt.so.13, of
// which it has the calls that trm.device.cuda makes, and for our kernels, which are the CPU's operations; "device memory"
// is host memory. tests/java/trm/device/cuda/FakeGpu.java compiles it once for each library, with the macro that names it.
//
// What it checks: operands of a product must fit their descriptions (shapes, leading dimensions, alignment promised to
// the heuristic), the workspace must be there, memory is filled with 0xcd so that what nobody zeroed shows. Products are
// computed from the descriptions alone, column-major, in double.
//
// Work on the stream is a queue of calls. As a rule each is made at once. With FAKE_CUDA_LAG=n the device is n graph
// launches behind: calls are made when a later launch, a wait or a copy to ordinary memory asks for them, and a copy from
// page-locked memory reads it then. While a graph is captured, calls go into it instead; what a capture cannot hold makes
// it invalid, as on a GPU.
//
// Environment: FAKE_CUDA_DRIVER (13000), FAKE_CUDA_DEVICES (1), FAKE_CUDA_CAPABILITY (90), FAKE_CUDA_FAULT_AT: from the
// product of that number on the device is broken, which a wait or a copy tells; FAKE_CUDA_MEMORY: most bytes of one
// allocation; FAKE_CUDA_LAG (0); FAKE_CUDA_TRACE: a line on standard error for each query of the heuristic, and for each
// graph that is made, launched or destroyed.
#include "fake_cuda.h"

// ---- the driver ---------------------------------------------------------------------------------------------------

#ifdef FAKE_DRIVER
EXPORT int cuDriverGetVersion(int* version) {
    *version = static_cast<int>(setting("FAKE_CUDA_DRIVER", 13000));
    return 0;
}
EXPORT int cuDeviceGet(int* device, int index) {
    *device = index;
    return 0;
}
EXPORT int cuDeviceGetName(char* name, int length, int) {
    std::snprintf(name, static_cast<size_t>(length), "Fake GPU");
    return 0;
}

// What NVIDIA's cuDNN looks up before it compiles kernels for a device that is not there. It may load them, and that is
// all: calls that need a device fail.
#define ABSENT(name) \
    EXPORT int name() { return 999; }
ABSENT(cuCtxGetCurrent)
ABSENT(cuCtxGetLimit)
ABSENT(cuCtxPopCurrent)
ABSENT(cuCtxPushCurrent)
ABSENT(cuDeviceGetCount)
ABSENT(cuGetErrorName)
ABSENT(cuGetErrorString)
ABSENT(cuLaunchCooperativeKernel)
ABSENT(cuLaunchKernel)
ABSENT(cuLaunchKernelEx)
ABSENT(cuLibraryLoadFromFile)
ABSENT(cuLinkAddData)
ABSENT(cuLinkComplete)
ABSENT(cuLinkCreate)
ABSENT(cuLinkDestroy)
ABSENT(cuOccupancyMaxPotentialClusterSize)
ABSENT(cuStreamGetCtx)
#undef ABSENT
EXPORT int cuLibraryLoadData(void** library) {
    *library = fake_device();
    return 0;
}
EXPORT int cuLibraryGetKernel(void** kernel) {
    *kernel = fake_device();
    return 0;
}
EXPORT int cuLibraryUnload() { return 0; }
EXPORT int cuKernelSetAttribute() { return 0; }
EXPORT int cuKernelGetAttribute(int* value) {
    *value = 0;
    return 0;
}
#endif

// ---- the runtime -------------------------------------------------------------------------------------------------

#ifdef FAKE_CUDART
constexpr int INVALID_VALUE = 1, NO_MEMORY = 2, NO_DEVICE = 100, NOT_READY = 600, CAPTURE_UNSUPPORTED = 900,
              CAPTURE_INVALIDATED = 901;

namespace {

struct Event {
    double time = 0;
    int outstanding = 0;  // records that the device has not come to
};
using Events = std::shared_ptr<Event>;

struct Graph {
    std::vector<Call> calls;
};

struct Pages {
    char* from;
    size_t bytes;
};
std::vector<Pages> locked;

bool page_locked(const void* p) {
    for (const Pages& pages : locked)
        if (p >= pages.from && p < pages.from + pages.bytes) return true;
    return false;
}

/** Work that a broken device does not do. */
int enqueue(const Call& call) {
    device().submit([call] {
        if (device().error == 0) call();
    });
    return device().error;
}

}  // namespace

EXPORT int cudaGetDeviceCount(int* count) {
    *count = static_cast<int>(setting("FAKE_CUDA_DEVICES", 1));
    return *count == 0 ? NO_DEVICE : 0;
}
EXPORT int cudaSetDevice(int index) {
    device().index = index;
    return device().error;
}
EXPORT int cudaDeviceGetAttribute(int* value, int attribute, int) {
    const int capability = static_cast<int>(setting("FAKE_CUDA_CAPABILITY", 90));
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : -1;
    return 0;
}
EXPORT int cudaGetLastError() { return device().error; }
EXPORT const char* cudaGetErrorString(int error) {
    return error == 0     ? "no error"
           : error == 700 ? "an illegal memory access was encountered"
           : error == 900 ? "operation not permitted when stream is capturing"
           : error == 901 ? "operation failed due to a previous error during capture"
           : error == 2   ? "out of memory"
                          : "some error";
}
EXPORT int cudaStreamCreateWithFlags(void** stream, unsigned flags) {
    *stream = std::malloc(1);
    return flags == 1 ? device().error : INVALID_VALUE;
}
EXPORT int cudaStreamDestroy(void* stream) {
    std::free(stream);
    return 0;
}
EXPORT int cudaStreamSynchronize(void* stream) {
    if (stream == nullptr) return INVALID_VALUE;
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    device().finish();
    return device().error;
}
EXPORT int cudaStreamQuery(void* stream) {
    if (stream == nullptr) return INVALID_VALUE;
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    device().work([] { return false; });
    return device().error != 0 ? device().error : device().queue.empty() ? 0 : NOT_READY;
}
EXPORT int cudaStreamBeginCapture(void* stream, int mode) {
    if (stream == nullptr || mode != 1 || device().capturing) return INVALID_VALUE;
    device().capturing = true;
    device().invalid = false;
    return device().error;
}
EXPORT int cudaStreamEndCapture(void*, void** graph) {
    *graph = nullptr;
    if (!device().capturing) return INVALID_VALUE;
    std::vector<Call> calls;
    calls.swap(device().captured);
    device().capturing = false;
    if (device().invalid) return CAPTURE_INVALIDATED;
    *graph = new Graph{calls};
    trace("graph made");
    return device().error;
}
EXPORT int cudaGraphInstantiate(void** executable, void* graph, unsigned long long flags) {
    if (graph == nullptr || flags != 0) return INVALID_VALUE;
    *executable = new Graph(*static_cast<Graph*>(graph));
    trace("executable made");
    return device().error;
}
EXPORT int cudaGraphLaunch(void* executable, void* stream) {
    if (stream == nullptr || device().capturing) return INVALID_VALUE;
    trace("launch");
    device().launch(static_cast<Graph*>(executable)->calls);
    return device().error;
}
EXPORT int cudaGraphExecDestroy(void* executable) {
    trace("executable destroyed");
    delete static_cast<Graph*>(executable);
    return 0;
}
EXPORT int cudaGraphDestroy(void* graph) {
    trace("graph destroyed");
    delete static_cast<Graph*>(graph);
    return 0;
}
EXPORT int cudaMalloc(void** p, size_t bytes) {
    if (device().error != 0) return device().error;
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    if (static_cast<long long>(bytes) > setting("FAKE_CUDA_MEMORY", 1LL << 40)) return NO_MEMORY;
    const size_t rounded = (bytes + 255) / 256 * 256;
    *p = std::aligned_alloc(256, rounded);
    if (*p == nullptr) return NO_MEMORY;
    std::memset(*p, 0xcd, rounded);
    return 0;
}
EXPORT int cudaFree(void* p) {
    device().finish();
    std::free(p);
    return device().error;
}
EXPORT int cudaMallocHost(void** p, size_t bytes) {
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    if (static_cast<long long>(bytes) > setting("FAKE_CUDA_MEMORY", 1LL << 40)) return NO_MEMORY;
    *p = std::malloc(bytes);
    std::memset(*p, 0xcd, bytes);
    locked.push_back({static_cast<char*>(*p), bytes});
    return device().error;
}
EXPORT int cudaFreeHost(void* p) {
    device().finish();
    for (size_t i = 0; i < locked.size(); i++)
        if (locked[i].from == p) locked.erase(locked.begin() + static_cast<long>(i--));
    std::free(p);
    return device().error;
}
EXPORT int cudaMemGetInfo(size_t* free, size_t* total) {
    *free = *total = static_cast<size_t>(setting("FAKE_CUDA_MEMORY", 1LL << 40));
    return 0;
}
EXPORT int cudaMemsetAsync(void* p, int value, size_t bytes, void*) {
    return enqueue([=] { std::memset(p, value, bytes); });
}
EXPORT int cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, void*) {
    if (kind != 1 && kind != 2) return INVALID_VALUE;
    if (page_locked(kind == 1 ? from : to)) return enqueue([=] { std::memcpy(to, from, bytes); });
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    if (kind == 1) {  // ordinary memory may be written again when this returns
        const auto taken =
            std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
        return enqueue([=] { std::memcpy(to, taken->data(), bytes); });
    }
    device().finish();
    if (device().error == 0) std::memcpy(to, from, bytes);
    return device().error;
}
EXPORT int cudaEventCreate(void** event) {
    *event = new Events(new Event);
    return device().error;
}
EXPORT int cudaEventRecord(void* event, void*) {
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    const Events e = *static_cast<Events*>(event);
    e->outstanding++;
    device().submit([e] {
        e->time = device().clock;
        e->outstanding--;
    });
    return device().error;
}
constexpr int LOOKS = 50;
EXPORT int cudaEventQuery(void* event) {
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    // A look costs no time; but whoever looks again and again waits, and then time goes on.
    if (device().blocked || ++device().looks > LOOKS) {
        const Events e = *static_cast<Events*>(event);
        device().work([e] { return e->outstanding == 0; });
    }
    return device().error != 0 ? device().error : (*static_cast<Events*>(event))->outstanding > 0 ? NOT_READY : 0;
}
EXPORT int cudaEventSynchronize(void* event) {
    if (!device().permits()) return CAPTURE_UNSUPPORTED;
    const Events e = *static_cast<Events*>(event);
    device().await([e] { return e->outstanding == 0; });
    return device().error;
}
EXPORT int cudaEventElapsedTime(float* ms, void* begin, void* end) {
    const Events from = *static_cast<Events*>(begin), to = *static_cast<Events*>(end);
    if (from->outstanding > 0 || to->outstanding > 0) return NOT_READY;
    *ms = static_cast<float>(to->time - from->time);
    return device().error;
}
EXPORT int cudaEventDestroy(void* event) {
    delete static_cast<Events*>(event);
    return 0;
}
#endif

// ---- our kernels -------------------------------------------------------------------------------------------------

#ifdef FAKE_KERNELS
#include <dlfcn.h>

#include "trm_capture.h"

namespace {

struct Stream {
    static bool active() { return device().capturing || device().lag > 0; }
    static int put(const trm_call& call) {
        device().submit([call] {
            if (call() == TRM_OK) return;
            std::fprintf(stderr, "an operation on the stream refuses its arguments\n");
            std::abort();
        });
        return TRM_OK;
    }
};

}  // namespace

const trm_backend* trm_backend_table() {
    void* library = dlopen("libtrm_fake_kernels.so", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        std::abort();
    }
    const auto cpu = reinterpret_cast<decltype(&trm_backend_table)>(dlsym(library, "trm_backend_table"));
    return trm_capturing<Stream>::over(cpu());
}
#endif

// ---- cuBLASLt ----------------------------------------------------------------------------------------------------

#ifdef FAKE_CUBLASLT
namespace {

constexpr int INVALID_VALUE = 7, NOT_SUPPORTED = 15;
constexpr int R_32F = 0, R_16BF = 14;
constexpr int COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69, COMPUTE_32F_FAST_TF32 = 77;
constexpr uint64_t MAGIC = 0x6661b1a5ULL, WORKSPACE = 32u << 20;
constexpr double MS[] = {3, 0.1, 1};  // of one run; the second proposal cannot be run, the third is the best

struct Product {
    int compute, scale, trans_a, trans_b;
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t ld;
    int32_t batch;
    int64_t stride;
};
struct Preference {
    uint64_t workspace;
    uint32_t reductions;
    uint32_t alignment[4];
};
struct Algorithm {
    uint64_t data[8];
};
struct Result {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

bool fits(const Product& p, const Layout& a, const Layout& b, const Layout& c) {
    const uint64_t m = p.trans_a ? a.columns : a.rows, k = p.trans_a ? a.rows : a.columns;
    const uint64_t k2 = p.trans_b ? b.columns : b.rows, n = p.trans_b ? b.rows : b.columns;
    const bool compute = a.type == R_16BF ? p.compute == COMPUTE_32F
                                          : p.compute == COMPUTE_32F_PEDANTIC || p.compute == COMPUTE_32F_FAST_TF32;
    return compute && p.scale == R_32F && k == k2 && c.rows == m && c.columns == n && a.type == b.type &&
           (c.type == a.type || c.type == R_32F) && a.ld >= int64_t(a.rows) && b.ld >= int64_t(b.rows) &&
           c.ld >= int64_t(c.rows) && a.batch == b.batch && b.batch == c.batch && (c.batch == 1 || c.stride > 0);
}

float load(const void* p, int64_t i, int type, int compute) {
    uint32_t bits;
    if (type == R_16BF) {
        bits = uint32_t(static_cast<const uint16_t*>(p)[i]) << 16;
    } else {
        std::memcpy(&bits, static_cast<const float*>(p) + i, 4);
        if (compute == COMPUTE_32F_FAST_TF32) bits &= 0xffffe000u;
    }
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

void store(void* p, int64_t i, int type, float x) {
    if (type == R_32F) {
        static_cast<float*>(p)[i] = x;
        return;
    }
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const bool nan = x != x;
    static_cast<uint16_t*>(p)[i] =
        static_cast<uint16_t>(nan ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

bool aligned(const void* p, const Layout& l, int64_t to) {
    const int64_t size = l.type == R_16BF ? 2 : 4;
    return reinterpret_cast<uintptr_t>(p) % uint64_t(to) == 0 && l.ld * size % to == 0 && l.stride * size % to == 0;
}

long long products = 0;

void multiply(const Product& p, float alpha, const void* pa, const Layout& a, const void* pb, const Layout& b,
              float beta, const Layout& c, void* pd, uint64_t number) {
    device().clock += MS[number];
    if (++products == setting("FAKE_CUDA_FAULT_AT", -1)) device().error = 700;
    if (device().error != 0) return;  // a wait tells
    if (number == 0) return;          // the slow one: whoever chooses it gets no result
    const int64_t m = int64_t(c.rows), n = int64_t(c.columns), k = int64_t(p.trans_a ? a.rows : a.columns);
    std::vector<float> row(static_cast<size_t>(k * m));  // op(A), its rows contiguous
    std::vector<float> column(static_cast<size_t>(k));
    for (int64_t batch = 0; batch < c.batch; batch++) {
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = 0; l < k; l++)
                row[size_t(i * k + l)] =
                    load(pa, batch * a.stride + (p.trans_a ? l + i * a.ld : i + l * a.ld), a.type, p.compute);
        for (int64_t j = 0; j < n; j++) {
            for (int64_t l = 0; l < k; l++)
                column[size_t(l)] =
                    load(pb, batch * b.stride + (p.trans_b ? j + l * b.ld : l + j * b.ld), b.type, p.compute);
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < k; l++) sum += double(row[size_t(i * k + l)]) * double(column[size_t(l)]);
                const int64_t ic = batch * c.stride + i + j * c.ld;
                sum *= double(alpha);
                if (beta != 0) sum += double(beta) * double(load(pd, ic, c.type, 0));
                store(pd, ic, c.type, static_cast<float>(sum));
            }
        }
    }
}

}  // namespace

EXPORT int cublasLtCreate(void** handle) {
    *handle = std::malloc(1);
    return 0;
}
EXPORT int cublasLtDestroy(void* handle) {
    std::free(handle);
    return 0;
}
EXPORT size_t cublasLtGetVersion() { return 130000; }
EXPORT const char* cublasLtGetStatusString(int status) {
    return status == NOT_SUPPORTED ? "the requested functionality is not supported" : "an unsupported value";
}
EXPORT int cublasLtMatmulDescCreate(void** made, int compute, int scale) {
    *made = new Product{compute, scale, 0, 0};
    return 0;
}
EXPORT int cublasLtMatmulDescDestroy(void* p) {
    delete static_cast<Product*>(p);
    return 0;
}
EXPORT int cublasLtMatmulDescSetAttribute(void* p, int attribute, const void* value, size_t bytes) {
    if (bytes != 4 || (attribute != 3 && attribute != 4)) return INVALID_VALUE;
    Product* product = static_cast<Product*>(p);
    std::memcpy(attribute == 3 ? &product->trans_a : &product->trans_b, value, 4);
    return 0;
}
EXPORT int cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    *made = new Layout{type, rows, columns, ld, 1, 0};
    return 0;
}
EXPORT int cublasLtMatrixLayoutDestroy(void* p) {
    delete static_cast<Layout*>(p);
    return 0;
}
EXPORT int cublasLtMatrixLayoutSetAttribute(void* p, int attribute, const void* value, size_t bytes) {
    Layout* layout = static_cast<Layout*>(p);
    if (attribute == 5 && bytes == 4)
        std::memcpy(&layout->batch, value, 4);
    else if (attribute == 6 && bytes == 8)
        std::memcpy(&layout->stride, value, 8);
    else
        return INVALID_VALUE;
    return 0;
}
EXPORT int cublasLtMatmulPreferenceCreate(void** made) {
    *made = new Preference{0, 7, {256, 256, 256, 256}};
    return 0;
}
EXPORT int cublasLtMatmulPreferenceDestroy(void* p) {
    delete static_cast<Preference*>(p);
    return 0;
}
EXPORT int cublasLtMatmulPreferenceSetAttribute(void* p, int attribute, const void* value, size_t bytes) {
    Preference* wanted = static_cast<Preference*>(p);
    if (attribute == 1 && bytes == 8)
        std::memcpy(&wanted->workspace, value, 8);
    else if (attribute == 3 && bytes == 4)
        std::memcpy(&wanted->reductions, value, 4);
    else if (attribute >= 5 && attribute <= 8 && bytes == 4)
        std::memcpy(&wanted->alignment[attribute - 5], value, 4);
    else
        return INVALID_VALUE;
    return 0;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(void*, Product* p, Layout* a, Layout* b, Layout* c, Layout* d,
                                          Preference* wanted, int count, Result* results, int* found) {
    if (!fits(*p, *a, *b, *c) || c != d || wanted->workspace != WORKSPACE || wanted->reductions != 2 || count < 3)
        return INVALID_VALUE;
    trace("heuristic");
    for (int i = 0; i < 3; i++) {
        results[i] = Result{};
        results[i].algorithm.data[0] = MAGIC;
        results[i].algorithm.data[1] = uint64_t(i);
        for (int j = 0; j < 3; j++) results[i].algorithm.data[2 + j] = wanted->alignment[j];
        results[i].algorithm.data[7] = ~0ULL;  // all 64 bits are kept
        results[i].workspace = WORKSPACE;
    }
    *found = 3;
    return 0;
}
EXPORT int cublasLtMatmulAlgoCheck(void*, Product* p, Layout* a, Layout* b, Layout* c, Layout*, Algorithm* algorithm,
                                   Result* result) {
    if (algorithm->data[0] != MAGIC || algorithm->data[7] != ~0ULL || !fits(*p, *a, *b, *c)) return NOT_SUPPORTED;
    *result = Result{};
    result->algorithm = *algorithm;
    return 0;
}
EXPORT int cublasLtMatmul(void*, Product* p, const float* alpha, const void* pa, Layout* a, const void* pb, Layout* b,
                          const float* beta, const void* pc, Layout* c, void* pd, Layout*, Algorithm* algorithm,
                          void* workspace, size_t bytes, void* stream) {
    if (!fits(*p, *a, *b, *c) || algorithm == nullptr || algorithm->data[0] != MAGIC || workspace == nullptr ||
        bytes != WORKSPACE || stream == nullptr || pc != pd || pa == pd || pb == pd)
        return INVALID_VALUE;
    if (!aligned(pa, *a, int64_t(algorithm->data[2])) || !aligned(pb, *b, int64_t(algorithm->data[3])) ||
        !aligned(pc, *c, int64_t(algorithm->data[4])))
        return INVALID_VALUE;
    const uint64_t number = algorithm->data[1];
    if (number == 1) return NOT_SUPPORTED;
    // the call is asynchronous: what it was given stays, what it points to is read when the device comes to it
    device().submit([product = *p, alpha = *alpha, pa, a = *a, pb, b = *b, beta = *beta, c = *c, pd, number] {
        multiply(product, alpha, pa, a, pb, b, beta, c, pd, number);
    });
    return 0;
}
#endif
