// Rows chosen by index and weights by group: runs of rows that have one weight.
#pragma once

#include "binding_form.hpp"
#include "runs.hpp"

namespace {

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

}  // namespace
