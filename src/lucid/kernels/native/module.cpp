// The Python module: what it offers, and its settings.
#include "binding_form.hpp"
#include "binding_nodes.hpp"
#include "binding_plan.hpp"
#include "binding_reductions.hpp"
#include "binding_rows.hpp"
#include "binding_steps.hpp"
#include "xla.hpp"

namespace lucid {
void set_scratch_failure(std::size_t from_bytes);
}

namespace {

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

// For the tests: NumPy's arrays of this dtype are read as bfloat16; None ends it.
PyObject* read_as_bfloat16(PyObject*, PyObject* dtype) {
    bfloat16_of_arrays = -1;
    if (dtype == Py_None) Py_RETURN_NONE;
    if (!PyArray_DescrCheck(dtype) || PyDataType_ELSIZE(reinterpret_cast<PyArray_Descr*>(dtype)) != 2)
        return PyErr_Format(PyExc_TypeError, "read_as_bfloat16: takes a dtype of two bytes, not %R", dtype);
    bfloat16_of_arrays = reinterpret_cast<PyArray_Descr*>(dtype)->type_num;
    Py_RETURN_NONE;
}

// For the tests: memory of this many bytes or more cannot be had; 0 ends it.
PyObject* fail_scratch_from(PyObject*, PyObject* bytes) {
    const Py_ssize_t from = PyLong_AsSsize_t(bytes);
    if (from == -1 && PyErr_Occurred()) return nullptr;
    set_scratch_failure(std::size_t(from));
    Py_RETURN_NONE;
}

// For the tests: parts of so many additions and multiplications, for each thread.
PyObject* set_part_operations(PyObject*, PyObject* number) {
    const double count = PyFloat_AsDouble(number);
    if (count == -1 && PyErr_Occurred()) return nullptr;
    const double before = part_operations;
    part_operations = count;
    return PyFloat_FromDouble(before);
}

PyObject* xla_handlers(PyObject*, PyObject*) { return lucid::xla_handlers(); }

template <class Function> PyCFunction as_function(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"bilinear", as_function(bilinear), METH_FASTCALL, nullptr},
    {"gradients", as_function(gradients), METH_FASTCALL, nullptr},
    {"bilinear_keeping", as_function(bilinear_keeping), METH_FASTCALL, nullptr},
    {"gradients_kept", as_function(gradients_kept), METH_FASTCALL, nullptr},
    {"bilinear_into", as_function(bilinear_into), METH_FASTCALL, nullptr},
    {"gradients_into", as_function(gradients_into), METH_FASTCALL, nullptr},
    {"bilinear_each", as_function(bilinear_each), METH_FASTCALL, nullptr},
    {"gradients_each", as_function(gradients_each), METH_FASTCALL, nullptr},
    {"bilinear_runs", as_function(bilinear_runs), METH_FASTCALL, nullptr},
    {"gradients_runs", as_function(gradients_runs), METH_FASTCALL, nullptr},
    {"add_rows", as_function(add_rows), METH_FASTCALL, nullptr},
    {"pack_matrix", as_function(pack_matrix), METH_FASTCALL, nullptr},
    {"middle_step", as_function(middle_step), METH_FASTCALL, nullptr},
    {"edges_of_nodes", as_function(edges_of_nodes), METH_FASTCALL, nullptr},
    {"nodes_of_edges", as_function(nodes_of_edges), METH_FASTCALL, nullptr},
    {"best_scores", as_function(best_scores), METH_FASTCALL, nullptr},
    {"scores_at", as_function(scores_at), METH_FASTCALL, nullptr},
    {"compare_scores", as_function(compare_scores), METH_FASTCALL, nullptr},
    {"chosen_gradients", as_function(chosen_gradients), METH_FASTCALL, nullptr},
    {"adam_step", as_function(adam_step), METH_FASTCALL, nullptr},
    {"sgd_step", as_function(sgd_step), METH_FASTCALL, nullptr},
    {"make_results_with", make_results_with, METH_O, nullptr},
    {"plan", as_function(plan), METH_FASTCALL, nullptr},
    {"algorithms", algorithms, METH_NOARGS, nullptr},
    {"work", work, METH_VARARGS, nullptr},
    {"chosen", as_function(chosen), METH_FASTCALL, nullptr},
    {"set_num_threads", set_num_threads, METH_O, nullptr},
    {"get_num_threads", get_num_threads, METH_NOARGS, nullptr},
    {"instruction_set", instruction_set, METH_NOARGS, nullptr},
    {"instruction_sets", instruction_sets, METH_NOARGS, nullptr},
    {"use_instruction_set", use_instruction_set, METH_O, nullptr},
    {"xla_kept", xla_kept, METH_VARARGS, nullptr},
    {"xla_handlers", xla_handlers, METH_NOARGS, nullptr},
    {"set_part_operations", set_part_operations, METH_O, nullptr},
    {"read_as_bfloat16", read_as_bfloat16, METH_O, nullptr},
    {"fail_scratch_from", fail_scratch_from, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// No slot for the GIL: where Python is free-threaded, importing this switches the lock on again. The
// kernel itself would do without; the choices of threads and instruction set are atomic, but a shape
// is looked at before an array is read, and nothing but the lock keeps others from changing it then.
PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_compiled", "The compiled bilinear kernel; see native/README.md.",
    -1, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__compiled() {
    import_array();
    return PyModule_Create(&definition);
}
