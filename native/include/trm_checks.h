/* trm_checks.h: the words in which trm_ops.h says what an operation requires of its arguments, for both backends.
 *
 * An implementation begins with TRM_CHECK(<its entry>). It names the operation, once: texts of errors begin with that name.
 * What one backend requires beyond the declaration follows as TRM_REQUIRE. status.cpp has the texts.
 */
#ifndef TRM_CHECKS_H
#define TRM_CHECKS_H

#include "trm_ops.h"

namespace trm {

/** From here on this thread is in the operation of that name. */
void begin(const char* operation);

/** Stores "operation: text" as this thread's error and returns TRM_EINVAL, or TRM_EDEVICE. */
__attribute__((format(printf, 1, 2))) int refuse(const char* format, ...);
__attribute__((format(printf, 1, 2))) int device_error(const char* format, ...);

/** The text that the last of them stored. */
const char* last_error();

/** refuse() of the first pointer that is NULL, or of all sizes with their values; names: "a, b, c". */
int refuse_null(const char* names, const void* const* pointers);
int refuse_sizes(const char* names, const long long* sizes, const char* rule);

}  // namespace trm

#define TRM_CHECK(name) \
    trm::begin(#name); \
    TRM_CHECK_##name

#define TRM_REQUIRE(condition, ...) \
    { \
        if (!(condition)) return trm::refuse(__VA_ARGS__); \
    }

/** None of these pointers is NULL. */
#define TRM_GIVEN(...) \
    { \
        const void* const pointers_[] = {__VA_ARGS__}; \
        for (const void* pointer_ : pointers_) \
            if (pointer_ == nullptr) return trm::refuse_null(#__VA_ARGS__, pointers_); \
    }
#define TRM_GIVEN_IF(condition, ...) \
    if (condition) TRM_GIVEN(__VA_ARGS__)

/** Sizes, counts and numbers of steps. */
#define TRM_POSITIVE(...) TRM_SIZES(size_ > 0, "must be positive", __VA_ARGS__)
#define TRM_NOT_NEGATIVE(...) TRM_SIZES(size_ >= 0, "must not be negative", __VA_ARGS__)
#define TRM_SIZES(rule, text, ...) \
    { \
        const long long sizes_[] = {__VA_ARGS__}; \
        for (const long long size_ : sizes_) \
            if (!(rule)) return trm::refuse_sizes(#__VA_ARGS__, sizes_, text); \
    }

/** From here on `normed` says which SwiGLU it is: 1 where its factor is given, the normed one. */
#define TRM_NORMED(rho) const int32_t normed = rho != nullptr;

/** The backend fuses these sizes, arguments of fuses_<name>. */
#define TRM_FUSED_SIZES(name, ...) \
    if (!fuses_##name(__VA_ARGS__)) { \
        const long long sizes_[] = {__VA_ARGS__}; \
        return trm::refuse_sizes(#__VA_ARGS__, sizes_, "is not a size it is made for"); \
    }

#define TRM_DTYPE(dtype) \
    TRM_REQUIRE(dtype == TRM_F32 || dtype == TRM_BF16, #dtype "=%d is neither TRM_F32 nor TRM_BF16", dtype)

/** Two buffers, neither of which is the other. */
#define TRM_APART(a, b) TRM_REQUIRE(a != b, #a " and " #b " are the same")

/** u = y + c where c is given. */
#define TRM_INJECTION(c, y, u) \
    TRM_REQUIRE(c == nullptr || u != nullptr, #c " is given but " #u " is NULL") \
    TRM_REQUIRE(c == nullptr || u != y, #u " and " #y " are the same")

/** A table of rotations for heads of width d, or none. */
#define TRM_ROTATION(cos, sin, d) \
    TRM_REQUIRE((cos == nullptr) == (sin == nullptr), "only one of " #cos " and " #sin " is given") \
    TRM_REQUIRE(cos == nullptr || d % 2 == 0, #d "=%d must be even for rotary positions", d)

#endif
