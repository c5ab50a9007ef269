// Pairs: within each of S positions, A rows of one input with B rows of the other.
//
//     out[s, a, b, o] = Σ_j T[s, a, o, j] · second[s, b, j],     T = Σ_i first[s, a, i] · W[o, i, j]
//
//     d_first[s, a, i] = Σ_oj U[s, a, o, j] · W[o, i, j]         U = Σ_b g[s, a, b, o] · second[s, b, j]
//     dW[o, i, j]      = Σ_sa U[s, a, o, j] · first[s, a, i]
//
// and d_second is d_first with the inputs exchanged. All five are matrix products by the same tile:
// rows are a (for dW: i), lanes are j, b or i. T and U exist for one output (or four) and one group
// of rows a at a time, in a thread's own cache, as [panel of j][a][lane]: there the next product
// reads them as they were put, broadcast or by lanes. Nothing is ever expanded.
#pragma once

#include "pack.hpp"
#include "pool.hpp"
#include "rows.hpp"
#include "tile.hpp"

namespace {

using lucid::Pairs;

constexpr Index middle_bytes = 256 * 1024;  // of T or U for one output, and one group of rows
constexpr Index outputs_together = 4;       // so many outputs of one pair are moved together

// `first` meets the weight; numbers of the result are `first_step` and `second_step` apart.
template <class Real> struct PairsOf {
    Index shared, firsts, seconds, outputs, features_1, features_2;
    Matrix<Real> first, second;
    const Real* weight;
    Index step_1, step_2;  // of the weight, from one feature to the next
    Index first_step, second_step;

    PairsOf(const Pairs& p, Matrix<Real> x1, Matrix<Real> x2, const Real* weight)
        : shared(p.shared), firsts(p.firsts), seconds(p.seconds), outputs(p.outputs),
          features_1(p.features_1), features_2(p.features_2), first(x1), second(x2),
          weight(weight), step_1(p.features_2), step_2(1),
          first_step(p.first_outside ? p.seconds * p.outputs : p.outputs),
          second_step(p.first_outside ? p.outputs : p.firsts * p.outputs) {}

    PairsOf exchanged() const {
        PairsOf c = *this;
        c.firsts = seconds, c.seconds = firsts;
        c.features_1 = features_2, c.features_2 = features_1;
        c.first = second, c.second = first;
        c.step_1 = step_2, c.step_2 = step_1;
        c.first_step = second_step, c.second_step = first_step;
        return c;
    }
    bool is_exchanged() const { return step_2 != 1; }
    Index position(Index s, Index a, Index b) const {
        return s * firsts * seconds * outputs + a * first_step + b * second_step;
    }
    // Multiplications of the forward, or of one gradient.
    double work() const {
        const double middle = double(shared) * double(firsts) * double(outputs) * double(features_2);
        return middle * (double(features_1) + double(seconds));
    }
};

// Rows (s, a) in tiles that never reach from one position s into the next.
struct RowTiles {
    Index firsts;
    Pieces pieces;
    explicit RowTiles(Index firsts) : firsts(firsts), pieces(firsts, tile_rows) {}
    Index position(Index tile) const { return tile / pieces.count; }
    Index start(Index tile) const { return pieces.start(tile % pieces.count); }
    Index row(Index tile) const { return position(tile) * firsts + start(tile); }
    Index length(Index tile) const { return pieces.length(tile % pieces.count); }
};

// to[panel][k][lane] = from[k · k_step + lane · lane_step], zeros beyond the last lane.
template <class Real>
void pack_panel(
    const Real* from, Index k_step, Index lane_step, Index depth, const ColumnPanels<Real>& panels,
    Index q, Real* to) {
    const Index used = panels.used(q), width = panels.width(q);
    from += panels.start(q) * lane_step;
    to += panels.start(q) * depth;
    if (lane_step == 1) {
        for (Index k = 0; k < depth; ++k) copy_row(from + k * k_step, used, width, to + k * width);
    } else {
        if (used < width) fill(to, depth * width, Real(0));
        transpose(from, lane_step, used, depth, to, width);
    }
}

// All matrices of the weight as panels over one of its features, by all threads.
template <class Real>
void pack_weights(
    const PairsOf<Real>& c, Index k_step, Index lane_step, Index depth,
    const ColumnPanels<Real>& panels, Real* to, int threads) {
    const Index each = depth * panels.padded, count = c.outputs * panels.count;
    const Index chunks = smaller(count, chunks_for(c.outputs * each, 8, threads));
    parallel(threads, chunks, [&](Index chunk) {
        const Range range = share({0, count}, chunk, chunks);
        for (Index at = range.begin; at < range.end; ++at) {
            const Index o = at / panels.count;
            pack_panel(
                c.weight + o * c.features_1 * c.features_2, k_step, lane_step, depth, panels,
                at % panels.count, to + o * each);
        }
        return true;
    });
}

// A group of tiles: so many rows that one output's T or U stays in the second-level cache.
template <class Real> Index tiles_in_group(const ColumnPanels<Real>& panels) {
    const Index room = middle_bytes / Index(sizeof(Real)) / (panels.count * panel<Real>);
    return larger<Index>(1, room / tile_rows);
}

template <class Real>
bool pairs_forward_part(
    const PairsOf<Real>& c, const Real* weights, Range tile_range, Range outputs, const Real* bias,
    Real* out) {
    const RowTiles tiles(c.firsts);
    const ColumnPanels<Real> features(c.features_2);
    const Index group = smaller(tiles_in_group(features), tile_range.length());
    const Index most_rows = group * tile_rows;
    const Index group_positions = smaller(c.shared, (group - 1) / tiles.pieces.count + 2);
    // The other input in blocks that have room; T is made once more for each.
    const Index room = most_bytes_each / Index(sizeof(Real)) / (group_positions * c.features_2);
    const Index block = smaller(c.seconds, larger<Index>(panel<Real>, room));
    const ColumnPanels<Real> most(block);
    const bool direct = c.outputs == 1 && c.second_step == 1;
    const Index together = direct ? 1 : smaller(outputs_together, outputs.length());
    Scratch<Real> memory(
        most_rows * c.features_1 + most_rows * features.count * panel<Real> +
        group_positions * c.features_2 * most.padded +
        (direct ? 0 : together * most_rows * most.padded));
    if (!memory) return false;
    Real* const first = memory.get();
    Real* const middle = first + most_rows * c.features_1;
    Real* const second = middle + most_rows * features.count * panel<Real>;
    Real* const results = second + group_positions * c.features_2 * most.padded;

    for (Index from = tile_range.begin; from < tile_range.end; from += group) {
        const Range now{from, smaller(from + group, tile_range.end)};
        const Index row_0 = tiles.row(now.begin), s_0 = tiles.position(now.begin);
        const Index rows = tiles.row(now.end - 1) + tiles.length(now.end - 1) - row_0;
        for (Index t = now.begin; t < now.end; ++t)
            transpose(
                c.first.data + tiles.row(t) * c.first.step, c.first.step, tiles.length(t),
                c.features_1, first + (tiles.row(t) - row_0) * c.features_1, tiles.length(t));
        for (Index b = 0; b < c.seconds; b += block) {
            const ColumnPanels<Real> others(smaller(block, c.seconds - b));
            const Index each = c.features_2 * others.padded, last = tiles.position(now.end - 1);
            for (Index s = s_0; s <= last; ++s)
                for (Index q = 0; q < others.count; ++q)
                    pack_panel(
                        c.second.data + (s * c.seconds + b) * c.second.step, 1, c.second.step,
                        c.features_2, others, q, second + (s - s_0) * each);
            for (Index begin = outputs.begin; begin < outputs.end; begin += together) {
                const Index count = smaller(together, outputs.end - begin);
                for (Index o = begin; o < begin + count; ++o) {
                    const Real* w = weights + o * c.features_1 * features.padded;
                    for (Index q = 0; q < features.count; ++q)
                        for (Index t = now.begin; t < now.end; ++t) {
                            const Index row = tiles.row(t) - row_0, length = tiles.length(t);
                            const Factors<Real> factors{
                                c.features_1, first + row * c.features_1, length,
                                w + features.start(q) * c.features_1, features.width(q)};
                            const Target<Real> target{
                                middle + (q * rows + row) * panel<Real>, panel<Real>,
                                features.width(q), false};
                            with_tile<tile_rows>(length, features.wide(q), [&](auto r, auto wide) {
                                accumulate_tile<Real, r.value, wide.value>(factors, target);
                            });
                        }
                    for (Index t = now.begin; t < now.end; ++t)
                        for (Index q = 0; q < others.count; ++q) {
                            const Index row = tiles.row(t) - row_0, length = tiles.length(t);
                            const Index s = tiles.position(t);
                            const Factors<Real> factors{
                                c.features_2, middle + row * panel<Real>, rows * panel<Real>,
                                second + (s - s_0) * each + others.start(q) * c.features_2,
                                others.width(q)};
                            Target<Real> target{
                                results + ((o - begin) * rows + row) * others.padded + others.start(q),
                                others.padded, others.width(q), bias != nullptr};
                            if (direct)
                                target = {
                                    out + c.position(s, tiles.start(t), b + others.start(q)),
                                    c.first_step, others.used(q), bias != nullptr};
                            for (Index r = 0; bias && r < length; ++r)
                                fill(target.c + r * target.row_step, target.columns, bias[o]);
                            with_tile<tile_rows>(length, others.wide(q), [&](auto r, auto wide) {
                                accumulate_rows_tile<Real, r.value, wide.value>(factors, target);
                            });
                        }
                }
                for (Index t = now.begin; !direct && t < now.end; ++t)
                    for (Index r = 0; r < tiles.length(t); ++r)
                        transpose(
                            results + (tiles.row(t) - row_0 + r) * others.padded,
                            rows * others.padded, count, others.columns,
                            out + c.position(tiles.position(t), tiles.start(t) + r, b) + begin,
                            c.second_step);
            }
        }
    }
    return true;
}

// Chunks are ranges of rows and, where these are too few to go round, of outputs.
template <class Real>
bool pairs_forward(const PairsOf<Real>& c, const Real* bias, Real* out, int threads) {
    const ColumnPanels<Real> features(c.features_2);
    const Index tiles = c.shared * RowTiles(c.firsts).pieces.count;
    Scratch<Real> weights(c.outputs * c.features_1 * features.padded);
    if (!weights) return false;
    pack_weights(c, c.step_1, c.step_2, c.features_1, features, weights.get(), threads);
    const Index wanted = threads == 1 ? 1 : chunks_for(Index(c.work()), 1, threads);
    const Index along_rows = smaller(wanted, tiles);
    const Index along_outputs = smaller(divided_up(wanted, along_rows), c.outputs);
    return parallel(threads, along_rows * along_outputs, [&](Index chunk) {
        return pairs_forward_part(
            c, weights.get(), share({0, tiles}, chunk / along_outputs, along_rows),
            share({0, c.outputs}, chunk % along_outputs, along_outputs), bias, out);
    });
}

// to[o][b][row] = g[s, a + row, b, o] for `count` outputs and the rows of one tile.
template <class Real>
void pack_cotangents(
    const PairsOf<Real>& c, const Real* g, Index rows, Index seconds, Index count, Real* to) {
    if (c.outputs == 1 && c.second_step == 1) return transpose(g, c.first_step, rows, seconds, to, rows);
    for (Index b = 0; b < seconds; ++b)
        transpose(g + b * c.second_step, c.first_step, rows, count, to + b * rows, seconds * rows);
}

// `d_weight` is this part's own copy, of [o][feature 1][feature 2].
template <class Real>
bool pairs_gradient_part(
    const PairsOf<Real>& c, const Real* g, const Real* weights, Range tile_range, Real* d_first,
    Real* d_weight) {
    const RowTiles tiles(c.firsts);
    const ColumnPanels<Real> features(c.features_2), firsts(c.features_1);
    const Pieces first_tiles(c.features_1, tile_rows);
    const Index group = smaller(tiles_in_group(features), tile_range.length());
    const Index most_rows = group * tile_rows;
    const Index group_positions = smaller(c.shared, (group - 1) / tiles.pieces.count + 2);
    const Index room = most_bytes_each / Index(sizeof(Real)) /
                       larger(group_positions * features.padded, most_rows * outputs_together);
    const Index block = smaller(c.seconds, larger<Index>(panel<Real>, room));
    const bool whole = block == c.seconds;
    const Index together = whole ? smaller(outputs_together, c.outputs) : 1;
    Scratch<Real> memory(
        most_rows * features.count * panel<Real> + group_positions * block * features.padded +
        together * most_rows * block);
    if (!memory) return false;
    Real* const middle = memory.get();
    Real* const second = middle + most_rows * features.count * panel<Real>;
    Real* const cotangents = second + group_positions * block * features.padded;

    for (Index from = tile_range.begin; from < tile_range.end; from += group) {
        const Range now{from, smaller(from + group, tile_range.end)};
        const Index row_0 = tiles.row(now.begin), s_0 = tiles.position(now.begin);
        const Index rows = tiles.row(now.end - 1) + tiles.length(now.end - 1) - row_0;
        const Index each = block * features.padded;
        for (Index o = 0; o < c.outputs; ++o) {
            for (Index b = 0; b < c.seconds; b += block) {
                const Index others = smaller(block, c.seconds - b);
                if (o == 0 || !whole)
                    for (Index s = s_0; s <= tiles.position(now.end - 1); ++s)
                        for (Index q = 0; q < features.count; ++q)
                            pack_panel(
                                c.second.data + (s * c.seconds + b) * c.second.step, c.second.step,
                                Index(1), others, features, q, second + (s - s_0) * each);
                const Index one_of = o % together, count = smaller(together, c.outputs - o);
                if (one_of == 0)
                    for (Index t = now.begin; t < now.end; ++t)
                        pack_cotangents(
                            c, g + c.position(tiles.position(t), tiles.start(t), b) + o,
                            tiles.length(t), others, count,
                            cotangents + (tiles.row(t) - row_0) * block * together);
                for (Index t = now.begin; t < now.end; ++t)
                    for (Index q = 0; q < features.count; ++q) {
                        const Index row = tiles.row(t) - row_0, length = tiles.length(t);
                        const Factors<Real> factors{
                            others, cotangents + row * block * together + one_of * others * length,
                            length,
                            second + (tiles.position(t) - s_0) * each + features.start(q) * others,
                            features.width(q)};
                        const Target<Real> target{
                            middle + (q * rows + row) * panel<Real>, panel<Real>,
                            features.width(q), b > 0};
                        with_tile<tile_rows>(length, features.wide(q), [&](auto r, auto wide) {
                            accumulate_tile<Real, r.value, wide.value>(factors, target);
                        });
                    }
            }
            for (Index q = 0; d_first && q < firsts.count; ++q)
                for (Index t = now.begin; t < now.end; ++t) {
                    const Index row = tiles.row(t), length = tiles.length(t);
                    const Factors<Real> factors{
                        c.features_2, middle + (row - row_0) * panel<Real>, rows * panel<Real>,
                        weights + (o * firsts.padded + firsts.start(q)) * c.features_2,
                        firsts.width(q)};
                    const Target<Real> target{
                        d_first + row * c.features_1 + firsts.start(q), c.features_1,
                        firsts.used(q), o > 0};
                    with_tile<tile_rows>(length, firsts.wide(q), [&](auto r, auto wide) {
                        accumulate_rows_tile<Real, r.value, wide.value>(factors, target);
                    });
                }
            for (Index q = 0; d_weight && q < features.count; ++q)
                for (Index t = 0; t < first_tiles.count; ++t) {
                    const Index i = first_tiles.start(t), length = first_tiles.length(t);
                    const Factors<Real> factors{
                        rows, c.first.data + row_0 * c.first.step + i, c.first.step,
                        middle + q * rows * panel<Real>, panel<Real>};
                    const Target<Real> target{
                        d_weight + (o * c.features_1 + i) * c.features_2 + features.start(q),
                        c.features_2, features.used(q), from > tile_range.begin};
                    with_tile<tile_rows>(length, features.wide(q), [&](auto r, auto wide) {
                        accumulate_tile<Real, r.value, wide.value>(factors, target);
                    });
                }
        }
    }
    return true;
}

// Chunks are ranges of rows; each but the first has a copy of the weight's gradient, and they are
// summed in their order. Where the inputs are exchanged all have one, to be transposed.
template <class Real>
bool pairs_gradient(
    const PairsOf<Real>& c, const Real* g, Real* d_first, Real* d_weight, int threads) {
    const ColumnPanels<Real> firsts(c.features_1);
    const Index tiles = c.shared * RowTiles(c.firsts).pieces.count;
    const Index matrix = c.features_1 * c.features_2, size = c.outputs * matrix;
    const bool turned = c.is_exchanged();
    const Index wanted = threads == 1 ? 1 : chunks_for(Index(c.work()), 1, threads);
    Index chunks = smaller(wanted, tiles);
    if (d_weight)
        chunks = with_copies(smaller(chunks, Index(2 * threads)), size * Index(sizeof(Real)));
    Scratch<Real> weights(d_first ? c.outputs * c.features_2 * firsts.padded : 0);
    Scratch<Real> partial(d_weight ? (chunks - !turned) * size : 0);
    if (!weights || !partial) return false;
    if (d_first)
        pack_weights(c, c.step_2, c.step_1, c.features_2, firsts, weights.get(), threads);
    const bool done = parallel(threads, chunks, [&](Index chunk) {
        Real* to = d_weight;
        if (d_weight && (turned || chunk > 0)) to = partial.get() + (chunk - !turned) * size;
        return pairs_gradient_part(
            c, g, weights.get(), share({0, tiles}, chunk, chunks), d_first, to);
    });
    if (!done || !d_weight || (chunks == 1 && !turned)) return done;
    const Index parts = smaller(c.outputs * c.features_1, chunks_for(size, chunks, threads));
    return parallel(threads, parts, [&](Index part) {
        const Range range = share({0, c.outputs * c.features_1}, part, parts);  // rows of c's dW
        for (Index copy = 1; copy < chunks; ++copy) {
            Real* to = turned ? partial.get() : d_weight;
            const Real* from = partial.get() + (copy - !turned) * size;
            for (Index k = range.begin * c.features_2; k < range.end * c.features_2; ++k)
                to[k] += from[k];
        }
        for (Index row = range.begin; turned && row < range.end;) {
            const Index o = row / c.features_1, i = row % c.features_1;
            const Index rows = smaller(range.end - row, c.features_1 - i);
            transpose(
                partial.get() + row * c.features_2, c.features_2, rows, c.features_2,
                d_weight + o * matrix + i, c.features_1);
            row += rows;
        }
        return true;
    });
}

}  // namespace
