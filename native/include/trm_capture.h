/* trm_capture.h: a backend table whose calls can be captured instead of made, and replayed later, again and again: what a
 * CUDA graph is on a GPU. A captured call keeps its arguments as they are: addresses, sizes and scalars are frozen.
 *
 * Compiled into the JNI library, for the CPU backend, and into the stand-in for a GPU (tests/native/fake_cuda).
 */
#ifndef TRM_CAPTURE_H
#define TRM_CAPTURE_H

#include <functional>
#include <utility>

#include "trm_table.h"

/** A call with its arguments. */
using trm_call = std::function<int()>;

/** A table over another one. While Sink::active() says that calls are captured, Sink::put(trm_call) takes each of them
 *  and its status is returned. One table for each Sink and Library. */
template <class Sink, int Library = 0>
class trm_capturing {
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
#define TRM_CAPTURED(name) \
    if (backend->name != nullptr) table.name = Call<&trm_backend::name, decltype(trm_backend::name)>::make;
        TRM_ENTRIES(TRM_CAPTURED)
#undef TRM_CAPTURED
        return &table;
    }
};

#endif
