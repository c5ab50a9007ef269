// Lanes are features of x2 and the rows of a tile are samples: for a moderate number of samples,
// which would leave lanes empty, or for which packing W into tiles of rows would cost too much.
//
//     forward            D[n][j] = Σ_i x1[n, i] · W[o, i, j]
//     input gradients    D[n][j] = Σ_o g[n, o] · W[o, i, j]
//
// W is copied into panels row by row, which is much cheaper than into tiles of rows.
//
//     sums[n] += Σ_j D[n][j] · x2[n][j]      d2[n][j] += x1[n] · D[n][j]
#pragma once

#include "copies.hpp"
#include "few.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

// What the tile meets: one number of x1 for each row, x2 and d2 with rows `step` apart.
template <class Real> struct Meeting {
    const Real* x1;
    Index x1_step;
    const Real* x2;
    Real* d2;
    Index step;
    Vector<Real>* sums;
};

template <class Real, int Rows, int Width, bool Spread>
LUCID_NOINLINE void meet_tile(const Factors<Real>& factors, const Meeting<Real>& with) {
    Vector<Real> d[Rows][Width];
    multiply_asking<Real, Rows, Width>(factors, d);
    LUCID_UNROLL for (int r = 0; r < Rows; ++r) {
        Vector<Real> sum = with.sums[r];
        LUCID_UNROLL for (int q = 0; q < Width; ++q) {
            const Index at = r * with.step + q * lanes<Real>;
            sum += d[r][q] * load(with.x2 + at);
            if constexpr (Spread)
                store<Real>(with.d2 + at, load(with.d2 + at) + with.x1[r * with.x1_step] * d[r][q]);
        }
        with.sums[r] = sum;
    }
}

// Columns of W in panels, as features of x2 are in the weight gradient: the last one is narrower
// and, where W has no such columns, filled with zeros.
template <class Real> struct ColumnPanels {
    Index columns, count, padded;
    explicit ColumnPanels(Index columns)
        : columns(columns), count(divided_up(columns, panel<Real>)),
          padded(divided_up(columns, lanes<Real>) * lanes<Real>) {}
    Index start(Index q) const { return q * panel<Real>; }
    Index used(Index q) const { return smaller(Index(panel<Real>), columns - start(q)); }
    bool wide(Index q) const { return padded - start(q) > lanes<Real>; }
    Index width(Index q) const { return wide(q) ? panel<Real> : lanes<Real>; }
};

// Zeros to the end of the last vector, over which go the last numbers, as one vector that overlaps.
template <class Real>
void copy_row(const Real* from, Index used, Index width, Real* to) {
    if (used < lanes<Real>) {
        for (Index k = 0; k < used; ++k) to[k] = from[k];
        for (Index k = used; k < width; ++k) to[k] = 0;
        return;
    }
    for (Index k = 0; k + lanes<Real> <= used; k += lanes<Real>) store<Real>(to + k, load(from + k));
    if (used == width) return;
    store<Real>(to + width - lanes<Real>, Vector<Real>{});
    store<Real>(to + used - lanes<Real>, load(from + used - lanes<Real>));
}

// A matrix with `rows` rows as [panel][row][lane].
template <class Real>
void copy_columns(
    const Real* matrix, Index step, Index rows, const ColumnPanels<Real>& panels, Real* to) {
    for (Index row = 0; row < rows; ++row, matrix += step)
        for (Index q = 0; q < panels.count; ++q)
            copy_row(
                matrix + panels.start(q), panels.used(q), panels.width(q),
                to + panels.start(q) * rows + row * panels.width(q));
}

// x transposed by tiles of samples: [tile][feature][row of the tile].
template <class Real>
void transpose_tiles(
    Matrix<Real> x, const Pieces& tiles, Range mine, Index features, Real* to) {
    for (Index t = mine.begin; t < mine.end; ++t)
        transpose(
            x.data + tiles.start(t) * x.step, x.step, tiles.length(t), features,
            to + tiles.start(t) * features, tiles.length(t));
}

// What the tiles read of their samples, by all threads: `rows` transposed, `others` in full vectors.
template <class Real>
void pack_tiles(
    Matrix<Real> rows, Index features, Real* to_rows, Matrix<Real> others,
    const ColumnPanels<Real>& panels, Real* to_others, const Pieces& tiles, int threads) {
    const Index numbers = tiles.size * (features + panels.padded);
    const Index chunks = smaller(tiles.count, chunks_for(numbers, 8, threads));
    parallel(threads, chunks, [&](Index chunk) {
        const Range mine = share({0, tiles.count}, chunk, chunks);
        transpose_tiles(rows, tiles, mine, features, to_rows);
        for (Index n = tiles.start(mine.begin); n < tiles.start(mine.end); ++n)
            copy_row(
                others.data + n * others.step, panels.columns, panels.padded,
                to_others + n * panels.padded);
        return true;
    });
}

// Chunks are ranges of outputs and, where these are too few to go round, of tiles.
template <class Real>
bool rows_forward(
    const Sizes& s, const Samples<Real>& x, const Real* weight, const Real* bias, Real* out,
    int threads) {
    const ColumnPanels<Real> panels(s.features_2);
    const Pieces tiles(s.samples, tile_rows);
    const Index matrix = s.features_1 * s.features_2;
    const Index wanted = chunks_for(s.samples * s.outputs, matrix, threads);
    const Index along_outputs = smaller(wanted, s.outputs);
    const Index along_tiles = smaller(divided_up(wanted, along_outputs), tiles.count);
    Scratch<Real> shared(s.samples * (s.features_1 + panels.padded));
    if (!shared) return false;
    Real* const x1 = shared.get();
    Real* const x2 = x1 + s.samples * s.features_1;
    pack_tiles(x.x1, s.features_1, x1, x.x2, panels, x2, tiles, threads);
    return parallel(threads, along_outputs * along_tiles, [&](Index chunk) {
        const Range outputs = share({0, s.outputs}, chunk % along_outputs, along_outputs);
        const Range mine = share({0, tiles.count}, chunk / along_outputs, along_tiles);
        const Index first = tiles.start(mine.begin), last = tiles.start(mine.end);
        Scratch<Real> own((last - first) * lanes<Real> + s.features_1 * panels.padded);
        if (!own) return false;
        auto* const sums = reinterpret_cast<Vector<Real>*>(own.get());
        Real* const copied = own.get() + (last - first) * lanes<Real>;
        for (Index o = outputs.begin; o < outputs.end; ++o) {
            for (Index n = first; n < last; ++n) sums[n - first] = Vector<Real>{};
            copy_columns(weight + o * matrix, s.features_2, s.features_1, panels, copied);
            for (Index q = 0; q < panels.count; ++q)
                for (Index t = mine.begin; t < mine.end; ++t) {
                    const Index n = tiles.start(t), rows = tiles.length(t);
                    Factors<Real> factors{
                        s.features_1, x1 + n * s.features_1, rows,
                        copied + panels.start(q) * s.features_1, panels.width(q)};
                    if (o + 1 < s.outputs)
                        factors.ask_for(
                            weight + (o + 1) * matrix, s.features_2, s.features_2,
                            q * mine.length() + t - mine.begin);
                    const Meeting<Real> with{
                        nullptr, 0, x2 + n * panels.padded + panels.start(q), nullptr,
                        panels.padded, sums + n - first};
                    with_tile<tile_rows>(rows, panels.wide(q), [&](auto r, auto w) {
                        meet_tile<Real, r.value, w.value, false>(factors, with);
                    });
                }
            for (Index n = first; n < last; ++n)
                out[n * s.outputs + o] =
                    sum_of_lanes<Real>(sums[n - first]) + (bias ? bias[o] : Real(0));
        }
        return true;
    });
}

// Chunks are ranges of i: columns of d1 are their own, d2 is summed over them in their order.
template <class Real>
bool rows_input_gradients(
    const Sizes& s, Matrix<Real> g, const Samples<Real>& x, const Real* weight, Real* d_first,
    Real* d_second, int threads) {
    const ColumnPanels<Real> panels(s.features_2);
    const Pieces tiles(s.samples, tile_rows);
    const Index padded_size = s.samples * panels.padded;
    const Index wanted = chunks_for(s.samples * s.outputs, s.features_1 * s.features_2, threads);
    const Index chunks =
        with_copies(smaller(wanted, s.features_1), padded_size * Index(sizeof(Real)));
    Scratch<Real> shared(s.samples * s.outputs + (chunks + 1) * padded_size);
    if (!shared) return false;
    Real* const a = shared.get();
    Real* const x2 = a + s.samples * s.outputs;
    Real* const d2 = x2 + padded_size;  // one for each chunk
    pack_tiles(g, s.outputs, a, x.x2, panels, x2, tiles, threads);
    const bool done = parallel(threads, chunks, [&](Index chunk) {
        Scratch<Real> own(s.samples * lanes<Real> + s.outputs * panels.padded);
        if (!own) return false;
        auto* const sums = reinterpret_cast<Vector<Real>*>(own.get());
        Real* const copied = own.get() + s.samples * lanes<Real>;
        Real* const my_d2 = d2 + chunk * padded_size;
        fill(my_d2, padded_size, Real(0));
        const Range features = share({0, s.features_1}, chunk, chunks);
        for (Index i = features.begin; i < features.end; ++i) {
            for (Index n = 0; n < s.samples; ++n) sums[n] = Vector<Real>{};
            copy_columns(
                weight + i * s.features_2, s.features_1 * s.features_2, s.outputs, panels, copied);
            for (Index q = 0; q < panels.count; ++q)
                for (Index t = 0; t < tiles.count; ++t) {
                    const Index n = tiles.start(t), rows = tiles.length(t);
                    const Index at = n * panels.padded + panels.start(q);
                    Factors<Real> factors{
                        s.outputs, a + n * s.outputs, rows, copied + panels.start(q) * s.outputs,
                        panels.width(q)};
                    if (i + 1 < s.features_1)
                        factors.ask_for(
                            weight + (i + 1) * s.features_2, s.features_1 * s.features_2,
                            s.features_2, q * tiles.count + t);
                    const auto x1 = x.first(n, i);
                    const Meeting<Real> with{
                        x1.data, x1.step, x2 + at, my_d2 + at, panels.padded, sums + n};
                    with_tile<tile_rows>(rows, panels.wide(q), [&](auto r, auto w) {
                        meet_tile<Real, r.value, w.value, true>(factors, with);
                    });
                }
            for (Index n = 0; n < s.samples; ++n)
                d_first[n * s.features_1 + i] = sum_of_lanes<Real>(sums[n]);
        }
        return true;
    });
    for (Index n = 0; n < s.samples; ++n)
        for (Index j = 0; j < s.features_2; ++j) {
            Real sum = 0;
            for (Index chunk = 0; chunk < chunks; ++chunk)
                sum += d2[chunk * padded_size + n * panels.padded + j];
            d_second[n * s.features_2 + j] = sum;
        }
    return done;
}

}  // namespace
