// Pairs with outputs on lanes: where there are enough of them to fill vectors.
//
//     T[s, a, j, o] = Σ_i first[s, a, i] · W[o, i, j]
//     out[s, a, b, o] = Σ_j second[s, b, j] · T[s, a, j, o]
//
// Rows of T are written for a group of rows a, as [a][j · o], so no lane is empty in the first product,
// and results are written where they belong, outputs side by side. The second product reads T as it
// lies: its vectors go on into the next j, in lanes that are thrown away.
#pragma once

#include "pairs.hpp"

namespace {

// From one row of T to the next: an odd number of lines, for the caches, and a vector may be read
// beyond its end.
template <class Real> Index row_of_middle(const PairsOf<Real>& c) {
    const Index vectors = divided_up(c.features_2 * c.outputs, lanes<Real>);
    return (vectors + 1 + vectors % 2) * lanes<Real>;
}

// Rows of T that stay in the second-level cache; a tile of them at least, or outputs are not on lanes.
template <class Real> Index rows_of_middle(const PairsOf<Real>& c) {
    const Index room = output_middle_bytes() / Index(sizeof(Real)) / row_of_middle(c);
    return smaller<Index>(room / tile_rows, tiles_of_middle) * tile_rows;
}

// What this takes, as `PairsOf::work` counts; packing the weight takes longer than there.
template <class Real> double work_by_outputs(const PairsOf<Real>& c, int threads) {
    constexpr double packing = 12;
    const Index rows = c.shared * c.firsts, own = smaller(rows_of_middle(c), divided_up(rows, Index(threads)));
    if (own == 0) return __builtin_inf();
    const auto waiting = [](Index count) {
        const double rows = double(count) / double(divided_up(count, Index(tile_rows)));
        return (rows + 2) / rows;
    };
    const Panels<Real> all(c.features_2 * c.outputs), results(c.outputs);
    const double depth = double(c.features_1), seconds = double(c.seconds);
    return double(rows) * (double(all.padded) * depth * waiting(own) +
                           double(c.features_2) * double(results.padded) * seconds * waiting(c.seconds)) +
           packing * depth * double(all.size);
}

// W as panels over (j, o), each [i][lane].
template <class Real>
bool pack_by_outputs(const PairsOf<Real>& c, const Panels<Real>& all, Real* to, int threads) {
    const Index matrix = c.features_1 * c.features_2, depth = c.features_1;
    const bool by_first = c.step_1 == 1;  // which of both features lies side by side
    const Index count = by_first ? c.features_2 : depth;
    const Index chunks = smaller(count, chunks_for(c.outputs * matrix, copy_operations, threads));
    return parallel(threads, chunks, [&](Index chunk) {
        const Range range = share({0, count}, chunk, chunks);
        if (!by_first) {  // one row of all panels after the other
            Scratch<Real> row(all.size);
            if (!row) return false;
            for (Index i = range.begin; i < range.end; ++i) {
                transpose(c.weight + i * c.step_1, matrix, c.outputs, c.features_2, row.get(), c.outputs);
                for (Index q = 0; q < all.count; ++q)
                    copy_row(
                        row.get() + all.start(q), all.used(q), all.width(q),
                        to + all.start(q) * depth + i * all.width(q));
            }
            return true;
        }
        for (Index j = range.begin; j < range.end; ++j)  // some columns of one or more panels
            for (Index o = 0, some; o < c.outputs; o += some) {
                const Index at = j * c.outputs + o, q = at / panel<Real>, lane = at % panel<Real>;
                some = smaller(c.outputs - o, panel<Real> - lane);
                Real* const own = to + all.start(q) * depth;
                transpose(c.weight + o * matrix + j * c.step_2, matrix, some, depth, own + lane, all.width(q));
                if (at + some < all.size) continue;
                for (Index i = 0; i < depth; ++i)
                    fill(own + i * all.width(q) + lane + some, all.width(q) - lane - some, Real(0));
            }
        return true;
    });
}

// The rows of `first`, tile by tile, each [i][row].
template <class Real>
void pack_firsts(const PairsOf<Real>& c, Range rows, const Pieces& tiles, Real* to) {
    for (Index t = 0; t < tiles.count; ++t) {
        const Index length = tiles.length(t), begin = rows.begin + tiles.start(t);
        for (Index row = 0, count; row < length; row += count) {
            const Index s = (begin + row) / c.firsts, a = (begin + row) % c.firsts;
            count = smaller(length - row, c.firsts - a);
            transpose(
                c.first.at(s, a), c.first.step, count, c.features_1, to + tiles.start(t) * c.features_1 + row,
                length);
        }
    }
}

template <class Real>
bool by_outputs_part(
    const PairsOf<Real>& c, const Panels<Real>& all, const Real* weights, Range rows, const Real* bias,
    Real* out) {
    const Index step = row_of_middle(c), depth = c.features_1, outputs = c.outputs;
    const Pieces tiles(rows.length(), tile_rows);
    const Panels<Real> results(outputs);
    const Index room = block_bytes() / 2 / Index(sizeof(Real)) / c.features_2;
    const Index block = smaller(c.seconds, divided_up(larger<Index>(1, room), Index(tile_rows)) * tile_rows);
    Scratch<Real> memory(rows.length() * (step + depth) + block * c.features_2);
    if (!memory) return false;
    Real* const middle = memory.get();
    Real* const first = middle + rows.length() * step;
    Real* const second = first + rows.length() * depth;
    pack_firsts(c, rows, tiles, first);
    for (Index q = 0; q < all.count; ++q)
        for (Index t = 0; t < tiles.count; ++t)
            multiply_pairs<Real>(
                {depth, first + tiles.start(t) * depth, tiles.length(t), weights + all.start(q) * depth,
                 all.width(q)},
                {middle + tiles.start(t) * step + all.start(q), step, all.width(q), false},
                tiles.length(t), all.wide(q));
    for (Index row = rows.begin, end; row < rows.end; row = end) {
        const Index s = row / c.firsts;
        end = smaller(rows.end, (s + 1) * c.firsts);
        for (Index b = 0; b < c.seconds; b += block) {
            const Pieces others(smaller(block, c.seconds - b), tile_rows);
            for (Index t = 0; t < others.count; ++t)
                transpose(
                    c.second.at(s, b + others.start(t)), c.second.step, others.length(t), c.features_2,
                    second + others.start(t) * c.features_2, others.length(t));
            for (Index n = row; n < end; ++n)
                for (Index q = 0; q < results.count; ++q)
                    for (Index t = 0; t < others.count; ++t) {
                        const Index length = others.length(t), o = results.start(q);
                        const Target<Real> target{
                            out + c.position(s, n - s * c.firsts, b + others.start(t)) + o, c.second_step,
                            results.used(q), bias != nullptr};
                        for (Index r = 0; bias && r < length; ++r)
                            for (Index k = 0; k < target.columns; ++k)
                                target.c[r * target.row_step + k] = bias[o + k];
                        multiply_pairs<Real>(
                            {c.features_2, second + others.start(t) * c.features_2, length,
                             middle + (n - rows.begin) * step + o, outputs},
                            target, length, results.wide(q));
                    }
        }
    }
    return true;
}

template <class Real>
bool pairs_forward_by_outputs(const PairsOf<Real>& c, const Real* bias, Real* out, int threads) {
    const Panels<Real> all(c.features_2 * c.outputs);
    Scratch<Real> weights(c.features_1 * all.padded);
    if (!weights || !pack_by_outputs(c, all, weights.get(), threads)) return false;
    const Index rows = c.shared * c.firsts;
    const Index least = threads == 1 ? 1 : chunks_for(Index(c.work()), 1, threads);
    const Index chunks = smaller(rows, larger(least, divided_up(rows, rows_of_middle(c))));
    return parallel(threads, chunks, [&](Index chunk) {
        return by_outputs_part(c, all, weights.get(), share({0, rows}, chunk, chunks), bias, out);
    });
}

}  // namespace
