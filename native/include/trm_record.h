/* trm_record.h: a backend table whose calls can be written down instead of made, to be made later, again and again: what
 * a CUDA graph is on a GPU. A call's arguments are kept as they are: addresses, sizes and scalars are frozen.
 *
 * Compiled into the JNI library, for the CPU backend, and into the stand-in for a GPU (tests/native/fake_cuda).
 */
#ifndef TRM_RECORD_H
#define TRM_RECORD_H

#include <functional>
#include <utility>

#include "trm_table.h"

/** A call with its arguments. */
using trm_call = std::function<int()>;

/** A table over another one. Sink::active() says whether calls are put off; then Sink::put(trm_call) takes each of them
 *  and its status is returned. One table for each Sink. */
template <class Sink>
class trm_recorder {
    static inline const trm_backend* real = nullptr;

    template <auto Entry, class Function>
    struct Call;

    template <auto Entry, class R, class... A>
    struct Call<Entry, R (*)(A...)> {
        static R make(A... a) {
            if constexpr (trm_enqueues<R (*)(A...)>::value)
                if (Sink::active()) return Sink::put([entry = real->*Entry, a...] { return entry(a...); });
            return (real->*Entry)(a...);
        }
    };

public:
    static trm_backend* over(const trm_backend* backend) {
        static trm_backend table;
        real = backend;
        table = *backend;
#define TRM_RECORDED(name) \
    if (backend->name != nullptr) table.name = Call<&trm_backend::name, decltype(trm_backend::name)>::make;
        TRM_ENTRIES(TRM_RECORDED)
#undef TRM_RECORDED
        return &table;
    }
};

#endif
