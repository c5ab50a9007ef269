// Edges of few nodes. Whoever calls has checked what is asked for: here only what would read or write
// elsewhere is an error.
#pragma once

#include "binding_rows.hpp"

namespace {

// The arguments of a call, each found to be what it must, or the call is an error.
struct NodesCall {
    const char* name;
    PyObject* const* arguments;
    Py_ssize_t count;
    int type = -1;
    bool fits = true;
    Threads threads{};

    bool takes(Py_ssize_t many) {
        if (count != many) fits = false;
        else if (!threads_of(arguments[many - 1], threads)) return false;
        return true;
    }
    bool has(int k) const { return arguments[k] != Py_None; }
    // A contiguous array with so many axes, of the type of those before.
    View array(int k, int axes) {
        View view;
        fits = fits && PyArray_CheckExact(arguments[k]) && view_of(arguments[k], view) && view.axes == axes &&
               view.type != bfloat16 && view.is_contiguous() && (type < 0 || view.type == type);
        if (fits) type = view.type;
        return view;
    }
    View changed(int k, int axes) {
        const View view = array(k, axes);
        fits = fits && PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(arguments[k]));
        return view;
    }
    // Which rows of an array, all of them there.
    const std::int64_t* index(int k, const View& of, Index edges) {
        Index length = 0;
        const std::int64_t* const found = fits ? integers_of(arguments[k], length) : nullptr;
        fits = found && length == edges;
        for (Index e = 0; fits && e < edges; ++e) fits = found[e] >= 0 && found[e] < of.sizes[0];
        return found;
    }
    // Where the edges of each of so many nodes begin and end.
    const std::int64_t* bounds(int k, Index nodes, Index& edges) {
        Index length = 0;
        const std::int64_t* const found = fits ? integers_of(arguments[k], length) : nullptr;
        fits = found && length == nodes + 1 && found[0] == 0;
        for (Index n = 0; fits && n < nodes; ++n) fits = found[n] <= found[n + 1];
        edges = fits ? Index(found[nodes]) : 0;
        return found;
    }
    PyObject* error() const { return PyErr_Format(PyExc_ValueError, "%s: arguments do not fit", name); }
    template <class Call> PyObject* run(double operations, const Call& call) const {
        Py_INCREF(Py_None);
        return released(operations, Py_None, [&](GoOn) {
            const int many = threads.count(operations);
            return type == NPY_FLOAT ? call(0.0f, many) : call(0.0, many);
        });
    }
};

template <class Real> Real* changed(const View& view) { return const_cast<Real*>(data<Real>(view)); }

// How many numbers `pack_matrix` writes for so many rows and columns.
Index packed_size(int type, Index rows, Index columns) {
    return type == NPY_FLOAT ? on<float>().pack_matrix(nullptr, {}, rows, {}, columns, nullptr)
                             : on<double>().pack_matrix(nullptr, {}, rows, {}, columns, nullptr);
}

// pack_matrix(array, to, threads): rows are the first two axes, columns the others
PyObject* pack_matrix(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    NodesCall call{"pack_matrix", arguments, count};
    if (!call.takes(3)) return nullptr;
    View from, to;
    if (call.fits) to = call.changed(1, 1);
    if (!call.fits || !view_of(arguments[0], from) || from.axes != 4 || from.type != to.type)
        return call.error();
    const Index rows = from.sizes[0] * from.sizes[1], columns = from.sizes[2] * from.sizes[3];
    if (to.sizes[0] < packed_size(to.type, rows, columns)) return call.error();
    return call.run(double(rows) * double(columns), [&](auto zero, int) {
        using Real = decltype(zero);
        on<Real>().pack_matrix(
            data<Real>(from), {from.sizes[1], from.steps[0], from.steps[1]}, rows,
            {from.sizes[3], from.steps[2], from.steps[3]}, columns, changed<Real>(to));
        return true;
    });
}

// middle_step(width, itemsize): from one node of U to the next
PyObject* middle_step(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    const Py_ssize_t width = count == 2 ? PyLong_AsSsize_t(arguments[0]) : -1;
    const Py_ssize_t bytes = count == 2 ? PyLong_AsSsize_t(arguments[1]) : -1;
    if (PyErr_Occurred()) return nullptr;
    return PyLong_FromSsize_t(
        bytes == 4 ? on<float>().middle_step(width) : on<double>().middle_step(width));
}

// edges_of_nodes(x, W packed, from, its rows, bias or None, to, its rows, bounds, threads)
PyObject* edges_of_nodes(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    NodesCall call{"edges_of_nodes", arguments, count};
    if (!call.takes(9)) return nullptr;
    if (!call.fits) return call.error();
    const View x = call.array(0, 2), weight = call.array(1, 1), from = call.array(2, 2);
    const View to = call.changed(5, 2), bias = call.has(4) ? call.array(4, 1) : View();
    if (!call.fits) return call.error();
    Index edges = 0;
    const Nodes nodes{x.sizes[0], x.sizes[1], call.bounds(7, x.sizes[0], edges)};
    const std::int64_t* const of_from = call.index(3, from, edges);
    const std::int64_t* const of_to = call.index(6, to, edges);
    const Index width = from.sizes[1] * to.sizes[1];
    if (!call.fits || weight.sizes[0] < packed_size(x.type, nodes.features, width) ||
        (bias.data && bias.sizes[0] != to.sizes[1]))
        return call.error();
    const double operations =
        2 * double(width) * (double(nodes.count) * double(nodes.features) + double(edges));
    return call.run(operations, [&](auto zero, int threads) {
        using Real = decltype(zero);
        return on<Real>().edges_of_nodes(
            nodes, data<Real>(x), data<Real>(weight), {data<Real>(from), of_from, from.sizes[1]},
            data<Real>(bias), {changed<Real>(to), of_to, to.sizes[1]}, threads);
    });
}

// nodes_of_edges(x or None, W packed or None, g, its rows, from, its rows, U, dx or None, dW or None,
// bounds, threads)
PyObject* nodes_of_edges(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    NodesCall call{"nodes_of_edges", arguments, count};
    if (!call.takes(11)) return nullptr;
    if (!call.fits) return call.error();
    const View g = call.array(2, 2), from = call.array(4, 2), middle = call.changed(6, 2);
    const bool of_nodes = call.has(7), of_weight = call.has(8);
    View x, weight, d_nodes, d_weight;
    if (of_nodes) weight = call.array(1, 1), d_nodes = call.changed(7, 2);
    if (of_weight) x = call.array(0, 2), d_weight = call.changed(8, 2);
    if (!call.fits || !(of_nodes || of_weight)) return call.error();
    Index edges = 0;
    const Index features = of_nodes ? d_nodes.sizes[1] : x.sizes[1], width = g.sizes[1] * from.sizes[1];
    const Nodes nodes{middle.sizes[0], features, call.bounds(9, middle.sizes[0], edges)};
    const std::int64_t* const of_g = call.index(3, g, edges);
    const std::int64_t* const of_from = call.index(5, from, edges);
    const auto is = [](const View& view, Index rows, Index columns) {
        return view.sizes[0] == rows && view.sizes[1] == columns;
    };
    const auto step = by_type(call.type, [&](auto number) { return on<decltype(number)>().middle_step; });
    if (!call.fits || middle.sizes[1] != step(width) ||
        (of_nodes && (!is(d_nodes, nodes.count, features) ||
                      weight.sizes[0] < packed_size(call.type, width, features))) ||
        (of_weight && (!is(x, nodes.count, features) || !is(d_weight, features, width))))
        return call.error();
    const double products = double(of_nodes) + double(of_weight);
    const double operations = 2 * double(width) * (double(edges) + products * double(nodes.count) * double(features));
    return call.run(operations, [&](auto zero, int threads) {
        using Real = decltype(zero);
        return on<Real>().nodes_of_edges(
            nodes, data<Real>(x), data<Real>(weight), {data<Real>(g), of_g, g.sizes[1]},
            {data<Real>(from), of_from, from.sizes[1]}, changed<Real>(middle), changed<Real>(d_nodes),
            changed<Real>(d_weight), threads);
    });
}

}  // namespace
