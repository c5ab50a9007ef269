// Packing: samples transposed into panels whose lanes are samples, and cutting work into pieces.
#pragma once

#include "kernels.hpp"
#include "scratch.hpp"
#include "vector.hpp"

namespace {

using lucid::Matrix;
using lucid::Sizes;
using lucid::Algorithm;
using lucid::Operation;

// `size` things cut into the fewest pieces of at most `most`, as evenly as they go:
// 64 rows make tiles of 11, 11, 11, 11, 10 and 10, not five of 12 and one of 4.
struct Pieces {
    Index size, count;
    Pieces(Index size, Index most) : size(size), count((size + most - 1) / most) {}
    Index start(Index piece) const { return size * piece / count; }
    Index length(Index piece) const { return start(piece + 1) - start(piece); }
};

struct Range {
    Index begin, end;
    Index length() const { return end - begin; }
};

// The part of `range` that falls to chunk `chunk` of `count`.
inline Range share(Range range, Index chunk, Index count) {
    const Index length = range.length();
    return {range.begin + length * chunk / count, range.begin + length * (chunk + 1) / count};
}

using lucid::least_operations;

// How many chunks for a number of dot products of some length: enough that a thread which comes late,
// or loses its core for a while, holds up little.
inline Index chunks_for(Index products, Index length, int threads) {
    if (threads <= 1) return 1;
    const double chunks = 2.0 * double(products) * double(length) / least_operations;
    return chunks < 4 * threads ? Index(chunks) + 1 : 4 * threads;
}

// What a call may take for each thread, and once: with a few threads it stays within 64 MiB.
constexpr Index most_bytes_each = 4 << 20;
constexpr Index most_bytes = 16 << 20;

inline Index divided_up(Index size, Index step) { return (size + step - 1) / step; }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LUCID_SHUFFLES 1
#endif
#endif

#ifdef LUCID_SHUFFLES
template <class Real> struct FourOf;
template <> struct FourOf<float> {
    typedef float type __attribute__((vector_size(16), aligned(4), may_alias));
};
template <> struct FourOf<double> {
    typedef double type __attribute__((vector_size(32), aligned(8), may_alias));
};
#endif

// to[column][row] = from[row][column] for 4 × 4 numbers.
template <class Real>
LUCID_INLINE void transpose_four(const Real* from, Index from_step, Real* to, Index to_step) {
#ifdef LUCID_SHUFFLES
    using Four = typename FourOf<Real>::type;
    const Four r0 = *reinterpret_cast<const Four*>(from);
    const Four r1 = *reinterpret_cast<const Four*>(from + from_step);
    const Four r2 = *reinterpret_cast<const Four*>(from + 2 * from_step);
    const Four r3 = *reinterpret_cast<const Four*>(from + 3 * from_step);
    const Four low_01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
    const Four high_01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
    const Four low_23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
    const Four high_23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *reinterpret_cast<Four*>(to) = __builtin_shufflevector(low_01, low_23, 0, 1, 4, 5);
    *reinterpret_cast<Four*>(to + to_step) = __builtin_shufflevector(low_01, low_23, 2, 3, 6, 7);
    *reinterpret_cast<Four*>(to + 2 * to_step) =
        __builtin_shufflevector(high_01, high_23, 0, 1, 4, 5);
    *reinterpret_cast<Four*>(to + 3 * to_step) =
        __builtin_shufflevector(high_01, high_23, 2, 3, 6, 7);
#else
    for (int row = 0; row < 4; ++row)
        for (int column = 0; column < 4; ++column)
            to[column * to_step + row] = from[row * from_step + column];
#endif
}

// to[column][row] = from[row][column]
template <class Real>
void transpose(
    const Real* from, Index from_step, Index rows, Index columns, Real* to, Index to_step) {
    Index row = 0;
    for (; row + 4 <= rows; row += 4) {
        const Real* strip = from + row * from_step;
        Index column = 0;
        for (; column + 4 <= columns; column += 4)
            transpose_four(strip + column, from_step, to + column * to_step + row, to_step);
        for (; column < columns; ++column)
            for (int r = 0; r < 4; ++r) to[column * to_step + row + r] = strip[r * from_step + column];
    }
    for (; row < rows; ++row)
        for (Index column = 0; column < columns; ++column)
            to[column * to_step + row] = from[row * from_step + column];
}

template <class Real> void fill(Real* to, Index count, Real value) {
    for (Index k = 0; k < count; ++k) to[k] = value;
}

// One panel of samples: to[feature][sample], zeros in the lanes beyond the last sample. Lanes never
// meet, so what such a lane holds is lost with it.
template <class Real>
void pack_samples(Matrix<Real> x, Index first, Index samples, Index features, Real* to) {
    if (samples < panel<Real>) fill(to, features * panel<Real>, Real(0));
    transpose(x.data + first * x.step, x.step, samples, features, to, Index(panel<Real>));
}

// Samples as panels: how many there are, and how many lanes of each are in use.
template <class Real> struct Panels {
    Index samples, count;
    explicit Panels(Index samples) : samples(samples), count(divided_up(samples, panel<Real>)) {}
    static Index first(Index p) { return p * panel<Real>; }
    Index used(Index p) const { return smaller(Index(panel<Real>), samples - first(p)); }
    bool wide(Index p) const { return used(p) > lanes<Real>; }
};

}  // namespace
