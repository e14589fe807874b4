// table.cu: the table of the CUDA backend. The products are cuBLASLt's and are entered by their caller; NULL here.

#include <cstdlib>
#include <cstring>

#include "mixer_sm90.cuh"
#include "ops.cuh"

namespace trm {
namespace {

/** The device does the work of all its operations: the number of host threads is accepted and changes nothing. */
int set_threads(int32_t) {
    return TRM_OK;
}

int32_t fuses_position_mlp(int32_t S, int32_t I, int32_t D, int32_t dtype) {
    return mixer::fits(S, I, D, dtype);
}

/** Channels are composed. */
int32_t fuses_channel_mlp(int32_t, int32_t, int32_t) {
    return 0;
}

/** "sm_90" of the calling thread's device, or why there is none. */
const char* device_target() {
    static char text[160];
    int device = 0, major = 0, minor = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (error == cudaSuccess)
        snprintf(text, sizeof text, "sm_%d%d", major, minor);
    else
        snprintf(text, sizeof text, "no device: %s", cudaGetErrorString(error));
    return text;
}

int32_t fuses_no_product(int32_t, int32_t, int32_t) {
    return 0;
}

int32_t fuses_no_position_mlp(int32_t, int32_t, int32_t, int32_t) {
    return 0;
}

/** TRM_CUDA_FUSED = 0: everything is composed from its operations, as it is for sizes that are not fused. */
void choose_fusion(trm_backend* table) {
    const char* fused = getenv("TRM_CUDA_FUSED");
    if (fused == nullptr || strcmp(fused, "0") != 0) return;
    table->fuses_position_mlp = fuses_no_position_mlp;
    table->fuses_linear_swiglu = fuses_no_product;
    table->fuses_linear_add_rms_norm = fuses_no_product;
}

trm_backend build() {
    trm_backend table = {};
    table.abi_version = TRM_ABI_VERSION;
    table.size = static_cast<int32_t>(sizeof table);
    table.name = "cuda";
    table.target = device_target();
    table.last_error = last_error;
    table.set_threads = set_threads;
    table.zero = ops::zero;
    table.copy = ops::copy;
    table.cast_bf16 = ops::cast_bf16;
    table.permute_lanes = ops::permute_lanes;
    table.add = ops::add;
    table.add_into = ops::add_into;
    table.add_rms_norm = ops::add_rms_norm;
    table.add_rms_norm_bwd = ops::add_rms_norm_bwd;
    table.add_rms_norm_positions = ops::add_rms_norm_positions;
    table.add_rms_norm_positions_bwd = ops::add_rms_norm_positions_bwd;
    table.swiglu = ops::swiglu;
    table.swiglu_bwd = ops::swiglu_bwd;
    table.fuses_position_mlp = fuses_position_mlp;
    table.position_mlp_work = ops::position_mlp_work;
    table.position_mlp = ops::position_mlp;
    table.position_mlp_bwd = ops::position_mlp_bwd;
    table.fuses_channel_mlp = fuses_channel_mlp;
    table.fuses_linear_swiglu = ops::fuses_linear_swiglu;
    table.linear_swiglu = ops::linear_swiglu;
    table.fuses_linear_add_rms_norm = ops::fuses_linear_add_rms_norm;
    table.linear_add_rms_norm = ops::linear_add_rms_norm;
    table.attention = ops::attention;
    table.attention_bwd = ops::attention_bwd;
    table.rotary = ops::rotary;
    table.rotary_bwd = ops::rotary_bwd;
    table.embed = ops::embed;
    table.embed_bwd = ops::embed_bwd;
    table.admit = ops::admit;
    table.explore = ops::explore;
    table.relax = ops::relax;
    table.relax_bwd = ops::relax_bwd;
    table.random_start = ops::random_start;
    table.halt_head = ops::halt_head;
    table.halt_head_bwd = ops::halt_head_bwd;
    table.token_loss = ops::token_loss;
    table.halt = ops::halt;
    table.continue_loss = ops::continue_loss;
    table.metrics = ops::metrics;
    table.advance = ops::advance;
    table.grad_norm = ops::grad_norm;
    table.clip_gradient = ops::clip_gradient;
    table.adam = ops::adam;
    table.sign_sgd = ops::sign_sgd;
    choose_fusion(&table);
    return table;
}

}  // namespace
}  // namespace trm

extern "C" __attribute__((visibility("default"))) const trm_backend* trm_backend_table() {
    static const trm_backend table = trm::build();
    return &table;
}
