// table.cpp: under emulation device memory is the host's, and the backend's table serves as it is. With
// KERNEL_TESTS_LIBRARY the operations of another library whose memory is the host's are tested instead: the CPU's.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check.h"

namespace check {
namespace {

const trm_backend* table() {
    const char* path = getenv("KERNEL_TESTS_LIBRARY");
    if (path == nullptr) return trm_backend_table();
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void* entry = library == nullptr ? nullptr : dlsym(library, "trm_backend_table");
    if (entry == nullptr) {
        fprintf(stderr, "KERNEL_TESTS_LIBRARY: %s\n", dlerror());
        exit(2);
    }
    return reinterpret_cast<decltype(&trm_backend_table)>(entry)();
}

}  // namespace

const trm_backend& ops() {
    static const trm_backend& chosen = *table();
    return chosen;
}
bool product_sizes() { return false; }
bool on_cpu() { return strcmp(ops().name, "cpu") == 0; }

}  // namespace check
