// Reductions of the scores of rows with partners.
#pragma once

#include "binding_rows.hpp"

namespace {

// A matrix of so many rows and columns (-1: any), of NumPy's numbers of a type, one row after the other.
PyArrayObject* table_of(PyObject* object, int type, Index rows, Index columns, bool changed) {
    if (!PyArray_CheckExact(object)) return nullptr;
    PyArrayObject* const array = reinterpret_cast<PyArrayObject*>(object);
    if (PyArray_NDIM(array) != 2 || PyArray_TYPE(array) != type || !PyArray_ISCARRAY_RO(array) ||
        (changed && !PyArray_ISWRITEABLE(array)) || (rows >= 0 && PyArray_DIM(array, 0) != rows) ||
        (columns >= 0 && PyArray_DIM(array, 1) != columns))
        return nullptr;
    return array;
}

template <class Number> Number* inside(PyArrayObject* array) {
    return array ? static_cast<Number*>(PyArray_DATA(array)) : nullptr;
}

// An array (S, R, J) whose rows lie anywhere.
template <class Real> Strided<const Real> by_positions(const View& view) {
    Strided<const Real> of{data<Real>(view), {}, view.steps[1]};
    of.positions.inner = view.sizes[0], of.positions.inner_step = view.steps[0];
    return of;
}

// q (S, R, J), x2 (S or 1, M, J), bias (S · R) or None, kept (S · R, M) or None, excluded (S · R, L) or None, and
// the number of the first partner: checked, in any type.
struct Scored {
    View q, x2, bias;
    PyArrayObject *kept = nullptr, *excluded = nullptr;
    Index start = 0, rows = 0;

    bool find(PyObject* const* arguments) {
        const auto is_given = [&](int k) { return arguments[k] != Py_None; };
        if (!view_of(arguments[0], q) || !view_of(arguments[1], x2) || q.type == bfloat16 ||
            x2.type != q.type || q.axes != 3 || x2.axes != 3 || !has_rows(q) || !has_rows(x2) ||
            q.features() != x2.features() || (x2.sizes[0] != q.sizes[0] && x2.sizes[0] != 1))
            return false;
        rows = q.sizes[0] * q.sizes[1];
        if (rows == 0 || x2.sizes[1] == 0 || q.features() == 0) return false;
        if (is_given(2) && (!view_of(arguments[2], bias) || bias.axes != 1 || bias.type != q.type ||
                            bias.sizes[0] != rows || !bias.is_contiguous()))
            return false;
        if (is_given(3) && !(kept = table_of(arguments[3], NPY_BOOL, rows, x2.sizes[1], false))) return false;
        if (is_given(4) && !(excluded = table_of(arguments[4], NPY_INT64, rows, -1, false))) return false;
        if (!PyLong_Check(arguments[5])) return false;
        start = PyLong_AsSsize_t(arguments[5]);
        if (start < 0) return PyErr_Clear(), false;
        // partners are packed whole, and a panel of rows of such features stays with each thread
        const double bytes = double(size_of(q.type)) * double(q.features());
        return bytes * double(x2.sizes[0]) * double(x2.sizes[1] + 32) <= 2.0 * double(most_bytes_packed) &&
               bytes * 64 <= double(most_bytes_packed);
    }
    double operations() const {
        return 2.0 * double(rows) * double(x2.sizes[1]) * double(q.features());
    }
    template <class Real> Scores<Real> scores() const {
        return {
            q.sizes[0], q.sizes[1], x2.sizes[1], q.features(), by_positions<Real>(q), by_positions<Real>(x2),
            x2.sizes[0] == 1, bias.data ? data<Real>(bias) : nullptr, inside<std::uint8_t>(kept),
            inside<std::int64_t>(excluded), excluded ? PyArray_DIM(excluded, 1) : 0, start};
    }
    static constexpr Index most_bytes_packed = 8 << 20;

    // True, when call(scores, threads) has done its work; None where it is not given what it takes.
    template <class Call> PyObject* done(const Call& call) const {
        Threads threads;
        const int many = threads.count(operations());
        Py_INCREF(Py_True);
        return released(operations(), Py_True, [&](const GoOn&) {
            return q.type == NPY_FLOAT ? call(scores<float>(), many) : call(scores<double>(), many);
        });
    }
};

// best_scores(q, x2, bias, kept, excluded, start, values, indices): True, or None
PyObject* best_scores(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Scored given;
    if (count != 8 || !given.find(arguments)) Py_RETURN_NONE;
    PyArrayObject* const values = table_of(arguments[6], given.q.type, given.rows, -1, true);
    if (!values || PyArray_DIM(values, 1) == 0) Py_RETURN_NONE;
    const Index k = PyArray_DIM(values, 1);
    PyArrayObject* const indices = table_of(arguments[7], NPY_INT64, given.rows, k, true);
    if (!indices) Py_RETURN_NONE;
    return given.done([=](const auto& scores, int threads) {
        using Real = typename std::decay_t<decltype(scores)>::Number;
        return on<Real>().best_scores(scores, k, inside<Real>(values), inside<std::int64_t>(indices), threads);
    });
}

// places (S · R, K) and the score of each: own, which is written
struct Compared {
    PyArrayObject *places, *own;
    Index count = 0;
    bool find(const Scored& given, PyObject* const* arguments) {
        places = table_of(arguments[0], NPY_INT64, given.rows, -1, false);
        if (!places) return false;
        count = PyArray_DIM(places, 1);
        own = table_of(arguments[1], given.q.type, given.rows, count, true);
        return own != nullptr;
    }
};

// scores_at(q, x2, bias, None, None, start, places, own): True, or None. The scores of the places that are among
// these partners.
PyObject* scores_at(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Scored given;
    Compared with;
    if (count != 8 || !given.find(arguments) || !with.find(given, arguments + 6)) Py_RETURN_NONE;
    return given.done([=](const auto& scores, int threads) {
        using Real = typename std::decay_t<decltype(scores)>::Number;
        return on<Real>().scores_at(
            scores, inside<std::int64_t>(with.places), with.count, inside<Real>(with.own), threads);
    });
}

// compare_scores(q, x2, bias, kept, excluded, start, places, own, known, rank): True, or None. The rank is added
// to; the places' own scores are known, or found among these partners, which are all.
PyObject* compare_scores(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Scored given;
    Compared with;
    if (count != 10 || !given.find(arguments) || !with.find(given, arguments + 6) || !PyBool_Check(arguments[8]))
        Py_RETURN_NONE;
    const bool known = arguments[8] == Py_True;
    const auto* const places = inside<std::int64_t>(with.places);
    PyArrayObject* const rank = table_of(arguments[9], given.q.type, given.rows, with.count, true);
    if (!rank) Py_RETURN_NONE;
    for (Index k = 0; !known && k < given.rows * with.count; ++k)
        if (places[k] < given.start || places[k] - given.start >= given.x2.sizes[1]) Py_RETURN_NONE;
    return given.done([=](const auto& scores, int threads) {
        using Real = typename std::decay_t<decltype(scores)>::Number;
        return on<Real>().compare_scores(
            scores, places, with.count, known, inside<Real>(with.own), inside<Real>(rank), threads);
    });
}

// chosen_gradients(places (S · R, K), slopes (S · R, K), q (S, R, J) or None, x2 (M, J), dq (S · R, J) or None, dx2 (M, J)
// or None): True, or None. dq is written, dx2, which needs q, is added to; a negative place is none.
PyObject* chosen_gradients(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    View q, x2;
    if (count != 6 || !view_of(arguments[3], x2) || x2.type == bfloat16 || x2.axes != 2 || !has_rows(x2) ||
        x2.features() == 0)
        Py_RETURN_NONE;
    const Index partners = x2.sizes[0], features = x2.features();
    const bool has_q = arguments[2] != Py_None;
    if (has_q ? !view_of(arguments[2], q) || q.type != x2.type || q.axes != 3 || !has_rows(q) || q.features() != features
              : arguments[5] != Py_None)
        Py_RETURN_NONE;
    PyArrayObject* const places = table_of(arguments[0], NPY_INT64, -1, -1, false);
    const Index rows = places ? PyArray_DIM(places, 0) : 0;
    if (rows == 0 || (has_q && q.sizes[0] * q.sizes[1] != rows)) Py_RETURN_NONE;
    const Index many = PyArray_DIM(places, 1);
    PyArrayObject* const slopes = table_of(arguments[1], x2.type, rows, many, false);
    PyArrayObject* const d_q = table_of(arguments[4], x2.type, rows, features, true);
    PyArrayObject* const d_x2 = table_of(arguments[5], x2.type, partners, features, true);
    if (!slopes || (!d_q && arguments[4] != Py_None) || (!d_x2 && arguments[5] != Py_None)) Py_RETURN_NONE;
    const auto* const at = inside<std::int64_t>(places);
    for (Index k = 0; k < rows * many; ++k)
        if (at[k] >= partners) Py_RETURN_NONE;
    const double operations = 4.0 * double(rows) * double(many) * double(features);
    const int threads = Threads().count(operations);
    const auto compute = [&](auto zero) {
        using Real = decltype(zero);
        const Choices<Real> given{rows, many, features, has_q ? q.sizes[1] : rows, at, inside<Real>(slopes),
                                  has_q ? by_positions<Real>(q) : Strided<const Real>{},
                                  {data<Real>(x2), x2.steps[0]}};  // a row at a time, in any order
        return on<Real>().chosen_gradients(given, inside<Real>(d_q), inside<Real>(d_x2), threads);
    };
    Py_INCREF(Py_True);
    return released(operations, Py_True, [&](const GoOn&) {
        return x2.type == NPY_FLOAT ? compute(0.0f) : compute(0.0);
    });
}

}  // namespace
