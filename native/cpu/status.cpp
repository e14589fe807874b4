// status.cpp: the error text of each thread.
#include <cstdarg>
#include <cstdio>

#include "status.h"

namespace trm {
namespace {

thread_local char text[1024] = "";

int set_text(int code, const char* format, va_list arguments) {
    std::vsnprintf(text, sizeof text, format, arguments);
    return code;
}

}  // namespace

int invalid(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int code = set_text(TRM_EINVAL, format, arguments);
    va_end(arguments);
    return code;
}

int device_error(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int code = set_text(TRM_EDEVICE, format, arguments);
    va_end(arguments);
    return code;
}

const char* last_error() { return text; }

}  // namespace trm
