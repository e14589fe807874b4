// ops.h: the operations of one instruction set. Contracts: trm_ops.h, under the same names.
#pragma once

#include "vec.h"

namespace trm {
namespace TRM_ISA {

int zero(void* p, int64_t bytes, trm_stream stream);
int copy(void* to, const void* from, int64_t bytes, trm_stream stream);
int cast_bf16(const float* from, void* to, int64_t count, trm_stream stream);
int permute_lanes(const void* x, void* out, int64_t B, int32_t N, int32_t D, int32_t dtype, trm_stream stream);
int add(const void* a, const void* b, void* out, int64_t count, int32_t dtype, trm_stream stream);
int add_into(const void* a, float* sum, int64_t count, int32_t dtype, trm_stream stream);
int add_rms_norm(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows, int32_t D,
                 float eps, int32_t dtype, trm_stream stream);
int add_rms_norm_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D, int32_t dtype,
                     trm_stream stream);
int add_rms_norm_positions(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D, float eps,
                           int32_t dtype, trm_stream stream);
int add_rms_norm_positions_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S, int32_t D,
                               int32_t dtype, trm_stream stream);
int swiglu(const void* gu, void* p, int64_t outer, int64_t inner, int32_t dtype, trm_stream stream);
int swiglu_bwd(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, int32_t dtype,
               trm_stream stream);
int32_t fuses_position_mlp(int32_t S, int32_t I, int32_t D, int32_t dtype);
int64_t position_mlp_work(int64_t B, int32_t S, int32_t I, int32_t D, int32_t dtype, int32_t backward);
int position_mlp(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, void* work, int64_t B,
                 int32_t S, int32_t I, int32_t D, float eps, int32_t dtype, trm_stream stream);
int position_mlp_bwd(const void* h, const void* y, const float* s, const void* w_gate_up, const void* w_down, void* d,
                     float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I, int32_t D,
                     int32_t dtype, trm_stream stream);
int32_t fuses_channel_mlp(int32_t I, int32_t D, int32_t dtype);
int channel_mlp(const void* h, const void* w_gate_up, const void* w_down, const void* c, void* kept, void* y, void* u,
                float* s, int64_t rows, int32_t I, int32_t D, float eps, int32_t dtype, trm_stream stream);
int channel_mlp_bwd(const void* h, const void* kept, const void* y, const float* s, const void* w_gate_up, const void* w_down, void* d,
                    float* dw_gate_up, float* dw_down, int64_t rows, int32_t I, int32_t D, int32_t dtype,
                    trm_stream stream);
int attention(const void* qkv, const float* cos, const float* sin, void* o, float* lse, int64_t B, int32_t S, int32_t A,
              int32_t d, int32_t dtype, trm_stream stream);
int attention_bwd(const void* qkv, const float* cos, const float* sin, const void* o, const float* lse, const void* d_o,
                  void* dqkv, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype, trm_stream stream);
int rotary(const void* qkv, const float* cos, const float* sin, void* qk, int64_t B, int32_t S, int32_t A, int32_t d,
           int32_t dtype, trm_stream stream);
int rotary_bwd(void* dqkv, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype,
               trm_stream stream);
int embed(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table, void* x,
          int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t dtype, trm_stream stream);
int embed_bwd(const float* dx, const int32_t* tokens, float* d_embed, float* d_pos, float* d_rows, int64_t B, int32_t L,
              int32_t P, int32_t D, int32_t E, int32_t V, trm_stream stream);
int admit(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
          const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins, const uint8_t* augmentations,
          int32_t ignore_id, const float* y_init, const float* z_init, const int32_t* halted, int32_t* steps,
          int32_t* inputs, int32_t* labels, int32_t* ids, void* y, void* z, int64_t B, int32_t L, int32_t S, int32_t D,
          int32_t side, int32_t V, int32_t dtype, trm_stream stream);
int explore(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
            int32_t max_steps, trm_stream stream);
int relax(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane, int64_t seed,
          int32_t draw, double lambda, double sigma, int32_t dtype, trm_stream stream);
int relax_bwd(void* d, void* d_f, int64_t count, double lambda, int32_t dtype, trm_stream stream);
int random_start(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B, int64_t count,
                 int64_t seed, int32_t draw, int32_t dtype, trm_stream stream);
int halt_head(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D, int32_t dtype,
              trm_stream stream);
int halt_head_bwd(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B,
                  int32_t S, int32_t D, int32_t dtype, trm_stream stream);
int token_loss(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
               int32_t* labelled, void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind,
               double scale, int32_t dtype, trm_stream stream);
int halt(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
         int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps, int32_t rule,
         double scale, trm_stream stream);
int continue_loss(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss, float* dq,
                  int64_t B, int32_t max_steps, double scale, trm_stream stream);
int metrics(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact, const int32_t* steps,
            const int32_t* halted, const double* lane_loss, const double* halt_loss, const double* continue_loss,
            double* metrics, int64_t B, trm_stream stream);
int advance(double* controls, double lr, double puzzle_lr, int64_t warmup, int64_t total, double min_ratio,
            double beta1, double beta2, trm_stream stream);
int grad_norm(const float* g, double* partials, double* norm, double* total, int64_t count, trm_stream stream);
int clip_gradient(float* g, const double* norm, double max, int64_t count, trm_stream stream);
int adam(float* p, float* g, float* m, float* v, float* ema, void* bf16_copy, const double* controls, int64_t count,
         double beta1, double beta2, double weight_decay, double eps, double ema_rate, int32_t kind, trm_stream stream);
int sign_sgd(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
             double weight_decay, trm_stream stream);

// What position_mlp and channel_mlp call for bfloat16; their contract is that of trm_ops.h, their arguments are checked.
#if defined(__AVX512BF16__)
bool fuses_position_mlp_bf16(int32_t S, int32_t I, int32_t D);
bool fuses_channel_mlp_bf16(int32_t I, int32_t D);
#else
inline bool fuses_position_mlp_bf16(int32_t, int32_t, int32_t) { return false; }
inline bool fuses_channel_mlp_bf16(int32_t, int32_t) { return false; }
#endif
int position_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, bf16* y, float* s, int64_t B, int64_t S,
                      int64_t I, int64_t D, float eps);
int position_mlp_bwd_bf16(const bf16* h, const bf16* y, const float* s, const bf16* w_gate_up, const bf16* w_down, bf16* d,
                          float* dw_gate_up, float* dw_down, int64_t B, int64_t S, int64_t I, int64_t D);
int channel_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, const bf16* c, bf16* kept, bf16* y, bf16* u,
                     float* s, int64_t rows, int64_t I, int64_t D, float eps);
int channel_mlp_bwd_bf16(const bf16* h, const bf16* kept, const bf16* y, const float* s, const bf16* w_gate_up,
                         const bf16* w_down, bf16* d, float* dw_gate_up, float* dw_down, int64_t rows, int64_t I, int64_t D);

}  // namespace TRM_ISA
}  // namespace trm
