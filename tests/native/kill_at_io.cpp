// Ends a process in the midst of its work with files, for trm.cli.KillDrillTest. Preloaded (LD_PRELOAD), it counts the calls of
// open (for writing), write, pwrite, ftruncate, fsync, fdatasync, rename, unlink and mkdir on paths below KILL_PATH; call
// KILL_AT is torn: half of what should be written is written, and the process is killed. Without KILL_AT it only counts, one line
// a call in KILL_LOG. What depends on the clock, the heartbeat, does not count.
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

int calls;

bool below(const char* path) {
    const char* folder = getenv("KILL_PATH");
    return folder != nullptr && path != nullptr && strncmp(path, folder, strlen(folder)) == 0 &&
           strstr(path, "heartbeat.json") == nullptr;
}

bool below(int fd, char* path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return below(path);
}

// Whether this call is the one that is torn.
bool torn(const char* what, const char* path) {
    const int call = __sync_add_and_fetch(&calls, 1);
    if (const char* log = getenv("KILL_LOG")) {
        char line[4200];
        const int length = snprintf(line, sizeof line, "%d %s %s\n", call, what, path);
        const long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        syscall(SYS_write, fd, line, length);
        syscall(SYS_close, fd);
    }
    const char* at = getenv("KILL_AT");
    return at != nullptr && call == atoi(at);
}

[[noreturn]] void die() {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

template <typename F>
F next(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

int opened(const char* name, const char* path, int flags, mode_t mode) {
    auto real = next<int (*)(const char*, int, ...)>(name);
    if ((flags & (O_WRONLY | O_RDWR)) != 0 && below(path) && torn((flags & O_TRUNC) != 0 ? "truncate" : "open", path)) {
        real(path, flags, mode);
        die();
    }
    return real(path, flags, mode);
}

}  // namespace

#define MODE(flags, last) \
    mode_t mode = 0; \
    if (((flags) &O_CREAT) != 0) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

extern "C" {

int open(const char* path, int flags, ...) {
    MODE(flags, flags)
    return opened("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    MODE(flags, flags)
    return opened("open64", path, flags, mode);
}

ssize_t write(int fd, const void* bytes, size_t count) {
    auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
    char path[4096];
    if (below(fd, path, sizeof path) && torn("write", path)) {
        real(fd, bytes, count / 2);
        die();
    }
    return real(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
    auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
    char path[4096];
    if (below(fd, path, sizeof path) && torn("pwrite", path)) {
        real(fd, bytes, count / 2, at);
        die();
    }
    return real(fd, bytes, count, at);
}

int ftruncate64(int fd, off64_t size) {
    char path[4096];
    if (below(fd, path, sizeof path) && torn("ftruncate", path)) {
        die();
    }
    return next<int (*)(int, off64_t)>("ftruncate64")(fd, size);
}

int fsync(int fd) {
    char path[4096];
    if (below(fd, path, sizeof path) && torn("fsync", path)) {
        die();
    }
    return next<int (*)(int)>("fsync")(fd);
}

int fdatasync(int fd) {
    char path[4096];
    if (below(fd, path, sizeof path) && torn("fdatasync", path)) {
        die();
    }
    return next<int (*)(int)>("fdatasync")(fd);
}

int rename(const char* from, const char* to) {
    if ((below(from) || below(to)) && torn("rename", to)) {
        die();
    }
    return next<int (*)(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) {
    if (below(path) && torn("unlink", path)) {
        die();
    }
    return next<int (*)(const char*)>("unlink")(path);
}

int mkdir(const char* path, mode_t mode) {
    if (below(path) && torn("mkdir", path)) {
        die();
    }
    return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

}  // extern "C"
