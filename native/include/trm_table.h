/* trm_table.h: what C++ does with the lists of trm_ops.h. */
#ifndef TRM_TABLE_H
#define TRM_TABLE_H

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "trm_ops.h"

/** Declares the function of an entry, with the type that the entry has. */
#define TRM_DECLARE(name) std::remove_pointer_t<decltype(trm_backend::name)> name;

/** Enters it into `table`. */
#define TRM_ENTER(name) table->name = name;

#define TRM_COUNT(name) +1
static_assert(sizeof(trm_backend) == offsetof(trm_backend, last_error) + (TRM_ENTRIES(TRM_COUNT)) * sizeof(void*),
              "an entry of trm_backend is in none of the lists of trm_ops.h, or in two");
#undef TRM_COUNT

/** Whether an entry is work for a stream, which is its last parameter. The others answer at once. */
template <class>
struct trm_enqueues;
template <class R, class... P>
struct trm_enqueues<R (*)(P...)> {
    static constexpr bool value = std::is_same_v<std::tuple_element_t<sizeof...(P), std::tuple<R, P...>>, trm_stream>;
};

#endif
