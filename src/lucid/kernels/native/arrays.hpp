// What the door accepts: exact NumPy arrays of float32 or float64, aligned, in native byte order.
// Anything else is declined, and Python finds another way or the words for an error.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include "kernels.hpp"

namespace {

using lucid::Index;

// The array if it is one that the kernel can read, else null.
inline PyArrayObject* readable(PyObject* object, int type) {
    if (!PyArray_CheckExact(object)) return nullptr;
    PyArrayObject* array = reinterpret_cast<PyArrayObject*>(object);
    const bool fits = PyArray_TYPE(array) == type && PyArray_ISALIGNED(array) &&
                      PyArray_ISNOTSWAPPED(array);
    return fits ? array : nullptr;
}

inline int type_of(PyObject* object) {
    if (!PyArray_CheckExact(object)) return -1;
    const int type = PyArray_TYPE(reinterpret_cast<PyArrayObject*>(object));
    return type == NPY_FLOAT || type == NPY_DOUBLE ? type : -1;
}

// Leading axes, not of the array alone: an argument may be given by its shape.
struct Shape {
    int axes = 0;
    npy_intp sizes[NPY_MAXDIMS] = {};
    Index features() const { return sizes[axes - 1]; }
    Index rows() const {
        Index product = 1;
        for (int axis = 0; axis + 1 < axes; ++axis) product *= sizes[axis];
        return product;
    }
};

inline void shape_of(PyArrayObject* array, Shape& shape) {
    shape.axes = PyArray_NDIM(array);
    for (int axis = 0; axis < shape.axes; ++axis) shape.sizes[axis] = PyArray_DIM(array, axis);
}

inline bool shape_of(PyObject* tuple, Shape& shape) {
    const Py_ssize_t axes = PyTuple_GET_SIZE(tuple);
    if (axes < 1 || axes > NPY_MAXDIMS) return false;
    shape.axes = int(axes);
    for (int axis = 0; axis < shape.axes; ++axis) {
        shape.sizes[axis] = PyLong_AsSsize_t(PyTuple_GET_ITEM(tuple, axis));
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

// One array as a matrix of rows a constant step apart, if its strides allow to see it so.
struct RowsOf {
    const void* data = nullptr;
    Index step = 0;  // in elements
};

inline bool rows_of(PyArrayObject* array, RowsOf& rows) {
    const int last = PyArray_NDIM(array) - 1;
    const npy_intp size = PyArray_ITEMSIZE(array), *sizes = PyArray_DIMS(array);
    const npy_intp* strides = PyArray_STRIDES(array);
    rows.data = PyArray_DATA(array);
    rows.step = sizes[last];
    if (PyArray_IS_C_CONTIGUOUS(array)) return true;
    if (sizes[last] > 1 && strides[last] != size) return false;
    npy_intp step = 0, expected = 0;  // of the innermost leading axis, and of the next one
    for (int axis = last - 1; axis >= 0; --axis) {
        if (sizes[axis] == 1) continue;
        if (step == 0) {
            step = strides[axis];
            if (step < size * sizes[last] || step % size != 0) return false;
        } else if (strides[axis] != expected) return false;
        expected = strides[axis] * sizes[axis];
    }
    if (step != 0) rows.step = step / size;
    return true;
}

}  // namespace
