/* trm_open.h: how Java opens a backend library, and captures calls of the CPU's. Compiled into the JNI library only. */
#ifndef TRM_OPEN_H
#define TRM_OPEN_H

#include <dlfcn.h>
#include <sys/mman.h>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "trm_ops.h"
#include "trm_capture.h"

/** The text of the last failed trm_open_backend of this thread. */
inline char* trm_open_error() {
    static thread_local char text[1024];
    return text;
}

inline const char* trm_open_backend_error() { return trm_open_error(); }

/** Opens the library at `path` and returns its table, or NULL with the reason in trm_open_backend_error(). */
inline trm_backend* trm_open_backend(const char* path) {
    char* error = trm_open_error();
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        strncpy(error, dlerror(), 1023);
        return nullptr;
    }
    auto table = reinterpret_cast<decltype(&trm_backend_table)>(dlsym(library, "trm_backend_table"));
    if (table == nullptr) {
        strncpy(error, dlerror(), 1023);
        return nullptr;
    }
    const trm_backend* backend = table();
    if (backend->abi_version != TRM_ABI_VERSION || backend->size != static_cast<int32_t>(sizeof(trm_backend))) {
        strncpy(error, "the library was built from another version of trm_ops.h", 1023);
        return nullptr;
    }
    return const_cast<trm_backend*>(backend);
}

/** The name of the first entry that is NULL, or NULL if there is none. `products` = 0 leaves the six products out; of what
 *  is fused only the answers must be there: fuses_* says whether the rest is called. */
inline const char* trm_missing_operation(const trm_backend* backend, int products) {
#define TRM_REQUIRED(name) \
    if (backend->name == nullptr) return #name;
#define TRM_ANSWERED(name) \
    if (!trm_enqueues<decltype(trm_backend::name)>::value && backend->name == nullptr) return #name;
    TRM_HOST(TRM_REQUIRED)
    TRM_OPERATIONS(TRM_REQUIRED)
    TRM_FUSED(TRM_ANSWERED)
    if (products != 0) {
        TRM_PRODUCTS(TRM_REQUIRED)
    }
#undef TRM_REQUIRED
#undef TRM_ANSWERED
    return nullptr;
}

/** The first entry that a library which connects ranks lacks, or NULL. */
inline const char* trm_missing_collective(const trm_backend* backend) {
#define TRM_REQUIRED(name) \
    if (backend->name == nullptr) return #name;
    TRM_RANKS(TRM_REQUIRED)
    TRM_COLLECTIVES(TRM_REQUIRED)
    TRM_REQUIRED(last_error)
#undef TRM_REQUIRED
    return nullptr;
}

/** A captured graph: calls in the order in which they were made. */
struct trm_graph {
    std::vector<trm_call> calls;

    /** What this thread's calls are added to, or NULL: then they are made. */
    static trm_graph*& current() {
        static thread_local trm_graph* graph = nullptr;
        return graph;
    }
    static bool active() { return current() != nullptr; }
    static int put(trm_call call) {
        current()->calls.push_back(std::move(call));
        return TRM_OK;
    }
};

/** A table over that of the CPU backend whose calls can be captured. */
inline trm_backend* trm_capturable(const trm_backend* backend) { return trm_capturing<trm_graph>::over(backend); }

/** The same of a library that connects ranks, whose calls go into the same graphs. */
inline trm_backend* trm_capturable_ranks(const trm_backend* ranks) { return trm_capturing<trm_graph, 1>::over(ranks); }

/** From now on this thread's calls of the capturable table are not made but added to a new graph. */
inline long long trm_capture_begin() {
    trm_graph::current() = new trm_graph;
    return reinterpret_cast<long long>(trm_graph::current());
}

/** From now on they are made again. */
inline void trm_capture_end() { trm_graph::current() = nullptr; }

/** Makes the calls of a graph. Returns the number of the first that fails, from 0; those after it are not made. -1 if
 *  all succeed. */
inline int trm_graph_replay(long long graph) {
    const std::vector<trm_call>& calls = reinterpret_cast<const trm_graph*>(graph)->calls;
    for (size_t i = 0; i < calls.size(); i++)
        if (calls[i]() != TRM_OK) return static_cast<int>(i);
    return -1;
}

inline void trm_graph_free(long long graph) { delete reinterpret_cast<trm_graph*>(graph); }

/** Sets a variable of this process's environment, for libraries that read it. */
inline void trm_set_variable(const char* name, const char* value) { setenv(name, value, 1); }

/** Zeroed host memory aligned to 64 bytes, or 0. */
inline long long trm_host_allocate(long long bytes) {
    const size_t rounded = (static_cast<size_t>(bytes) + 4095) / 4096 * 4096;
    void* p = std::aligned_alloc(4096, rounded);
    if (p == nullptr) return 0;
    std::memset(p, 0, rounded);
    return reinterpret_cast<long long>(p);
}

inline void trm_host_free(long long address) { std::free(reinterpret_cast<void*>(address)); }

#endif
