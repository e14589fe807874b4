// fake_cudnn.cpp: stands in for libcudnn.so.9, as fake_cuda.cpp does for the libraries beside it. It has the calls of the
// backend interface that trm.device.cuda makes, and computes a graph from its descriptors alone: operands by their sizes
// and strides, operations one after the other in double, rounded where an operand is bfloat16.
//
// What it checks: attributes only before a descriptor is finished, and all it needs by then; sizes that fit each other;
// a plan, its workspace, and every address of a call, 16-byte aligned.
//
// Environment: FAKE_CUDNN_VERSION (92400); FAKE_CUDNN_REFUSE: forward or backward graphs get no proposal;
// FAKE_CUDNN_MS: device time of the second proposal (1; our own kernels take none here, so a negative one is faster
// than they are). The first proposal cannot be compiled, the third is slower, the fourth cannot be captured in a CUDA
// graph. FAKE_CUDA_TRACE: a line on standard error for each query of the heuristics.
#include <cmath>
#include <map>
#include <string>

#include "fake_cuda.h"

namespace {

// As in NVIDIA's cudnn_graph.h.
enum Status { OK = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000 };
enum Kind {
    POINTWISE = 0,
    ENGINE = 2,
    ENGINECFG = 3,
    ENGINEHEUR = 4,
    PLAN = 5,
    OP_POINTWISE = 13,
    GRAPH = 15,
    PACK = 16,
    TENSOR = 17,
    MATMUL = 18,
    OP_MATMUL = 19,
    REDUCTION = 21,
    OP_REDUCTION = 22,
    OP_RESHAPE = 31,
    OP_SDPA_FWD = 41
};
constexpr int FLOAT = 0, BFLOAT16 = 9;
constexpr int TYPE_DESCRIPTOR = 15, MODE_A = 3, NOTE_RUNTIME = 0, NOTE_GRAPH = 3;
constexpr int64_t WORKSPACE = 4096;
constexpr int64_t PROPOSALS = 4, FAILS = 0, GOOD = 1, SLOW = 2, NOT_CAPTURABLE = 3;

struct Descriptor;

struct Attribute {
    int type;
    int64_t count;
    std::vector<char> bytes;
};

struct Descriptor {
    int kind;
    bool finished = false;
    std::map<int, Attribute> attributes;
    int64_t number = -1;                 // of a proposal
    const Descriptor* source = nullptr;  // the graph of a proposal

    bool has(int name) const { return attributes.count(name) != 0; }
    template <typename T>
    T get(int name, int64_t i = 0) const {
        T value{};
        const auto at = attributes.find(name);
        if (at != attributes.end() && (i + 1) * int64_t(sizeof(T)) <= int64_t(at->second.bytes.size()))
            std::memcpy(&value, at->second.bytes.data() + i * int64_t(sizeof(T)), sizeof(T));
        return value;
    }
    const Descriptor* of(int name, int64_t i = 0) const { return get<const Descriptor*>(name, i); }
    int64_t count(int name) const { return has(name) ? attributes.at(name).count : 0; }
    // a tensor
    int64_t id() const { return get<int64_t>(906); }
    int type() const { return get<int32_t>(901); }
    int64_t size(int i) const { return get<int64_t>(902, i); }
    int64_t stride(int i) const { return get<int64_t>(903, i); }
    bool is_virtual() const { return get<bool>(907); }
    bool by_value() const { return get<bool>(908); }
    int64_t elements() const { return size(0) * size(1) * size(2) * size(3); }
};

thread_local std::string last_error;

int refuse(int status, const char* text) {
    last_error = text;
    return status;
}

const char* text_of(const char* name, const char* otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : text;
}

float round_to(double x, int type) {
    const float f = static_cast<float>(x);
    if (type != BFLOAT16 || f != f) return f;
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    float rounded;
    std::memcpy(&rounded, &bits, 4);
    return rounded;
}

// ---- what a descriptor must have ---------------------------------------------------------------------------------

struct Needs {
    int kind;
    std::vector<int> attributes;
};

const std::vector<Needs> NEEDS = {{POINTWISE, {0, 1}},
                                  {ENGINEHEUR, {200, 201}},
                                  {PLAN, {400, 401}},
                                  {OP_POINTWISE, {750, 751, 753}},
                                  {GRAPH, {800, 801}},
                                  {PACK, {1000, 1001, 1003}},
                                  {TENSOR, {900, 901, 902, 903, 906}},
                                  {MATMUL, {1500}},
                                  {OP_MATMUL, {1520, 1521, 1522, 1523}},
                                  {REDUCTION, {1600, 1601}},
                                  {OP_REDUCTION, {1610, 1611, 1612}},
                                  {OP_RESHAPE, {2200, 2201}},
                                  {OP_SDPA_FWD, {2800, 2801, 2802, 2803}}};

bool product_fits(const Descriptor& d) {
    const Descriptor &a = *d.of(1520), &b = *d.of(1521), &c = *d.of(1522);
    for (int i = 0; i < 2; i++)
        if (a.size(i) != b.size(i) || a.size(i) != c.size(i)) return false;
    return a.size(3) == b.size(2) && c.size(2) == a.size(2) && c.size(3) == b.size(3);
}

int finish(const Descriptor& d) {
    for (const Needs& needs : NEEDS)
        if (needs.kind == d.kind)
            for (const int name : needs.attributes)
                if (!d.has(name)) return refuse(BAD_PARAM, "an attribute is missing");
    for (const auto& attribute : d.attributes)
        if (attribute.second.type == TYPE_DESCRIPTOR)
            for (int64_t i = 0; i < attribute.second.count; i++)
                if (d.of(attribute.first, i) == nullptr || !d.of(attribute.first, i)->finished)
                    return refuse(BAD_PARAM, "a descriptor within is not finished");
    if (d.kind == TENSOR && (d.count(902) != 4 || d.count(903) != 4 || d.elements() <= 0 || d.get<int64_t>(900) != 16))
        return refuse(BAD_PARAM, "a tensor is described wrongly");
    if (d.kind == OP_MATMUL && !product_fits(d)) return refuse(BAD_PARAM, "the sizes of a product do not fit");
    if (d.kind == OP_RESHAPE && d.of(2200)->elements() != d.of(2201)->elements())
        return refuse(BAD_PARAM, "a reshape changes the number of elements");
    if (d.kind == PLAN && d.of(401)->number == FAILS) return refuse(NOT_SUPPORTED, "this engine does not compile");
    if (d.kind == PACK && (d.count(1000) != d.count(1001) || d.get<void*>(1003) == nullptr))
        return refuse(BAD_PARAM, "a variant pack is incomplete");
    return OK;
}

// ---- computing ---------------------------------------------------------------------------------------------------

using Values = std::vector<double>;  // elements in the order of their indices

template <typename F>
void each(const Descriptor& t, F&& f) {
    int64_t at = 0;
    for (int64_t a = 0; a < t.size(0); a++)
        for (int64_t b = 0; b < t.size(1); b++)
            for (int64_t c = 0; c < t.size(2); c++)
                for (int64_t e = 0; e < t.size(3); e++)
                    f(at++, a * t.stride(0) + b * t.stride(1) + c * t.stride(2) + e * t.stride(3));
}

struct Run {
    std::map<int64_t, char*> memory;
    std::map<int64_t, double> values;  // of scalars
    std::map<int64_t, Values> between;

    Values load(const Descriptor& t) {
        if (t.by_value()) return Values(1, values.at(t.id()));
        if (t.is_virtual()) return between.at(t.id());
        Values values(static_cast<size_t>(t.elements()));
        const char* p = memory.at(t.id());
        each(t, [&](int64_t i, int64_t offset) {
            float x;
            if (t.type() == BFLOAT16) {
                uint16_t half;
                std::memcpy(&half, p + 2 * offset, 2);
                const uint32_t bits = uint32_t(half) << 16;
                std::memcpy(&x, &bits, 4);
            } else {
                std::memcpy(&x, p + 4 * offset, 4);
            }
            values[static_cast<size_t>(i)] = double(x);
        });
        return values;
    }

    void store(const Descriptor& t, Values values) {
        if (t.is_virtual()) {
            if (t.type() == BFLOAT16)
                for (double& x : values) x = double(round_to(x, BFLOAT16));
            between[t.id()] = std::move(values);
            return;
        }
        char* p = memory.at(t.id());
        each(t, [&](int64_t i, int64_t offset) {
            const float x = round_to(values[static_cast<size_t>(i)], t.type());
            uint32_t bits;
            std::memcpy(&bits, &x, 4);
            const uint16_t half = uint16_t(bits >> 16);
            if (t.type() == BFLOAT16)
                std::memcpy(p + 2 * offset, &half, 2);
            else
                std::memcpy(p + 4 * offset, &x, 4);
        });
    }

    void pointwise(const Descriptor& d) {
        const Descriptor &x = *d.of(751), &y = *d.of(753);
        const Values left = load(x);
        const Values right = d.has(752) ? load(*d.of(752)) : Values();
        const int mode = d.of(750)->get<int32_t>(0);
        Values out(static_cast<size_t>(y.elements()));
        int64_t at = 0;
        int64_t i[4];
        for (i[0] = 0; i[0] < y.size(0); i[0]++)
            for (i[1] = 0; i[1] < y.size(1); i[1]++)
                for (i[2] = 0; i[2] < y.size(2); i[2]++)
                    for (i[3] = 0; i[3] < y.size(3); i[3]++, at++) {
                        int64_t from = 0;
                        if (d.has(752))
                            for (int k = 0; k < 4; k++)
                                from = from * d.of(752)->size(k) + (d.of(752)->size(k) == 1 ? 0 : i[k]);
                        const double a = left[static_cast<size_t>(at)];
                        const double b = d.has(752) ? right[static_cast<size_t>(from)] : 0;
                        out[static_cast<size_t>(at)] = mode == 1    ? a * b
                                                       : mode == 9  ? a - b
                                                       : mode == 13 ? std::exp(a)
                                                                    : NAN;
                    }
        store(y, std::move(out));
    }

    void reduction(const Descriptor& d) {
        const Descriptor &x = *d.of(1610), &y = *d.of(1611);
        const Values from = load(x);
        Values out(static_cast<size_t>(y.elements()));
        for (size_t i = 0; i < from.size(); i++) out[i / static_cast<size_t>(x.size(3))] += from[i];  // the last one
        store(y, std::move(out));
    }

    void product(const Descriptor& d) {
        const Descriptor &a = *d.of(1520), &b = *d.of(1521), &c = *d.of(1522);
        const Values left = load(a), right = load(b);
        Values out(static_cast<size_t>(c.elements()));
        const int64_t M = c.size(2), N = c.size(3), K = a.size(3);
        for (int64_t batch = 0; batch < c.size(0) * c.size(1); batch++)
            for (int64_t m = 0; m < M; m++)
                for (int64_t k = 0; k < K; k++) {
                    const double x = left[static_cast<size_t>((batch * M + m) * K + k)];
                    for (int64_t n = 0; n < N; n++)
                        out[static_cast<size_t>((batch * M + m) * N + n)] +=
                            x * right[static_cast<size_t>((batch * K + k) * N + n)];
                }
        store(c, std::move(out));
    }

    // The element of y at some place in memory is that of x at the same place.
    void reshape(const Descriptor& d) {
        const Descriptor &x = *d.of(2200), &y = *d.of(2201);
        const Values from = load(x);
        int64_t last = 0;
        for (int k = 0; k < 4; k++) last += (x.size(k) - 1) * x.stride(k);
        std::vector<size_t> places(static_cast<size_t>(last + 1));
        each(x, [&](int64_t i, int64_t offset) { places[static_cast<size_t>(offset)] = static_cast<size_t>(i); });
        Values out(from.size());
        each(y, [&](int64_t i, int64_t offset) {
            out[static_cast<size_t>(i)] = from[places.at(static_cast<size_t>(offset))];
        });
        store(y, std::move(out));
    }

    void attention(const Descriptor& d) {
        const Descriptor &tq = *d.of(2800), &to = *d.of(2803);
        const Values q = load(tq), k = load(*d.of(2801)), v = load(*d.of(2802));
        const double scale = d.has(2805) ? load(*d.of(2805))[0] : 1;
        const int64_t S = tq.size(2), D = tq.size(3);
        Values o(q.size()), stats(static_cast<size_t>(tq.size(0) * tq.size(1) * S)), p(static_cast<size_t>(S));
        for (int64_t head = 0; head < tq.size(0) * tq.size(1); head++)
            for (int64_t t = 0; t < S; t++) {
                double sum = 0, most = -INFINITY;
                for (int64_t j = 0; j < S; j++) {
                    double score = 0;
                    for (int64_t i = 0; i < D; i++)
                        score += q[static_cast<size_t>((head * S + t) * D + i)] *
                                 k[static_cast<size_t>((head * S + j) * D + i)];
                    p[static_cast<size_t>(j)] = score * scale;
                    most = std::fmax(most, score * scale);
                }
                for (int64_t j = 0; j < S; j++) sum += std::exp(p[static_cast<size_t>(j)] - most);
                stats[static_cast<size_t>(head * S + t)] = most + std::log(sum);
                for (int64_t j = 0; j < S; j++) {
                    const double weight = double(round_to(std::exp(p[static_cast<size_t>(j)] - most), BFLOAT16)) / sum;
                    for (int64_t i = 0; i < D; i++)
                        o[static_cast<size_t>((head * S + t) * D + i)] +=
                            weight * v[static_cast<size_t>((head * S + j) * D + i)];
                }
            }
        store(to, std::move(o));
        if (d.has(2804)) store(*d.of(2804), std::move(stats));
    }

    void operation(const Descriptor& d) {
        switch (d.kind) {
            case OP_POINTWISE: return pointwise(d);
            case OP_REDUCTION: return reduction(d);
            case OP_MATMUL: return product(d);
            case OP_RESHAPE: return reshape(d);
            default: return attention(d);
        }
    }
};

bool needs_address(const Descriptor& graph, int64_t id, bool* by_value) {
    for (int64_t i = 0; i < graph.count(801); i++)
        for (const auto& attribute : graph.of(801, i)->attributes)
            if (attribute.second.type == TYPE_DESCRIPTOR) {
                const Descriptor& t = *graph.of(801, i)->of(attribute.first);
                if (t.kind == TENSOR && t.id() == id && !t.is_virtual()) {
                    *by_value = t.by_value();
                    return true;
                }
            }
    return false;
}

}  // namespace

// ---- the interface -----------------------------------------------------------------------------------------------

EXPORT size_t cudnnGetVersion() { return static_cast<size_t>(std::atoll(text_of("FAKE_CUDNN_VERSION", "92400"))); }
EXPORT const char* cudnnGetErrorString(int status) {
    return status == BAD_PARAM       ? "CUDNN_STATUS_BAD_PARAM"
           : status == NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                     : "?";
}
EXPORT void cudnnGetLastErrorString(char* text, size_t bytes) {
    std::snprintf(text, bytes, "%s", last_error.c_str());
    last_error.clear();
}
EXPORT int cudnnCreate(void** handle) {
    *handle = std::malloc(1);
    return OK;
}
EXPORT int cudnnDestroy(void* handle) {
    std::free(handle);
    return OK;
}
EXPORT int cudnnSetStream(void* handle, void* stream) {
    return handle != nullptr && stream != nullptr ? OK : BAD_PARAM;
}
EXPORT int cudnnBackendCreateDescriptor(int kind, Descriptor** made) {
    *made = new Descriptor();
    (*made)->kind = kind;
    return OK;
}
EXPORT int cudnnBackendDestroyDescriptor(Descriptor* d) {
    delete d;
    return OK;
}
EXPORT int cudnnBackendSetAttribute(Descriptor* d, int name, int type, int64_t count, const void* values) {
    static const int SIZES[] = {8, 4, 1, 8, 4, 8, 8};  // handle, data type, boolean, int64, float, double, pointer
    if (d->finished) return refuse(BAD_PARAM, "an attribute is set after the descriptor was finished");
    const size_t size = type == TYPE_DESCRIPTOR ? 8 : type < 7 ? static_cast<size_t>(SIZES[type]) : 4;
    const char* from = static_cast<const char*>(values);
    d->attributes[name] = {type, count, std::vector<char>(from, from + size * static_cast<size_t>(count))};
    return OK;
}
EXPORT int cudnnBackendFinalize(Descriptor* d) {
    const int status = finish(*d);
    d->finished = status == OK;
    return status;
}
EXPORT int cudnnBackendGetAttribute(Descriptor* d, int name, int, int64_t wanted, int64_t* count, void* to) {
    if (d->kind == ENGINEHEUR && name == 202) {
        const Descriptor* graph = d->of(201);
        const bool forward = graph->of(801)->kind == OP_SDPA_FWD;
        const std::string refused = text_of("FAKE_CUDNN_REFUSE", "");
        const bool none = refused == (forward ? "forward" : "backward") || d->get<int32_t>(200) != MODE_A;
        trace("cudnn heuristic");
        *count = wanted == 0 ? PROPOSALS : none ? 0 : PROPOSALS;  // the first answer is an upper bound
        for (int64_t i = 0; i < (wanted == 0 ? 0 : *count); i++) {
            Descriptor* config = static_cast<Descriptor**>(to)[i];
            config->number = i;
            config->source = graph;
            config->finished = true;
        }
        return OK;
    }
    if (d->kind == ENGINECFG && name == 300 && d->finished) {
        static_cast<Descriptor**>(to)[0]->number = d->number;
        *count = 1;
        return OK;
    }
    if (d->kind == ENGINE && name == 1301) {
        *static_cast<int64_t*>(to) = 40 + d->number;
        *count = 1;
        return OK;
    }
    if (d->kind == ENGINE && name == 1305 && wanted >= 2) {
        static_cast<int32_t*>(to)[0] = NOTE_RUNTIME;
        static_cast<int32_t*>(to)[1] = NOTE_GRAPH;
        *count = d->number == NOT_CAPTURABLE ? 1 : 2;
        return OK;
    }
    if (d->kind == PLAN && name == 402 && d->finished) {
        *static_cast<int64_t*>(to) = WORKSPACE;
        *count = 1;
        return OK;
    }
    return refuse(BAD_PARAM, "there is no such attribute");
}
EXPORT int cudnnBackendExecute(void* handle, Descriptor* plan, Descriptor* pack) {
    if (handle == nullptr || plan->kind != PLAN || !plan->finished || pack->kind != PACK || !pack->finished)
        return refuse(BAD_PARAM, "no handle, plan or variant pack");
    const Descriptor& graph = *plan->of(401)->source;
    const double ms = plan->of(401)->number == SLOW ? 100 : std::atof(text_of("FAKE_CUDNN_MS", "1"));
    Run run;
    for (int64_t i = 0; i < pack->count(1000); i++) {
        const int64_t id = pack->get<int64_t>(1000, i);
        char* p = pack->get<char*>(1001, i);
        bool by_value = false;
        if (!needs_address(graph, id, &by_value)) return refuse(BAD_PARAM, "an address that the graph has no use for");
        if (p == nullptr || (!by_value && reinterpret_cast<uintptr_t>(p) % 16 != 0))
            return refuse(BAD_PARAM, "an address is missing or not aligned");
        if (by_value) {
            float value;
            std::memcpy(&value, p, sizeof value);
            run.values[id] = double(value);
        } else {
            run.memory[id] = p;
        }
    }
    for (int64_t i = 0; i < graph.count(801); i++) {
        const Descriptor& operation = *graph.of(801, i);
        for (const auto& attribute : operation.attributes) {
            const Descriptor& t = *operation.of(attribute.first);
            if (t.kind == TENSOR && !t.is_virtual() && run.memory.count(t.id()) + run.values.count(t.id()) == 0)
                return refuse(BAD_PARAM, "an address is missing");
        }
    }
    // the call is asynchronous: scalars are as they were, what addresses lead to is read when the device comes to it
    device().submit([run, &graph, ms, workspace = pack->get<void*>(1003)]() mutable {
        device().clock += ms;
        if (device().error != 0) return;
        std::memset(workspace, 0xcd, WORKSPACE);
        for (int64_t i = 0; i < graph.count(801); i++) run.operation(*graph.of(801, i));
    });
    return OK;
}
