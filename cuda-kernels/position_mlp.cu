// position_mlp.cu: the entries of the token mixer (mlp_t) in one pass: on Hopper by mixer_sm90*.cu, on other GPUs and for sizes
// that those do not take by mixer_mma*.cu. The equations are in either.
#include "mixer_mma.cuh"
#include "mixer_sm90.cuh"
#include "mma_choice.cuh"
#include "ops.cuh"

namespace trm {
namespace {

bool by_wgmma(int32_t S, int32_t I, int32_t D, int32_t dtype) { return !mma_forced() && mixer::fits(S, I, D, dtype); }

}  // namespace

int32_t ops::fuses_position_mlp(int32_t S, int32_t I, int32_t D, int32_t, int32_t dtype) {
    return by_wgmma(S, I, D, dtype) || (mixer_mma::fits(S, I, D, dtype) && mma_available());
}

int64_t ops::position_mlp_work(int64_t B, int32_t S, int32_t I, int32_t D, int32_t dtype, int32_t backward) {
    if (by_wgmma(S, I, D, dtype)) return mixer::work_bytes(B, S, I, D, backward != 0);
    return fuses_position_mlp(S, I, D, 0, dtype) != 0 ? mixer_mma::work_bytes(B, S, I, D, backward != 0) : 0;
}

int ops::position_mlp(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho,
                      void* work, int64_t B, int32_t S, int32_t I, int32_t D, float eps, int32_t dtype,
                      trm_stream stream) {
    TRM_CHECK(position_mlp);
    TRM_REQUIRE(aligned(16, h, y, work), "an operand is not aligned to 16 bytes");
    const auto forward = by_wgmma(S, I, D, dtype) ? mixer::forward : mixer_mma::forward;
    return forward(h, w_gate_up, w_down, y, s, rho, work, B, S, I, D, eps, stream);
}

int ops::position_mlp_bwd(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up,
                          const void* w_down, void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B,
                          int32_t S, int32_t I, int32_t D, int32_t dtype, trm_stream stream) {
    TRM_CHECK(position_mlp_bwd);
    TRM_REQUIRE(aligned(16, h, y, d, work), "an operand is not aligned to 16 bytes");
    const auto backward = by_wgmma(S, I, D, dtype) ? mixer::backward : mixer_mma::backward;
    return backward(h, y, s, rho, w_gate_up, w_down, d, dw_gate_up, dw_down, work, B, S, I, D, stream);
}

}  // namespace trm
