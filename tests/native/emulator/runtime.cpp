// runtime.cpp: launches, the shared memory of blocks, and as much of CUDA's runtime and driver as the kernels' host code
// calls.
#include <link.h>

#include <algorithm>
#include <map>
#include <set>

#include "core.h"
#include "tensor_map.h"

#if WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace trm {
/** The dynamic shared memory that trm::dynamic_shared() of common.cuh names. */
constexpr size_t DYNAMIC_BYTES = 227 * 1024;
alignas(128) thread_local uint4 dynamic_shared_memory[DYNAMIC_BYTES / sizeof(uint4)];
}  // namespace trm

namespace emulator {

Storage storage{};

namespace {

struct Device {
    int major, minor, multiprocessors, shared;
};
constexpr Device ORDINARY{8, 6, 84, 99 * 1024};

Device device = ORDINARY;
int64_t launch_count = 0;
cudaError_t last_error = cudaSuccess;
std::map<const void*, int> allowed_shared;
std::set<const void*> kernels;
unsigned here = 0;  // the block whose shared memory is in its place

// The thread-local variables of this program.
Storage thread_storage() {
    Storage found{};
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
            for (int i = 0; i < info->dlpi_phnum; i++)
                if (info->dlpi_phdr[i].p_type == PT_TLS) {
                    static_cast<Storage*>(out)->begin = static_cast<char*>(info->dlpi_tls_data);
                    static_cast<Storage*>(out)->bytes = static_cast<size_t>(info->dlpi_phdr[i].p_memsz);
                }
            return 1;  // the program itself comes first
        },
        &found);
    found.dynamic = reinterpret_cast<uintptr_t>(trm::dynamic_shared_memory) - reinterpret_cast<uintptr_t>(found.begin);
    found.most_dynamic = sizeof trm::dynamic_shared_memory;
    return found;
}

/** Calls part(offset, bytes) for the parts of the storage that a block can reach. */
template <typename Part>
void each_part(Part part) {
    part(0, storage.dynamic + storage.used);
    const size_t rest = storage.dynamic + storage.most_dynamic;
    if (rest < storage.bytes) part(rest, storage.bytes - rest);
}

// Shared memory holds NaN patterns when a block begins.
void begin_shared() {
    here = 0;
    each_part([](size_t at, size_t bytes) { memset(storage.begin + at, 0xff, bytes); });
    for (unsigned i = 1; i < cluster_size; i++) blocks[i].home.assign(storage.bytes, static_cast<char>(0xff));
    if (cluster_size > 1) blocks[0].home.resize(storage.bytes);
}

}  // namespace

char* memory_of(const Block& block, size_t offset) {
    return block.rank == here ? storage.begin + offset : const_cast<char*>(block.home.data()) + offset;
}

void activate(const Block& block) {
    if (block.rank == here) return;
    char* const leaves = blocks[here].home.data();
    const char* const comes = block.home.data();
    each_part([=](size_t at, size_t bytes) {
        memcpy(leaves + at, storage.begin + at, bytes);
        memcpy(storage.begin + at, comes + at, bytes);
    });
    here = block.rank;
}

// ---- launches -----------------------------------------------------------------------------------------------------

cudaError_t allow_shared(const void* kernel, int bytes) {
    if (bytes < 0 || bytes > device.shared) return last_error = cudaErrorInvalidValue;
    allowed_shared[kernel] = bytes;
    return cudaSuccess;
}

static unsigned cluster_of(const cudaLaunchConfig_t& config) {
    for (unsigned i = 0; i < config.numAttrs; i++)
        if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) return config.attrs[i].val.clusterDim.x;
    return 1;
}

cudaError_t run_grid(const void* kernel, const cudaLaunchConfig_t& config, void (*thread)(void*), void* context) {
    const dim3 grid = config.gridDim, block = config.blockDim;
    const uint64_t count = static_cast<uint64_t>(block.x) * block.y * block.z;
    const auto allowed = allowed_shared.find(kernel);
    const size_t most = allowed == allowed_shared.end() ? 48 * 1024 : static_cast<size_t>(allowed->second);
    const unsigned cluster = cluster_of(config);
    if (count == 0 || count > MAX_THREADS || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535 || cluster == 0 || cluster > MAX_CLUSTER ||
        grid.x % cluster != 0 || (config.numAttrs > 0 && device.major < 9))
        return last_error = cudaErrorInvalidConfiguration;
    if (config.dynamicSmemBytes > std::max<size_t>(most, 48 * 1024)) return last_error = cudaErrorInvalidValue;

    launch_count++;
    kernels.insert(kernel);
    if (storage.begin == nullptr) storage = thread_storage();
    char* const dynamic = storage.begin + storage.dynamic;
    const size_t used = config.dynamicSmemBytes, size = storage.most_dynamic;
    storage.used = used;
    // Thread-local variables that are no shared memory (an error text) come back after the launch.
    const std::vector<char> before(storage.begin, dynamic);
    const std::vector<char> after(dynamic + size, storage.begin + storage.bytes);
    ASAN_POISON_MEMORY_REGION(dynamic + used, size - used);

    thread_count = static_cast<unsigned>(count);
    cluster_size = cluster;
    blockDim = block;
    gridDim = grid;
    seed_launch(launch_count);
    const uint64_t clusters = static_cast<uint64_t>(grid.x) * grid.y * grid.z / cluster;
    std::vector<uint64_t> order(clusters);
    for (uint64_t i = 0; i < clusters; i++) order[i] = seed == 1 ? clusters - 1 - i : i;
    if (seed > 1)
        for (uint64_t i = clusters; i > 1; i--) std::swap(order[i - 1], order[draw() % i]);
    clear_faulted();
    for (uint64_t i = 0; i < clusters && !faulted(); i++) {
        for (unsigned rank = 0; rank < cluster; rank++) {
            const uint64_t number = order[i] * cluster + rank;
            blocks[rank].rank = rank;
            blocks[rank].index = {static_cast<unsigned>(number % grid.x),
                                  static_cast<unsigned>(number / grid.x % grid.y),
                                  static_cast<unsigned>(number / grid.x / grid.y)};
        }
        begin_shared();
        run_cluster(thread, context);
    }
    activate(blocks[0]);
    ASAN_UNPOISON_MEMORY_REGION(dynamic + used, size - used);
    std::copy(before.begin(), before.end(), storage.begin);
    std::copy(after.begin(), after.end(), dynamic + size);
    return last_error = faulted() ? cudaErrorLaunchFailure : cudaSuccess;
}

void set_shared_limit(int bytes) { device.shared = bytes; }
void set_multiprocessors(int count) { device.multiprocessors = count == 0 ? ORDINARY.multiprocessors : count; }
void set_hopper(int multiprocessors) {
    device = multiprocessors == 0 ? ORDINARY : Device{9, 0, multiprocessors, 227 * 1024};
}
bool set_capability(int major) {
    device = ORDINARY;
    if (major != 0) device.major = major, device.minor = 0;
    return true;
}
int64_t launches() { return launch_count; }

std::vector<std::string> kernels_run() {
    std::set<std::string> names;
#if WITH_ASAN
    for (const void* kernel : kernels) {
        char text[1024];
        void* const inside = const_cast<char*>(static_cast<const char*>(kernel)) + 1;  // it looks one byte before
        __sanitizer_symbolize_pc(inside, "%f", text, sizeof text);
        std::string name(text);
        // "void trm::(anonymous namespace)::kernel<float, 1>(...)": the name before the arguments of the template
        const size_t end = name.find("_kernel");
        if (end == std::string::npos) continue;
        const size_t begin = name.find_last_of(": ", end);
        names.insert(name.substr(begin == std::string::npos ? 0 : begin + 1, end + 7 - (begin + 1)));
    }
#endif
    return {names.begin(), names.end()};
}

}  // namespace emulator

// ---- the rest of the runtime --------------------------------------------------------------------------------------

cudaError_t cudaGetLastError() {
    const cudaError_t error = emulator::last_error;
    emulator::last_error = cudaSuccess;
    return error;
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        default: return emulator::fault().c_str();
    }
}

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "cudaSuccess";
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
        default: return "cudaErrorLaunchFailure";
    }
}

cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor: *value = emulator::device.major; break;
        case cudaDevAttrComputeCapabilityMinor: *value = emulator::device.minor; break;
        case cudaDevAttrMultiProcessorCount: *value = emulator::device.multiprocessors; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = emulator::device.shared; break;
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
    memset(p, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** entry, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
    const bool known = strcmp(name, "cuTensorMapEncodeTiled") == 0;
    *entry = known ? reinterpret_cast<void*>(emulator::encode_tensor_map) : nullptr;
    *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
