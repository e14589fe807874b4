// status.cpp: the error text of each thread, for both backends. No exception and no exit crosses the ABI: a call returns a
// number, and last_error() says what it means.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "trm_checks.h"

namespace trm {
namespace {

thread_local const char* current = "";
thread_local char text[1024] = "";

int store(int code, const char* format, va_list arguments) {
    const int written = std::snprintf(text, sizeof text, "%s: ", current);
    std::vsnprintf(text + written, sizeof text - static_cast<size_t>(written), format, arguments);
    return code;
}

}  // namespace

void begin(const char* operation) { current = operation; }

int refuse(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int code = store(TRM_EINVAL, format, arguments);
    va_end(arguments);
    return code;
}

int device_error(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int code = store(TRM_EDEVICE, format, arguments);
    va_end(arguments);
    return code;
}

const char* last_error() { return text; }

namespace {

/** Takes the first name from "a, b, c": its length, and *names is what follows. */
int next_name(const char** names) {
    const int length = static_cast<int>(std::strcspn(*names, ","));
    *names += length;
    *names += std::strspn(*names, ", ");
    return length;
}

}  // namespace

int refuse_null(const char* names, const void* const* pointers) {
    const char* name = names;
    int length = next_name(&names);
    for (; *pointers != nullptr; pointers++) {
        name = names;
        length = next_name(&names);
    }
    return refuse("%.*s is NULL", length, name);
}

int refuse_sizes(const char* names, const long long* sizes, const char* rule) {
    char listed[256];
    int written = 0;
    while (*names != '\0') {
        const char* const name = names;
        const int length = next_name(&names);
        written += std::snprintf(listed + written, sizeof listed - static_cast<size_t>(written), "%.*s=%lld ", length,
                                 name, *sizes++);
    }
    return refuse("%s%s", listed, rule);
}

}  // namespace trm
