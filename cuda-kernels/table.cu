// table.cu: the table of the CUDA backend. The products are cuBLASLt's and are entered by their caller; NULL here.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ops.cuh"

namespace trm {

namespace ops {

static void enter(trm_backend* table) {
    TRM_OPERATIONS(TRM_ENTER)
    TRM_FUSED_POSITIONS(TRM_ENTER)
    TRM_FUSED_PRODUCTS(TRM_ENTER)
}

}  // namespace ops

namespace {

/** The device does the work of all its operations: the number of host threads is accepted and changes nothing. */
int set_threads(int32_t) { return TRM_OK; }

/** Channels are composed. */
int32_t fuses_channel_mlp(int32_t, int32_t, int32_t, int32_t) { return 0; }

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

int32_t fuses_no_product(int32_t, int32_t, int32_t, int32_t) { return 0; }

int32_t fuses_no_position_mlp(int32_t, int32_t, int32_t, int32_t, int32_t) { return 0; }

/** TRM_CUDA_FUSED = 0: everything is composed from its operations, as it is for sizes that are not fused. For mma see
 *  mma_choice.cuh; what is neither of these nor 1 is refused where the backend is opened. */
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
    ops::enter(&table);
    table.fuses_channel_mlp = fuses_channel_mlp;
    choose_fusion(&table);
    return table;
}

}  // namespace
}  // namespace trm

const trm_backend* trm_backend_table() {
    static const trm_backend table = trm::build();
    return &table;
}
