// ranks.cpp: the collectives of ranks that mpirun or srun has started, by MPI. A library of its own, libtrm_mpi.so, so that
// a program without MPI needs none; opened only where a launcher has started ranks.
//
//   all_reduce   piece by piece: each rank receives its share of a piece from all others (alltoall), adds the shares up in
//                the order of the ranks, and hands the sum to all others (allgather). MPI's own reduction adds in an order
//                that depends on the library and the machine; this one does not, and moves no more bytes
//   waiting      a rank asks MPI again and again whether a call is done, longer and longer apart, and gives up after
//                `timeout`: MPI itself would wait forever for a rank that was stopped
//
// numerics  sums in double, rounded once
// cost      2 (R - 1) / R of the values out and in. Memory: 2 PIECE values, at `join`
#include <dlfcn.h>
#include <mpi.h>
#include <time.h>

#include <climits>
#include <cstring>
#include <vector>

#include "trm_checks.h"
#include "trm_table.h"

namespace trm {
namespace {

constexpr int64_t PIECE = 1 << 20;        // values
constexpr int64_t PIECE_BYTES = 1 << 30;  // of a broadcast: MPI counts in int

struct Ranks {
    bool joined = false;
    int rank = 0;
    int count = 1;
    double timeout = 0;
    std::vector<double> room;  // PIECE values of either type, from all ranks
    std::vector<int> counts, offsets, all_counts, all_offsets;
};

Ranks ranks;

int status(const char* call, int code) {
    if (code == MPI_SUCCESS) return TRM_OK;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    return device_error("rank %d of %d: %s: %.*s", ranks.rank, ranks.count, call, length, text);
}

double seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Waits for a request that a call has begun.
int wait(const char* call, int begun, MPI_Request* request) {
    if (begun != MPI_SUCCESS) return status(call, begun);
    constexpr long LONGEST = 500000;  // ns between two questions
    const double begin = seconds();
    long pause = 0;
    for (;;) {
        int done = 0;
        const int code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS || done != 0) return status(call, code);
        if (seconds() - begin > ranks.timeout)
            return device_error("rank %d of %d waited %g s for the others: one of them has ended, hangs or was stopped",
                                ranks.rank, ranks.count, ranks.timeout);
        const timespec nap{0, pause};
        nanosleep(&nap, nullptr);
        pause = pause + pause / 4 + 1000 < LONGEST ? pause + pause / 4 + 1000 : LONGEST;
    }
}

template <class T>
int reduce_piece(T* values, int64_t count, MPI_Datatype type) {
    const int R = ranks.count;
    int64_t at = 0;
    for (int r = 0; r < R; r++) {  // rank r adds up values [all_offsets[r], + all_counts[r])
        const int64_t end = count * (r + 1) / R;
        ranks.all_offsets[r] = static_cast<int>(at);
        ranks.all_counts[r] = static_cast<int>(end - at);
        at = end;
    }
    const int share = ranks.all_counts[ranks.rank];
    for (int r = 0; r < R; r++) {
        ranks.counts[r] = share;
        ranks.offsets[r] = r * share;
    }
    T* const received = reinterpret_cast<T*>(ranks.room.data());
    MPI_Request request;
    const int sent = wait("MPI_Ialltoallv",
                          MPI_Ialltoallv(values, ranks.all_counts.data(), ranks.all_offsets.data(), type, received,
                                         ranks.counts.data(), ranks.offsets.data(), type, MPI_COMM_WORLD, &request),
                          &request);
    if (sent != TRM_OK) return sent;
    T* const own = values + ranks.all_offsets[ranks.rank];
    for (int i = 0; i < share; i++) {
        double sum = 0;
        for (int r = 0; r < R; r++) sum += static_cast<double>(received[static_cast<int64_t>(r) * share + i]);
        own[i] = static_cast<T>(sum);
    }
    return wait("MPI_Iallgatherv",
                MPI_Iallgatherv(MPI_IN_PLACE, 0, type, values, ranks.all_counts.data(), ranks.all_offsets.data(), type,
                                MPI_COMM_WORLD, &request),
                &request);
}

template <class T>
int reduce(T* values, int64_t count, MPI_Datatype type) {
    TRM_REQUIRE(ranks.joined, "no ranks were joined");
    for (int64_t at = 0; at < count; at += PIECE) {
        const int code = reduce_piece(values + at, count - at < PIECE ? count - at : PIECE, type);
        if (code != TRM_OK) return code;
    }
    return TRM_OK;
}

// Open MPI opens its components by itself, and they look for its symbols among all libraries of the process: this one was
// opened for itself alone.
void show_symbols_of_mpi() {
    Dl_info library;
    if (dladdr(reinterpret_cast<void*>(&MPI_Init_thread), &library) != 0)
        dlopen(library.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

}  // namespace

TRM_RANKS(TRM_DECLARE)
TRM_COLLECTIVES(TRM_DECLARE)

int join(int32_t* rank, int32_t* count, double timeout) {
    begin("join");
    TRM_REQUIRE(rank != nullptr && count != nullptr, "rank or ranks is NULL")
    TRM_REQUIRE(timeout > 0, "timeout=%g must be positive", timeout)
    TRM_REQUIRE(!ranks.joined, "this process has joined its ranks before")
    show_symbols_of_mpi();
    int provided = 0;
    const int begun = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    if (begun != MPI_SUCCESS) return status("MPI_Init_thread", begun);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    TRM_REQUIRE(provided >= MPI_THREAD_SERIALIZED, "this MPI is for one thread only")
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks.count);
    ranks.timeout = timeout;
    ranks.room.resize(static_cast<size_t>(PIECE + ranks.count));
    for (auto* list : {&ranks.counts, &ranks.offsets, &ranks.all_counts, &ranks.all_offsets})
        list->resize(static_cast<size_t>(ranks.count));
    ranks.joined = true;
    *rank = ranks.rank;
    *count = ranks.count;
    return TRM_OK;
}

int leave() {
    begin("leave");
    if (!ranks.joined) return TRM_OK;
    ranks.joined = false;
    return status("MPI_Finalize", MPI_Finalize());
}

int end_ranks(int32_t code) {
    begin("end_ranks");
    TRM_REQUIRE(ranks.joined, "no ranks were joined")
    return status("MPI_Abort", MPI_Abort(MPI_COMM_WORLD, code));
}

int all_reduce(float* values, int64_t count, trm_stream) {
    TRM_CHECK(all_reduce);
    return reduce(values, count, MPI_FLOAT);
}

int all_reduce_double(double* values, int64_t count, trm_stream) {
    TRM_CHECK(all_reduce_double);
    return reduce(values, count, MPI_DOUBLE);
}

int all_gather(const void* part, void* all, int64_t bytes, trm_stream) {
    TRM_CHECK(all_gather);
    TRM_REQUIRE(ranks.joined, "no ranks were joined")
    TRM_REQUIRE(bytes <= INT_MAX, "bytes=%lld are more than MPI counts", static_cast<long long>(bytes))
    const int count = static_cast<int>(bytes);
    MPI_Request request;
    return wait("MPI_Iallgather", MPI_Iallgather(part, count, MPI_BYTE, all, count, MPI_BYTE, MPI_COMM_WORLD, &request),
                &request);
}

int broadcast(void* data, int64_t bytes, int32_t root, trm_stream) {
    TRM_CHECK(broadcast);
    TRM_REQUIRE(ranks.joined, "no ranks were joined")
    TRM_REQUIRE(root < ranks.count, "root=%d of %d ranks", root, ranks.count)
    for (int64_t at = 0; at < bytes; at += PIECE_BYTES) {
        const int count = static_cast<int>(bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
        MPI_Request request;
        const int code =
            wait("MPI_Ibcast",
                 MPI_Ibcast(static_cast<char*>(data) + at, count, MPI_BYTE, root, MPI_COMM_WORLD, &request), &request);
        if (code != TRM_OK) return code;
    }
    return TRM_OK;
}

namespace {

// "Open MPI v4.1.4, ..." up to the comma.
const char* library() {
    static char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    version[std::strcspn(version, ",\n")] = '\0';
    return version;
}

trm_backend build() {
    trm_backend own = {};
    trm_backend* const table = &own;
    TRM_RANKS(TRM_ENTER)
    TRM_COLLECTIVES(TRM_ENTER)
    table->abi_version = TRM_ABI_VERSION;
    table->size = static_cast<int32_t>(sizeof own);
    table->name = "mpi";
    table->target = library();
    table->last_error = last_error;
    return own;
}

}  // namespace
}  // namespace trm

const trm_backend* trm_backend_table() {
    static const trm_backend table = trm::build();
    return &table;
}
