// What the kernel would do, in words and numbers.
#pragma once

#include "binding_form.hpp"
#include "xla.hpp"

namespace {

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

// xla_kept(sizes of the leading axes and of the weight, needed, itemsize): how many numbers the forward keeps
// for these gradients under XLA, or None
PyObject* xla_kept(PyObject*, PyObject* arguments) {
    Pairs p{};
    PyObject* flags;
    int itemsize;
    if (!PyArg_ParseTuple(
            arguments, "(nnnnnn)Oi", &p.shared, &p.firsts, &p.seconds, &p.outputs, &p.features_1,
            &p.features_2, &flags, &itemsize))
        return nullptr;
    bool needed[3] = {};
    if (!flags_of(flags, needed))
        return PyErr_SetString(PyExc_TypeError, "xla_kept: takes six sizes, three flags and an itemsize"), nullptr;
    const Index row = p.seconds * p.outputs;
    p.positions = {p.shared, 0, p.firsts * row}, p.first_step = row, p.second_step = p.outputs;
    const int type = type_of_size(itemsize);
    const double operations = p.operations();
    if (type == bfloat16 || operations <= least_kept) Py_RETURN_NONE;
    const bool are_rows = p.firsts == 1 && p.seconds == 1;
    const Sizes s{p.shared, p.outputs, p.features_1, p.features_2};
    const Kept keeps = by_type(type, [&](auto number) {
        const auto& with = on<decltype(number)>();
        const int threads = is_worth_threads(operations) ? get_threads() : 1;
        return are_rows ? with.kept_of_rows(s, threads) : with.kept_of_pairs(p);
    });
    if (keeps.size == 0 || !needed[keeps.of_first ? 0 : 1] ||
        (!are_rows && !(takes(p, type, nullptr) && takes(p, type, needed, true))))
        Py_RETURN_NONE;
    return PyLong_FromSsize_t(keeps.size + xla_mark_bytes / itemsize);
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

}  // namespace
