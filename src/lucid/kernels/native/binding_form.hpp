// The form and its gradients, also with a weight for each element: arguments checked to the last size,
// results made. A call that the kernel cannot do as it stands is declined: the result is None.
#pragma once

#include "binding.hpp"

namespace {

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

// Who makes the results of arguments that came by DLPack: a function of a shape, of the steps of its axes
// and of the bytes of a number, which returns the result and the address of its memory.
PyObject* maker = nullptr;

PyObject* make_results_with(PyObject*, PyObject* function) {
    Py_INCREF(function);
    PyObject* before = maker;
    maker = function;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

// What a call returns, a new reference, and where it is written to; null where there is none.
struct Result {
    PyObject* object = nullptr;
    void* memory = nullptr;
};

Result in_array(PyObject* array) {
    return {array, array ? PyArray_DATA(reinterpret_cast<PyArrayObject*>(array)) : nullptr};
}

template <class Real> Real* data(const Result& result) { return static_cast<Real*>(result.memory); }

// A new array for the result of one, or of each of the elements. For arguments of `like`'s kind, where
// that is a capsule, it is what the maker makes.
Result new_result(PyObject* like, Shape& shape, int type, const Elements& each) {
    if (each.count) {
        Shape all = each.all(shape);
        return new_result(like, all, type, {});
    }
    if (!maker || !PyCapsule_CheckExact(like))
        return in_array(
            PyArray_SimpleNew(shape.axes, shape.sizes, type == bfloat16 ? bfloat16_of_arrays : type));
    PyObject* sizes = PyTuple_New(shape.axes);
    PyObject* steps = PyTuple_New(shape.axes);
    Index step = 1;
    bool done = sizes && steps;
    for (int axis = shape.axes - 1; done && axis >= 0; step *= shape.sizes[axis--]) {
        PyTuple_SET_ITEM(sizes, axis, PyLong_FromSsize_t(shape.sizes[axis]));
        PyTuple_SET_ITEM(steps, axis, PyLong_FromSsize_t(step));
        done = PyTuple_GET_ITEM(sizes, axis) && PyTuple_GET_ITEM(steps, axis);
    }
    PyObject* made = done ? PyObject_CallFunction(maker, "OOn", sizes, steps, size_of(type)) : nullptr;
    Py_XDECREF(sizes);
    Py_XDECREF(steps);
    if (!made) return {};
    Result result;
    PyObject* object;
    Py_ssize_t address;
    if (PyArg_ParseTuple(made, "On", &object, &address)) {
        result = {Py_NewRef(object), reinterpret_cast<void*>(address)};
        lucid::prefer_large_pages(
            result.memory, std::size_t(PyArray_MultiplyList(shape.sizes, shape.axes) * size_of(type)));
    }
    Py_DECREF(made);
    return result;
}

// The array that the caller has made for a result, where it is one of this shape and can be written to as
// it lies; else null.
Result given_result(PyObject* object, const Shape& shape, int type) {
    PyArrayObject* const array = reinterpret_cast<PyArrayObject*>(object);
    if (!PyArray_CheckExact(object) || type == bfloat16 || PyArray_TYPE(array) != type ||
        !PyArray_ISCARRAY(array) || PyArray_NDIM(array) != shape.axes)
        return {};
    for (int axis = 0; axis < shape.axes; ++axis)
        if (PyArray_DIM(array, axis) != shape.sizes[axis]) return {};
    Py_INCREF(object);
    return in_array(object);
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
// `asked` names an algorithm; `given` is an array for the result.
PyObject* forward_of(
    PyObject* like, View& x1, View& x2, View& weight, const View& bias, Elements each,
    const Threads& threads, PyObject* asked, Keeping* keeping = nullptr, PyObject* given = nullptr) {
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
    const Result out = given ? given_result(given, shape, type) : new_result(like, shape, type, each);
    if (!out.object && given) Py_RETURN_NONE;
    if (!out.object) return nullptr;
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
    return released(operations * double(each.calls()), out.object, [&](GoOn go_on) {
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
    if (!keeping.kept) keeping.kept = Py_NewRef(Py_None);
    PyObject* found = PyTuple_New(2);
    if (!found) return Py_DECREF(out), Py_DECREF(keeping.kept), nullptr;
    PyTuple_SET_ITEM(found, 0, out);
    PyTuple_SET_ITEM(found, 1, keeping.kept);
    return found;
}

// bilinear_into(x1, x2, weight, bias, out): the result, which is `out`
PyObject* bilinear_into(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "bilinear_into: takes x1, x2, weight, bias and out");
        return nullptr;
    }
    View x1, x2, weight, bias;
    if (!view_of(arguments[0], x1) || !view_of(arguments[1], x2) || !view_of(arguments[2], weight) ||
        (arguments[3] != Py_None && !view_of(arguments[3], bias)))
        Py_RETURN_NONE;
    return forward_of(
        arguments[0], x1, x2, weight, bias, {}, {}, Py_None, nullptr, arguments[4]);
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

// A tuple of arrays for the gradients that are needed, None for the others: new ones, or those that are
// `given`, if any. Null without an error where one of these cannot be used.
PyObject* results_of(
    PyObject* like, const bool (&needed)[4], int count, int type, Shape* const (&shapes)[4],
    const Elements& each, PyObject* given, Result (&results)[4]) {
    PyObject* found = PyTuple_New(count);
    if (!found) return nullptr;
    for (int k = 0; k < count; ++k) {
        if (needed[k]) {
            PyObject* const own = given && k < 3 ? PyTuple_GET_ITEM(given, k) : Py_None;
            results[k] = own != Py_None ? given_result(own, *shapes[k], type)
                                        : new_result(like, *shapes[k], type, each);
            if (!results[k].object) return Py_DECREF(found), nullptr;
        } else {
            Py_INCREF(Py_None);
        }
        PyTuple_SET_ITEM(found, k, needed[k] ? results[k].object : Py_None);
    }
    return found;
}

// The factors of a call of `gradients`; what is not needed has no data.
struct Factors {
    View g, x1, x2, weight;
    PyObject* dense = nullptr;  // a copy of g that is read in its place
    Factors() = default;
    Factors(const Factors&) = delete;
    ~Factors() { Py_XDECREF(dense); }

    // g, dense where it is small: the gradient of a sum, say, is one number at every place.
    bool take_g(PyObject* object) {
        if (!view_of(object, g)) return false;
        if ((has_rows(g) && !is_expanded(g)) || !PyArray_CheckExact(object) || g.axes == 0 ||
            g.rows() * g.features() > most_copied)
            return true;
        dense = PyArray_NewCopy(reinterpret_cast<PyArrayObject*>(object), NPY_CORDER);
        if (!dense) PyErr_Clear();
        return !dense || view_of(dense, g);
    }
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

// Into the results of the element k; the weight's is added to what is there if it `adds`.
template <class Real>
bool gradients_in(
    const Factors& f, const Group& group, const Result* results, Index k, PyObject* kept, bool adds, int threads,
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
        bool started = adds;
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
            on, s, rows, first, second, d_weight, adds, threads, of_weight, go_on);
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

template <class Real> bool sum_in(const View& g, const Result& result, int threads) {
    return on<Real>().sum_rows(
        data<Real>(g), g.rows(), g.features(), data<Real>(result), threads);
}

// The gradients for factors as they are seen, or None; for each of the elements, if there are any.
// `asked` names the algorithms for the inputs' and for the weight's; `kept` is what the forward kept.
// With `count` 4 the last result is the bias', where it is needed and g is dense. `given` is a tuple of three
// arrays for results, or None; `adds` has the weight's added to what is there.
PyObject* gradients_of(
    PyObject* like, Factors& f, bool (&needed)[4], int count, Elements each, const Threads& threads,
    PyObject* const (&asked)[2], PyObject* kept = nullptr, PyObject* given = nullptr,
    bool adds = false) {
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
    Result results[4];
    PyObject* found =
        results_of(like, needed, count, type, {&f.x1, &f.x2, &weight, &bias}, each, given, results);
    if (!found && !PyErr_Occurred()) Py_RETURN_NONE;
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
                        f, groups[n], results, k, kept, adds, many, inputs, of_weight, go_on);
                });
            return done;
        });
    });
}

// The arguments g, x1, x2, weight and needed, as they are seen; false where one is none.
bool factors_of(PyObject* const* arguments, const bool (&needed)[4], Factors& f) {
    return f.take_g(arguments[0]) && input_of(arguments[1], f.g.type, needed[1] || needed[2], f.x1) &&
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
        arguments[5] == Py_None ? nullptr : arguments[5]);
}

// gradients_into(g, x1, x2, weight, needed, results, adds): these are three arrays, None for new ones; where
// it `adds`, the weight's has one that it is added to; for the tests: (…, weight's algorithm, threads)
PyObject* gradients_into(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[4] = {};
    if ((count != 7 && count != 9) || !flags_of(arguments[4], needed) || PyTuple_GET_SIZE(arguments[4]) != 3 ||
        !PyTuple_Check(arguments[5]) || PyTuple_GET_SIZE(arguments[5]) != 3) {
        PyErr_SetString(
            PyExc_TypeError, "gradients_into: takes g, x1, x2, weight, three flags, three arrays and a flag");
        return nullptr;
    }
    const bool adds = arguments[6] == Py_True;
    if (adds && (!needed[2] || PyTuple_GET_ITEM(arguments[5], 2) == Py_None)) Py_RETURN_NONE;
    Threads threads{count == 9};
    if (threads.asked && !threads_of(arguments[8], threads)) return nullptr;
    Factors f;
    if (!factors_of(arguments, needed, f)) Py_RETURN_NONE;
    return gradients_of(
        arguments[0], f, needed, 3, {}, threads, {Py_None, threads.asked ? arguments[7] : Py_None}, nullptr,
        arguments[5], adds);
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

}  // namespace
