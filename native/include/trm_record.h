/* trm_record.h: a backend table whose calls can be written down instead of made, to be made later, again and again: what
 * a CUDA graph is on a GPU. A call's arguments are kept as they are: addresses, sizes and scalars are frozen.
 *
 * Compiled into the JNI library, for the CPU backend, and into the stand-in for a GPU (tests/native/fake_cuda).
 */
#ifndef TRM_RECORD_H
#define TRM_RECORD_H

#include <cstddef>
#include <functional>
#include <utility>

#include "trm_ops.h"

/* The entries of trm_backend, each in one list: whoever adds one to the table adds it here. */
#define TRM_OPERATIONS(X)                                                                                            \
    X(zero) X(copy) X(cast_bf16) X(permute_lanes) X(add) X(add_into) X(add_rms_norm) X(add_rms_norm_bwd)             \
    X(add_rms_norm_positions) X(add_rms_norm_positions_bwd) X(swiglu) X(swiglu_bwd) X(attention) X(attention_bwd)    \
    X(rotary) X(rotary_bwd) X(embed) X(embed_bwd) X(admit) X(explore) X(relax) X(relax_bwd) X(random_start)          \
    X(halt_head) X(halt_head_bwd) X(token_loss) X(halt) X(continue_loss) X(metrics) X(advance)                       \
    X(grad_norm) X(clip_gradient) X(adam) X(sign_sgd)
#define TRM_PRODUCTS(X) X(linear) X(linear_bwd_x) X(linear_bwd_w) X(mix) X(mix_bwd_x) X(mix_bwd_w)
#define TRM_FUSED(X)                                                                                                 \
    X(position_mlp) X(position_mlp_bwd) X(channel_mlp) X(channel_mlp_bwd) X(linear_swiglu)     \
    X(linear_add_rms_norm)
/* These answer at once and are never recorded. */
#define TRM_QUESTIONS(X)                                                                                             \
    X(last_error) X(set_threads) X(fuses_position_mlp) X(position_mlp_work) X(fuses_channel_mlp)                     \
    X(fuses_linear_swiglu) X(fuses_linear_add_rms_norm)

#define TRM_COUNT(name) +1
static_assert(sizeof(trm_backend) ==
                  offsetof(trm_backend, last_error) +
                      (TRM_OPERATIONS(TRM_COUNT) TRM_PRODUCTS(TRM_COUNT) TRM_FUSED(TRM_COUNT) TRM_QUESTIONS(TRM_COUNT)) *
                          sizeof(void*),
              "an entry of trm_backend is in none of the lists of trm_record.h, or in two");
#undef TRM_COUNT

/** A call with its arguments. */
using trm_call = std::function<int()>;

/** A table over another one. Sink::active() says whether calls are put off; then Sink::put(trm_call) takes each of them
 *  and its status is returned. One table for each Sink. */
template <class Sink>
class trm_recorder {
    static inline const trm_backend* real = nullptr;

    template <auto Entry>
    struct Call;

    template <class... A, int (*trm_backend::*Entry)(A...)>
    struct Call<Entry> {
        static int make(A... a) {
            if (!Sink::active()) return (real->*Entry)(a...);
            return Sink::put([entry = real->*Entry, a...] { return entry(a...); });
        }
    };

public:
    static trm_backend* over(const trm_backend* backend) {
        static trm_backend table;
        real = backend;
        table = *backend;
#define TRM_RECORDED(name) \
    if (backend->name != nullptr) table.name = Call<&trm_backend::name>::make;
        TRM_OPERATIONS(TRM_RECORDED)
        TRM_PRODUCTS(TRM_RECORDED)
        TRM_FUSED(TRM_RECORDED)
#undef TRM_RECORDED
        return &table;
    }
};

#endif
