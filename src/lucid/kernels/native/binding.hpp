// What the calls of the Python binding share: algorithms and threads that are asked for, the GIL that is
// released while the kernel works, and where arrays are.
#pragma once

#include "arrays.hpp"
#include "layout.hpp"
#include "parts.hpp"
#include "pool.hpp"
#include "select.hpp"

#include <climits>
#include <cstring>
#include <type_traits>

namespace {

using namespace lucid;

// Above this many additions and multiplications other Python threads may run meanwhile.
constexpr double held_operations = 2e4;

// Below so many, what could be kept is made again sooner than looked for.
constexpr double least_kept = 1e6;

// A gradient of so many numbers is sooner copied than prepared for in Python.
constexpr Index most_copied = 1 << 16;

template <class Real> const Operations<Real>& on() { return lucid::operations<Real>(kernel()); }

// In bfloat16, no algorithm is conversion to float.
const char* name_of(Algorithm algorithm) {
    return algorithm == Algorithm::chosen ? "converted" : algorithm_names[int(algorithm)];
}

// What numbers of so many bytes are.
int type_of_size(Index bytes) { return bytes == 8 ? NPY_DOUBLE : bytes == 2 ? bfloat16 : NPY_FLOAT; }

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
    const auto suits = by_type(type, [](auto number) { return on<decltype(number)>().suits; });
    if (suits(operation, algorithm, s, both)) return true;
    PyErr_Format(
        PyExc_ValueError, "%s by %U: not for N = %zd, O = %zd, I = %zd, J = %zd%s", of, name,
        s.samples, s.outputs, s.features_1, s.features_2, both ? "" : " and one gradient alone");
    return false;
}

// How many threads: so many as asked for, or, for anything else, as many as the work is worth, at
// most so many as `most` says. The tests ask.
struct Threads {
    bool asked = false;
    int most = 0;  // 0: as many as there are
    int count(double operations) const {
        if (asked && most > 0) return most;
        const int all = get_threads();
        return lucid::is_worth_threads(operations) ? most > 0 && most < all ? most : all : 1;
    }
};

// A number of threads; None or 0 leave it to the kernel.
bool threads_of(PyObject* number, Threads& threads) {
    if (number == Py_None) return true;
    const long count = PyLong_Check(number) ? PyLong_AsLong(number) : -1;
    if (count < 0 || count > INT_MAX) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "threads are a number from 0, not %R", number);
        return false;
    }
    threads.most = int(count);
    return true;
}

// Between two parts of a long call: whether no signal has come for Python, or none that it minds.
// Only in its main thread does Python look; elsewhere the answer is yes.
struct GoOn {
    PyThreadState*& state;
    bool operator()() const {
        if (!state) return PyErr_CheckSignals() == 0;
        PyEval_RestoreThread(state);
        const bool none = PyErr_CheckSignals() == 0;
        state = PyEval_SaveThread();
        return none;
    }
};

// The result, when call() has written it; the GIL is released for work that takes long.
template <class Call> PyObject* released(double operations, PyObject* result, const Call& call) {
    PyThreadState* state = nullptr;
    if (operations >= held_operations) state = PyEval_SaveThread();
    const bool done = call(GoOn{state});  // what is held is too short for parts
    if (state) PyEval_RestoreThread(state);
    if (done) return result;
    Py_DECREF(result);
    return PyErr_Occurred() ? nullptr : PyErr_NoMemory();
}

template <class Real> const Real* data(const View& view) { return static_cast<const Real*>(view.data); }

template <class Real> Real* data(PyObject* array) {
    return array ? static_cast<Real*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array))) : nullptr;
}

template <class Real> Strided<const Real> strided(const Layout& layout, const View& view, int array) {
    const int own = array == Layout::x1 ? Layout::first : Layout::second;
    return {data<Real>(view), layout.positions(array), layout.step(own, array)};
}

template <class Real> Strided<Real> strided(const Layout& layout, Real* result, int array) {
    const int own = array == Layout::d1 ? Layout::first : Layout::second;
    return {result, layout.positions(array), layout.step(own, array)};
}

}  // namespace
