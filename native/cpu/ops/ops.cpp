// ops.cpp: enters the operations of one instruction set into the table.
#include "ops.h"

#define TRM_PASTE2(a, b) a##b
#define TRM_PASTE(a, b) TRM_PASTE2(a, b)

namespace trm {

void TRM_PASTE(fill_ops_, TRM_ISA)(trm_backend* table) {
    table->zero = TRM_ISA::zero;
    table->copy = TRM_ISA::copy;
    table->cast_bf16 = TRM_ISA::cast_bf16;
    table->permute_lanes = TRM_ISA::permute_lanes;
    table->add = TRM_ISA::add;
    table->add_into = TRM_ISA::add_into;
    table->add_rms_norm = TRM_ISA::add_rms_norm;
    table->add_rms_norm_bwd = TRM_ISA::add_rms_norm_bwd;
    table->add_rms_norm_positions = TRM_ISA::add_rms_norm_positions;
    table->add_rms_norm_positions_bwd = TRM_ISA::add_rms_norm_positions_bwd;
    table->swiglu = TRM_ISA::swiglu;
    table->swiglu_bwd = TRM_ISA::swiglu_bwd;
    table->fuses_position_mlp = TRM_ISA::fuses_position_mlp;
    table->position_mlp_work = TRM_ISA::position_mlp_work;
    table->position_mlp = TRM_ISA::position_mlp;
    table->position_mlp_bwd = TRM_ISA::position_mlp_bwd;
    table->fuses_channel_mlp = TRM_ISA::fuses_channel_mlp;
    table->channel_mlp = TRM_ISA::channel_mlp;
    table->channel_mlp_bwd = TRM_ISA::channel_mlp_bwd;
    table->attention = TRM_ISA::attention;
    table->attention_bwd = TRM_ISA::attention_bwd;
    table->rotary = TRM_ISA::rotary;
    table->rotary_bwd = TRM_ISA::rotary_bwd;
    table->embed = TRM_ISA::embed;
    table->embed_bwd = TRM_ISA::embed_bwd;
    table->admit = TRM_ISA::admit;
    table->explore = TRM_ISA::explore;
    table->relax = TRM_ISA::relax;
    table->relax_bwd = TRM_ISA::relax_bwd;
    table->random_start = TRM_ISA::random_start;
    table->halt_head = TRM_ISA::halt_head;
    table->halt_head_bwd = TRM_ISA::halt_head_bwd;
    table->token_loss = TRM_ISA::token_loss;
    table->halt = TRM_ISA::halt;
    table->continue_loss = TRM_ISA::continue_loss;
    table->metrics = TRM_ISA::metrics;
    table->advance = TRM_ISA::advance;
    table->grad_norm = TRM_ISA::grad_norm;
    table->clip_gradient = TRM_ISA::clip_gradient;
    table->adam = TRM_ISA::adam;
    table->sign_sgd = TRM_ISA::sign_sgd;
}

}  // namespace trm
