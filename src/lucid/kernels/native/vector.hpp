// Vectors of the instruction set that this file is compiled for, and what a register tile may hold.
//
// Everything that is compiled once for each instruction set lies in an anonymous namespace and uses
// no template of the standard library: a function with external linkage would exist once for each
// set, the linker would keep any one of them, and a processor without AVX-512 would run into it.
#pragma once

#include "index.hpp"

#if !defined(__GNUC__)
#error "lucid's kernel is written with the vector extensions of GCC and Clang (on Windows: clang-cl)"
#endif

#if defined(__clang__)
#define LUCID_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LUCID_UNROLL _Pragma("GCC unroll 16")
#endif
#define LUCID_INLINE inline __attribute__((always_inline))
#define LUCID_NOINLINE __attribute__((noinline))

namespace {

// A tile of 12 × 2 vectors leaves 8 of 32 registers for operands; 6 × 2 leaves 4 of 16.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_rows = 12;
#elif defined(__AVX__)
constexpr int vector_bytes = 32, tile_rows = 6;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, tile_rows = 12;
#else
constexpr int vector_bytes = 16, tile_rows = 6;
#endif

// Aligned only as its elements are: arrays from Python promise no more. It is dereferenced, not
// copied with memcpy, which GCC 12 sends through the stack, ten times slower.
template <class Real> struct VectorOf;
template <> struct VectorOf<float> {
    typedef float type __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <> struct VectorOf<double> {
    typedef double type __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};
template <class Real> using Vector = typename VectorOf<Real>::type;

template <class Real> constexpr int lanes = vector_bytes / int(sizeof(Real));

// Two vectors side by side: the width of every packed panel.
template <class Real> constexpr int panel = 2 * lanes<Real>;

template <class Real> LUCID_INLINE Vector<Real> load(const Real* from) {
    return *reinterpret_cast<const Vector<Real>*>(from);
}

template <class Real> LUCID_INLINE void store(Real* to, Vector<Real> value) {
    *reinterpret_cast<Vector<Real>*>(to) = value;
}

// The last lanes of a vector, so many of them, and zeros before: whatever the others hold is gone.
template <class Real> LUCID_INLINE Vector<Real> last_lanes(Vector<Real> value, Index count) {
    Vector<Real> number;
    LUCID_UNROLL for (int lane = 0; lane < lanes<Real>; ++lane) number[lane] = Real(lane);
    return number >= Real(lanes<Real> - count) ? value : Vector<Real>{};
}

template <class Real> LUCID_INLINE Real sum_of_lanes(Vector<Real> value) {
    Real sum = 0;
    for (int lane = 0; lane < lanes<Real>; ++lane) sum += value[lane];
    return sum;
}

template <class Number> LUCID_INLINE Number smaller(Number a, Number b) { return a < b ? a : b; }
template <class Number> LUCID_INLINE Number larger(Number a, Number b) { return a > b ? a : b; }

}  // namespace
