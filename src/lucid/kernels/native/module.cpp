// The Python binding: arguments checked to the last size, results made, the GIL released while the
// kernel works. A call that the kernel cannot do as it stands is declined: the result is None.
#include "arrays.hpp"
#include "layout.hpp"
#include "parts.hpp"
#include "runs.hpp"

#include <cstring>
#include <type_traits>

#include "select.hpp"
#include "xla.hpp"

#include <climits>

namespace lucid {
void set_scratch_failure(std::size_t from_bytes);
}

namespace {

using namespace lucid;

// Above this many additions and multiplications other Python threads may run meanwhile.
constexpr double held_operations = 2e4;

// Below so many, what could be kept is made again sooner than looked for.
constexpr double least_kept = 1e6;

template <class Real> const Operations<Real>& on() { return lucid::operations<Real>(kernel()); }

// In bfloat16, no algorithm is conversion to float.
const char* name_of(Algorithm algorithm) {
    return algorithm == Algorithm::chosen ? "converted" : algorithm_names[int(algorithm)];
}

// What numbers of so many bytes are.
int type_of_size(Index bytes) { return bytes == 8 ? NPY_DOUBLE : bytes == 2 ? bfloat16 : NPY_FLOAT; }

// The algorithm that is asked for by name, or None for the one that costs least; one that the
// operation has not, or that cannot do these sizes, is an error, and no other takes its place.
bool algorithm_of(
    PyObject* name, Operation operation, const Sizes& s, int type, bool both, Algorithm& algorithm) {
    algorithm = Algorithm::chosen;
    if (name == Py_None) return true;
    const Algorithms all = algorithms_of(operation);
    for (int k = 0; k < all.count && PyUnicode_Check(name); ++k)
        if (PyUnicode_CompareWithASCIIString(name, name_of(all.first[k])) == 0) algorithm = all.first[k];
    const char* of = operation_names[int(operation)];
    if (algorithm == Algorithm::chosen)
        return PyErr_Format(PyExc_ValueError, "%s has no algorithm %R", of, name), false;
    const auto suits = by_type(type, [](auto number) { return on<decltype(number)>().suits; });
    if (suits(operation, algorithm, s, both)) return true;
    PyErr_Format(
        PyExc_ValueError, "%s by %U: not for N = %zd, O = %zd, I = %zd, J = %zd%s", of, name,
        s.samples, s.outputs, s.features_1, s.features_2, both ? "" : " and one gradient alone");
    return false;
}

// How many threads: so many as asked for, or, for anything else, as many as the work is worth, at
// most so many as `most` says. The tests ask.
struct Threads {
    bool asked = false;
    int most = 0;  // 0: as many as there are
    int count(double operations) const {
        if (asked && most > 0) return most;
        const int all = get_threads();
        return lucid::is_worth_threads(operations) ? most > 0 && most < all ? most : all : 1;
    }
};

// A number of threads; None or 0 leave it to the kernel.
bool threads_of(PyObject* number, Threads& threads) {
    if (number == Py_None) return true;
    const long count = PyLong_Check(number) ? PyLong_AsLong(number) : -1;
    if (count < 0 || count > INT_MAX) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "threads are a number from 0, not %R", number);
        return false;
    }
    threads.most = int(count);
    return true;
}

// Between two parts of a long call: whether no signal has come for Python, or none that it minds.
// Only in its main thread does Python look; elsewhere the answer is yes.
struct GoOn {
    PyThreadState*& state;
    bool operator()() const {
        if (!state) return PyErr_CheckSignals() == 0;
        PyEval_RestoreThread(state);
        const bool none = PyErr_CheckSignals() == 0;
        state = PyEval_SaveThread();
        return none;
    }
};

// The result, when call() has written it; the GIL is released for work that takes long.
template <class Call> PyObject* released(double operations, PyObject* result, const Call& call) {
    PyThreadState* state = nullptr;
    if (operations >= held_operations) state = PyEval_SaveThread();
    const bool done = call(GoOn{state});  // what is held is too short for parts
    if (state) PyEval_RestoreThread(state);
    if (done) return result;
    Py_DECREF(result);
    return PyErr_Occurred() ? nullptr : PyErr_NoMemory();
}

template <class Real> const Real* data(const View& view) { return static_cast<const Real*>(view.data); }

template <class Real> Real* data(PyObject* array) {
    return array ? static_cast<Real*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array))) : nullptr;
}

template <class Real> Strided<const Real> strided(const Layout& layout, const View& view, int array) {
    const int own = array == Layout::x1 ? Layout::first : Layout::second;
    return {data<Real>(view), layout.positions(array), layout.step(own, array)};
}

template <class Real> Strided<Real> strided(const Layout& layout, Real* result, int array) {
    const int own = array == Layout::d1 ? Layout::first : Layout::second;
    return {result, layout.positions(array), layout.step(own, array)};
}

// The elements of a call that has one weight for each: the first axis of all arguments, by which
// everything else is the same. `count` is 0 where there are none, and the call is one.
struct Elements {
    Index count = 0;
    Index calls() const { return count ? count : 1; }

    // Takes the axis from an argument, or its shape, and says how many numbers lie between two of
    // its elements; false where it has another number of them.
    bool take(View& view, Index& step) {
        if (view.axes < 2 || view.sizes[0] < 1 || (count && view.sizes[0] != count)) return false;
        count = view.sizes[0];
        step = view.data ? view.steps[0] : 0;
        --view.axes;
        for (int axis = 0; axis < view.axes; ++axis) {
            view.sizes[axis] = view.sizes[axis + 1];
            if (view.data) view.steps[axis] = view.steps[axis + 1];
        }
        return true;
    }
    // The shape of all results, from that of one.
    Shape all(const Shape& one) const {
        Shape shape;
        shape.axes = one.axes + 1;
        shape.sizes[0] = count;
        for (int axis = 0; axis < one.axes; ++axis) shape.sizes[axis + 1] = one.sizes[axis];
        return shape;
    }
    // call(k) for each, of so many operations, until one fails or there is no going on.
    template <class Call>
    bool run(double operations, double most, const GoOn& go_on, const Call& call) const {
        double since = 0;
        for (Index k = 0; k < calls(); ++k) {
            if (since >= most) {
                if (!go_on()) return false;
                since = 0;
            }
            if (!call(k)) return false;
            since += operations;
        }
        return true;
    }
};

double most_operations(int type, int threads) {
    return by_type(type, [&](auto number) { return operations_of_part(on<decltype(number)>(), threads); });
}

// Goes to the element after so many numbers.
void advance(View& view, Index numbers) {
    if (view.data)
        view.data = static_cast<const char*>(view.data) + numbers * size_of(view.type);
}

bool is_weight(const View& view, Index outputs, Index features_1, Index features_2) {
    return view.axes == 3 && view.sizes[0] == outputs && view.sizes[1] == features_1 &&
           view.sizes[2] == features_2 && view.is_contiguous();
}

bool is_bias(const View& view, Index outputs) {
    return (view.axes == 1 || (view.axes == 2 && view.sizes[0] == 1)) && view.features() == outputs &&
           view.is_contiguous();
}

Pairs pairs_of(const Layout& layout, Index outputs, Index features_1, Index features_2) {
    return {layout.size(Layout::shared), layout.size(Layout::first), layout.size(Layout::second),
            outputs, features_1, features_2, layout.positions(Layout::out),
            layout.step(Layout::first, Layout::out), layout.step(Layout::second, Layout::out)};
}

bool takes(const Pairs& p, int type, const bool* needed, bool kept = false) {
    return by_type(type, [&](auto number) { return on<decltype(number)>().takes_pairs(p, needed, kept); });
}

// What the forward may keep for the gradients of calls that are done in one part: none other would find
// its rows again.
Kept kept_of(int type, const Pairs& p, bool are_rows, int threads) {
    const double operations = are_rows ? 2 * p.operations() : 3 * p.all_operations();
    if (type == bfloat16 || operations >= 2 * most_operations(type, threads)) return {};
    const Sizes s{p.shared, p.outputs, p.features_1, p.features_2};
    return by_type(type, [&](auto number) {
        const auto& with = on<decltype(number)>();
        return are_rows ? with.kept_of_rows(s, threads) : with.kept_of_pairs(p);
    });
}

template <class Real>
bool pairs_in(
    const Layout& layout, const Pairs& p, const View& x1, const View& x2, const View& weight,
    const View& bias, Real* out, Real* kept, int threads, const GoOn& go_on) {
    const auto first = strided<Real>(layout, x1, Layout::x1);
    const auto second = strided<Real>(layout, x2, Layout::x2);
    const double most = operations_of_part(on<Real>(), threads);
    return pairs_in_parts(p, p.all_operations(), most, go_on, [&](const PairsPart& part, const Pairs& mine) {
        return on<Real>().pairs(
            mine, part.first(first), part.second(second), data<Real>(weight), data<Real>(bias),
            out + part.result(p), kept, threads);
    });
}

// Who makes the results of arguments that came by DLPack: a function of a shape and of the bytes of a
// number, which returns the result and the address of its memory.
PyObject* maker = nullptr;

PyObject* make_results_with(PyObject*, PyObject* function) {
    Py_INCREF(function);
    PyObject* before = maker;
    maker = function;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

// A new array for the result of one, or of each of the elements. For arguments of `like`'s kind, where
// that is a capsule, it looks at the memory of what the maker has made, which is its base.
PyObject* new_result(PyObject* like, Shape& shape, int type, const Elements& each) {
    if (each.count) {
        Shape all = each.all(shape);
        return new_result(like, all, type, {});
    }
    if (!maker || !PyCapsule_CheckExact(like))
        return PyArray_SimpleNew(shape.axes, shape.sizes, type == bfloat16 ? bfloat16_of_arrays : type);
    PyObject* sizes = PyTuple_New(shape.axes);
    for (int axis = 0; sizes && axis < shape.axes; ++axis) {
        PyObject* size = PyLong_FromSsize_t(shape.sizes[axis]);
        if (!size) return Py_DECREF(sizes), nullptr;
        PyTuple_SET_ITEM(sizes, axis, size);
    }
    if (!sizes) return nullptr;
    PyObject* made = PyObject_CallFunction(maker, "Nn", sizes, size_of(type));
    if (!made) return nullptr;
    PyObject* owner;
    Py_ssize_t address;
    PyObject* array = nullptr;
    if (PyArg_ParseTuple(made, "On", &owner, &address))
        array = PyArray_SimpleNewFromData(shape.axes, shape.sizes, type, reinterpret_cast<void*>(address));
    if (array) {
        Py_INCREF(owner);
        if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), owner) < 0)
            Py_CLEAR(array);
    }
    Py_DECREF(made);
    return array;
}

// Truth values, three or as many as there is room for; false where the object is something else.
template <int Most> bool flags_of(PyObject* tuple, bool (&needed)[Most]) {
    const Py_ssize_t count = PyTuple_Check(tuple) ? PyTuple_GET_SIZE(tuple) : 0;
    if (count != 3 && count != Most) return false;
    for (int k = 0; k < count; ++k) {
        PyObject* flag = PyTuple_GET_ITEM(tuple, k);
        if (!PyBool_Check(flag)) return false;
        needed[k] = flag == Py_True;
    }
    return true;
}

// A forward pass whose gradients will be asked for, and what it has kept for them, or null.
struct Keeping {
    bool needed[3];
    PyObject* kept = nullptr;
};

// Whether the kernel had better multiply bfloat16 as it is than leave it to be converted to float.
bool converts_less(Operation operation, const Sizes& s, bool both = true) {
    return on<BFloat16>().choose(operation, s, get_threads(), both) != Algorithm::chosen;
}

// The result for arguments as they are seen, or None; for each of the elements, if there are any.
// `asked` names an algorithm.
PyObject* forward_of(
    PyObject* like, View& x1, View& x2, View& weight, const View& bias, Elements each,
    const Threads& threads, PyObject* asked, Keeping* keeping = nullptr) {
    Index next_1 = 0, next_2 = 0, next_weight = 0;
    if (each.count && (!each.take(x1, next_1) || !each.take(x2, next_2) || !each.take(weight, next_weight)))
        Py_RETURN_NONE;
    const int type = x1.type;
    if (x2.type != type || weight.type != type || !has_rows(x1) || !has_rows(x2) || weight.axes != 3 ||
        !is_weight(weight, weight.sizes[0], x1.features(), x2.features()) ||
        (bias.data && (bias.type != type || !is_bias(bias, weight.sizes[0]))))
        Py_RETURN_NONE;
    Shape shape;
    if (!broadcast(x1, x2, shape)) Py_RETURN_NONE;
    shape.sizes[shape.axes - 1] = weight.sizes[0];
    const Sizes s{shape.rows(), weight.sizes[0], weight.sizes[1], weight.sizes[2]};
    if (s.operations() == 0) Py_RETURN_NONE;

    Layout layout;
    Index step_1 = 0, step_2 = 0;
    bool are_rows = same_leading(x1, x2) && (step_1 = row_step(x1)) > 0 && (step_2 = row_step(x2)) > 0;
    if (!are_rows) {
        if (!layout.find({{&x1, x1.steps, false}, {&x2, x2.steps, false}, {&shape}, {}, {}}))
            Py_RETURN_NONE;
        are_rows = layout.is_rows();
        step_1 = layout.row_step(Layout::x1, x1), step_2 = layout.row_step(Layout::x2, x2);
        if (are_rows && (step_1 == 0 || step_2 == 0)) Py_RETURN_NONE;
    }
    Algorithm algorithm = Algorithm::chosen;
    Pairs p{};
    if (!are_rows) {
        p = pairs_of(layout, s.outputs, s.features_1, s.features_2);
        if ((!threads.asked || type == bfloat16) && !takes(p, type, nullptr)) Py_RETURN_NONE;
    } else if (!algorithm_of(asked, Operation::forward, s, type, true, algorithm)) {
        return nullptr;
    } else if (type == bfloat16 && algorithm == Algorithm::chosen && !converts_less(Operation::forward, s)) {
        Py_RETURN_NONE;
    }
    PyObject* out = new_result(like, shape, type, each);
    if (!out) return nullptr;
    const double operations = are_rows ? s.operations() : p.operations();
    const int many = threads.count(operations);
    void* kept = nullptr;
    if (keeping && (threads.asked || operations > least_kept) && !is_expanded(x1) && !is_expanded(x2)) {
        if (are_rows) p = {s.samples, 1, 1, s.outputs, s.features_1, s.features_2, {}, 0, 0};
        Kept keeps = kept_of(type, p, are_rows, many);
        const bool useful = keeping->needed[keeps.of_first ? 0 : 1];
        if (keeps.size > 0 && useful && (are_rows || threads.asked || takes(p, type, keeping->needed, true)))
            keeping->kept = PyArray_SimpleNew(1, &keeps.size, type);
        if (keeping->kept) kept = PyArray_DATA(reinterpret_cast<PyArrayObject*>(keeping->kept));
        PyErr_Clear();  // without room it is not kept
    }
    const auto compute = [&](auto* result, const GoOn& go_on) {
        using Real = std::remove_pointer_t<decltype(result)>;
        Real* const keep = static_cast<Real*>(kept);
        if (!are_rows) return pairs_in<Real>(layout, p, x1, x2, weight, bias, result, keep, many, go_on);
        return forward_in_parts<Real>(
            on<Real>(), s, {data<Real>(x1), step_1}, {data<Real>(x2), step_2},
            data<Real>(weight), data<Real>(bias), result, keep, many, algorithm, go_on);
    };
    return released(operations * double(each.calls()), out, [&](GoOn go_on) {
        return each.run(operations, most_operations(type, many), go_on, [&](Index k) {
            if (k > 0) advance(x1, next_1), advance(x2, next_2), advance(weight, next_weight);
            const Index at = k * s.samples * s.outputs;
            return by_type(type, [&](auto number) {
                return compute(data<decltype(number)>(out) + at, go_on);
            });
        });
    });
}

// bilinear(x1, x2, weight, bias[, most threads]); for the tests: (…, algorithm, threads)
PyObject* bilinear(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count < 4 || count > 6) {
        PyErr_SetString(PyExc_TypeError, "bilinear: takes x1, x2, weight and bias");
        return nullptr;
    }
    Threads threads{count == 6};
    if (count > 4 && !threads_of(arguments[count - 1], threads)) return nullptr;
    View x1, x2, weight, bias;
    if (!view_of(arguments[0], x1) || !view_of(arguments[1], x2) || !view_of(arguments[2], weight) ||
        (arguments[3] != Py_None && !view_of(arguments[3], bias)))
        Py_RETURN_NONE;
    return forward_of(
        arguments[0], x1, x2, weight, bias, {}, threads, count == 6 ? arguments[4] : Py_None);
}

// bilinear_keeping(x1, x2, weight, bias, needed[, most threads]): the result and what those gradients
// are to be given, or None for it; for the tests: (…, None, threads)
PyObject* bilinear_keeping(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Keeping keeping;
    if (count < 5 || count > 7 || !flags_of(arguments[4], keeping.needed)) {
        PyErr_SetString(PyExc_TypeError, "bilinear_keeping: takes x1, x2, weight, bias and three flags");
        return nullptr;
    }
    Threads threads{count == 7};
    if (count > 5 && !threads_of(arguments[count - 1], threads)) return nullptr;
    View x1, x2, weight, bias;
    if (!view_of(arguments[0], x1) || !view_of(arguments[1], x2) || !view_of(arguments[2], weight) ||
        (arguments[3] != Py_None && !view_of(arguments[3], bias)))
        Py_RETURN_NONE;
    PyObject* out =
        forward_of(arguments[0], x1, x2, weight, bias, {}, threads, Py_None, &keeping);
    if (!out || out == Py_None) return Py_XDECREF(keeping.kept), out;
    PyObject* none = Py_None;
    if (!keeping.kept) Py_INCREF(none);
    return Py_BuildValue("NN", out, keeping.kept ? keeping.kept : none);
}

// bilinear_each(x1, x2, weight, None, most threads): the first axes are the elements
PyObject* bilinear_each(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5 || arguments[3] != Py_None) {
        PyErr_SetString(PyExc_TypeError, "bilinear_each: takes x1, x2, weight, None and a number");
        return nullptr;
    }
    Threads threads;
    if (!threads_of(arguments[4], threads)) return nullptr;
    View x1, x2, weight, no_bias;
    if (!view_of(arguments[0], x1) || !view_of(arguments[1], x2) || !view_of(arguments[2], weight) ||
        x1.axes == 0 || x1.sizes[0] < 1)
        Py_RETURN_NONE;
    return forward_of(arguments[0], x1, x2, weight, no_bias, {x1.sizes[0]}, threads, Py_None);
}

// An input of `gradients`: an array, or its shape where its values are not needed.
bool input_of(PyObject* object, int type, bool needed, View& input) {
    if (PyTuple_Check(object)) return !needed && shape_of(object, input);
    return view_of(object, input) && input.type == type;
}

// A tuple of new arrays for the gradients that are needed, None for the others.
PyObject* results_of(
    PyObject* like, const bool (&needed)[4], int count, int type, Shape* const (&shapes)[4],
    const Elements& each, PyObject* (&results)[4]) {
    PyObject* found = PyTuple_New(count);
    if (!found) return nullptr;
    for (int k = 0; k < count; ++k) {
        results[k] = nullptr;
        if (needed[k]) {
            results[k] = new_result(like, *shapes[k], type, each);
            if (!results[k]) return Py_DECREF(found), nullptr;
        } else {
            Py_INCREF(Py_None);
        }
        PyTuple_SET_ITEM(found, k, results[k] ? results[k] : Py_None);
    }
    return found;
}

// The factors of a call of `gradients`; what is not needed has no data.
struct Factors {
    View g, x1, x2, weight;
};

// Some of the gradients, with leading axes in which they are found together.
struct Group {
    Layout layout;
    bool needed[3];
    bool is_rows;
    double operations;
};

// The axes for these gradients, from those of the arrays. A gradient has a row for each that its
// input has in its shape; of the other input, what is there again counts once.
bool group_of(const Factors& f, const bool (&needed)[3], Group& group) {
    const bool reads_1 = needed[1] || needed[2], reads_2 = needed[0] || needed[2];
    const auto along = [&](const View& input, bool reads, bool by_shape) {
        return Along{&input, reads ? input.steps : nullptr, by_shape || !reads};
    };
    for (int k = 0; k < 3; ++k) group.needed[k] = needed[k];
    Along d1, d2;
    if (needed[0]) d1.shape = &f.x1;
    if (needed[1]) d2.shape = &f.x2;
    Layout& layout = group.layout;
    if (!layout.find(
            {along(f.x1, reads_1, needed[0]), along(f.x2, reads_2, needed[1]), {&f.g, f.g.steps}, d1,
             d2}))
        return false;
    group.is_rows = layout.is_rows();
    group.operations = pairs_of(layout, f.g.features(), f.x1.features(), f.x2.features()).operations();
    if (!group.is_rows) return true;
    return layout.row_step(Layout::out, f.g) > 0 &&
           (!reads_1 || layout.row_step(Layout::x1, f.x1) > 0) &&
           (!reads_2 || layout.row_step(Layout::x2, f.x2) > 0);
}

template <class Real> Matrix<Real> matrix(const Layout& layout, const View& view, int array) {
    return {data<Real>(view), layout.row_step(array, view)};
}

// Into the results of the element k.
template <class Real>
bool gradients_in(
    const Factors& f, const Group& group, PyObject* const* results, Index k, PyObject* kept, int threads,
    Algorithm inputs, Algorithm of_weight, const GoOn& go_on) {
    const Operations<Real>& on = ::on<Real>();
    const Layout& layout = group.layout;
    const auto result = [&](int which, Index numbers) {
        return group.needed[which] ? data<Real>(results[which]) + k * numbers : nullptr;
    };
    Real* const d1 = result(0, f.x1.rows() * f.x1.features());
    Real* const d2 = result(1, f.x2.rows() * f.x2.features());
    Real* const d_weight = result(2, f.g.features() * f.x1.features() * f.x2.features());
    // What this group does not read has the steps of its shape, not those in memory.
    const auto read = [](auto factor, bool reads) {
        if (!reads) factor.data = nullptr;
        return factor;
    };
    const bool reads_1 = group.needed[1] || group.needed[2], reads_2 = group.needed[0] || group.needed[2];
    const Pairs p = pairs_of(layout, f.g.features(), f.x1.features(), f.x2.features());
    if (!group.is_rows) {
        const auto x1 = read(strided<Real>(layout, f.x1, Layout::x1), reads_1);
        const auto x2 = read(strided<Real>(layout, f.x2, Layout::x2), reads_2);
        const auto to_1 = strided<Real>(layout, d1, Layout::d1), to_2 = strided<Real>(layout, d2, Layout::d2);
        bool started = false;
        return pairs_in_parts(
            p, 3 * p.all_operations(), operations_of_part(on, threads), go_on,
            [&](const PairsPart& part, const Pairs& mine) {
                const bool again = part.row > 0;
                const Adds adds{!part.cuts_first && again, part.cuts_first && again, started};
                started = true;
                return on.pair_gradients(
                    mine, data<Real>(f.g) + part.result(p), part.first(x1), part.second(x2),
                    data<Real>(f.weight), part.first(to_1), part.second(to_2), d_weight, adds,
                    data<Real>(kept), threads);
            });
    }
    const Sizes s{p.shared, p.outputs, p.features_1, p.features_2};
    const auto rows = matrix<Real>(layout, f.g, Layout::out);
    const auto first = read(matrix<Real>(layout, f.x1, Layout::x1), reads_1);
    const auto second = read(matrix<Real>(layout, f.x2, Layout::x2), reads_2);
    bool done = true;
    Real* rest = d2;
    if (kept && d2) {
        done = on.gradient_from_kept(s, rows, data<Real>(kept), d2, threads);
        rest = nullptr;
    }
    if (done && (d1 || rest))
        done = inputs_in_parts<Real>(
            on, s, rows, first, second, data<Real>(f.weight), d1, rest, threads, inputs, go_on);
    if (done && d_weight && (d1 || d2) && s.operations() >= operations_of_part(on, 1)) done = go_on();
    if (done && d_weight)
        done = weight_in_parts(
            on, s, rows, first, second, d_weight, threads, of_weight, go_on);
    return done;
}

// Together where they see the same axes; where a row of an input is there again and again, each
// gradient by itself. False where the kernel cannot walk over them, or had better not.
bool groups_of(
    const Factors& f, const bool (&needed)[4], bool asked, bool kept, Group (&groups)[3], int& count) {
    const bool apart = (f.x1.data && is_expanded(f.x1)) || (f.x2.data && is_expanded(f.x2));
    count = 0;
    for (int k = 0; k < (apart ? 3 : 1); ++k) {
        if (apart && !needed[k]) continue;
        Group& group = groups[count++];
        const bool alone[3] = {k == 0, k == 1, k == 2};
        const bool together[3] = {needed[0], needed[1], needed[2]};
        if (!group_of(f, apart ? alone : together, group)) return false;
        const Pairs p = pairs_of(group.layout, f.g.features(), f.x1.features(), f.x2.features());
        if (!group.is_rows && (!asked || f.g.type == bfloat16) && !takes(p, f.g.type, group.needed, kept))
            return false;
    }
    return true;
}

// Whether an object is what was kept, of this size.
bool is_kept(PyObject* object, int type, Index size) {
    if (!PyArray_CheckExact(object) || size < 1) return false;
    PyArrayObject* array = reinterpret_cast<PyArrayObject*>(object);
    return PyArray_TYPE(array) == type && PyArray_NDIM(array) == 1 && PyArray_DIM(array, 0) == size;
}

template <class Real> bool sum_in(const View& g, PyObject* result, int threads) {
    return on<Real>().sum_rows(
        data<Real>(g), g.rows(), g.features(), data<Real>(result), threads);
}

// The gradients for factors as they are seen, or None; for each of the elements, if there are any.
// `asked` names the algorithms for the inputs' and for the weight's; `kept` is what the forward kept.
// With `count` 4 the last result is the bias', where it is needed and g is dense.
PyObject* gradients_of(
    PyObject* like, Factors& f, bool (&needed)[4], int count, Elements each, const Threads& threads,
    PyObject* const (&asked)[2], PyObject* kept = nullptr) {
    const bool of_inputs = needed[0] || needed[1];
    Index next[4] = {};
    if (each.count && (!each.take(f.g, next[0]) || !each.take(f.x1, next[1]) || !each.take(f.x2, next[2]) ||
                       (of_inputs && !each.take(f.weight, next[3]))))
        Py_RETURN_NONE;
    const int type = f.g.type;
    if (!has_rows(f.g) || (f.x1.data && !has_rows(f.x1)) || (f.x2.data && !has_rows(f.x2)) ||
        f.g.axes != (f.x1.axes > f.x2.axes ? f.x1.axes : f.x2.axes) ||
        (of_inputs && !is_weight(f.weight, f.g.features(), f.x1.features(), f.x2.features())))
        Py_RETURN_NONE;
    if (!needed[1] && !needed[2]) f.x1.data = nullptr;
    if (!needed[0] && !needed[2]) f.x2.data = nullptr;
    const Sizes s{f.g.rows(), f.g.features(), f.x1.features(), f.x2.features()};
    Group groups[3];
    int group_count;
    if (s.operations() == 0 || !groups_of(f, needed, threads.asked, kept != nullptr, groups, group_count))
        Py_RETURN_NONE;
    Algorithm inputs = Algorithm::chosen, of_weight = Algorithm::chosen;
    const bool both = needed[0] == needed[1];  // or neither
    if (!algorithm_of(asked[0], Operation::inputs, s, type, both, inputs) ||
        !algorithm_of(asked[1], Operation::weight, s, type, true, of_weight))
        return nullptr;
    if (type == bfloat16 &&
        ((of_inputs && inputs == Algorithm::chosen && !converts_less(Operation::inputs, s, both)) ||
         (needed[2] && of_weight == Algorithm::chosen && !converts_less(Operation::weight, s))))
        Py_RETURN_NONE;

    Shape weight, bias;
    weight.axes = 3, bias.axes = 1;
    weight.sizes[0] = s.outputs, weight.sizes[1] = s.features_1, weight.sizes[2] = s.features_2;
    bias.sizes[0] = s.outputs;
    needed[3] = needed[3] && type != bfloat16 && f.g.is_contiguous();
    PyObject* results[4];
    PyObject* found = results_of(like, needed, count, type, {&f.x1, &f.x2, &weight, &bias}, each, results);
    if (!found) return nullptr;
    double operations = 0;
    for (int k = 0; k < group_count; ++k) operations += groups[k].operations;
    const int many = threads.count(operations);
    if (kept) {
        const Group& only = groups[0];
        const Pairs p = pairs_of(only.layout, f.g.features(), f.x1.features(), f.x2.features());
        const Kept keeps = kept_of(type, p, only.is_rows, many);
        if (group_count > 1 || !is_kept(kept, type, keeps.size)) kept = nullptr;
    }
    return released(operations * double(each.calls()), found, [&](GoOn go_on) {
        return each.run(operations, most_operations(type, many), go_on, [&](Index k) {
            if (k > 0) {
                advance(f.g, next[0]), advance(f.x1, next[1]), advance(f.x2, next[2]);
                advance(f.weight, next[3]);
            }
            bool done = true;
            if (needed[3])
                done = type == NPY_FLOAT ? sum_in<float>(f.g, results[3], many)
                                         : sum_in<double>(f.g, results[3], many);
            for (int n = 0; done && n < group_count; ++n)
                done = by_type(type, [&](auto number) {
                    return gradients_in<decltype(number)>(
                        f, groups[n], results, k, kept, many, inputs, of_weight, go_on);
                });
            return done;
        });
    });
}

// The arguments g, x1, x2, weight and needed, as they are seen; false where one is none.
bool factors_of(PyObject* const* arguments, const bool (&needed)[4], Factors& f) {
    return view_of(arguments[0], f.g) && input_of(arguments[1], f.g.type, needed[1] || needed[2], f.x1) &&
           input_of(arguments[2], f.g.type, needed[0] || needed[2], f.x2) &&
           ((!needed[0] && !needed[1]) ||
            (view_of(arguments[3], f.weight) && f.weight.type == f.g.type));
}

// gradients(g, x1, x2, weight, needed[, most threads]): three, or with a fourth flag the bias' too; for the tests: (…, inputs' algorithm,
// weight's algorithm, threads)
PyObject* gradients(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[4] = {};
    if ((count != 5 && count != 6 && count != 8) || !flags_of(arguments[4], needed)) {
        PyErr_SetString(PyExc_TypeError, "gradients: takes g, x1, x2, weight and three flags");
        return nullptr;
    }
    Threads threads{count == 8};
    if (count > 5 && !threads_of(arguments[count - 1], threads)) return nullptr;
    Factors f;
    if (!factors_of(arguments, needed, f)) Py_RETURN_NONE;
    const bool asked = count == 8;
    return gradients_of(
        arguments[0], f, needed, int(PyTuple_GET_SIZE(arguments[4])), {}, threads,
        {asked ? arguments[5] : Py_None, asked ? arguments[6] : Py_None});
}

// gradients_kept(g, x1, x2, weight, needed, kept[, most threads]): with what bilinear_keeping gave; for the
// tests: (…, None, threads)
PyObject* gradients_kept(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[4] = {};
    if (count < 6 || count > 8 || !flags_of(arguments[4], needed)) {
        PyErr_SetString(PyExc_TypeError, "gradients_kept: takes g, x1, x2, weight, three flags and what was kept");
        return nullptr;
    }
    Threads threads{count == 8};
    if (count > 6 && !threads_of(arguments[count - 1], threads)) return nullptr;
    Factors f;
    if (!factors_of(arguments, needed, f)) Py_RETURN_NONE;
    return gradients_of(
        arguments[0], f, needed, int(PyTuple_GET_SIZE(arguments[4])), {}, threads, {Py_None, Py_None},
        arguments[5]);
}

// gradients_each(g, x1, x2, weight, needed, most threads): the first axes are the elements
PyObject* gradients_each(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[4] = {};
    if (count != 6 || !flags_of(arguments[4], needed) || PyTuple_GET_SIZE(arguments[4]) != 3) {
        PyErr_SetString(PyExc_TypeError, "gradients_each: takes g, x1, x2, weight, three flags and a number");
        return nullptr;
    }
    Threads threads;
    if (!threads_of(arguments[5], threads)) return nullptr;
    Factors f;
    if (!factors_of(arguments, needed, f) || f.g.axes == 0 || f.g.sizes[0] < 1) Py_RETURN_NONE;
    return gradients_of(arguments[0], f, needed, 3, {f.g.sizes[0]}, threads, {Py_None, Py_None});
}

// An array of 64-bit integers, one after the other; null for anything else.
const std::int64_t* integers_of(PyObject* object, Index& count) {
    if (!PyArray_CheckExact(object)) return nullptr;
    PyArrayObject* const array = reinterpret_cast<PyArrayObject*>(object);
    if (PyArray_NDIM(array) != 1 || PyArray_TYPE(array) != NPY_INT64 || !PyArray_ISCARRAY_RO(array))
        return nullptr;
    count = PyArray_DIM(array, 0);
    return static_cast<const std::int64_t*>(PyArray_DATA(array));
}

// Whether the object is a matrix of so many rows and features (-1: any), of numbers of a type.
bool matrix_of(PyObject* object, int type, Index rows, Index features, View& view) {
    return view_of(object, view) && view.axes == 2 && view.type == type && view.sizes[0] == rows &&
           (features < 0 || view.features() == features) && row_step(view) > 0;
}

template <class Real> Matrix<Real> rows_of(const View& view) { return {data<Real>(view), row_step(view)}; }

bool runs_of(PyObject* which, PyObject* bounds, Index rows, Index weights, Runs& runs) {
    Index ends = 0;
    runs.which = integers_of(which, runs.count);
    runs.bounds = integers_of(bounds, ends);
    return runs.which && runs.bounds && ends == runs.count + 1 && runs.are_within(rows, weights);
}

// Four axes: a weight for each group.
bool is_weights(const View& view, int type, Index features_1, Index features_2) {
    return view.axes == 4 && view.type == type && view.sizes[2] == features_1 &&
           view.sizes[3] == features_2 && view.is_contiguous();
}

// bilinear_runs(x1, x2, weights, biases or None, out, which, bounds, most threads): True, or None. Run
// k is the rows bounds[k] to bounds[k + 1], with the weight which[k].
PyObject* bilinear_runs(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "bilinear_runs: takes eight arguments");
        return nullptr;
    }
    Threads threads;
    if (!threads_of(arguments[7], threads)) return nullptr;
    View x1, x2, weights, biases, out;
    Runs runs;
    if (!view_of(arguments[0], x1) || x1.type == bfloat16 || x1.axes != 2 || row_step(x1) == 0 ||
        !matrix_of(arguments[1], x1.type, x1.sizes[0], -1, x2) || !view_of(arguments[2], weights) ||
        !is_weights(weights, x1.type, x1.features(), x2.features()) ||
        !matrix_of(arguments[4], x1.type, x1.sizes[0], weights.sizes[1], out) ||
        (arguments[3] != Py_None &&
         !matrix_of(arguments[3], x1.type, weights.sizes[0], weights.sizes[1], biases)) ||
        !runs_of(arguments[5], arguments[6], x1.sizes[0], weights.sizes[0], runs))
        Py_RETURN_NONE;
    const Sizes s{x1.sizes[0], weights.sizes[1], x1.features(), x2.features()};
    if (s.operations() == 0 || !out.is_contiguous()) Py_RETURN_NONE;
    const int many = threads.count(s.operations());
    Py_INCREF(Py_True);
    return released(s.operations(), Py_True, [&](GoOn) {
        const auto compute = [&](auto zero) {
            using Real = decltype(zero);
            return runs_forward<Real>(
                operations<Real>(kernel()), s, rows_of<Real>(x1), rows_of<Real>(x2),
                data<Real>(weights), biases.data ? rows_of<Real>(biases) : Matrix<Real>{nullptr, 0},
                rows_of<Real>(out), runs, many);
        };
        return x1.type == NPY_FLOAT ? compute(0.0f) : compute(0.0);
    });
}

// gradients_runs(g, x1, x2, weights, d1, d2, d_weights, met, which, bounds, most threads): True, or
// None. What is not needed is None; met[k] is whether d_weights[k] has been written.
PyObject* gradients_runs(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 11) {
        PyErr_SetString(PyExc_TypeError, "gradients_runs: takes eleven arguments");
        return nullptr;
    }
    Threads threads;
    if (!threads_of(arguments[10], threads)) return nullptr;
    View g, x1, x2, weights, d1, d2, d_weights;
    Runs runs;
    const bool needed[3] = {arguments[4] != Py_None, arguments[5] != Py_None, arguments[6] != Py_None};
    const bool of_inputs = needed[0] || needed[1];
    View& any = of_inputs ? weights : d_weights;  // there is one of both
    if (!view_of(arguments[0], g) || g.type == bfloat16 || g.axes != 2 || row_step(g) == 0 ||
        (of_inputs && !view_of(arguments[3], weights)) || (needed[2] && !view_of(arguments[6], d_weights)) ||
        !any.data || any.axes != 4)
        Py_RETURN_NONE;
    const Sizes s{g.sizes[0], g.features(), any.sizes[2], any.sizes[3]};
    const auto fits = [&](int k, Index features, bool is_needed, View& view) {
        return !is_needed || matrix_of(arguments[k], g.type, s.samples, features, view);
    };
    PyObject* const flags = arguments[7];
    if (!fits(1, s.features_1, needed[1] || needed[2], x1) ||
        !fits(2, s.features_2, needed[0] || needed[2], x2) || !fits(4, s.features_1, needed[0], d1) ||
        !fits(5, s.features_2, needed[1], d2) || any.sizes[1] != s.outputs ||
        (of_inputs && !is_weights(weights, g.type, s.features_1, s.features_2)) ||
        (needed[2] && !is_weights(d_weights, g.type, s.features_1, s.features_2)) ||
        (of_inputs && needed[2] && weights.sizes[0] != d_weights.sizes[0]) ||
        (needed[0] && !d1.is_contiguous()) || (needed[1] && !d2.is_contiguous()) ||
        !runs_of(arguments[8], arguments[9], s.samples, any.sizes[0], runs) || !PyArray_CheckExact(flags) ||
        !PyArray_ISCARRAY(reinterpret_cast<PyArrayObject*>(flags)) ||
        PyArray_TYPE(reinterpret_cast<PyArrayObject*>(flags)) != NPY_BOOL ||
        PyArray_SIZE(reinterpret_cast<PyArrayObject*>(flags)) != any.sizes[0] || s.operations() == 0)
        Py_RETURN_NONE;
    bool* const met = static_cast<bool*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(flags)));
    const int many = threads.count(s.operations());
    Py_INCREF(Py_True);
    return released(s.operations(), Py_True, [&](GoOn) {
        const auto compute = [&](auto zero) {
            using Real = decltype(zero);
            const auto rows = [](const View& view) {
                return view.data ? rows_of<Real>(view) : Matrix<Real>{nullptr, 0};
            };
            const auto result = [](const View& view) { return const_cast<Real*>(data<Real>(view)); };
            return runs_gradients<Real>(
                operations<Real>(kernel()), s, rows(g), rows(x1), rows(x2), data<Real>(weights),
                result(d1), result(d2), result(d_weights), met, runs, many);
        };
        return g.type == NPY_FLOAT ? compute(0.0f) : compute(0.0);
    });
}

// add_rows(total, index, rows): total[index[n]] += rows[n]; True, or None
PyObject* add_rows(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    View total, rows;
    Index length = 0;
    const std::int64_t* const index = count == 3 ? integers_of(arguments[1], length) : nullptr;
    if (!index || !view_of(arguments[0], total) || total.type == bfloat16 || total.axes != 2 || !total.is_contiguous() ||
        !matrix_of(arguments[2], total.type, length, total.features(), rows))
        Py_RETURN_NONE;
    const auto compute = [&](auto zero) {
        using Real = decltype(zero);
        return add_to_rows<Real>(
            const_cast<Real*>(data<Real>(total)), total.sizes[0], total.features(), index,
            rows_of<Real>(rows), length);
    };
    if (total.type == NPY_FLOAT ? compute(0.0f) : compute(0.0)) Py_RETURN_TRUE;
    return PyErr_Format(PyExc_IndexError, "add_rows: an index is outside");
}

// What a step of an optimiser works on: an array, its gradient and the arrays that are changed, exact
// and of one shape and type. Those that are changed must lie apart from all others.
struct Stepped {
    static constexpr int most = 5;
    View views[most];
    bool is_given[most];
    Index numbers = 1;
    // `optional` is the first that may be None.
    bool find(PyObject* const* arguments, int count, int optional) {
        for (int k = 0; k < count; ++k) {
            View& view = views[k];
            is_given[k] = k < optional || arguments[k] != Py_None;
            if (!is_given[k]) continue;
            if (!PyArray_CheckExact(arguments[k]) || !view_of(arguments[k], view) ||
                view.type == bfloat16 || view.type != views[0].type || view.axes < 1 ||
                view.axes != views[0].axes || !view.is_contiguous() ||
                (k > 1 && !PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(arguments[k]))))
                return false;
            for (int axis = 0; axis < view.axes; ++axis)
                if (view.sizes[axis] != views[0].sizes[axis]) return false;
            if (k == 0)
                for (int axis = 0; axis < view.axes; ++axis) numbers *= view.sizes[axis];
            for (int other = 0; k > 1 && other < k; ++other)
                if (is_given[other] && overlap(view, views[other])) return false;
        }
        return true;
    }
    bool overlap(const View& a, const View& b) const {
        const auto start = reinterpret_cast<std::uintptr_t>(a.data);
        const auto other = reinterpret_cast<std::uintptr_t>(b.data);
        const auto bytes = std::uintptr_t(numbers * size_of(a.type));
        return start < other + bytes && other < start + bytes;
    }
    template <class Real> Real* changed(int k) const {
        return is_given[k] ? const_cast<Real*>(data<Real>(views[k])) : nullptr;
    }
    // The new array, written by step(zero, out), of so many operations for each number.
    template <class Step> PyObject* result(double operations, const Step& step) {
        PyObject* out = PyArray_SimpleNew(views[0].axes, views[0].sizes, views[0].type);
        if (!out) return nullptr;
        return released(operations * double(numbers), out, [&](const GoOn&) {
            if (views[0].type == NPY_FLOAT) step(0.0f, data<float>(out));
            else step(0.0, data<double>(out));
            return true;
        });
    }
};

// Floating-point numbers; false for anything else. No code of Python's is run.
template <int Count> bool numbers_of(PyObject* const* arguments, double (&numbers)[Count]) {
    for (int k = 0; k < Count; ++k) {
        if (!PyFloat_CheckExact(arguments[k])) return false;
        numbers[k] = PyFloat_AS_DOUBLE(arguments[k]);
    }
    return true;
}

// adam_step(array, gradient, mean, square, largest or None, decay, shrink, beta_1, 1 - beta_1, beta_2,
// 1 - beta_2, eps, rate): the new array, with the three that follow the gradient changed, or None
PyObject* adam_step(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Stepped given;
    double n[8];
    if (count != 13 || !given.find(arguments, 5, 4) || !numbers_of(arguments + 5, n)) Py_RETURN_NONE;
    return given.result(12, [&](auto zero, auto* out) {
        using Real = decltype(zero);
        const AdamStep<Real> step{Real(n[0]), Real(n[1]), Real(n[2]), Real(n[3]),
                                  Real(n[4]), Real(n[5]), Real(n[6]), Real(n[7])};
        on<Real>().adam_step(
            step, data<Real>(given.views[0]), data<Real>(given.views[1]), given.changed<Real>(2),
            given.changed<Real>(3), given.changed<Real>(4), out, given.numbers);
    });
}

// sgd_step(array, gradient, buffer or None, decay, momentum, share, rate, nesterov): the new array,
// with the buffer changed, or None
PyObject* sgd_step(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Stepped given;
    double n[4];
    if (count != 8 || !PyBool_Check(arguments[7]) || !given.find(arguments, 3, 2) ||
        !numbers_of(arguments + 3, n))
        Py_RETURN_NONE;
    return given.result(4, [&](auto zero, auto* out) {
        using Real = decltype(zero);
        const SgdStep<Real> step{
            Real(n[0]), Real(n[1]), Real(n[2]), Real(n[3]), arguments[7] == Py_True};
        on<Real>().sgd_step(
            step, data<Real>(given.views[0]), data<Real>(given.views[1]), given.changed<Real>(2), out,
            given.numbers);
    });
}

// Sizes from a tuple, for `plan`: of an array that could exist.
bool plan_shape_of(PyObject* tuple, Shape& shape) {
    constexpr double most = double(Index(1) << 58);  // numbers
    if (!shape_of(tuple, shape)) return false;
    double numbers = 1;
    for (int axis = 0; axis < shape.axes; ++axis) numbers *= double(shape.sizes[axis]);
    return numbers > 0 && numbers < most;
}

// plan(shape of x1, shape of x2, shape of the weight, needed or None, itemsize): in words what the
// kernel does, or None where it declines
PyObject* plan(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[3] = {};
    const bool forward = count == 5 && arguments[3] == Py_None;
    if (count != 5 || (!forward && !flags_of(arguments[3], needed)) || !PyLong_Check(arguments[4])) {
        PyErr_SetString(PyExc_TypeError, "plan: takes three shapes, three flags or None, an itemsize");
        return nullptr;
    }
    const int type = type_of_size(PyLong_AsLong(arguments[4]));
    PyErr_Clear();
    Shape x1, x2, weight, shape;
    if (!plan_shape_of(arguments[0], x1) || !plan_shape_of(arguments[1], x2) ||
        !plan_shape_of(arguments[2], weight) || weight.axes != 3 || !broadcast(x1, x2, shape) ||
        x1.features() != weight.sizes[1] || x2.features() != weight.sizes[2])
        Py_RETURN_NONE;
    shape.sizes[shape.axes - 1] = weight.sizes[0];
    double numbers = 1;
    for (int axis = 0; axis < shape.axes; ++axis) numbers *= double(shape.sizes[axis]);
    if (numbers > double(Index(1) << 58)) Py_RETURN_NONE;
    const Sizes s{shape.rows(), weight.sizes[0], weight.sizes[1], weight.sizes[2]};
    const auto choose = by_type(type, [](auto number) { return on<decltype(number)>().choose; });
    const auto name = [&](Operation operation, bool both) {
        return name_of(choose(operation, s, get_threads(), both));
    };
    if (type == bfloat16 && !(forward ? converts_less(Operation::forward, s)
                                      : (!(needed[0] || needed[1]) ||
                                         converts_less(Operation::inputs, s, needed[0] == needed[1])) &&
                                            (!needed[2] || converts_less(Operation::weight, s))))
        Py_RETURN_NONE;
    if (same_leading(x1, x2)) {
        if (forward) return PyUnicode_FromString(name(Operation::forward, true));
        const bool inputs = needed[0] || needed[1];
        return PyUnicode_FromFormat(
            "%s%s%s%s%s", inputs ? "inputs: " : "",
            inputs ? name(Operation::inputs, needed[0] == needed[1]) : "",
            inputs && needed[2] ? "; " : "", needed[2] ? "weight: " : "",
            needed[2] ? name(Operation::weight, true) : "");
    }
    Layout layout;
    if (!layout.find({{&x1}, {&x2}, {&shape}, {&x1}, {&x2}})) Py_RETURN_NONE;
    const Pairs p = pairs_of(layout, s.outputs, s.features_1, s.features_2);
    if (!takes(p, type, forward ? nullptr : needed)) Py_RETURN_NONE;
    return PyUnicode_FromString("pairs, one input with the weight and then with the other");
}

// chosen(samples, outputs, features 1, features 2, itemsize): the names of the algorithms that would
// be taken for the forward, for both inputs' gradients and for the weight's
PyObject* chosen(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "chosen: takes four sizes and an itemsize");
        return nullptr;
    }
    Index numbers[5];
    for (int k = 0; k < 5; ++k) {
        numbers[k] = PyLong_AsSsize_t(arguments[k]);
        if (numbers[k] < 1)
            return PyErr_Occurred() ? nullptr
                                    : PyErr_Format(PyExc_ValueError, "chosen: sizes are positive");
    }
    const Sizes s{numbers[0], numbers[1], numbers[2], numbers[3]};
    const auto choose =
        by_type(type_of_size(numbers[4]), [](auto number) { return on<decltype(number)>().choose; });
    const auto name = [&](Operation operation) {
        return name_of(choose(operation, s, get_threads(), true));
    };
    return Py_BuildValue(
        "sss", name(Operation::forward), name(Operation::inputs), name(Operation::weight));
}

// work(operation, algorithm, samples, outputs, features 1, features 2, itemsize): {kind: count}
PyObject* work(PyObject*, PyObject* arguments) {
    const char* of;
    PyObject* name;
    Sizes s;
    int itemsize;
    if (!PyArg_ParseTuple(
            arguments, "sUnnnni", &of, &name, &s.samples, &s.outputs, &s.features_1, &s.features_2,
            &itemsize))
        return nullptr;
    Operation operation = Operation::forward;
    for (int k = 0; k < 3; ++k)
        if (std::strcmp(of, operation_names[k]) == 0) operation = Operation(k);
    const int type = type_of_size(itemsize);
    Algorithm algorithm;
    if (!algorithm_of(name, operation, s, type, true, algorithm)) return nullptr;
    const auto count = by_type(type, [](auto number) { return on<decltype(number)>().work; });
    const Work found = count(operation, algorithm, s);
    PyObject* counts = PyDict_New();
    for (int kind = 0; counts && kind < Work::kinds; ++kind) {
        PyObject* number = PyFloat_FromDouble(found.of[kind]);
        if (!number || PyDict_SetItemString(counts, work_names[kind], number) < 0) Py_CLEAR(counts);
        Py_XDECREF(number);
    }
    return counts;
}

// algorithms(): the names of all, by operation
PyObject* algorithms(PyObject*, PyObject*) {
    PyObject* found = PyDict_New();
    for (int operation = 0; found && operation < 3; ++operation) {
        const Algorithms all = algorithms_of(Operation(operation));
        PyObject* names = PyTuple_New(all.count);
        for (int k = 0; names && k < all.count; ++k) {
            PyObject* name = PyUnicode_FromString(name_of(all.first[k]));
            if (name) PyTuple_SET_ITEM(names, k, name);
            else Py_CLEAR(names);
        }
        if (!names || PyDict_SetItemString(found, operation_names[operation], names) < 0)
            Py_CLEAR(found);
        Py_XDECREF(names);
    }
    return found;
}

PyObject* set_num_threads(PyObject*, PyObject* number) {
    const long count = PyLong_AsLong(number);
    if (count == -1 && PyErr_Occurred()) return nullptr;
    if (count < 1 || count > 1024) {
        PyErr_SetString(PyExc_ValueError, "set_num_threads: takes a number from 1 to 1024");
        return nullptr;
    }
    set_threads(int(count));
    Py_RETURN_NONE;
}

PyObject* get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(get_threads()); }

PyObject* instruction_set(PyObject*, PyObject*) { return PyUnicode_FromString(kernel().name); }

PyObject* instruction_sets(PyObject*, PyObject*) {
    PyObject* names = PyList_New(0);
    for (int k = 0; names && available_kernel(k); ++k) {
        PyObject* name = PyUnicode_FromString(available_kernel(k)->name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

PyObject* use_instruction_set(PyObject*, PyObject* name) {
    const char* text = PyUnicode_AsUTF8(name);
    if (!text) return nullptr;
    if (!use_kernel(text)) {
        PyErr_Format(PyExc_ValueError, "use_instruction_set: this machine has no %R", name);
        return nullptr;
    }
    Py_RETURN_NONE;
}

// For the tests: NumPy's arrays of this dtype are read as bfloat16; None ends it.
PyObject* read_as_bfloat16(PyObject*, PyObject* dtype) {
    bfloat16_of_arrays = -1;
    if (dtype == Py_None) Py_RETURN_NONE;
    if (!PyArray_DescrCheck(dtype) || PyDataType_ELSIZE(reinterpret_cast<PyArray_Descr*>(dtype)) != 2)
        return PyErr_Format(PyExc_TypeError, "read_as_bfloat16: takes a dtype of two bytes, not %R", dtype);
    bfloat16_of_arrays = reinterpret_cast<PyArray_Descr*>(dtype)->type_num;
    Py_RETURN_NONE;
}

// For the tests: memory of this many bytes or more cannot be had; 0 ends it.
PyObject* fail_scratch_from(PyObject*, PyObject* bytes) {
    const Py_ssize_t from = PyLong_AsSsize_t(bytes);
    if (from == -1 && PyErr_Occurred()) return nullptr;
    set_scratch_failure(std::size_t(from));
    Py_RETURN_NONE;
}

// For the tests: parts of so many additions and multiplications, for each thread.
PyObject* set_part_operations(PyObject*, PyObject* number) {
    const double count = PyFloat_AsDouble(number);
    if (count == -1 && PyErr_Occurred()) return nullptr;
    const double before = part_operations;
    part_operations = count;
    return PyFloat_FromDouble(before);
}

PyObject* xla_handlers(PyObject*, PyObject*) { return lucid::xla_handlers(); }

template <class Function> PyCFunction as_function(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"bilinear", as_function(bilinear), METH_FASTCALL, nullptr},
    {"gradients", as_function(gradients), METH_FASTCALL, nullptr},
    {"bilinear_keeping", as_function(bilinear_keeping), METH_FASTCALL, nullptr},
    {"gradients_kept", as_function(gradients_kept), METH_FASTCALL, nullptr},
    {"bilinear_each", as_function(bilinear_each), METH_FASTCALL, nullptr},
    {"gradients_each", as_function(gradients_each), METH_FASTCALL, nullptr},
    {"bilinear_runs", as_function(bilinear_runs), METH_FASTCALL, nullptr},
    {"gradients_runs", as_function(gradients_runs), METH_FASTCALL, nullptr},
    {"add_rows", as_function(add_rows), METH_FASTCALL, nullptr},
    {"adam_step", as_function(adam_step), METH_FASTCALL, nullptr},
    {"sgd_step", as_function(sgd_step), METH_FASTCALL, nullptr},
    {"make_results_with", make_results_with, METH_O, nullptr},
    {"plan", as_function(plan), METH_FASTCALL, nullptr},
    {"algorithms", algorithms, METH_NOARGS, nullptr},
    {"work", work, METH_VARARGS, nullptr},
    {"chosen", as_function(chosen), METH_FASTCALL, nullptr},
    {"set_num_threads", set_num_threads, METH_O, nullptr},
    {"get_num_threads", get_num_threads, METH_NOARGS, nullptr},
    {"instruction_set", instruction_set, METH_NOARGS, nullptr},
    {"instruction_sets", instruction_sets, METH_NOARGS, nullptr},
    {"use_instruction_set", use_instruction_set, METH_O, nullptr},
    {"xla_handlers", xla_handlers, METH_NOARGS, nullptr},
    {"set_part_operations", set_part_operations, METH_O, nullptr},
    {"read_as_bfloat16", read_as_bfloat16, METH_O, nullptr},
    {"fail_scratch_from", fail_scratch_from, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// No slot for the GIL: where Python is free-threaded, importing this switches the lock on again. The
// kernel itself would do without; the choices of threads and instruction set are atomic, but a shape
// is looked at before an array is read, and nothing but the lock keeps others from changing it then.
PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_compiled", "The compiled bilinear kernel; see native/README.md.",
    -1, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__compiled() {
    import_array();
    return PyModule_Create(&definition);
}
