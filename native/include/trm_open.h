/* trm_open.h: how Java opens a backend library. Compiled into the JNI library only. */
#ifndef TRM_OPEN_H
#define TRM_OPEN_H

#include <dlfcn.h>
#include <sys/mman.h>
#include <cstdlib>
#include <cstring>

#include "trm_ops.h"

/** The text of the last failed trm_open_backend of this thread. */
inline char* trm_open_error() {
    static thread_local char text[1024];
    return text;
}

inline const char* trm_open_backend_error() {
    return trm_open_error();
}

/** Opens the library at `path` and returns its table, or NULL with the reason in trm_open_backend_error(). */
inline trm_backend* trm_open_backend(const char* path) {
    char* error = trm_open_error();
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        strncpy(error, dlerror(), 1023);
        return nullptr;
    }
    auto table = reinterpret_cast<trm_backend_table_fn>(dlsym(library, "trm_backend_table"));
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

/** The name of the first entry that is NULL, or NULL if there is none. `products` = 0 leaves the six products out; what is
 *  fused is left out: fuses_* says whether it is called. */
inline const char* trm_missing_operation(const trm_backend* backend, int products) {
#define TRM_ENTRY(name) \
    if (backend->name == nullptr) return #name;
#define TRM_PRODUCT(name) \
    if (products != 0 && backend->name == nullptr) return #name;
    TRM_ENTRY(last_error)
    TRM_ENTRY(set_threads)
    TRM_ENTRY(zero)
    TRM_ENTRY(copy)
    TRM_ENTRY(cast_bf16)
    TRM_ENTRY(permute_lanes)
    TRM_PRODUCT(linear)
    TRM_PRODUCT(linear_bwd_x)
    TRM_PRODUCT(linear_bwd_w)
    TRM_PRODUCT(mix)
    TRM_PRODUCT(mix_bwd_x)
    TRM_PRODUCT(mix_bwd_w)
    TRM_ENTRY(add)
    TRM_ENTRY(add_into)
    TRM_ENTRY(add_rms_norm)
    TRM_ENTRY(add_rms_norm_bwd)
    TRM_ENTRY(add_rms_norm_positions)
    TRM_ENTRY(add_rms_norm_positions_bwd)
    TRM_ENTRY(swiglu)
    TRM_ENTRY(swiglu_bwd)
    TRM_ENTRY(attention)
    TRM_ENTRY(attention_bwd)
    TRM_ENTRY(fuses_position_mlp)
    TRM_ENTRY(position_mlp_work)
    TRM_ENTRY(fuses_channel_mlp)
    TRM_ENTRY(fuses_linear_swiglu)
    TRM_ENTRY(fuses_linear_bwd_x_swiglu)
    TRM_ENTRY(fuses_linear_add_rms_norm)
    TRM_ENTRY(embed)
    TRM_ENTRY(embed_bwd)
    TRM_ENTRY(admit)
    TRM_ENTRY(explore)
    TRM_ENTRY(halt_head)
    TRM_ENTRY(halt_head_bwd)
    TRM_ENTRY(token_loss)
    TRM_ENTRY(halt)
    TRM_ENTRY(continue_loss)
    TRM_ENTRY(metrics)
    TRM_ENTRY(advance)
    TRM_ENTRY(adam)
    TRM_ENTRY(sign_sgd)
#undef TRM_PRODUCT
#undef TRM_ENTRY
    return nullptr;
}

/** Zeroed host memory aligned to 64 bytes, or 0. */
inline long long trm_host_allocate(long long bytes) {
    const size_t rounded = (static_cast<size_t>(bytes) + 4095) / 4096 * 4096;
    void* p = std::aligned_alloc(4096, rounded);
    if (p == nullptr) return 0;
    std::memset(p, 0, rounded);
    return reinterpret_cast<long long>(p);
}

inline void trm_host_free(long long address) {
    std::free(reinterpret_cast<void*>(address));
}

#endif
