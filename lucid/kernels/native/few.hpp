// Few samples: lanes are features of x2, and W passes by once, in the order in which it lies.
//
// A weight of many megabytes is then read at the speed of the memory; lanes that are samples would
// stand empty.
#pragma once

#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

constexpr int rows_at_once = 4;      // rows of W that share one load of x2
constexpr int samples_at_once = tile_rows / 3;

// sums[s] += Σ_r x1[s][r] · (w[r] · x2[s]) for vectors over j; what does not fill one goes to tails.
template <class Real, int Rows, int Samples>
LUCID_NOINLINE void dot_tile(
    Index features_2, const Real* w, Matrix<Real> x1, Matrix<Real> x2, Vector<Real>* sums,
    Real* tails) {
    const Index whole = features_2 - features_2 % lanes<Real>;
    Vector<Real> d[Samples][Rows];
    LUCID_UNROLL for (int s = 0; s < Samples; ++s)
        LUCID_UNROLL for (int r = 0; r < Rows; ++r) d[s][r] = Vector<Real>{};
    for (Index j = 0; j < whole; j += lanes<Real>) {
        Vector<Real> rows[Rows];
        LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
            rows[r] = load(w + r * features_2 + j);
            __builtin_prefetch(w + (Rows + r) * features_2 + j);
        }
        LUCID_UNROLL for (int s = 0; s < Samples; ++s) {
            const Vector<Real> x = load(x2.data + s * x2.step + j);
            LUCID_UNROLL for (int r = 0; r < Rows; ++r) d[s][r] += x * rows[r];
        }
    }
    LUCID_UNROLL for (int s = 0; s < Samples; ++s) {
        const Real* by = x1.data + s * x1.step;
        LUCID_UNROLL for (int r = 0; r < Rows; ++r) sums[s] += by[r] * d[s][r];
        for (Index j = whole; j < features_2; ++j) {
            Real tail = 0;
            LUCID_UNROLL for (int r = 0; r < Rows; ++r) tail += by[r] * w[r * features_2 + j];
            tails[s] += tail * x2.data[s * x2.step + j];
        }
    }
}

template <class Real> struct Samples {
    Matrix<Real> x1, x2;
    Matrix<Real> first(Index sample, Index feature) const {
        return {x1.data + sample * x1.step + feature, x1.step};
    }
    Matrix<Real> second(Index sample) const { return {x2.data + sample * x2.step, x2.step}; }
};

// out[n] for one output, from the rows `range` of its matrix.
template <class Real>
void few_output(
    const Sizes& sizes, const Samples<Real>& x, const Real* matrix, Range range, Vector<Real>* sums,
    Real* tails) {
    for (Index n = 0; n < sizes.samples; ++n) sums[n] = Vector<Real>{}, tails[n] = 0;
    for (Index i = range.begin; i < range.end;) {
        const bool several = range.end - i >= rows_at_once;
        const Real* w = matrix + i * sizes.features_2;
        for (Index n = 0; n < sizes.samples; n += samples_at_once) {
            const Index samples = smaller<Index>(samples_at_once, sizes.samples - n);
            with_constant<samples_at_once>(samples, [&](auto count) {
                const auto x1 = x.first(n, i), x2 = x.second(n);
                const Index j = sizes.features_2;
                if (several)
                    dot_tile<Real, rows_at_once, count.value>(j, w, x1, x2, sums + n, tails + n);
                else
                    dot_tile<Real, 1, count.value>(j, w, x1, x2, sums + n, tails + n);
            });
        }
        i += several ? rows_at_once : 1;
    }
}

template <class Real>
bool few_forward(
    const Sizes& sizes, const Samples<Real>& x, const Real* weight, const Real* bias, Real* out,
    int threads) {
    const Index matrix = sizes.features_1 * sizes.features_2, n_out = sizes.samples * sizes.outputs;
    const Index wanted = chunks_for(n_out, matrix, threads);
    const Index along_outputs = smaller(wanted, sizes.outputs);
    const Index along_rows = smaller(divided_up(wanted, along_outputs), divided_up(sizes.features_1, 64));
    Scratch<Real> partial((along_rows - 1) * n_out);
    if (!partial) return false;
    const bool done = parallel(threads, along_outputs * along_rows, [&](Index chunk) {
        const Index part = chunk / along_outputs;
        const Range outputs = share({0, sizes.outputs}, chunk % along_outputs, along_outputs);
        const Range rows = share({0, sizes.features_1}, part, along_rows);
        Real* to = part == 0 ? out : partial.get() + (part - 1) * n_out;
        Scratch<Real> scratch(sizes.samples * (lanes<Real> + 1));
        if (!scratch) return false;
        auto* sums = reinterpret_cast<Vector<Real>*>(scratch.get());
        Real* tails = scratch.get() + sizes.samples * lanes<Real>;
        for (Index o = outputs.begin; o < outputs.end; ++o) {
            few_output(sizes, x, weight + o * matrix, rows, sums, tails);
            for (Index n = 0; n < sizes.samples; ++n) {
                const Real start = part == 0 && bias ? bias[o] : Real(0);
                to[n * sizes.outputs + o] = start + tails[n] + sum_of_lanes<Real>(sums[n]);
            }
        }
        return true;
    });
    for (Index part = 1; part < along_rows; ++part)
        for (Index k = 0; k < n_out; ++k) out[k] += partial.get()[(part - 1) * n_out + k];
    return done;
}

// d1[r] += g · Σ_j w[r][j] · x2[j] and d2[j] += g · Σ_r x1[r] · w[r][j], in one pass over w.
template <class Real, int Rows>
LUCID_NOINLINE void both_tile(
    Index features_2, const Real* w, Real g, const Real* x1, const Real* x2, Real* d1, Real* d2) {
    const Index whole = features_2 - features_2 % lanes<Real>;
    Vector<Real> sums[Rows];
    Real scale[Rows], tails[Rows];
    LUCID_UNROLL for (int r = 0; r < Rows; ++r)
        sums[r] = Vector<Real>{}, scale[r] = g * x1[r], tails[r] = 0;
    for (Index j = 0; j < whole; j += lanes<Real>) {
        const Vector<Real> x = load(x2 + j);
        Vector<Real> to = load(d2 + j);
        LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
            const Vector<Real> row = load(w + r * features_2 + j);
            __builtin_prefetch(w + (Rows + r) * features_2 + j);
            sums[r] += row * x;
            to += scale[r] * row;
        }
        store<Real>(d2 + j, to);
    }
    for (Index j = whole; j < features_2; ++j)
        LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
            tails[r] += w[r * features_2 + j] * x2[j];
            d2[j] += scale[r] * w[r * features_2 + j];
        }
    LUCID_UNROLL for (int r = 0; r < Rows; ++r) d1[r] += g * (tails[r] + sum_of_lanes<Real>(sums[r]));
}

// Chunks are ranges of i: rows of d1 are their own, d2 is summed over them in their order.
template <class Real>
bool few_input_gradients(
    const Sizes& sizes, Matrix<Real> g, const Samples<Real>& x, const Real* weight, Real* d_first,
    Real* d_second, int threads) {
    const Index n_first = sizes.samples * sizes.features_1;
    const Index n_second = sizes.samples * sizes.features_2;
    const Index wanted = chunks_for(
        sizes.samples * sizes.outputs, sizes.features_1 * sizes.features_2, threads);
    const Index chunks = with_copies(
        smaller(wanted, divided_up(sizes.features_1, 16)), n_second * Index(sizeof(Real)));
    Scratch<Real> partial((chunks - 1) * n_second);
    Scratch<Real> unwanted((d_first ? 0 : n_first) + (d_second ? 0 : n_second));
    if (!partial || !unwanted) return false;
    if (!d_first) d_first = unwanted.get();
    else if (!d_second) d_second = unwanted.get();
    const bool done = parallel(threads, chunks, [&](Index chunk) {
        const Range rows = share({0, sizes.features_1}, chunk, chunks);
        Real* d2 = chunk == 0 ? d_second : partial.get() + (chunk - 1) * n_second;
        fill(d2, n_second, Real(0));
        for (Index n = 0; n < sizes.samples; ++n)
            fill(d_first + n * sizes.features_1 + rows.begin, rows.length(), Real(0));
        for (Index o = 0; o < sizes.outputs; ++o)
            for (Index i = rows.begin; i < rows.end;) {
                const bool several = rows.end - i >= rows_at_once;
                const Real* w = weight + (o * sizes.features_1 + i) * sizes.features_2;
                for (Index n = 0; n < sizes.samples; ++n) {
                    const Real by = g.data[n * g.step + o];
                    const Real *x1 = x.first(n, i).data, *x2 = x.second(n).data;
                    Real *to_1 = d_first + n * sizes.features_1 + i, *to_2 = d2 + n * sizes.features_2;
                    if (several) both_tile<Real, rows_at_once>(sizes.features_2, w, by, x1, x2, to_1, to_2);
                    else both_tile<Real, 1>(sizes.features_2, w, by, x1, x2, to_1, to_2);
                }
                i += several ? rows_at_once : 1;
            }
        return true;
    });
    for (Index part = 1; part < chunks; ++part)
        for (Index k = 0; k < n_second; ++k) d_second[k] += partial.get()[(part - 1) * n_second + k];
    return done;
}

}  // namespace
