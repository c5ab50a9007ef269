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
// of its own, and only pairs have more than one a or b: rows may come without these axes. A function computes its wanted factors,
// from all those that they need, in this order.
#include "xla.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "halves.hpp"
#include "pool.hpp"
#include "scratch.hpp"
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
constexpr int float16 = 10, float32 = 11, float64 = 12, bfloat16 = 16;
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

// What follows a product that was kept: by which operations and for which sizes; zeros where it was not.
// JAX fixes the room when it traces, before it is known which threads and instructions there will be.
struct Mark {
    std::uint64_t by, sizes[6];
};
static_assert(sizeof(Mark) == xla_mark_bytes);

// Sizes by their place in the formula, and where the factors are; null for those not there.
struct Call {
    Index groups = -1, shared = -1, firsts = -1, seconds = -1;
    Index outputs = -1, features_1 = -1, features_2 = -1;
    struct Place {
        void* data = nullptr;
        int dtype = 0;
    };
    Place given[factors], found[factors];
    struct Product {
        void* data = nullptr;
        int dtype = 0;
        Index size = 0;
    };
    Product kept, keeps;  // by the forward for these gradients; by this forward

    // Takes the last buffer for a product; false where it is none.
    static bool take(const Buffers& from, std::int64_t k, Product& product) {
        if (k >= from.count || from.kinds[k] != is_buffer) return false;
        const Buffer& buffer = *from.buffers[k];
        if (buffer.size < sizeof(Buffer) || buffer.rank != 1) return false;
        product = {buffer.data, buffer.dtype, Index(buffer.sizes[0])};
        return true;
    }

    // Takes the next buffer for a factor; false where it is not what the others say.
    bool take(int factor, const Buffers& from, std::int64_t k, Place* places) {
        if (k >= from.count || from.kinds[k] != is_buffer) return false;
        const Buffer& buffer = *from.buffers[k];
        if (buffer.size < sizeof(Buffer)) return false;
        const bool are_rows = factor != weight && buffer.rank == 3;
        if (!are_rows && buffer.rank != (factor == result ? 5 : 4)) return false;
        const int dtype = buffer.dtype;
        if (dtype != float16 && dtype != bfloat16 && dtype != float32 && dtype != float64) return false;
        places[factor] = {buffer.data, dtype};
        const std::int64_t* sizes = buffer.sizes;
        if (!is(groups, sizes[0])) return false;
        if (factor == weight)
            return is(outputs, sizes[1]) && is(features_1, sizes[2]) && is(features_2, sizes[3]);
        if (!is(shared, sizes[1])) return false;
        if (are_rows)
            return is(firsts, 1) && is(seconds, 1) &&
                   is(factor == first ? features_1 : factor == second ? features_2 : outputs, sizes[2]);
        if (factor == first) return is(firsts, sizes[2]) && is(features_1, sizes[3]);
        if (factor == second) return is(seconds, sizes[2]) && is(features_2, sizes[3]);
        return is(firsts, sizes[2]) && is(seconds, sizes[3]) && is(outputs, sizes[4]);
    }

    // Whether there is no product, or one of all that is computed: one weight, and one dtype.
    bool suits(const Product& product) const {
        if (!product.data) return true;
        for (int k = 0; k < factors; ++k)
            for (const Place& place : {given[k], found[k]})
                if (place.data && place.dtype != product.dtype) return false;
        const Index itemsize = product.dtype == float32 ? 4 : product.dtype == float64 ? 8 : 0;
        return groups == 1 && product.size * itemsize > xla_mark_bytes;
    }

    static bool is(Index& known, std::int64_t size) {
        if (known < 0) known = Index(size);
        return known == size && size > 0;
    }
};

template <class Real> constexpr Index mark_numbers = xla_mark_bytes / Index(sizeof(Real));

template <class Real> Mark mark_of(const Pairs& p) {
    const auto number = [](Index size) { return std::uint64_t(size); };
    return {
        reinterpret_cast<std::uintptr_t>(&operations<Real>(kernel())),
        {number(p.shared), number(p.firsts), number(p.seconds), number(p.outputs), number(p.features_1),
         number(p.features_2)}};
}

template <class Real> Kept kept_of(const Pairs& p, int threads) {
    const Operations<Real>& on = operations<Real>(kernel());
    if (p.firsts * p.seconds > 1) return on.kept_of_pairs(p);
    return on.kept_of_rows({p.shared, p.outputs, p.features_1, p.features_2}, threads);
}

// Where to keep the product of this call: null where there is no room of its size. It is marked as not kept.
template <class Real> Real* room_for_kept(const Call& call, const Pairs& p, int threads) {
    if (!call.keeps.data) return nullptr;
    Real* const room = static_cast<Real*>(call.keeps.data);
    const Index numbers = call.keeps.size - mark_numbers<Real>;
    std::memset(room + numbers, 0, sizeof(Mark));
    return kept_of<Real>(p, threads).size == numbers ? room : nullptr;
}

template <class Real> void mark_kept(const Call& call, const Pairs& p) {
    const Mark mark = mark_of<Real>(p);
    std::memcpy(
        static_cast<Real*>(call.keeps.data) + call.keeps.size - mark_numbers<Real>, &mark, sizeof(Mark));
}

// What was kept, if it was for these sizes.
template <class Real> Real* kept_for(const Call& call, const Pairs& p) {
    if (!call.kept.data) return nullptr;
    Real* const kept = static_cast<Real*>(call.kept.data);
    const Mark mark = mark_of<Real>(p);
    const Real* const found = kept + call.kept.size - mark_numbers<Real>;
    return std::memcmp(found, &mark, sizeof(Mark)) == 0 ? kept : nullptr;
}

// So many shared positions, and rows of x1 in each of them.
struct Part {
    Index shared, firsts;
    Adds adds;
};

// A part of a call, with one weight, from `given` into `found`.
template <class Real>
bool compute(
    const Call& call, unsigned wanted, const Part& part, Real* const (&given)[factors],
    Real* const (&found)[factors]) {
    const Operations<Real>& on = operations<Real>(kernel());
    const Sizes s{part.shared, call.outputs, call.features_1, call.features_2};
    const Index row = call.seconds * s.outputs;
    const Pairs p{
        part.shared, part.firsts, call.seconds, s.outputs, s.features_1, s.features_2,
        {part.shared, 0, part.firsts * row}, row, s.outputs};
    const int threads = is_worth_threads(p.operations()) ? get_threads() : 1;
    Real* const room = room_for_kept<Real>(call, p, threads);
    Real* const kept = kept_for<Real>(call, p);
    if (call.firsts * call.seconds > 1) {
        const auto strided = [&](auto* data, Index rows, Index features) {
            return Strided<std::remove_pointer_t<decltype(data)>>{
                data, {part.shared, 0, rows * features}, features};
        };
        const auto x1 = strided(static_cast<const Real*>(given[first]), part.firsts, s.features_1);
        const auto x2 = strided(static_cast<const Real*>(given[second]), call.seconds, s.features_2);
        if (is_in(wanted, result)) {
            if (!on.pairs(p, x1, x2, given[weight], nullptr, found[result], room, threads)) return false;
            if (room) mark_kept<Real>(call, p);
        }
        return !(wanted >> first) ||
               on.pair_gradients(
                   p, given[result], x1, x2, given[weight],
                   strided(found[first], part.firsts, s.features_1),
                   strided(found[second], call.seconds, s.features_2), found[weight], part.adds, kept,
                   threads);
    }
    const Matrix<Real> g{given[result], s.outputs};
    const Matrix<Real> x1{given[first], s.features_1}, x2{given[second], s.features_2};
    if (is_in(wanted, result)) {
        if (!on.forward(s, x1, x2, given[weight], nullptr, found[result], room, threads, Algorithm::chosen))
            return false;
        if (room) mark_kept<Real>(call, p);
    }
    Real* d_second = found[second];
    if (kept && d_second) {
        if (!on.gradient_from_kept(s, g, kept, d_second, threads)) return false;
        d_second = nullptr;
    }
    if ((found[first] || d_second) &&
        !on.input_gradients(
            s, g, x1, x2, given[weight], found[first], d_second, threads, Algorithm::chosen))
        return false;
    return !is_in(wanted, weight) ||
           on.weight_gradient(
               s, g, x1, x2, found[weight], part.adds.weight, threads, Algorithm::chosen);
}

// Whether everything is bfloat16, and the kernel had better multiply it as it is.
bool is_bfloat16(const Call& call, unsigned wanted) {
    for (int k = 0; k < factors; ++k)
        for (const Call::Place& place : {call.given[k], call.found[k]})
            if (place.data && place.dtype != bfloat16) return false;
    const Sizes s{call.shared, call.outputs, call.features_1, call.features_2};
    const auto takes = [&](Operation operation, bool both) {
        const auto choose = operations<BFloat16>(kernel()).choose;
        return choose(operation, s, get_threads(), both) != Algorithm::chosen;
    };
    const bool d1 = is_in(wanted, first), d2 = is_in(wanted, second);
    return call.firsts * call.seconds == 1 &&
           (!is_in(wanted, result) || takes(Operation::forward, true)) &&
           (!(d1 || d2) || takes(Operation::inputs, d1 && d2)) &&
           (!is_in(wanted, weight) || takes(Operation::weight, true));
}

// All of it at once, where it is.
bool compute_bfloat16(const Call& call, unsigned wanted) {
    const Index matrix = call.features_1 * call.features_2;
    const Index numbers[factors] = {
        call.shared * call.outputs, call.shared * call.features_1, call.shared * call.features_2,
        call.outputs * matrix};
    for (Index n = 0; n < call.groups; ++n) {
        BFloat16 *given[factors] = {}, *found[factors] = {};
        for (int k = 0; k < factors; ++k) {
            if (call.given[k].data) given[k] = static_cast<BFloat16*>(call.given[k].data) + n * numbers[k];
            if (call.found[k].data) found[k] = static_cast<BFloat16*>(call.found[k].data) + n * numbers[k];
        }
        if (!compute<BFloat16>(call, wanted, {call.shared, 1, {}}, given, found)) return false;
    }
    return true;
}

template <class Real> void read(int dtype, const void* from, Index start, Index count, Real* to) {
    const auto halves = static_cast<const std::uint16_t*>(from) + start;
    in_chunks(count, [&](Index at, Index length) {
        if (dtype == float16) widen<Half>(halves + at, length, to + at);
        else if (dtype == bfloat16) widen<Brain>(halves + at, length, to + at);
        else if (dtype == float32) copy(static_cast<const float*>(from) + start + at, length, to + at);
        else copy(static_cast<const double*>(from) + start + at, length, to + at);
    });
}

template <class Real> void write(int dtype, const Real* from, Index count, void* to, Index start) {
    const auto halves = static_cast<std::uint16_t*>(to) + start;
    in_chunks(count, [&](Index at, Index length) {
        if (dtype == float16) narrow<Half>(from + at, length, halves + at);
        else if (dtype == bfloat16) narrow<Brain>(from + at, length, halves + at);
        else if (dtype == float32) copy(from + at, length, static_cast<float*>(to) + start + at);
        else copy(from + at, length, static_cast<double*>(to) + start + at);
    });
}

constexpr Index converted_bytes = 8 << 20;  // of g, x1 and x2, as many of results, at a time

// How a call is cut where a factor has another dtype than the kernel computes in: as many shared
// positions at a time as there is room to convert, or rows of x1 where there is not room for one.
template <class Real> class Parts {
public:
    explicit Parts(const Call& call) : call_(call), most_{call.shared, call.firsts, {}} {
        const Index matrix = call.features_1 * call.features_2;
        const Index numbers[factors] = {
            call.seconds * call.outputs, call.features_1, call.seconds * call.features_2,
            call.outputs * matrix};
        bool converts = false;
        for (int k = 0; k < factors; ++k) {
            of_row_[k] = numbers[k];
            converts = converts || is_converted(call.given[k]) || is_converted(call.found[k]);
        }
        if (converts) {
            const Index of_first = numbers[result] + numbers[first];
            most_.shared = fitting(call.firsts * of_first + numbers[second], call.shared);
            if (most_.shared == 1) most_.firsts = fitting(of_first, call.firsts);
        }
        for (int k = 0; k < factors; ++k) {
            given_[k] = take(is_converted(call.given[k]) ? size(k, most_) : 0);
            found_[k] = take(is_converted(call.found[k]) ? size(k, most_) : 0);
        }
    }
    Index scratch() const { return all_; }

    // Everything, with so much scratch.
    bool run(unsigned wanted, Real* scratch) const {
        for (Index n = 0; n < call_.groups; ++n)
            for (Index s = 0; s < call_.shared; s += most_.shared)
                for (Index a = 0; a < call_.firsts; a += most_.firsts)
                    if (!run(wanted, scratch, n, s, a)) return false;
        return true;
    }

private:
    static constexpr int own = sizeof(Real) == 8 ? float64 : float32;

    static bool is_converted(const Call::Place& place) { return place.data && place.dtype != own; }
    static Real* at(const Call::Place& place, Index start, Real* converted) {
        if (!place.data || is_converted(place)) return place.data ? converted : nullptr;
        return static_cast<Real*>(place.data) + start;
    }
    static Index fitting(Index one, Index all) {
        const Index count = converted_bytes / Index(sizeof(Real)) / one;
        return count < 1 ? 1 : count < all ? count : all;
    }
    Index size(int k, const Part& part) const {
        return k == weight ? of_row_[k] : part.shared * (k == second ? 1 : part.firsts) * of_row_[k];
    }
    Index take(Index numbers) {
        const Index begin = all_;
        all_ += numbers;
        return begin;
    }

    bool run(unsigned wanted, Real* scratch, Index n, Index s, Index a) const {
        const Part part{
            most_.shared < call_.shared - s ? most_.shared : call_.shared - s,
            most_.firsts < call_.firsts - a ? most_.firsts : call_.firsts - a,
            {false, a > 0, s > 0 || a > 0}};
        const bool ends_row = a + part.firsts == call_.firsts;
        const bool ends = ends_row && s + part.shared == call_.shared;
        Index start[factors];
        Real *given[factors] = {}, *found[factors] = {};
        for (int k = 0; k < factors; ++k) {
            const Index position = n * call_.shared + s;
            start[k] = of_row_[k] *
                       (k == weight ? n : k == second ? position : position * call_.firsts + a);
            found[k] = at(call_.found[k], start[k], scratch + found_[k]);
            given[k] = at(call_.given[k], start[k], scratch + given_[k]);
            const bool is_read = k == weight ? s + a > 0 : k == second && a > 0;
            if (is_converted(call_.given[k]) && !is_read)
                read(call_.given[k].dtype, call_.given[k].data, start[k], size(k, part), given[k]);
        }
        if (!compute<Real>(call_, wanted, part, given, found)) return false;
        for (int k = 0; k < factors; ++k) {
            const bool is_whole = k == weight ? ends : k == second ? ends_row : true;
            if (is_converted(call_.found[k]) && is_whole)
                write(call_.found[k].dtype, found[k], size(k, part), call_.found[k].data, start[k]);
        }
        return true;
    }

    const Call& call_;
    Part most_;
    Index of_row_[factors];  // numbers for each row of x1 in a shared position; of x2, for all of its
    Index given_[factors], found_[factors], all_ = 0;  // in the scratch
};

template <class Real> bool compute(const Call& call, unsigned wanted) {
    const Parts<Real> parts(call);
    if (parts.scratch() == 0) return parts.run(wanted, nullptr);
    const Scratch<Real> scratch(parts.scratch());
    return scratch && parts.run(wanted, scratch.get());
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
    if (fits && wanted == 1u << result && results + 1 == frame->results.count)
        fits = call.take(frame->results, results++, call.keeps);
    if (fits && !is_in(wanted, result) && arguments + 1 == frame->arguments.count)
        fits = call.take(frame->arguments, arguments++, call.kept);
    if (!fits || arguments != frame->arguments.count || results != frame->results.count ||
        !call.suits(call.keeps) || !call.suits(call.kept))
        return error(frame, invalid_argument, "lucid: not what its kernel computes");
    bool is_double = false;
    for (int k = 0; k < factors; ++k)
        is_double = is_double || call.given[k].dtype == float64 || call.found[k].dtype == float64;
    const bool done = is_bfloat16(call, wanted) ? compute_bfloat16(call, wanted)
        : is_double                             ? compute<double>(call, wanted)
                                                : compute<float>(call, wanted);
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
