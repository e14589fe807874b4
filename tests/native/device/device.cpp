// device.cpp: the kernel tests on a GPU: what emulator.h declares, and a table whose entries work in device memory.
//
// Bodies of tests see the host's memory. Each call copies the buffers that its pointers lie in to allocations of their
// own, calls the operation with the addresses there, waits, and copies everything back, guards included. "Orders of
// threads" are the GPU's own: the runs of a case are repetitions, which must end with the same bits.
//
// KERNEL_TESTS_DEVICE, for compute-sanitizer:
//   exact   allocations end where a buffer does, without guards: memcheck sees the first byte past the end
//   fresh   as exact, and a buffer that nobody has written to is not copied: initcheck sees who reads it. With --runs 1
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <cuda_runtime.h>

#include "check.h"
#include "trm_table.h"

namespace {

std::string fault_text;
constexpr int DEVICE_LIMIT = -1;
int shared_limit = DEVICE_LIMIT;
int multiprocessors = 0;  // 0: the device's
int64_t launch_count = 0;
std::set<const void*> kernels;

const std::string& mode() {
    static const std::string value = [] {
        const char* text = getenv("KERNEL_TESTS_DEVICE");
        const std::string found = text == nullptr ? "" : text;
        if (!found.empty() && found != "exact" && found != "fresh") {
            fprintf(stderr, "KERNEL_TESTS_DEVICE is '%s', expected exact or fresh\n", text);
            exit(2);
        }
        return found;
    }();
    return value;
}

void require(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(3);
}

/** The copies of one call's buffers in device memory. */
class Twins {
public:
    Twins() = default;
    Twins(const Twins&) = delete;
    Twins& operator=(const Twins&) = delete;

    template <typename T>
    T of(T argument) {
        if constexpr (std::is_pointer<T>::value)
            return reinterpret_cast<T>(const_cast<char*>(translate(reinterpret_cast<const char*>(argument))));
        else
            return argument;
    }

    /** Waits and brings the buffers back. A fault leaves the device unusable: the program ends. */
    int done(int status) {
        const cudaError_t error = cudaDeviceSynchronize();
        if (error != cudaSuccess) {
            fault_text = std::string("device fault: ") + cudaGetErrorString(error);
            check::succeeded(TRM_OK);
            exit(3);
        }
        for (const Twin& twin : twins_) {
            require(cudaMemcpy(twin.from + twin.lead, twin.device + twin.lead, twin.bytes - twin.lead,
                               cudaMemcpyDeviceToHost),
                    "copy from the device");
            require(cudaFree(twin.device), "cudaFree");
        }
        return status;
    }

private:
    struct Twin {
        char* from;  // the part of a buffer's memory that has a place on the device
        size_t bytes;
        size_t lead;  // bytes that are not copied: they align the content as it is on the host
        char* device;
    };

    const char* translate(const char* p) {
        for (const Twin& twin : twins_)
            if (p >= twin.from && p < twin.from + twin.bytes) return twin.device + (p - twin.from);
        for (const check::Guarded* buffer : check::live_buffers())
            if (p >= buffer->data() && p < buffer->data() + buffer->bytes()) {
                twins_.push_back(copy_of(*buffer));
                return twins_.back().device + (p - twins_.back().from);
            }
        return p;  // NULL, or an address that the operation is to refuse
    }

    static Twin copy_of(const check::Guarded& buffer) {
        constexpr ptrdiff_t ALIGNMENT = 256;  // of cudaMalloc
        Twin twin{buffer.memory(), buffer.size(), 0, nullptr};
        if (!mode().empty()) {
            twin.lead = static_cast<size_t>((buffer.data() - buffer.memory()) % ALIGNMENT);
            twin.from = buffer.data() - twin.lead;
            twin.bytes = twin.lead + static_cast<size_t>(buffer.bytes());
        }
        require(cudaMalloc(reinterpret_cast<void**>(&twin.device), twin.bytes), "cudaMalloc");
        const char* const end = buffer.data() + buffer.bytes();
        const bool untouched = std::all_of(buffer.data(), const_cast<char*>(end), [](char c) { return c == '\xff'; });
        if (mode() != "fresh" || !untouched)
            require(cudaMemcpy(twin.device + twin.lead, twin.from + twin.lead, twin.bytes - twin.lead,
                               cudaMemcpyHostToDevice),
                    "copy to the device");
        return twin;
    }

    std::vector<Twin> twins_;
};

template <auto ENTRY, typename Function>
struct Entry;

template <auto ENTRY, typename R, typename... P>
struct Entry<ENTRY, R (*)(P...)> {
    static R call(P... arguments) {
        const auto function = trm_backend_table()->*ENTRY;
        if constexpr (trm_enqueues<R (*)(P...)>::value) {
            Twins twins;
            return twins.done(function(twins.of(arguments)...));
        } else {
            return function(arguments...);
        }
    }
};

trm_backend device_table() {
    const trm_backend& own = *trm_backend_table();
    trm_backend table = own;
#define ON_DEVICE(name) \
    if (own.name != nullptr) table.name = Entry<&trm_backend::name, decltype(trm_backend::name)>::call;
    TRM_ENTRIES(ON_DEVICE)
#undef ON_DEVICE
    return table;
}

}  // namespace

namespace check {

const trm_backend& ops() {
    static const trm_backend table = device_table();
    return table;
}

bool product_sizes() { return mode().empty(); }
bool on_cpu() { return false; }

}  // namespace check

namespace emulator {

void set_seed(uint64_t) {}
void set_hopper(int) {}  // the device is what it is
bool set_capability(int) { return false; }
void set_shared_limit(int bytes) { shared_limit = bytes; }
void set_multiprocessors(int count) { multiprocessors = count; }
const std::string& fault() { return fault_text; }
void clear_fault() { fault_text.clear(); }
int64_t launches() { return launch_count; }

std::vector<std::string> kernels_run() {
    std::set<std::string> names;
    for (const void* kernel : kernels) {
        const char* mangled = nullptr;
        require(cudaFuncGetName(&mangled, kernel), "cudaFuncGetName");
        int status = 0;
        char* const demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
        const std::string name(status == 0 ? demangled : mangled);
        free(demangled);
        const size_t end = name.find("_kernel");
        if (end == std::string::npos) continue;
        const size_t begin = name.find_last_of(": ", end);
        names.insert(name.substr(begin == std::string::npos ? 0 : begin + 1, end + 7 - (begin + 1)));
    }
    return {names.begin(), names.end()};
}

}  // namespace emulator

// The linker leads the kernels' calls here (--wrap): the launches are counted, and a device can be made to look smaller.
extern "C" {

cudaError_t __real_cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void** arguments);
cudaError_t __wrap_cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void** arguments) {
    launch_count++;
    kernels.insert(kernel);
    return __real_cudaLaunchKernelExC(config, kernel, arguments);
}

cudaError_t __real_cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t __wrap_cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    const cudaError_t error = __real_cudaDeviceGetAttribute(value, attribute, device);
    if (error == cudaSuccess && attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin && shared_limit != DEVICE_LIMIT)
        *value = std::min(*value, shared_limit);
    if (error == cudaSuccess && attribute == cudaDevAttrMultiProcessorCount && multiprocessors != 0)
        *value = std::min(*value, multiprocessors);
    return error;
}

}  // extern "C"
