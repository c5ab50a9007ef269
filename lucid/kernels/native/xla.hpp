// The kernel as functions that XLA, the compiler under JAX, calls by itself; xla.cpp says how.
#pragma once

#include <Python.h>

namespace lucid {

// A dict of capsules, one for each set of wanted factors: {(0,): …, (1,): …, (1, 2, 3): …}.
PyObject* xla_handlers();

}  // namespace lucid
