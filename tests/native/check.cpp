// check.cpp: buffers, cases and the program that runs the tests.
//
//   kernel_tests [--sources DIR] [--runs N] [NAME...]   the named tests, or all; one line a test
//   kernel_tests --list
//
// --sources lists the kernels that ran and, when all tests run, those of DIR that did not; --runs makes N of the three
// runs of a case. Exit status 0 if every case passed and no kernel is missing.
#include "check.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#endif

// Fibers are not known to the leak detector, and memory is freed by scope.
extern "C" const char* __asan_default_options() { return "detect_leaks=0:detect_stack_use_after_return=0"; }

namespace check {
namespace {

struct Test {
    const char* name;
    void (*body)();
};

std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

// The orders a case runs under: one drawn at random first, which is the one compared with the oracle.
constexpr uint64_t SEEDS[] = {12345, 0, 1};
constexpr int GUARD = 256, SHOWN = 8;
constexpr char GUARD_BYTE = 0x5a;

std::vector<const Guarded*> live;
std::string case_name;
int cases = 0, failures = 0;
bool case_failed = false, compare = false;
uint64_t digest = 0;
int runs = static_cast<int>(std::size(SEEDS));

}  // namespace

Registration::Registration(const char* name, void (*body)()) { tests().push_back({name, body}); }

// ---- buffers ------------------------------------------------------------------------------------------------------

Guarded::Guarded(const char* name, int64_t bytes, int shift) : name_(name), bytes_(bytes) {
    size_ = (static_cast<size_t>(bytes) + 2 * GUARD + static_cast<size_t>(shift) + 63) / 64 * 64;
    memory_ = static_cast<char*>(aligned_alloc(64, size_));
    if (memory_ == nullptr) abort();
    data_ = memory_ + GUARD + shift;
    memset(memory_, GUARD_BYTE, size_);
    memset(data_, 0xff, static_cast<size_t>(bytes));
    ASAN_POISON_MEMORY_REGION(memory_, data_ - memory_);
    ASAN_POISON_MEMORY_REGION(data_ + bytes, memory_ + size_ - (data_ + bytes));
    live.push_back(this);
}

const std::vector<const Guarded*>& live_buffers() { return live; }

Guarded::~Guarded() {
    for (int64_t i = 0; i < bytes_; i++) digest = (digest ^ static_cast<unsigned char>(data_[i])) * 0x100000001b3u;
    live.erase(std::find(live.begin(), live.end(), this));
    ASAN_UNPOISON_MEMORY_REGION(memory_, size_);
    free(memory_);
}

void Guarded::freeze() { frozen_.assign(data_, data_ + bytes_); }

void Guarded::check() const {
    if (!frozen_.empty() && memcmp(frozen_.data(), data_, frozen_.size()) != 0) fail("the input %s was changed", name_);
#if !defined(__SANITIZE_ADDRESS__)
    for (const char* p = memory_; p < memory_ + size_; p++)
        if ((p < data_ || p >= data_ + bytes_) && *p != GUARD_BYTE) {
            fail("byte %td of %s was written, it has %lld", p - data_, name_, static_cast<long long>(bytes_));
            return;
        }
#endif
}

// ---- inputs -------------------------------------------------------------------------------------------------------

uint64_t Random::bits() {  // splitmix64
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

double Random::uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(bits() >> 11) * 0x1p-53);
}

double Random::normal() {
    const double r = uniform(0x1p-53, 1), angle = uniform(0, 2 * M_PI);
    return std::sqrt(-2 * std::log(r)) * std::cos(angle);
}

// ---- cases --------------------------------------------------------------------------------------------------------

bool comparing() { return compare; }

void fail(const char* format, ...) {
    case_failed = true;
    if (++failures > SHOWN) return;
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("    %s: %s\n", case_name.c_str(), text);
}

void each_case(const std::function<void(Random&)>& body, const char* format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    case_name = text;
    case_failed = false;
    cases++;
    uint64_t first = 0;
    for (int i = 0; i < runs; i++) {
        const uint64_t order = SEEDS[i];
        emulator::set_seed(order);
        compare = order == SEEDS[0];
        digest = 0xcbf29ce484222325u;
        Random random(static_cast<uint64_t>(cases));
        body(random);
        if (case_failed) return;
        if (compare)
            first = digest;
        else if (digest != first)
            fail("the bits depend on the order of threads (seed %llu against %llu)",
                 static_cast<unsigned long long>(order), static_cast<unsigned long long>(SEEDS[0]));
    }
}

void succeeded(int status) {
    if (status != TRM_OK) fail("returned %d: %s", status, ops().last_error());
    if (!emulator::fault().empty() && status == TRM_OK)
        fail("%s, but the call returned TRM_OK", emulator::fault().c_str());
    emulator::clear_fault();
    for (const Guarded* b : live) b->check();
}

void refused(int status, const char* text) {
    if (status != TRM_EINVAL)
        fail("returned %d, expected TRM_EINVAL", status);
    else if (strstr(ops().last_error(), text) == nullptr)
        fail("the message '%s' lacks '%s'", ops().last_error(), text);
}

// ---- the program --------------------------------------------------------------------------------------------------

namespace {

// The functions declared __global__ in the .cu and .cuh files of a folder: their names end in _kernel.
std::set<std::string> kernels_in(const std::string& folder) {
    std::set<std::string> kernels;
    const std::string suffix = "_kernel(";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".cu" && entry.path().extension() != ".cuh") continue;
        std::ifstream file(entry.path());
        const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        for (size_t at = text.find(suffix); at != std::string::npos; at = text.find(suffix, at + 1)) {
            size_t begin = at;
            while (begin > 0 && (isalnum(text[begin - 1]) || text[begin - 1] == '_')) begin--;
            kernels.insert(text.substr(begin, at + suffix.size() - 1 - begin));
        }
    }
    return kernels;
}

}  // namespace
}  // namespace check

int main(int argc, char** argv) {
    using namespace check;
    setvbuf(stdout, nullptr, _IOLBF, 0);
    std::set<std::string> wanted;
    std::string sources;
    std::sort(tests().begin(), tests().end(), [](const Test& a, const Test& b) { return strcmp(a.name, b.name) < 0; });
    for (int i = 1; i < argc; i++) {
        const std::string argument = argv[i];
        if (argument == "--list") {
            for (const Test& test : tests()) puts(test.name);
            return 0;
        }
        if (argument == "--sources" && i + 1 < argc)
            sources = argv[++i];
        else if (argument == "--runs" && i + 1 < argc)
            runs = std::clamp(atoi(argv[++i]), 1, static_cast<int>(std::size(SEEDS)));
        else
            wanted.insert(argument);
    }
    for (const std::string& name : wanted)
        if (std::none_of(tests().begin(), tests().end(), [&](const Test& test) { return name == test.name; })) {
            fprintf(stderr, "no test '%s'; --list names them\n", name.c_str());
            return 2;
        }
    int all_cases = 0, failed_tests = 0;
    for (const Test& test : tests()) {
        if (!wanted.empty() && wanted.count(test.name) == 0) continue;
        cases = failures = 0;
        const auto start = std::chrono::steady_clock::now();
        test.body();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        printf("%-7s %-28s %4d cases, %.1f s\n", failures == 0 ? "passed" : "FAILED", test.name, cases, seconds);
        all_cases += cases;
        failed_tests += failures != 0;
    }
    const std::vector<std::string> run = emulator::kernels_run();
    int missing = 0;
    if (!sources.empty() && !run.empty()) {
        std::set<std::string> known;
        if (wanted.empty()) known = kernels_in(sources);
        for (const std::string& name : run) {
            printf("kernel  %s\n", name.c_str());
            known.erase(name);
        }
        for (const std::string& name : known) printf("NOT RUN %s\n", name.c_str());
        missing = static_cast<int>(known.size());
    }
    printf("%d cases, %lld launches, %zu kernels run, %d not run, %d tests failed\n", all_cases,
           static_cast<long long>(emulator::launches()), run.size(), missing, failed_tests);
    return failed_tests == 0 && missing == 0 ? 0 : 1;
}
