// The Python door: arguments checked to the last size, results made, the lock let go while the
// kernel works. A call that the kernel cannot do as it stands is declined: the result is None.
#include "arrays.hpp"

#include "pool.hpp"
#include "select.hpp"
#include "xla.hpp"

namespace lucid {
void set_scratch_failure(std::size_t from_bytes);
}

namespace {

using namespace lucid;

// Above this many additions and multiplications other Python threads may run meanwhile.
constexpr double held_operations = 2e4;

// How the tests ask for a way and a number of threads; 0 leaves the choice to the kernel.
struct Wish {
    Way way = Way::choose;
    int threads = 0;
};

bool wish_of(PyObject* const* arguments, Py_ssize_t count, Wish& wish) {
    if (count < 2) return true;
    wish.way = Way(PyLong_AsLong(arguments[0]));
    wish.threads = int(PyLong_AsLong(arguments[1]));
    return !PyErr_Occurred();
}

template <class Call> PyObject* run(const Sizes& s, Wish wish, PyObject* result, const Call& call) {
    const double operations = 2.0 * double(s.samples) * double(s.outputs) *
                              double(s.features_1) * double(s.features_2);
    const int threads = wish.threads > 0 ? wish.threads : operations < 4e5 ? 1 : get_threads();
    bool done;
    if (operations < held_operations) {
        done = call(threads);
    } else {
        PyThreadState* state = PyEval_SaveThread();
        done = call(threads);
        PyEval_RestoreThread(state);
    }
    if (done) return result;
    Py_DECREF(result);
    return PyErr_NoMemory();
}

template <class Real> Matrix<Real> matrix(const RowsOf& rows) {
    return {static_cast<const Real*>(rows.data), rows.step};
}

template <class Real> const Real* data(PyArrayObject* array) {
    return array ? static_cast<const Real*>(PyArray_DATA(array)) : nullptr;
}

template <class Real> Real* data(PyObject* array) {
    return array ? static_cast<Real*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array))) : nullptr;
}

bool is_weight(PyArrayObject* array) {
    return array && PyArray_NDIM(array) == 3 && PyArray_IS_C_CONTIGUOUS(array);
}

// bilinear(x1, x2, weight, bias[, way, threads])
PyObject* bilinear(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 4 && count != 6) {
        PyErr_SetString(PyExc_TypeError, "bilinear: takes x1, x2, weight and bias");
        return nullptr;
    }
    const int type = type_of(arguments[0]);
    if (type < 0) Py_RETURN_NONE;
    PyArrayObject *x1 = readable(arguments[0], type), *x2 = readable(arguments[1], type);
    PyArrayObject *weight = readable(arguments[2], type), *bias = nullptr;
    if (!x1 || !x2 || !is_weight(weight) || !PyArray_NDIM(x1) || !PyArray_NDIM(x2)) Py_RETURN_NONE;
    Shape shape, shape_2;
    shape_of(x1, shape);
    shape_of(x2, shape_2);
    const npy_intp* w = PyArray_DIMS(weight);
    const Sizes s{shape.rows(), w[0], w[1], w[2]};
    if (!same_leading(shape, shape_2) || shape.features() != w[1] || shape_2.features() != w[2])
        Py_RETURN_NONE;
    if (arguments[3] != Py_None) {
        bias = readable(arguments[3], type);
        const bool fits = bias && PyArray_IS_C_CONTIGUOUS(bias) &&
                          (PyArray_NDIM(bias) == 1 ||
                           (PyArray_NDIM(bias) == 2 && PyArray_DIM(bias, 0) == 1)) &&
                          PyArray_DIM(bias, PyArray_NDIM(bias) - 1) == w[0];
        if (!fits) Py_RETURN_NONE;
    }
    RowsOf first, second;
    Wish wish;
    if (s.samples * s.outputs * s.features_1 * s.features_2 == 0) Py_RETURN_NONE;
    if (!rows_of(x1, first) || !rows_of(x2, second)) Py_RETURN_NONE;
    if (!wish_of(arguments + 4, count - 4, wish)) return nullptr;

    shape.sizes[shape.axes - 1] = w[0];
    PyObject* out = PyArray_SimpleNew(shape.axes, shape.sizes, type);
    if (!out) return nullptr;
    return run(s, wish, out, [&](int threads) {
        if (type == NPY_FLOAT)
            return kernel().in_float.forward(
                s, matrix<float>(first), matrix<float>(second), data<float>(weight),
                data<float>(bias), data<float>(out), threads, wish.way);
        return kernel().in_double.forward(
            s, matrix<double>(first), matrix<double>(second), data<double>(weight),
            data<double>(bias), data<double>(out), threads, wish.way);
    });
}

// An input of `gradients`: an array, or its shape where its values are not needed.
struct Input {
    Shape shape;
    RowsOf rows;
};

bool input_of(PyObject* object, int type, bool needed, Input& input) {
    if (PyTuple_CheckExact(object)) return !needed && shape_of(object, input.shape);
    PyArrayObject* array = readable(object, type);
    if (!array || PyArray_NDIM(array) == 0) return false;
    shape_of(array, input.shape);
    return !needed || rows_of(array, input.rows);
}

template <class Real>
bool gradients_in(
    const Sizes& s, const RowsOf& g, const Input& x1, const Input& x2, PyArrayObject* weight,
    PyObject* const* results, int threads, Way way) {
    const Operations<Real>& on = operations<Real>(kernel());
    const auto rows = matrix<Real>(g), first = matrix<Real>(x1.rows), second = matrix<Real>(x2.rows);
    bool done = true;
    if (results[0] || results[1])
        done = on.input_gradients(
            s, rows, first, second, data<Real>(weight), data<Real>(results[0]),
            data<Real>(results[1]), threads, way);
    if (done && results[2])
        done = on.weight_gradient(s, rows, first, second, data<Real>(results[2]), threads, way);
    return done;
}

// gradients(g, x1, x2, weight, needed[, way, threads])
PyObject* gradients(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if ((count != 5 && count != 7) || !PyTuple_CheckExact(arguments[4]) ||
        PyTuple_GET_SIZE(arguments[4]) != 3) {
        PyErr_SetString(PyExc_TypeError, "gradients: takes g, x1, x2, weight and three flags");
        return nullptr;
    }
    const int type = type_of(arguments[0]);
    if (type < 0) Py_RETURN_NONE;
    bool needed[3];
    for (int k = 0; k < 3; ++k) {
        const int flag = PyObject_IsTrue(PyTuple_GET_ITEM(arguments[4], k));
        if (flag < 0) return nullptr;
        needed[k] = flag;
    }
    PyArrayObject* dy = readable(arguments[0], type);
    Shape shape;
    RowsOf g;
    Input x1, x2;
    if (!dy || PyArray_NDIM(dy) == 0 || !rows_of(dy, g)) Py_RETURN_NONE;
    shape_of(dy, shape);
    if (!input_of(arguments[1], type, needed[1] || needed[2], x1) ||
        !input_of(arguments[2], type, needed[0] || needed[2], x2) ||
        !same_leading(shape, x1.shape) || !same_leading(shape, x2.shape))
        Py_RETURN_NONE;
    const Sizes s{shape.rows(), shape.features(), x1.shape.features(), x2.shape.features()};
    PyArrayObject* weight = nullptr;
    if (needed[0] || needed[1]) {
        weight = readable(arguments[3], type);
        if (!is_weight(weight) || PyArray_DIM(weight, 0) != s.outputs ||
            PyArray_DIM(weight, 1) != s.features_1 || PyArray_DIM(weight, 2) != s.features_2)
            Py_RETURN_NONE;
    }
    Wish wish;
    if (s.samples * s.outputs * s.features_1 * s.features_2 == 0) Py_RETURN_NONE;
    if (!wish_of(arguments + 5, count - 5, wish)) return nullptr;

    npy_intp weight_sizes[3] = {s.outputs, s.features_1, s.features_2};
    PyObject *found = PyTuple_New(3), *results[3] = {};
    if (!found) return nullptr;
    for (int k = 0; k < 3; ++k) {
        Shape& of_input = k == 0 ? x1.shape : x2.shape;
        if (needed[k]) {
            results[k] = k == 2 ? PyArray_SimpleNew(3, weight_sizes, type)
                                : PyArray_SimpleNew(of_input.axes, of_input.sizes, type);
            if (!results[k]) return Py_DECREF(found), nullptr;
        } else {
            Py_INCREF(Py_None);
        }
        PyTuple_SET_ITEM(found, k, results[k] ? results[k] : Py_None);
    }
    return run(s, wish, found, [&](int threads) {
        return type == NPY_FLOAT
            ? gradients_in<float>(s, g, x1, x2, weight, results, threads, wish.way)
            : gradients_in<double>(s, g, x1, x2, weight, results, threads, wish.way);
    });
}

// ways(samples, outputs, features 1, features 2, itemsize): those that would be chosen
PyObject* ways(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "ways: takes four sizes and an itemsize");
        return nullptr;
    }
    Index numbers[5];
    for (int k = 0; k < 5; ++k) {
        numbers[k] = PyLong_AsSsize_t(arguments[k]);
        if (numbers[k] < 1)
            return PyErr_Occurred() ? nullptr
                                    : PyErr_Format(PyExc_ValueError, "ways: sizes are positive");
    }
    const Sizes s{numbers[0], numbers[1], numbers[2], numbers[3]};
    Way chosen[3];
    if (numbers[4] == 8) kernel().in_double.choose(s, get_threads(), chosen);
    else kernel().in_float.choose(s, get_threads(), chosen);
    return Py_BuildValue("iii", int(chosen[0]), int(chosen[1]), int(chosen[2]));
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

// For the tests: memory of this many bytes or more cannot be had; 0 ends it.
PyObject* fail_scratch_from(PyObject*, PyObject* bytes) {
    const Py_ssize_t from = PyLong_AsSsize_t(bytes);
    if (from == -1 && PyErr_Occurred()) return nullptr;
    set_scratch_failure(std::size_t(from));
    Py_RETURN_NONE;
}

PyObject* xla_handlers(PyObject*, PyObject*) { return lucid::xla_handlers(); }

template <class Function> PyCFunction as_function(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"bilinear", as_function(bilinear), METH_FASTCALL, nullptr},
    {"gradients", as_function(gradients), METH_FASTCALL, nullptr},
    {"ways", as_function(ways), METH_FASTCALL, nullptr},
    {"set_num_threads", set_num_threads, METH_O, nullptr},
    {"get_num_threads", get_num_threads, METH_NOARGS, nullptr},
    {"instruction_set", instruction_set, METH_NOARGS, nullptr},
    {"instruction_sets", instruction_sets, METH_NOARGS, nullptr},
    {"use_instruction_set", use_instruction_set, METH_O, nullptr},
    {"xla_handlers", xla_handlers, METH_NOARGS, nullptr},
    {"fail_scratch_from", fail_scratch_from, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_compiled", "The compiled bilinear kernel; see native/README.md.",
    -1, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__compiled() {
    import_array();
    return PyModule_Create(&definition);
}
