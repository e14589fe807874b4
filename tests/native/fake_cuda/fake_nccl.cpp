// fake_nccl.cpp: stands in for libnccl.so.2, as fake_cuda.cpp does for the libraries beside it. Ranks are processes; what they
// give each other lies in a file in the folder FAKE_NCCL_DIR that NCCL_COMM_ID names and all of them map. Collectives are calls
// on the stream like all others. One that waits for another rank keeps the stream waiting, and nothing else: FAKE_CUDA_LAG
// must be set, since a call that is made at once could not wait. Sums are in the order of the ranks, in double.
//
// What it checks: the same call with the same sizes in all ranks, no call after an abort, one rank a GPU.
//
// Environment: FAKE_NCCL_HANG_AT: from the collective of that number on this rank never comes; FAKE_NCCL_ERROR_AT: from that
// number on, too, and the communicator has an asynchronous error. FAKE_CUDA_TRACE: a line on standard error for each collective that
// is enqueued, and for the end of a communicator.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <string>

#include "fake_cuda.h"

namespace {

constexpr int SUCCESS = 0, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4, INVALID_USAGE = 5,
              REMOTE_ERROR = 6;
constexpr int UINT8 = 1, FLOAT32 = 7, FLOAT64 = 8, SUM = 0;
constexpr int MOST_RANKS = 16;
constexpr size_t SLOT = 64 << 20;  // bytes that a rank gives in one call; the file has holes

struct Shared {
    std::atomic<int> joined;
    std::atomic<int> aborted;
    std::atomic<long long> posted[MOST_RANKS], read[MOST_RANKS];  // calls
    std::atomic<int> gpu[MOST_RANKS];                             // index + 1
    struct {
        int kind;
        size_t bytes;
    } call[MOST_RANKS];
};

std::string last_error;

struct Communicator {
    Shared* shared;
    char* slots;
    int rank, ranks;
    long long enqueued = 0;  // collectives, captured ones not counted
    long long done = 0;      // collectives
    bool posted = false;     // this rank's part of the next one
    bool over = false;

    char* slot(int r) const { return slots + SLOT * static_cast<size_t>(r); }

    bool all(const std::atomic<long long>* counts, long long least) const {
        for (int r = 0; r < ranks; r++)
            if (counts[r] < least) return false;
        return true;
    }

    bool reached(const char* name) const {
        const long long at = setting(name, -1);
        return at >= 0 && done >= at;
    }

    /** Makes one collective, as far as the other ranks let it. */
    template <class Take>
    void make(int kind, const void* own, size_t bytes, Take take) {
        if (over) return;  // given up: the stream goes on
        if (reached("FAKE_NCCL_HANG_AT") || reached("FAKE_NCCL_ERROR_AT")) {
            device().blocked = true;
            return;
        }
        if (!posted) {
            if (!all(shared->read, done)) {
                device().blocked = true;
                return;
            }
            if (own != nullptr) std::memcpy(slot(rank), own, bytes);
            shared->call[rank] = {kind, bytes};
            posted = true;
            shared->posted[rank] = done + 1;
        }
        if (!all(shared->posted, done + 1)) {
            device().blocked = true;
            return;
        }
        for (int r = 0; r < ranks; r++)
            if (shared->call[r].kind != kind || shared->call[r].bytes != bytes) {
                std::fprintf(stderr, "rank %d makes another collective than rank %d\n", r, rank);
                std::abort();
            }
        take();
        posted = false;
        done++;
        shared->read[rank] = done;
    }
};

template <class T>
void add_up(const Communicator* c, void* to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int r = 0; r < c->ranks; r++) sum += static_cast<double>(reinterpret_cast<const T*>(c->slot(r))[i]);
        static_cast<T*>(to)[i] = static_cast<T>(sum);
    }
}

int fail(int status, const std::string& text) {
    last_error = text;
    return status;
}

}  // namespace

EXPORT const char* ncclGetErrorString(int status) {
    return status == SUCCESS          ? "no error"
           : status == REMOTE_ERROR   ? "remote process exited or there was a network error"
           : status == INVALID_USAGE  ? "invalid usage"
           : status == INTERNAL_ERROR ? "internal error"
                                      : "some error";
}
EXPORT const char* ncclGetLastError(void*) { return last_error.c_str(); }
EXPORT int ncclGetVersion(int* version) {
    *version = 22800;
    return SUCCESS;
}
struct Id {
    char bytes[128];
};
EXPORT int ncclGetUniqueId(Id* id) {
    const char* named = std::getenv("NCCL_COMM_ID");
    std::memset(id, 0, sizeof *id);
    std::snprintf(id->bytes, sizeof id->bytes, "%s", named == nullptr ? std::to_string(getpid()).c_str() : named);
    return SUCCESS;
}
EXPORT int ncclCommInitRank(void** communicator, int ranks, Id id, int rank) {
    const char* folder = std::getenv("FAKE_NCCL_DIR");
    if (folder == nullptr || ranks > MOST_RANKS || rank >= ranks) return fail(INVALID_ARGUMENT, "FAKE_NCCL_DIR, rank");
    const std::string path = std::string(folder) + "/" + id.bytes;
    const int file = open(path.c_str(), O_RDWR | O_CREAT, 0600);
    const size_t head = (sizeof(Shared) + 4095) / 4096 * 4096, bytes = head + SLOT * static_cast<size_t>(ranks);
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) return fail(SYSTEM_ERROR, "cannot reach " + path);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    auto* c = new Communicator{static_cast<Shared*>(memory), static_cast<char*>(memory) + head, rank, ranks};
    c->shared->gpu[rank] = device().index + 1;
    c->shared->joined++;
    while (c->shared->joined < ranks) usleep(1000);
    for (int r = 0; r < ranks; r++)
        if (r != rank && c->shared->gpu[r] == c->shared->gpu[rank])
            return fail(INVALID_USAGE, "Duplicate GPU detected : rank " + std::to_string(rank) + " and rank " +
                                           std::to_string(r) + " both on CUDA device " +
                                           std::to_string(device().index));
    *communicator = c;
    return SUCCESS;
}

namespace {

template <class Take>
int enqueue(Communicator* c, const char* name, int kind, const void* own, size_t bytes, Take take) {
    if (c->over || bytes > SLOT) return fail(INVALID_ARGUMENT, "an aborted communicator, or too many bytes");
    if (!device().capturing && device().lag == 0) return fail(INVALID_USAGE, "FAKE_CUDA_LAG is not set");
    trace(name);
    device().submit([=] { c->make(kind, own, bytes, take); });
    return SUCCESS;
}

}  // namespace

EXPORT int ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, Communicator* c, void*) {
    if (operation != SUM || (type != FLOAT32 && type != FLOAT64)) return fail(INVALID_ARGUMENT, "type, operation");
    const size_t bytes = count * (type == FLOAT32 ? 4 : 8);
    return enqueue(c, "nccl all_reduce", type, from, bytes, [=] {
        if (type == FLOAT32)
            add_up<float>(c, to, count);
        else
            add_up<double>(c, to, count);
    });
}
EXPORT int ncclAllGather(const void* from, void* to, size_t count, int type, Communicator* c, void*) {
    if (type != UINT8) return fail(INVALID_ARGUMENT, "type");
    return enqueue(c, "nccl all_gather", type, from, count, [=] {
        for (int r = 0; r < c->ranks; r++)
            std::memcpy(static_cast<char*>(to) + count * static_cast<size_t>(r), c->slot(r), count);
    });
}
EXPORT int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Communicator* c, void*) {
    if (type != UINT8 || root >= c->ranks) return fail(INVALID_ARGUMENT, "type, root");
    return enqueue(c, "nccl broadcast", type, root == c->rank ? from : nullptr, count,
                   [=] { std::memcpy(to, c->slot(root), count); });
}
EXPORT int ncclCommGetAsyncError(Communicator* c, int* error) {
    *error = c->reached("FAKE_NCCL_ERROR_AT") ? INTERNAL_ERROR : c->shared->aborted != 0 ? REMOTE_ERROR : SUCCESS;
    return SUCCESS;
}
EXPORT int ncclCommAbort(Communicator* c) {
    trace("nccl abort");
    c->over = true;
    c->shared->aborted = 1;
    return SUCCESS;
}
EXPORT int ncclCommDestroy(Communicator* c) {
    trace("nccl destroy");
    device().finish();
    c->over = true;
    return SUCCESS;
}
