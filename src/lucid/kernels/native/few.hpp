// Few samples: lanes are features of x2, and W passes by once, in the order in which it lies.
//
// A weight of many megabytes is then read at the speed of the memory; lanes that are samples would
// stand empty. It is one row after another, for the processor fetches ahead along one line: four
// rows at once, which would share their loads of x2, get half as many bytes a second.
#pragma once

#include "copies.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

constexpr int samples_at_once = tile_rows / 3;

// sums[s] += x1[s] · (w · x2[s]) for vectors over j; the last of them may overlap the one before.
template <class Real, int Samples>
LUCID_NOINLINE void dot_row(
    Index features_2, const Real* w, Matrix<Real> x1, Matrix<Real> x2, Vector<Real>* sums) {
    constexpr int several = Samples == 1 ? 4 : 2;  // additions that do not wait for each other
    Vector<Real> d[Samples][several];
    LUCID_UNROLL for (int s = 0; s < Samples; ++s)
        LUCID_UNROLL for (int q = 0; q < several; ++q) d[s][q] = Vector<Real>{};
    Index j = 0;
    for (; j + several * lanes<Real> <= features_2; j += several * lanes<Real>)
        LUCID_UNROLL for (int q = 0; q < several; ++q) {
            const Vector<Real> row = load(w + j + q * lanes<Real>);
            LUCID_UNROLL for (int s = 0; s < Samples; ++s)
                d[s][q] += row * load(x2.data + s * x2.step + j + q * lanes<Real>);
        }
    for (; j + lanes<Real> <= features_2; j += lanes<Real>)
        LUCID_UNROLL for (int s = 0; s < Samples; ++s)
            d[s][0] += load(w + j) * load(x2.data + s * x2.step + j);
    const Index left = features_2 - j;
    LUCID_UNROLL for (int s = 0; s < Samples; ++s) {
        const Real* x = x2.data + s * x2.step;
        if (left && features_2 >= lanes<Real>) {
            const Index last = features_2 - lanes<Real>;
            d[s][0] += last_lanes<Real>(load(w + last) * load(x + last), left);
        } else {
            for (Index k = j; k < features_2; ++k) d[s][0][0] += w[k] * x[k];
        }
        LUCID_UNROLL for (int q = 1; q < several; ++q) d[s][0] += d[s][q];
        sums[s] += x1.data[s * x1.step] * d[s][0];
    }
}

// out[n] for one output, from the rows `range` of its matrix.
template <class Real>
void few_output(
    const Sizes& sizes, const Samples<Real>& x, const Real* matrix, Range range,
    Vector<Real>* sums) {
    for (Index n = 0; n < sizes.samples; ++n) sums[n] = Vector<Real>{};
    for (Index i = range.begin; i < range.end; ++i)
        for (Index n = 0; n < sizes.samples; n += samples_at_once)
            with_constant<samples_at_once>(
                smaller<Index>(samples_at_once, sizes.samples - n), [&](auto count) {
                    dot_row<Real, count.value>(
                        sizes.features_2, matrix + i * sizes.features_2, x.first(n, i), x.second(n),
                        sums + n);
                });
}

// Of some samples: a range of them as if it were all.
template <class Real> struct Some {
    Sizes sizes;
    Samples<Real> x;
    Some(const Sizes& s, const Samples<Real>& all, Range samples)
        : sizes{samples.length(), s.outputs, s.features_1, s.features_2},
          x{all.first(samples.begin, 0), all.second(samples.begin)} {}
};

// Chunks are ranges of outputs and, where these are too few to go round, of rows of W, whose results are
// summed in their order, and of samples.
template <class Real>
bool few_forward(
    const Sizes& s, const Samples<Real>& x, const Real* weight, const Real* bias, Real* out,
    int threads) {
    const Index matrix = s.features_1 * s.features_2, n_out = s.samples * s.outputs;
    const Index wanted = chunks_for(n_out, matrix, threads);
    const Index along_outputs = smaller(wanted, s.outputs);
    const Index along_rows =
        smaller(divided_up(wanted, along_outputs), divided_up(s.features_1, rows_in_chunk));
    const Index along_samples = smaller(
        divided_up(wanted, along_outputs * along_rows), divided_up(s.samples, samples_at_once));
    const Index parts = along_rows * along_samples;
    Scratch<Real> partial((along_rows - 1) * n_out);
    if (!partial) return false;
    const bool done = parallel(threads, along_outputs * parts, [&](Index chunk) {
        const Index part = chunk / along_outputs % along_rows;
        const Range outputs = share({0, s.outputs}, chunk % along_outputs, along_outputs);
        const Range rows = share({0, s.features_1}, part, along_rows);
        const Range samples = share({0, s.samples}, chunk / along_outputs / along_rows, along_samples);
        const Some<Real> mine(s, x, samples);
        Real* const to = (part == 0 ? out : partial.get() + (part - 1) * n_out) + samples.begin * s.outputs;
        Scratch<Real> scratch(samples.length() * lanes<Real>);
        if (!scratch) return false;
        auto* sums = reinterpret_cast<Vector<Real>*>(scratch.get());
        for (Index o = outputs.begin; o < outputs.end; ++o) {
            few_output(mine.sizes, mine.x, weight + o * matrix, rows, sums);
            for (Index n = 0; n < samples.length(); ++n) {
                const Real start = part == 0 && bias ? bias[o] : Real(0);
                to[n * s.outputs + o] = start + sum_of_lanes<Real>(sums[n]);
            }
        }
        return true;
    });
    return done && add_copies(out, partial.get(), along_rows - 1, n_out, threads);
}

// d1 += g · Σ_j w[j] · x2[j] and d2[j] += g · x1 · w[j], in one pass over w.
template <class Real>
LUCID_NOINLINE void both_row(
    Index features_2, const Real* w, Real g, Real x1, const Real* x2, Real& d1, Real* d2) {
    Vector<Real> sums[2] = {Vector<Real>{}, Vector<Real>{}};
    const Real scale = g * x1;
    Index j = 0;
    const auto meet = [&](Index at, Index count, Vector<Real>& sum) {
        const Vector<Real> row = load(w + at);
        const Vector<Real> product = row * load(x2 + at), spread = scale * row;
        sum += count == lanes<Real> ? product : last_lanes<Real>(product, count);
        store<Real>(
            d2 + at, load(d2 + at) + (count == lanes<Real> ? spread : last_lanes<Real>(spread, count)));
    };
    for (; j + 2 * lanes<Real> <= features_2; j += 2 * lanes<Real>)
        meet(j, lanes<Real>, sums[0]), meet(j + lanes<Real>, lanes<Real>, sums[1]);
    for (; j + lanes<Real> <= features_2; j += lanes<Real>) meet(j, lanes<Real>, sums[0]);
    if (j < features_2 && features_2 >= lanes<Real>)
        meet(features_2 - lanes<Real>, features_2 - j, sums[0]);
    else
        for (; j < features_2; ++j) sums[0][0] += w[j] * x2[j], d2[j] += scale * w[j];
    d1 += g * sum_of_lanes<Real>(sums[0] + sums[1]);
}

// Chunks are ranges of i, over which d2 is summed in their order, and, where these are too few to go
// round, of samples.
template <class Real>
bool few_input_gradients(
    const Sizes& s, Matrix<Real> g, const Samples<Real>& x, const Real* weight, Real* d_first,
    Real* d_second, int threads) {
    const Index n_second = s.samples * s.features_2;
    const Index wanted = chunks_for(s.samples * s.outputs, s.features_1 * s.features_2, threads);
    const Index along_rows = with_copies(
        smaller(wanted, divided_up(s.features_1, rows_in_chunk)), n_second * Index(sizeof(Real)));
    const Index along_samples =
        smaller(divided_up(wanted, along_rows), divided_up(s.samples, samples_at_once));
    Scratch<Real> partial((along_rows - 1) * n_second);
    if (!partial) return false;
    const bool done = parallel(threads, along_rows * along_samples, [&](Index chunk) {
        const Index part = chunk % along_rows;
        const Range rows = share({0, s.features_1}, part, along_rows);
        const Range samples = share({0, s.samples}, chunk / along_rows, along_samples);
        Real* const d2 = part == 0 ? d_second : partial.get() + (part - 1) * n_second;
        fill(d2 + samples.begin * s.features_2, samples.length() * s.features_2, Real(0));
        for (Index n = samples.begin; n < samples.end; ++n)
            fill(d_first + n * s.features_1 + rows.begin, rows.length(), Real(0));
        for (Index o = 0; o < s.outputs; ++o)
            for (Index i = rows.begin; i < rows.end; ++i)
                for (Index n = samples.begin; n < samples.end; ++n)
                    both_row<Real>(
                        s.features_2, weight + (o * s.features_1 + i) * s.features_2,
                        g.data[n * g.step + o], *x.first(n, i).data, x.second(n).data,
                        d_first[n * s.features_1 + i], d2 + n * s.features_2);
        return true;
    });
    return done && add_copies(d_second, partial.get(), along_rows - 1, n_second, threads);
}

}  // namespace
