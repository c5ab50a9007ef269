// Steps of optimisers, in one pass.
#pragma once

#include "binding_form.hpp"

namespace {

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

}  // namespace
