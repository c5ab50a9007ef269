// The register tile, and the one nest in which all multiplying of matrices happens.
//
//     D[r][lane] = Σ_k a[k][r] · b[k][lane]        Rows × Width vectors, all in registers
//
// In each step k one vector (or two) of b and Rows broadcast numbers of a make Rows × Width fused
// multiply-adds. Operations differ in what becomes of D, which never goes to memory unless it is
// the result itself:
//
//     contract    d1[lane] += Σ_r D[r][lane] · x2[r][lane]     and / or
//                 d2[r][lane] += D[r][lane] · x1[lane], or D   (lanes are samples)
//     accumulate  c[r][lane] += D[r][lane]                     (lanes are features)
#pragma once

#include "kernels.hpp"
#include "machine.hpp"
#include "vector.hpp"

namespace {

using lucid::Algorithm;
using lucid::Matrix;
using lucid::Operation;
using lucid::Sizes;

// The sources of a and b: what they give for the present k, and how they go to the next.

// Numbers a[r] next to each other: packed, or a part of a matrix where it lies.
template <class Real> struct Adjacent {
    const Real* at;
    Index step;
    LUCID_INLINE Real operator[](int r) const { return at[r]; }
    LUCID_INLINE void next() { at += step; }
};

// The same, with a request for what is needed later.
template <class Real> struct Asking {
    Adjacent<Real> a;
    const Real* ahead;
    Index ahead_step;
    LUCID_INLINE Real operator[](int r) const { return a[r]; }
    LUCID_INLINE void next() {
        __builtin_prefetch(ahead);
        ahead += ahead_step;
        a.next();
    }
};

// Numbers one panel apart, as `put` leaves a tile in panels.
template <class Real> struct Apart {
    const Real* at;
    LUCID_INLINE Real operator[](int r) const { return at[r * panel<Real>]; }
    LUCID_INLINE void next() { ++at; }
};

// Numbers of rows that lie `step` apart.
template <class Real> struct Spaced {
    const Real* at;
    Index step;
    LUCID_INLINE Real operator[](int r) const { return at[r * step]; }
    LUCID_INLINE void next() { ++at; }
};

// Vectors b[q] next to each other.
template <class Real> struct Vectors {
    const Real* at;
    Index step;
    LUCID_INLINE Vector<Real> operator[](int q) const { return load(at + q * lanes<Real>); }
    LUCID_INLINE void next() { at += step; }
};

// The same times a number for each k, or times as many vectors that stay: never written down.
template <class Real> struct Scaled {
    Vectors<Real> b;
    const Real* scale;
    Index scale_step;
    LUCID_INLINE Vector<Real> operator[](int q) const { return *scale * b[q]; }
    LUCID_INLINE void next() { b.next(), scale += scale_step; }
};

template <class Real, int Width> struct Products {
    const Vector<Real> (&by)[Width];
    Vectors<Real> b;
    LUCID_INLINE Vector<Real> operator[](int q) const { return by[q] * b[q]; }
    LUCID_INLINE void next() { b.next(); }
};

template <class Real, int Rows, int Width>
LUCID_INLINE void clear(Vector<Sum<Real>> (&d)[Rows][Width]) {
    LUCID_UNROLL for (int r = 0; r < Rows; ++r)
        LUCID_UNROLL for (int q = 0; q < Width; ++q) d[r][q] = Vector<Sum<Real>>{};
}

// The nest of multiply-adds. The sources are left at the end of the depth.
template <class Real, int Rows, int Width, class A, class B>
LUCID_INLINE void multiply(Index depth, A& a, B& b, Vector<Sum<Real>> (&d)[Rows][Width]) {
    for (Index k = depth; k > 0; --k) {
        Vector<Real> column[Width];
        LUCID_UNROLL for (int q = 0; q < Width; ++q) column[q] = b[q];
        LUCID_UNROLL for (int r = 0; r < Rows; ++r)
            LUCID_UNROLL for (int q = 0; q < Width; ++q) add_product(d[r][q], a[r], column[q]);
        a.next(), b.next();
    }
}

// What most tiles are made of: a has `a_step` numbers from one k to the next, b is packed.
template <class Real> struct Factors {
    Index depth;
    const Real* a;
    Index a_step;
    const Real* b;
    Index b_step;
    const Real* ahead = nullptr;  // what is to come from memory meanwhile
    Index ahead_step = 0;

    // Of a matrix that is needed next, one line of every row: that with the number of this tile.
    // From memory it would come too late, the rows being too short for the processor to run ahead;
    // and asked for at once, it would hold up the multiplier.
    void ask_for(const Real* next, Index step, Index columns, Index number) {
        const Index at = number * Index(line_bytes / sizeof(Real));
        if (at < columns) ahead = next + at, ahead_step = step;
    }
};

template <class Real, int Rows, int Width>
LUCID_INLINE void multiply(const Factors<Real>& factors, Vector<Sum<Real>> (&d)[Rows][Width]) {
    Adjacent<Real> a{factors.a, factors.a_step};
    Vectors<Real> b{factors.b, factors.b_step};
    clear<Real>(d);
    multiply<Real>(factors.depth, a, b, d);
}

// The same, asking for what is needed next if there is any.
template <class Real, int Rows, int Width>
LUCID_INLINE void multiply_asking(const Factors<Real>& factors, Vector<Sum<Real>> (&d)[Rows][Width]) {
    if (!factors.ahead) return multiply<Real>(factors, d);
    Asking<Real> a{{factors.a, factors.a_step}, factors.ahead, factors.ahead_step};
    Vectors<Real> b{factors.b, factors.b_step};
    clear<Real>(d);
    multiply<Real>(factors.depth, a, b, d);
}

// D is summed over its rows with x2 into d1, spread over its rows with x1 into d2, or both; or it is
// summed, and kept in d2 as it is.
template <class Real, int Rows, int Width, bool Adds, bool Spreads, bool Keeps = false>
LUCID_NOINLINE void contract_tile(
    const Factors<Real>& factors, const Sum<Real>* x1, const Sum<Real>* x2, Sum<Real>* d1,
    Sum<Real>* d2) {
    using Number = Sum<Real>;
    constexpr int step = panel<Number>;
    Vector<Number> d[Rows][Width];
    multiply_asking<Real>(factors, d);
    LUCID_UNROLL for (int q = 0; q < Width; ++q) {
        const int at = q * lanes<Number>;
        if constexpr (Adds) {  // in two sums, so that additions do not wait for each other
            Vector<Number> even = load(d1 + at), odd = {};
            LUCID_UNROLL for (int r = 0; r < Rows; ++r)
                (r % 2 ? odd : even) += d[r][q] * load(x2 + r * step + at);
            store<Number>(d1 + at, even + odd);
        }
        if constexpr (Spreads) {
            const Vector<Number> x = load(x1 + at);
            LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
                Number* to = d2 + r * step + at;
                store<Number>(to, load(to) + d[r][q] * x);
            }
        }
        if constexpr (Keeps)
            LUCID_UNROLL for (int r = 0; r < Rows; ++r) store<Number>(d2 + r * step + at, d[r][q]);
    }
}

// The same sums for many features i in a row, d2 staying in registers: for few outputs, where the
// loads and stores of d2 would cost as much as the product. a is packed [i][k][Rows].
template <class Real, int Rows, int Width>
LUCID_NOINLINE void contract_column(
    Factors<Real> factors, Index features_1, const Real* x1, const Real* x2, Real* d1, Real* d2) {
    constexpr int step = panel<Real>;
    Vector<Real> spread[Rows][Width];
    LUCID_UNROLL for (int r = 0; r < Rows; ++r)
        LUCID_UNROLL for (int q = 0; q < Width; ++q)
            spread[r][q] = load(d2 + r * step + q * lanes<Real>);
    for (Index i = 0; i < features_1; ++i) {
        Vector<Real> d[Rows][Width];
        multiply<Real>(factors, d);
        factors.a += factors.depth * Rows;
        LUCID_UNROLL for (int q = 0; q < Width; ++q) {
            const Index at = i * step + q * lanes<Real>;
            const Vector<Real> x = load(x1 + at);
            Vector<Real> even = load(d1 + at), odd = {};
            LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
                spread[r][q] += d[r][q] * x;
                (r % 2 ? odd : even) += d[r][q] * load(x2 + r * step + q * lanes<Real>);
            }
            store<Real>(d1 + at, even + odd);
        }
    }
    LUCID_UNROLL for (int r = 0; r < Rows; ++r)
        LUCID_UNROLL for (int q = 0; q < Width; ++q)
            store<Real>(d2 + r * step + q * lanes<Real>, spread[r][q]);
}

// Where D itself is the result, or its addend: `columns` numbers in each of the tile's rows. What is far
// lies in no cache of this core.
template <class Real> struct Target {
    Real* c;
    Index row_step;
    Index columns;
    bool add;
    bool far = false;
};

// D for a target. A line that is far has to come before it can be stored to, and few stores can wait: so
// the lines of one row after the other are asked for, and part of the depth is multiplied meanwhile.
template <class Real, int Rows, int Width, class A, class B>
LUCID_INLINE void multiply_for(
    const Target<Sum<Real>>& target, Index depth, A& a, B& b, Vector<Sum<Real>> (&d)[Rows][Width]) {
    using Number = Sum<Real>;
    clear<Real>(d);
    if (!target.far) return multiply<Real>(depth, a, b, d);
    const Index each = depth / Rows;
    for (int r = 0; r < Rows; ++r) {
        const Number* row = target.c + r * target.row_step;
        LUCID_UNROLL for (int q = 0; q < Width; ++q) __builtin_prefetch(row + q * lanes<Number>, 1);
        __builtin_prefetch(row + Width * lanes<Number> - 1, 1);  // rows need not begin on a line
        multiply<Real>(r + 1 < Rows ? each : depth - each * (Rows - 1), a, b, d);
    }
}

template <class Real, int Rows, int Width>
LUCID_INLINE void put(const Target<Real>& target, Vector<Real> (&d)[Rows][Width]) {
    if (target.columns == Width * lanes<Real>) {
        LUCID_UNROLL for (int r = 0; r < Rows; ++r)
            LUCID_UNROLL for (int q = 0; q < Width; ++q) {
                Real* to = target.c + r * target.row_step + q * lanes<Real>;
                store<Real>(to, target.add ? load(to) + d[r][q] : d[r][q]);
            }
        return;
    }
    LUCID_UNROLL for (int r = 0; r < Rows; ++r)
        LUCID_UNROLL for (int q = 0; q < Width; ++q) {
            Real* to = target.c + r * target.row_step + q * lanes<Real>;
            const Index count = target.columns - q * lanes<Real>;
            if (count > 0) store_some<Real>(to, d[r][q], count, target.add);
        }
}

template <class Real, int Rows, int Width>
LUCID_NOINLINE void accumulate_tile(const Factors<Real>& factors, const Target<Sum<Real>>& target) {
    Vector<Sum<Real>> d[Rows][Width];
    Adjacent<Real> a{factors.a, factors.a_step};
    Vectors<Real> b{factors.b, factors.b_step};
    multiply_for<Real>(target, factors.depth, a, b, d);
    put<Sum<Real>, Rows, Width>(target, d);
}

// The same with a as `put` leaves it: rows one panel apart, and `a_step` numbers from one panel of
// the depth to the next.
template <class Real, int Rows, int Width>
LUCID_NOINLINE void accumulate_rows_tile(const Factors<Real>& factors, const Target<Real>& target) {
    Vector<Real> d[Rows][Width];
    clear<Real>(d);
    Vectors<Real> b{factors.b, factors.b_step};
    for (Index k = 0; k < factors.depth; k += panel<Real>) {
        Apart<Real> a{factors.a + k / panel<Real> * factors.a_step};
        multiply<Real>(smaller<Index>(panel<Real>, factors.depth - k), a, b, d);
    }
    put<Real, Rows, Width>(target, d);
}

// The same with a as rows `a_step` apart, where they lie.
template <class Real, int Rows, int Width>
LUCID_NOINLINE void accumulate_spaced_tile(const Factors<Real>& factors, const Target<Real>& target) {
    Vector<Real> d[Rows][Width];
    clear<Real>(d);
    Spaced<Real> a{factors.a, factors.a_step};
    Vectors<Real> b{factors.b, factors.b_step};
    multiply<Real>(factors.depth, a, b, d);
    put<Real, Rows, Width>(target, d);
}

// The same with b[k] multiplied by one more number for each k.
template <class Real, int Rows, int Width>
LUCID_NOINLINE void accumulate_scaled_tile(
    const Factors<Real>& factors, const Real* scale, Index scale_step, const Target<Real>& target) {
    Vector<Real> d[Rows][Width];
    Adjacent<Real> a{factors.a, factors.a_step};
    Scaled<Real> b{{factors.b, factors.b_step}, scale, scale_step};
    multiply_for<Real>(target, factors.depth, a, b, d);
    put<Real, Rows, Width>(target, d);
}

// The same with the products of two factors as b: Σ_i Σ_j a[i, j] · (x1[i] · x2[j]), both packed in
// panels, a as [i][j][Rows].
template <class Real, int Rows, int Width>
LUCID_NOINLINE void accumulate_products_tile(
    const Sizes& s, const Real* packed, const Real* x1, const Real* x2, const Target<Real>& target) {
    Vector<Real> d[Rows][Width];
    clear<Real>(d);
    Adjacent<Real> a{packed, Rows};
    Vectors<Real> first{x1, panel<Real>};
    for (Index i = 0; i < s.features_1; ++i, first.next()) {
        Vector<Real> by[Width];
        LUCID_UNROLL for (int q = 0; q < Width; ++q) by[q] = first[q];
        Products<Real, Width> b{by, {x2, panel<Real>}};
        multiply<Real>(s.features_2, a, b, d);
    }
    put<Real, Rows, Width>(target, d);
}

// From a number of rows known when running to the tile compiled for it.
template <int Value> struct Constant {
    static constexpr int value = Value;
};

template <int Most, class Call> LUCID_INLINE void with_constant(Index value, const Call& call) {
    if constexpr (Most > 1) {
        if (value < Most) return with_constant<Most - 1>(value, call);
    }
    call(Constant<Most>{});
}

// Rows and width of a tile: call(rows, width), each a Constant.
template <int MostRows, class Call>
LUCID_INLINE void with_tile(Index rows, bool wide, const Call& call) {
    with_constant<MostRows>(rows, [&](auto r) {
        if (wide) call(r, Constant<2>{});
        else call(r, Constant<1>{});
    });
}

}  // namespace
