// table.cpp: the table of the CPU backend, with the widest instruction set that the processor has.
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "cpu.h"

namespace trm {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

// Tiles also need the kernel's permission, asked for once by a process.
bool has_amx() {
    if (!has_avx512_bf16() || !__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-bf16")) return false;
#if defined(__linux__)
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}
#endif

// An instruction set that ops/ was built for, the widest first.
struct Isa {
    const char* name;
    bool present;
    void (*fill)(trm_backend* table);
};

// TRM_CPU_ISA = avx512_bf16 | avx512 | avx2 | base chooses a narrower set; a name that the processor lacks or nobody knows is ignored.
void fill_ops(trm_backend* table) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const Isa sets[] = {{"amx", has_amx(), fill_ops_amx},
                        {"avx512_bf16", has_avx512_bf16(), fill_ops_avx512_bf16},
                        {"avx512", has_avx512(), fill_ops_avx512},
                        {"avx2", has_avx2(), fill_ops_avx2},
                        {"base", true, fill_ops_base}};
#else
    const Isa sets[] = {{"base", true, fill_ops_base}};
#endif
    const char* wanted = std::getenv("TRM_CPU_ISA");
    const Isa* chosen = nullptr;
    for (const Isa& isa : sets) {
        if (!isa.present) continue;
        if (chosen == nullptr) chosen = &isa;
        if (wanted != nullptr && std::strcmp(wanted, isa.name) == 0) chosen = &isa;
    }
    table->target = chosen->name;
    chosen->fill(table);
}

// TRM_CPU_FUSED = 0: every residual sublayer is composed from its operations, as it is for sizes that are not fused.
int32_t fuses_no_position_mlp(int32_t, int32_t, int32_t, int32_t, int32_t) { return 0; }
int32_t fuses_no_channel_mlp(int32_t, int32_t, int32_t, int32_t) { return 0; }

void choose_fusion(trm_backend* table) {
    const char* fused = std::getenv("TRM_CPU_FUSED");
    if (fused == nullptr || std::strcmp(fused, "0") != 0) return;
    table->fuses_position_mlp = fuses_no_position_mlp;
    table->fuses_channel_mlp = fuses_no_channel_mlp;
}

// Nothing follows a product in the same pass on the CPU: tiles of a product are oneDNN's, and what follows finds them in
// a cache.
int32_t fuses_no_product(int32_t, int32_t, int32_t, int32_t) { return 0; }

int set_threads_entry(int32_t threads) {
    begin("set_threads");
    return set_threads(threads);
}

trm_backend build() {
    trm_backend table;
    std::memset(&table, 0, sizeof table);
    fill_ops(&table);
    choose_fusion(&table);
    table.fuses_linear_swiglu = fuses_no_product;
    table.fuses_linear_add_rms_norm = fuses_no_product;
    fill_products(&table);
    table.abi_version = TRM_ABI_VERSION;
    table.size = int32_t(sizeof table);
    table.name = "cpu";
    table.last_error = last_error;
    table.set_threads = set_threads_entry;
    return table;
}

}  // namespace
}  // namespace trm

const trm_backend* trm_backend_table() {
    static const trm_backend table = trm::build();
    return &table;
}
