// null_backend.cpp: a backend whose operations do nothing, for bench/gpu/predict.py: which operations a step is made of.
//
//   g++ -std=c++17 -shared -fPIC -DFUSED=1 -I native/include bench/gpu/null_backend.cpp -o libtrm_cpu.so
//
// First on the class path it stands in the place of libtrm_cpu.so. FUSED says what the CUDA backend fuses of the
// published sizes in bfloat16: 0 nothing, 1 all, 2 the mixer alone.
#include "trm_table.h"

namespace {

template <typename Function>
struct Nothing;

template <typename R, typename... A>
struct Nothing<R (*)(A...)> {
    static R call(A...) { return R(); }
};

int32_t fuses_product(int32_t, int32_t, int32_t, int32_t dtype) { return FUSED == 1 && dtype == TRM_BF16; }
int32_t fuses_positions(int32_t, int32_t, int32_t, int32_t, int32_t dtype) { return FUSED != 0 && dtype == TRM_BF16; }

trm_backend build() {
    trm_backend table = {};
#define NOTHING(name) table.name = Nothing<decltype(trm_backend::name)>::call;
    TRM_ENTRIES(NOTHING)
#undef NOTHING
    table.abi_version = TRM_ABI_VERSION;
    table.size = static_cast<int32_t>(sizeof table);
    table.name = "cpu";
    table.target = "nothing";
    table.fuses_position_mlp = fuses_positions;
    table.fuses_linear_swiglu = fuses_product;
    table.fuses_linear_add_rms_norm = fuses_product;
    return table;
}

}  // namespace

const trm_backend* trm_backend_table() {
    static const trm_backend table = build();
    return &table;
}
