// What XLA calls: its foreign function interface is a C struct, the call frame, with the buffers of
// the arguments and the results. The declarations here follow its documentation (the interface's
// major version 0, which only ever adds fields at the end of a struct); no header of XLA is needed
// when lucid is built. Every struct begins with its size. On registration XLA asks a function for
// the version it was made for; where the frame is none that we know, the answer is a version that
// does not exist, the registration fails, and lucid.jax does without the kernel.
//
// The four factors of
//
//     Q(g, x1, W, x2) = Σ g[k, s, a, b, o] · x1[k, s, a, i] · W[k, o, i, j] · x2[k, s, b, j]
//
// have the numbers 0 (g, and the result), 1 (x1), 2 (x2) and 3 (W); k counts weights, each with rows
// of its own, and only pairs have more than one a or b. A function computes its wanted factors,
// from all those that they need, in this order.
#include "xla.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "pool.hpp"
#include "select.hpp"

namespace {

using namespace lucid;

// ------------------------------------------------------------------------------ XLA's interface

struct Extension {
    std::size_t size;
    int type;  // 1: a question for the metadata
    Extension* next;
};

struct Version {
    std::size_t size;
    Extension* extension;
    int major, minor;
};

struct Metadata {
    std::size_t size;
    Version version;
    std::uint32_t traits;
};

struct MetadataQuestion {
    Extension extension;
    Metadata* metadata;
};

struct Error;

struct ErrorArguments {
    std::size_t size;
    Extension* extension;
    const char* message;
    int code;
};

struct Api {
    std::size_t size;
    Extension* extension;
    Version version;
    const void* internal;
    Error* (*create_error)(ErrorArguments*);
};

struct Buffer {
    std::size_t size;
    Extension* extension;
    int dtype;
    void* data;
    std::int64_t rank;
    std::int64_t* sizes;
};

struct Buffers {
    std::size_t size;
    Extension* extension;
    std::int64_t count;
    int* kinds;  // 1: a buffer
    Buffer** buffers;
};

struct Frame {
    std::size_t size;
    Extension* extension;
    const Api* api;
    void* context;
    int stage;  // 3: execution
    Buffers arguments, results;
};

constexpr int is_question = 1, is_buffer = 1, in_execution = 3;
constexpr int float32 = 11, float64 = 12;
constexpr int invalid_argument = 3, resource_exhausted = 8;

Error* error(const Frame* frame, int code, const char* message) {
    ErrorArguments arguments{sizeof(ErrorArguments), nullptr, message, code};
    return frame->api->create_error(&arguments);
}

bool is_known(const Frame* frame) {
    return frame->size >= sizeof(Frame) && frame->api && frame->api->size >= sizeof(Api) &&
           frame->api->version.major == 0;
}

Error* answer(const Frame* frame) {
    Metadata& metadata = *reinterpret_cast<MetadataQuestion*>(frame->extension)->metadata;
    metadata.version.major = is_known(frame) ? 0 : -1;
    metadata.version.minor = is_known(frame) ? frame->api->version.minor : 0;
    metadata.traits = 0;
    return nullptr;
}

// ------------------------------------------------------------------------------------- the call

constexpr int result = 0, first = 1, second = 2, weight = 3, factors = 4;

constexpr bool is_in(unsigned set, int factor) { return set >> factor & 1; }

// Whether any of the wanted factors is another one.
constexpr bool is_needed(unsigned wanted, int factor) { return wanted & ~(1u << factor); }

// Sizes by their place in the formula, and where the factors are; null for those not there.
struct Call {
    Index groups = -1, shared = -1, firsts = -1, seconds = -1;
    Index outputs = -1, features_1 = -1, features_2 = -1;
    int dtype = -1;
    void *given[factors] = {}, *found[factors] = {};

    // Takes the next buffer for a factor; false where it is not what the others say.
    bool take(int factor, const Buffers& from, std::int64_t k, void** place) {
        if (k >= from.count || from.kinds[k] != is_buffer) return false;
        const Buffer& buffer = *from.buffers[k];
        if (buffer.size < sizeof(Buffer) || buffer.rank != (factor == result ? 5 : 4)) return false;
        if (dtype < 0) dtype = buffer.dtype;
        place[factor] = buffer.data;
        const std::int64_t* sizes = buffer.sizes;
        if (buffer.dtype != dtype || !is(groups, sizes[0])) return false;
        if (factor == weight)
            return is(outputs, sizes[1]) && is(features_1, sizes[2]) && is(features_2, sizes[3]);
        if (!is(shared, sizes[1])) return false;
        if (factor == first) return is(firsts, sizes[2]) && is(features_1, sizes[3]);
        if (factor == second) return is(seconds, sizes[2]) && is(features_2, sizes[3]);
        return is(firsts, sizes[2]) && is(seconds, sizes[3]) && is(outputs, sizes[4]);
    }

    static bool is(Index& known, std::int64_t size) {
        if (known < 0) known = Index(size);
        return known == size && size > 0;
    }
};

template <class Real> bool compute(const Call& call, unsigned wanted) {
    const Operations<Real>& on = operations<Real>(kernel());
    const Index rows_1 = call.shared * call.firsts, rows_2 = call.shared * call.seconds;
    const Sizes s{call.shared, call.outputs, call.features_1, call.features_2};
    const Index row = call.seconds * s.outputs, all = call.firsts * row;
    const Pairs p{
        call.shared, call.firsts, call.seconds, s.outputs, s.features_1, s.features_2,
        {call.shared, 0, all}, row, s.outputs};
    const bool pairs = call.firsts * call.seconds > 1;
    const Index matrix = s.features_1 * s.features_2;
    const Index steps[factors] = {
        rows_1 * call.seconds * s.outputs, rows_1 * s.features_1, rows_2 * s.features_2,
        s.outputs * matrix};
    const int threads = is_worth_threads(p.operations()) ? get_threads() : 1;
    const auto strided = [&](auto* data, Index rows, Index features) {
        return Strided<std::remove_pointer_t<decltype(data)>>{
            data, {call.shared, 0, rows * features}, features};
    };
    bool done = true;
    for (Index k = 0; done && k < call.groups; ++k) {
        const auto part = [&](void* const* data, int factor) {
            return data[factor] ? static_cast<Real*>(data[factor]) + k * steps[factor] : nullptr;
        };
        const Matrix<Real> g{part(call.given, result), s.outputs};
        const Matrix<Real> x1{part(call.given, first), s.features_1};
        const Matrix<Real> x2{part(call.given, second), s.features_2};
        const Real* w = part(call.given, weight);
        if (pairs) {
            if (is_in(wanted, result))
                done = on.pairs(
                    p, strided(x1.data, call.firsts, s.features_1),
                    strided(x2.data, call.seconds, s.features_2), w, nullptr,
                    part(call.found, result), threads);
            if (done && wanted >> first)
                done = on.pair_gradients(
                    p, g.data, strided(x1.data, call.firsts, s.features_1),
                    strided(x2.data, call.seconds, s.features_2), w,
                    strided(part(call.found, first), call.firsts, s.features_1),
                    strided(part(call.found, second), call.seconds, s.features_2),
                    part(call.found, weight), {}, threads);
            continue;
        }
        if (is_in(wanted, result))
            done = on.forward(
                s, x1, x2, w, nullptr, part(call.found, result), threads, Algorithm::chosen);
        if (done && (is_in(wanted, first) || is_in(wanted, second)))
            done = on.input_gradients(
                s, g, x1, x2, w, part(call.found, first), part(call.found, second), threads,
                Algorithm::chosen);
        if (done && is_in(wanted, weight))
            done = on.weight_gradient(
                s, g, x1, x2, part(call.found, weight), threads, Algorithm::chosen);
    }
    return done;
}

template <unsigned wanted> Error* contract(const Frame* frame) {
    if (frame->extension && frame->extension->type == is_question) return answer(frame);
    Call call;
    std::int64_t arguments = 0, results = 0;
    bool fits = is_known(frame) && frame->stage == in_execution;
    for (int factor = 0; fits && factor < factors; ++factor) {
        if (is_needed(wanted, factor))
            fits = call.take(factor, frame->arguments, arguments++, call.given);
        if (fits && is_in(wanted, factor))
            fits = call.take(factor, frame->results, results++, call.found);
    }
    if (!fits || arguments != frame->arguments.count || results != frame->results.count ||
        (call.dtype != float32 && call.dtype != float64))
        return error(frame, invalid_argument, "lucid: not what its kernel computes");
    const bool done = call.dtype == float32 ? compute<float>(call, wanted)
                                            : compute<double>(call, wanted);
    return done ? nullptr : error(frame, resource_exhausted, "lucid: no memory for its scratch");
}

// Adds the functions for this set of wanted factors and all before it to a dict, under the sets.
template <unsigned wanted> bool add_to(PyObject* dict) {
    PyObject* key = PyLong_FromLong(wanted);
    PyObject* capsule = PyCapsule_New(reinterpret_cast<void*>(contract<wanted>), nullptr, nullptr);
    const bool added = key && capsule && PyDict_SetItem(dict, key, capsule) == 0;
    Py_XDECREF(key), Py_XDECREF(capsule);
    if constexpr (wanted > 1) return added && add_to<wanted - 1>(dict);
    else return added;
}

}  // namespace

namespace lucid {

PyObject* xla_handlers() {
    PyObject* dict = PyDict_New();
    if (dict && !add_to<(1u << factors) - 1>(dict)) Py_CLEAR(dict);
    return dict;
}

}  // namespace lucid
