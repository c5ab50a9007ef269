// Vectors of the instruction set that this file is compiled for, and what a register tile may hold.
//
// Everything that is compiled once for each instruction set lies in an anonymous namespace and uses
// no template of the standard library: a function with external linkage would exist once for each
// set, the linker would keep any one of them, and a processor without AVX-512 would run into it.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "halves.hpp"
#include "kernels.hpp"

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

// What the nest multiplies: numbers, and of bfloat16 pairs of them that follow each other along the
// depth, the first in the lower bits. Products of pairs are added up in float.
enum class Pair : std::uint32_t {};
using lucid::BFloat16;

template <> struct VectorOf<Pair> {
    typedef std::uint32_t type __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <class Stored> struct Types {
    using Unit = Stored;
    using Sum = Stored;
    static constexpr int numbers = 1;  // in a unit
};
template <> struct Types<BFloat16> {
    using Unit = Pair;
    using Sum = float;
    static constexpr int numbers = 2;
};
template <> struct Types<Pair> : Types<BFloat16> {};
template <class Stored> using Unit = typename Types<Stored>::Unit;
template <class Any> using Sum = typename Types<Any>::Sum;

// How many units hold so many numbers of the depth.
template <class Stored> LUCID_INLINE Index units(Index numbers) {
    return (numbers + Types<Stored>::numbers - 1) / Types<Stored>::numbers;
}

// Two vectors side by side: the width of every packed panel.
template <class Real> constexpr int panel = 2 * lanes<Real>;

template <class Real> LUCID_INLINE Vector<Real> load(const Real* from) {
    return *reinterpret_cast<const Vector<Real>*>(from);
}

template <class Real> LUCID_INLINE void store(Real* to, Vector<Real> value) {
    *reinterpret_cast<Vector<Real>*>(to) = value;
}

// The first lanes of a vector, so many of them, or added to what is there.
template <class Real> LUCID_INLINE void store_some(Real* to, Vector<Real> value, Index count, bool add) {
#if defined(__AVX512F__)
    const unsigned mask = count < lanes<Real> ? (1u << count) - 1 : ~0u;
    if constexpr (sizeof(Real) == sizeof(float)) {
        if (add) value += Vector<Real>(_mm512_maskz_loadu_ps(__mmask16(mask), to));
        _mm512_mask_storeu_ps(to, __mmask16(mask), __m512(value));
    } else {
        if (add) value += Vector<Real>(_mm512_maskz_loadu_pd(__mmask8(mask), to));
        _mm512_mask_storeu_pd(to, __mmask8(mask), __m512d(value));
    }
#else
    for (int lane = 0; lane < lanes<Real> && lane < count; ++lane)
        to[lane] = add ? to[lane] + value[lane] : value[lane];
#endif
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

// d += a · b
template <class Real> LUCID_INLINE void add_product(Vector<Real>& d, Real a, const Vector<Real>& b) {
    d += a * b;
}

// Whether there is an instruction that multiplies and adds up pairs.
#if defined(__AVX512BF16__)
constexpr bool is_pair_fast = true;
#else
constexpr bool is_pair_fast = false;
#endif

// Vectors of bfloat16, as many as a vector of float has lanes.
typedef std::uint16_t Halves __attribute__((vector_size(vector_bytes / 2), aligned(2), may_alias));

LUCID_INLINE Vector<Pair> low_bits(const BFloat16* from) {
    return __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Vector<Pair>);
}

LUCID_INLINE Vector<float> load(const BFloat16* from) {
    return reinterpret_cast<Vector<float>>(low_bits(from) << 16);
}

LUCID_INLINE float wide(BFloat16 number) { return Brain::wide(std::uint16_t(number)); }
LUCID_INLINE float wide(float number) { return number; }
LUCID_INLINE double wide(double number) { return number; }

LUCID_INLINE Pair pair(std::uint16_t low, std::uint16_t high) {
    return Pair(std::uint32_t(low) | std::uint32_t(high) << 16);
}

// d += a · b of both numbers in each lane. The instruction takes denormal numbers for zeros.
LUCID_INLINE void add_product(Vector<float>& d, Pair a, const Vector<Pair>& b) {
#if defined(__AVX512BF16__)
    const __m512i broadcast = _mm512_set1_epi32(int(a));
    d = reinterpret_cast<Vector<float>>(
        _mm512_dpbf16_ps(__m512(d), (__m512bh)(b), (__m512bh)(broadcast)));
#else
    const std::uint32_t both = std::uint32_t(a);
    d += from_bits(both << 16) * reinterpret_cast<Vector<float>>(b << 16);
    d += from_bits(both & 0xffff0000) * reinterpret_cast<Vector<float>>(b & 0xffff0000);
#endif
}

// Pairs of two vectors, each number rounded to bfloat16.
LUCID_INLINE Vector<Pair> rounded(const Vector<float>& low, const Vector<float>& high) {
#if defined(__AVX512BF16__)
    std::uint16_t from[32];  // of each half: the first 16 are `low`
    LUCID_UNROLL for (int k = 0; k < 32; ++k) from[k] = std::uint16_t(k / 2 + k % 2 * 16);
    const __m512i both = (__m512i)(_mm512_cvtne2ps_pbh(__m512(high), __m512(low)));
    return reinterpret_cast<Vector<Pair>>(_mm512_permutexvar_epi16(_mm512_loadu_si512(from), both));
#else
    const auto bits = [](const Vector<float>& number) {
        const Vector<Pair> bits = reinterpret_cast<Vector<Pair>>(number);
        const Vector<Pair> nearest = bits + 0x7fff + (bits >> 16 & 1);
        return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : nearest;
    };
    return bits(low) >> 16 | (bits(high) & 0xffff0000);
#endif
}

template <class Number> LUCID_INLINE Number smaller(Number a, Number b) { return a < b ? a : b; }
template <class Number> LUCID_INLINE Number larger(Number a, Number b) { return a > b ? a : b; }

}  // namespace
