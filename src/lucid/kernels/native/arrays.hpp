// What the binding accepts: exact NumPy arrays and DLPack capsules (of tensors in the processor's
// memory) of float32, float64 or bfloat16, aligned, in native byte order. Anything else is declined, and Python
// finds another algorithm or the words for an error.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include <cstdint>

#include "kernels.hpp"

namespace {

using lucid::Index;

constexpr int most_axes = NPY_MAXDIMS;

// bfloat16, among the types of views; and a type of NumPy's arrays that is read so, for the tests.
constexpr int bfloat16 = NPY_USHORT;
inline int bfloat16_of_arrays = -1;

constexpr Index size_of(int type) { return type == NPY_FLOAT ? 4 : type == NPY_DOUBLE ? 8 : 2; }

// call(a number of this type)
template <class Call> auto by_type(int type, const Call& call) {
    return type == NPY_FLOAT ? call(float()) : type == NPY_DOUBLE ? call(double()) : call(lucid::BFloat16());
}

// A shape, of an array or alone: an argument whose values are not needed is given by it.
struct Shape {
    int axes = 0;
    npy_intp sizes[most_axes];
    Index features() const { return sizes[axes - 1]; }
    Index rows() const {
        Index product = 1;
        for (int axis = 0; axis + 1 < axes; ++axis) product *= sizes[axis];
        return product;
    }
};

// An array: where it is, and for each axis how many numbers lie between one element and the next.
struct View : Shape {
    int type = -1;  // NPY_FLOAT, NPY_DOUBLE or bfloat16
    const void* data = nullptr;
    Index steps[most_axes];
    bool is_contiguous() const {
        Index step = 1;
        for (int axis = axes - 1; axis >= 0; step *= sizes[axis--])
            if (sizes[axis] > 1 && steps[axis] != step) return false;
        return true;
    }
};

// DLPack's tensor, version 0: what a capsule named "dltensor" holds. The part that is read.
struct Tensor {
    void* data;
    std::int32_t device, device_number;
    std::int32_t axes;
    std::uint8_t code, bits;
    std::uint16_t lanes;
    std::int64_t *sizes, *steps;  // no steps: contiguous
    std::uint64_t offset;         // in bytes
};

inline bool view_of(PyArrayObject* array, View& view) {
    const int type = PyArray_TYPE(array);
    view.type = type == bfloat16_of_arrays ? bfloat16 : type;
    if ((type != NPY_FLOAT && type != NPY_DOUBLE && type != bfloat16_of_arrays) ||
        !PyArray_ISALIGNED(array) || !PyArray_ISNOTSWAPPED(array))
        return false;
    view.data = PyArray_DATA(array);
    view.axes = PyArray_NDIM(array);
    const npy_intp size = size_of(view.type);
    for (int axis = 0; axis < view.axes; ++axis) {
        const npy_intp step = PyArray_STRIDE(array, axis);
        view.sizes[axis] = PyArray_DIM(array, axis);
        view.steps[axis] = step / size;
        if (step % size != 0 && view.sizes[axis] > 1) return false;
    }
    return true;
}

inline bool view_of(const Tensor& tensor, View& view) {
    constexpr int processor = 1, real = 2, brain = 4;
    const bool is_real = tensor.code == real && (tensor.bits == 32 || tensor.bits == 64);
    if (tensor.device != processor || tensor.lanes != 1 || tensor.axes > most_axes ||
        !(is_real || (tensor.code == brain && tensor.bits == 16)))
        return false;
    view.type = !is_real ? bfloat16 : tensor.bits == 32 ? NPY_FLOAT : NPY_DOUBLE;
    view.data = static_cast<const char*>(tensor.data) + tensor.offset;
    // where nothing is stored there are only zeros by name, or no numbers
    if (!tensor.data || reinterpret_cast<std::uintptr_t>(view.data) % (tensor.bits / 8) != 0) return false;
    view.axes = tensor.axes;
    Index step = 1;
    for (int axis = view.axes - 1; axis >= 0; --axis) {
        view.sizes[axis] = Index(tensor.sizes[axis]);
        view.steps[axis] = tensor.steps ? Index(tensor.steps[axis]) : step;
        step *= view.sizes[axis];
    }
    return true;
}

// Whether the object is an array that the kernel can read.
inline bool view_of(PyObject* object, View& view) {
    if (PyArray_CheckExact(object)) return view_of(reinterpret_cast<PyArrayObject*>(object), view);
    if (!PyCapsule_CheckExact(object)) return false;
    void* held = PyCapsule_IsValid(object, "dltensor") ? PyCapsule_GetPointer(object, "dltensor") : nullptr;
    return held && view_of(*static_cast<const Tensor*>(held), view);
}

// A tuple of integers as a shape; false for anything else. No code of Python's is run.
inline bool shape_of(PyObject* tuple, Shape& shape) {
    if (!PyTuple_Check(tuple)) return false;
    const Py_ssize_t axes = PyTuple_GET_SIZE(tuple);
    if (axes < 1 || axes > most_axes) return false;
    shape.axes = int(axes);
    for (int axis = 0; axis < shape.axes; ++axis) {
        PyObject* size = PyTuple_GET_ITEM(tuple, axis);
        shape.sizes[axis] = PyLong_Check(size) ? PyLong_AsSsize_t(size) : -1;
        if (shape.sizes[axis] < 0) return PyErr_Clear(), false;
    }
    return true;
}

inline bool same_leading(const Shape& a, const Shape& b) {
    if (a.axes != b.axes) return false;
    for (int axis = 0; axis + 1 < a.axes; ++axis)
        if (a.sizes[axis] != b.sizes[axis]) return false;
    return true;
}

// Whether the last axis is contiguous.
inline bool has_rows(const View& view) {
    return view.axes > 0 && (view.features() == 1 || view.steps[view.axes - 1] == 1);
}

// The numbers from one row of a matrix to the next, where the array can be seen as one; else 0.
// Rows never overlap: the kernel may read beyond the end of any but the last.
inline Index row_step(const View& view) {
    if (!has_rows(view)) return 0;
    const int last = view.axes - 1;
    Index step = 0, expected = 0;  // of the innermost leading axis, and of the next one
    for (int axis = last - 1; axis >= 0; --axis) {
        if (view.sizes[axis] == 1) continue;
        if (step == 0) {
            step = view.steps[axis];
            if (step < view.sizes[last]) return 0;
        } else if (view.steps[axis] != expected) return 0;
        expected = view.steps[axis] * view.sizes[axis];
    }
    return step == 0 ? view.features() : step;
}

}  // namespace
