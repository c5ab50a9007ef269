// The gradient of the rows of one input that all meet the same row of the other: S positions with A
// rows of `first` each, and one row of `second`.
//
//     V[s, o, i] = Σ_j W[o, i, j] · second[s, j]
//     d_first[s, a, i] = Σ_o g[s, a, o] · V[s, o, i]
//
// So the product with the weight has S rows, not S · A. That is what the gradient of an expanded view
// asks for, which has a row of its own for each position.
#pragma once

#include "pairs.hpp"

namespace {

// Of a range of shared positions, and of rows within each.
template <class Real>
bool spread_part(
    const PairsOf<Real>& c, const Real* g, const Strided<Real>& d_first, bool adds,
    const Real* weights, Range positions, Range range) {
    const Panels<Real> firsts(c.features_1);
    const Index one = c.outputs * firsts.padded;  // V of one position
    const Index room = most_bytes_each / Index(sizeof(Real)) / one;
    const Index block = smaller(positions.length(), smaller(Index(tile_rows), larger<Index>(1, room)));
    Scratch<Real> memory(block * (one + c.features_2) + tile_rows * c.outputs);
    if (!memory) return false;
    Real* const products = memory.get();  // [position][panel of i][o][lane]
    Real* const second = products + block * one;
    Real* const cotangents = second + block * c.features_2;
    const Pieces tiles(range.length(), tile_rows);
    for (Index from = positions.begin; from < positions.end; from += block) {
        const Index count = smaller(block, positions.end - from);
        for (Index k = 0; k < count; ++k) {
            const Real* row = c.second.at(from + k, 0);
            for (Index j = 0; j < c.features_2; ++j) second[j * count + k] = row[j];
        }
        for (Index o = 0; o < c.outputs; ++o)
            for (Index q = 0; q < firsts.count; ++q)
                multiply_pairs<Real>(
                    {c.features_2, second, count,
                     weights + (o * firsts.padded + firsts.start(q)) * c.features_2,
                     firsts.width(q)},
                    {products + firsts.start(q) * c.outputs + o * firsts.width(q), one,
                     firsts.width(q), false},
                    count, firsts.wide(q));
        for (Index k = 0; k < count; ++k)
            for (Index t = 0; t < tiles.count; ++t) {
                const Index row = range.begin + tiles.start(t), length = tiles.length(t);
                transpose(
                    g + c.position(from + k, row, 0), c.first_step, length, c.outputs, cotangents,
                    length);
                for (Index q = 0; q < firsts.count; ++q)
                    multiply_pairs<Real>(
                        {c.outputs, cotangents, length,
                         products + k * one + firsts.start(q) * c.outputs, firsts.width(q)},
                        {d_first.at(from + k, row) + firsts.start(q), d_first.step, firsts.used(q),
                         adds},
                        length, firsts.wide(q));
            }
    }
    return true;
}

// Chunks are ranges of positions and, where these are too few to go round, of rows.
template <class Real>
bool spread_gradient(
    const PairsOf<Real>& c, const Real* g, const Strided<Real>& d_first, bool adds, int threads) {
    const Panels<Real> firsts(c.features_1);
    Scratch<Real> weights(c.outputs * c.features_2 * firsts.padded);
    if (!weights) return false;
    pack_weights(c, c.step_2, c.step_1, c.features_2, firsts, weights.get(), threads);
    const Index products = c.shared * c.outputs * c.features_1;
    const Index wanted = chunks_for(products, c.features_2 + c.firsts, threads);
    const Index along_positions = smaller(wanted, c.shared);
    const Index along_rows = smaller(
        divided_up(wanted, along_positions), divided_up(c.firsts, Index(tile_rows)));
    return parallel(threads, along_positions * along_rows, [&](Index chunk) {
        return spread_part(
            c, g, d_first, adds, weights.get(), share({0, c.shared}, chunk / along_rows, along_positions),
            share({0, c.firsts}, chunk % along_rows, along_rows));
    });
}

}  // namespace
