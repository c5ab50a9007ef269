// The Python door: arguments checked to the last size, results made, the lock let go while the
// kernel works. A call that the kernel cannot do as it stands is declined: the result is None.
#include "arrays.hpp"

#include <cstring>

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

const char* name_of(Algorithm algorithm) { return algorithm_names[int(algorithm)]; }

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
    const auto suits = type == NPY_FLOAT ? kernel().in_float.suits : kernel().in_double.suits;
    if (suits(operation, algorithm, s, both)) return true;
    PyErr_Format(
        PyExc_ValueError, "%s by %U: not for N = %zd, O = %zd, I = %zd, J = %zd%s", of, name,
        s.samples, s.outputs, s.features_1, s.features_2, both ? "" : " and one gradient alone");
    return false;
}

// A number of threads; None or 0 leave it to the kernel.
bool threads_of(PyObject* number, int& threads) {
    threads = number == Py_None ? 0 : int(PyLong_AsLong(number));
    if (!PyErr_Occurred() && threads < 0)
        PyErr_Format(PyExc_ValueError, "threads are at least 0, not %d", threads);
    return !PyErr_Occurred();
}

// The result, when call() has written it; Python's lock is let go for work that takes long.
template <class Call> PyObject* released(double operations, PyObject* result, const Call& call) {
    bool done;
    if (operations < held_operations) {
        done = call();
    } else {
        PyThreadState* state = PyEval_SaveThread();
        done = call();
        PyEval_RestoreThread(state);
    }
    if (done) return result;
    Py_DECREF(result);
    return PyErr_NoMemory();
}

template <class Call> PyObject* run(const Sizes& s, int wanted, PyObject* result, const Call& call) {
    const double operations = 2.0 * double(s.samples) * double(s.outputs) *
                              double(s.features_1) * double(s.features_2);
    const int threads = wanted > 0 ? wanted : operations < 4e5 ? 1 : get_threads();
    return released(operations, result, [&] { return call(threads); });
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

bool fits(PyArrayObject* weight, Index outputs, Index features_1, Index features_2) {
    return is_weight(weight) && PyArray_DIM(weight, 0) == outputs &&
           PyArray_DIM(weight, 1) == features_1 && PyArray_DIM(weight, 2) == features_2;
}

// bilinear(x1, x2, weight, bias[, algorithm, threads])
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
    Algorithm algorithm = Algorithm::chosen;
    int wanted = 0;
    if (s.samples * s.outputs * s.features_1 * s.features_2 == 0) Py_RETURN_NONE;
    if (!rows_of(x1, first) || !rows_of(x2, second)) Py_RETURN_NONE;
    if (count == 6 && (!threads_of(arguments[5], wanted) ||
                       !algorithm_of(arguments[4], Operation::forward, s, type, true, algorithm)))
        return nullptr;

    shape.sizes[shape.axes - 1] = w[0];
    PyObject* out = PyArray_SimpleNew(shape.axes, shape.sizes, type);
    if (!out) return nullptr;
    return run(s, wanted, out, [&](int threads) {
        if (type == NPY_FLOAT)
            return kernel().in_float.forward(
                s, matrix<float>(first), matrix<float>(second), data<float>(weight),
                data<float>(bias), data<float>(out), threads, algorithm);
        return kernel().in_double.forward(
            s, matrix<double>(first), matrix<double>(second), data<double>(weight),
            data<double>(bias), data<double>(out), threads, algorithm);
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

// Three flags; false, with or without an error set, where the object is something else.
bool flags_of(PyObject* tuple, bool (&needed)[3]) {
    if (!PyTuple_CheckExact(tuple) || PyTuple_GET_SIZE(tuple) != 3) return false;
    for (int k = 0; k < 3; ++k) {
        const int flag = PyObject_IsTrue(PyTuple_GET_ITEM(tuple, k));
        if (flag < 0) return false;
        needed[k] = flag;
    }
    return true;
}

// A tuple of new arrays for the gradients that are needed, None for the others.
PyObject* results_of(
    const bool (&needed)[3], int type, Shape& x1, Shape& x2, Index outputs, PyObject* (&results)[3]) {
    Shape weight;
    weight.axes = 3;
    weight.sizes[0] = outputs, weight.sizes[1] = x1.features(), weight.sizes[2] = x2.features();
    Shape* const shapes[3] = {&x1, &x2, &weight};
    PyObject* found = PyTuple_New(3);
    if (!found) return nullptr;
    for (int k = 0; k < 3; ++k) {
        results[k] = nullptr;
        if (needed[k]) {
            results[k] = PyArray_SimpleNew(shapes[k]->axes, shapes[k]->sizes, type);
            if (!results[k]) return Py_DECREF(found), nullptr;
        } else {
            Py_INCREF(Py_None);
        }
        PyTuple_SET_ITEM(found, k, results[k] ? results[k] : Py_None);
    }
    return found;
}

template <class Real>
bool gradients_in(
    const Sizes& s, const RowsOf& g, const Input& x1, const Input& x2, PyArrayObject* weight,
    PyObject* const* results, int threads, Algorithm inputs, Algorithm of_weight) {
    const Operations<Real>& on = operations<Real>(kernel());
    const auto rows = matrix<Real>(g), first = matrix<Real>(x1.rows), second = matrix<Real>(x2.rows);
    bool done = true;
    if (results[0] || results[1])
        done = on.input_gradients(
            s, rows, first, second, data<Real>(weight), data<Real>(results[0]),
            data<Real>(results[1]), threads, inputs);
    if (done && results[2])
        done = on.weight_gradient(s, rows, first, second, data<Real>(results[2]), threads, of_weight);
    return done;
}

// gradients(g, x1, x2, weight, needed[, inputs_algorithm, weight_algorithm, threads])
PyObject* gradients(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[3];
    if ((count != 5 && count != 8) || !flags_of(arguments[4], needed)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "gradients: takes g, x1, x2, weight and three flags");
        return nullptr;
    }
    const int type = type_of(arguments[0]);
    if (type < 0) Py_RETURN_NONE;
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
        if (!fits(weight, s.outputs, s.features_1, s.features_2)) Py_RETURN_NONE;
    }
    Algorithm inputs = Algorithm::chosen, of_weight = Algorithm::chosen;
    int wanted = 0;
    if (s.samples * s.outputs * s.features_1 * s.features_2 == 0) Py_RETURN_NONE;
    const bool both = needed[0] == needed[1];  // or neither
    if (count == 8 && (!threads_of(arguments[7], wanted) ||
                       !algorithm_of(arguments[5], Operation::inputs, s, type, both, inputs) ||
                       !algorithm_of(arguments[6], Operation::weight, s, type, true, of_weight)))
        return nullptr;

    PyObject* results[3];
    PyObject* found = results_of(needed, type, x1.shape, x2.shape, s.outputs, results);
    if (!found) return nullptr;
    return run(s, wanted, found, [&](int threads) {
        return type == NPY_FLOAT
            ? gradients_in<float>(s, g, x1, x2, weight, results, threads, inputs, of_weight)
            : gradients_in<double>(s, g, x1, x2, weight, results, threads, inputs, of_weight);
    });
}

// Pairs as the caller sees them: positions shared by both inputs, and which of their own axes comes
// first in the result. Here it is only checked that the arrays have so many numbers.
bool pairs_of(
    PyObject* const* arguments, const Shape& out, const Shape& x1, const Shape& x2, Pairs& p) {
    p.shared = PyLong_AsSsize_t(arguments[0]);
    p.first_outside = PyObject_IsTrue(arguments[1]) == 1;
    if (PyErr_Occurred() || p.shared < 1) return PyErr_Clear(), false;
    p.firsts = x1.rows() / p.shared, p.seconds = x2.rows() / p.shared;
    p.outputs = out.features(), p.features_1 = x1.features(), p.features_2 = x2.features();
    return p.firsts * p.shared == x1.rows() && p.seconds * p.shared == x2.rows() &&
           p.firsts * x2.rows() == out.rows() &&
           out.rows() * p.outputs * p.features_1 * p.features_2 > 0;
}

int threads_for(double operations, PyObject* const* wish, Py_ssize_t count) {
    if (count > 0) return int(PyLong_AsLong(wish[0]));
    return operations < 4e5 ? 1 : get_threads();
}

double operations(const Pairs& p) {
    const double middle = double(p.shared) * double(p.outputs) *
                          (p.firsts < p.seconds ? double(p.firsts) : double(p.seconds));
    return 2.0 * middle * double(p.features_1) * double(p.features_2);
}

// pairs(x1, x2, weight, bias, leading, shared, first outside[, threads])
PyObject* pairs(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if ((count != 7 && count != 8) || !PyTuple_CheckExact(arguments[4])) {
        PyErr_SetString(PyExc_TypeError, "pairs: takes x1, x2, weight, bias, leading, shared, order");
        return nullptr;
    }
    const int type = type_of(arguments[0]);
    if (type < 0) Py_RETURN_NONE;
    PyArrayObject *x1 = readable(arguments[0], type), *x2 = readable(arguments[1], type);
    PyArrayObject* weight = readable(arguments[2], type);
    PyArrayObject* bias = arguments[3] == Py_None ? nullptr : readable(arguments[3], type);
    if (!x1 || !x2 || !is_weight(weight) || !PyArray_NDIM(x1) || !PyArray_NDIM(x2)) Py_RETURN_NONE;
    Shape shape, shape_1, shape_2;
    shape_of(x1, shape_1);
    shape_of(x2, shape_2);
    if (PyTuple_GET_SIZE(arguments[4]) + 1 > NPY_MAXDIMS || !shape_of(arguments[4], shape))
        Py_RETURN_NONE;
    shape.sizes[shape.axes++] = PyArray_DIM(weight, 0);
    RowsOf first, second;
    Pairs p;
    if (!pairs_of(arguments + 5, shape, shape_1, shape_2, p) ||
        p.features_1 != PyArray_DIM(weight, 1) || p.features_2 != PyArray_DIM(weight, 2) ||
        !rows_of(x1, first) || !rows_of(x2, second))
        Py_RETURN_NONE;
    if (arguments[3] != Py_None &&
        !(bias && PyArray_IS_C_CONTIGUOUS(bias) && PyArray_SIZE(bias) == p.outputs))
        Py_RETURN_NONE;
    const int threads = threads_for(operations(p), arguments + 7, count - 7);
    if (PyErr_Occurred()) return nullptr;
    PyObject* out = PyArray_SimpleNew(shape.axes, shape.sizes, type);
    if (!out) return nullptr;
    return released(operations(p), out, [&] {
        if (type == NPY_FLOAT)
            return kernel().in_float.pairs(
                p, matrix<float>(first), matrix<float>(second), data<float>(weight),
                data<float>(bias), data<float>(out), threads);
        return kernel().in_double.pairs(
            p, matrix<double>(first), matrix<double>(second), data<double>(weight),
            data<double>(bias), data<double>(out), threads);
    });
}

// pair_gradients(g, x1, x2, weight, needed, shared, first outside[, threads])
PyObject* pair_gradients(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    bool needed[3];
    if ((count != 7 && count != 8) || !flags_of(arguments[4], needed)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "pair_gradients: takes g, x1, x2, weight, three flags …");
        return nullptr;
    }
    const int type = type_of(arguments[0]);
    if (type < 0) Py_RETURN_NONE;
    PyArrayObject *dy = readable(arguments[0], type), *weight = nullptr;
    Input x1, x2;
    if (!dy || PyArray_NDIM(dy) == 0 || !PyArray_IS_C_CONTIGUOUS(dy) ||
        !input_of(arguments[1], type, needed[1] || needed[2], x1) ||
        !input_of(arguments[2], type, needed[0] || needed[2], x2))
        Py_RETURN_NONE;
    Shape shape;
    shape_of(dy, shape);
    Pairs p;
    if (!pairs_of(arguments + 5, shape, x1.shape, x2.shape, p)) Py_RETURN_NONE;
    if (needed[0] || needed[1]) {
        weight = readable(arguments[3], type);
        if (!fits(weight, p.outputs, p.features_1, p.features_2)) Py_RETURN_NONE;
    }
    const int threads = threads_for(operations(p), arguments + 7, count - 7);
    if (PyErr_Occurred()) return nullptr;
    PyObject* results[3];
    PyObject* found = results_of(needed, type, x1.shape, x2.shape, p.outputs, results);
    if (!found) return nullptr;
    return released(operations(p), found, [&] {
        if (type == NPY_FLOAT)
            return kernel().in_float.pair_gradients(
                p, data<float>(dy), matrix<float>(x1.rows), matrix<float>(x2.rows),
                data<float>(weight), data<float>(results[0]), data<float>(results[1]),
                data<float>(results[2]), threads);
        return kernel().in_double.pair_gradients(
            p, data<double>(dy), matrix<double>(x1.rows), matrix<double>(x2.rows),
            data<double>(weight), data<double>(results[0]), data<double>(results[1]),
            data<double>(results[2]), threads);
    });
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
    const auto choose = numbers[4] == 8 ? kernel().in_double.choose : kernel().in_float.choose;
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
    const int type = itemsize == 8 ? NPY_DOUBLE : NPY_FLOAT;
    Algorithm algorithm;
    if (!algorithm_of(name, operation, s, type, true, algorithm)) return nullptr;
    const auto count = type == NPY_DOUBLE ? kernel().in_double.work : kernel().in_float.work;
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
    {"pairs", as_function(pairs), METH_FASTCALL, nullptr},
    {"pair_gradients", as_function(pair_gradients), METH_FASTCALL, nullptr},
    {"algorithms", algorithms, METH_NOARGS, nullptr},
    {"work", work, METH_VARARGS, nullptr},
    {"chosen", as_function(chosen), METH_FASTCALL, nullptr},
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
