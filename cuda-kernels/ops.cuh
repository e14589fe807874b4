// ops.cuh: the operations of this backend, each with the type that trm_ops.h gives its entry of the table.
#pragma once

#include "common.cuh"

namespace trm {
namespace ops {

#define TRM_OPERATION(name) std::remove_pointer_t<decltype(trm_backend::name)> name
TRM_OPERATION(zero);
TRM_OPERATION(copy);
TRM_OPERATION(cast_bf16);
TRM_OPERATION(permute_lanes);
TRM_OPERATION(add);
TRM_OPERATION(add_into);
TRM_OPERATION(add_rms_norm);
TRM_OPERATION(add_rms_norm_bwd);
TRM_OPERATION(add_rms_norm_positions);
TRM_OPERATION(add_rms_norm_positions_bwd);
TRM_OPERATION(swiglu);
TRM_OPERATION(swiglu_bwd);
TRM_OPERATION(position_mlp_work);
TRM_OPERATION(position_mlp);
TRM_OPERATION(position_mlp_bwd);
TRM_OPERATION(fuses_linear_swiglu);
TRM_OPERATION(linear_swiglu);
TRM_OPERATION(fuses_linear_add_rms_norm);
TRM_OPERATION(linear_add_rms_norm);
TRM_OPERATION(attention);
TRM_OPERATION(attention_bwd);
TRM_OPERATION(rotary);
TRM_OPERATION(rotary_bwd);
TRM_OPERATION(embed);
TRM_OPERATION(embed_bwd);
TRM_OPERATION(admit);
TRM_OPERATION(explore);
TRM_OPERATION(relax);
TRM_OPERATION(relax_bwd);
TRM_OPERATION(random_start);
TRM_OPERATION(halt_head);
TRM_OPERATION(halt_head_bwd);
TRM_OPERATION(token_loss);
TRM_OPERATION(halt);
TRM_OPERATION(continue_loss);
TRM_OPERATION(metrics);
TRM_OPERATION(advance);
TRM_OPERATION(grad_norm);
TRM_OPERATION(clip_gradient);
TRM_OPERATION(adam);
TRM_OPERATION(sign_sgd);
#undef TRM_OPERATION

}  // namespace ops
}  // namespace trm
