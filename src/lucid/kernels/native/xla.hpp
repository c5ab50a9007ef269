// The kernel as functions that XLA, the compiler under JAX, calls by itself; xla.cpp says how.
#pragma once

#include <Python.h>

#include "index.hpp"

namespace lucid {

// A dict of capsules, one for each set of wanted factors: bit k of its key says that k is in it.
PyObject* xla_handlers();

// So many bytes follow a product that is kept: they say what it is of.
constexpr Index xla_mark_bytes = 56;

}  // namespace lucid
