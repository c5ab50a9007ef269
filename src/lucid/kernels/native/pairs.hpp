// Pairs: within each of S positions, A rows of one input with B rows of the other.
//
//     T[s, a, o, j] = Σ_i first[s, a, i] · W[o, i, j]
//     U[s, a, o, j] = Σ_b g[s, a, b, o] · second[s, b, j]
//
//     out[s, a, b, o] = Σ_j T[s, a, o, j] · second[s, b, j]
//     d_first[s, a, i] = Σ_oj U[s, a, o, j] · W[o, i, j]
//     d_second[s, b, j] = Σ_ao g[s, a, b, o] · T[s, a, o, j]
//     dW[o, i, j] = Σ_sa first[s, a, i] · U[s, a, o, j]
//
// All six are matrix products by the same tile. T and U exist for one output and one group of rows
// a at a time, in a thread's own cache, as [panel of j][a][lane]: there the next product reads them
// as they were put, broadcast or by lanes. Nothing is ever expanded. T can be kept whole, as
// [o][panel of j][s, a][lane]: then the gradients need not make it again.
#pragma once

#include "copies.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

using lucid::Adds;
using lucid::Pairs;
using lucid::Positions;
using lucid::Strided;


// `first` meets the weight; numbers of the result are so many apart.
template <class Real> struct PairsOf {
    Index shared, firsts, seconds, outputs, features_1, features_2;
    Strided<const Real> first, second;
    const Real* weight;
    Index step_1, step_2;  // of the weight, from one feature to the next
    Positions positions;
    Index first_step, second_step;
    bool is_exchanged = false;

    PairsOf(const Pairs& p, Strided<const Real> x1, Strided<const Real> x2, const Real* weight)
        : shared(p.shared), firsts(p.firsts), seconds(p.seconds), outputs(p.outputs),
          features_1(p.features_1), features_2(p.features_2), first(x1), second(x2),
          weight(weight), step_1(p.features_2), step_2(1), positions(p.positions),
          first_step(p.first_step), second_step(p.second_step) {}

    PairsOf exchanged() const {
        PairsOf c = *this;
        c.firsts = seconds, c.seconds = firsts;
        c.features_1 = features_2, c.features_2 = features_1;
        c.first = second, c.second = first;
        c.step_1 = step_2, c.step_2 = step_1;
        c.first_step = second_step, c.second_step = first_step;
        c.is_exchanged = !is_exchanged;
        return c;
    }
    Index position(Index s, Index a, Index b) const {
        return positions.at(s) + a * first_step + b * second_step;
    }
    // Multiplications, empty lanes and the waiting of tiles of few rows included.
    double work() const {
        const double rows = double(divided_up(firsts, divided_up(firsts, tile_rows)));
        const double middle = double(shared) * double(firsts) * double(outputs);
        const double lanes_2 = double(divided_up(features_2, lanes<Real>) * lanes<Real>);
        return middle * lanes_2 * (double(features_1) + double(seconds)) * (rows + 2) / rows;
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
    // The rows of position s that lie in a group.
    Range rows_at(Index s, Range group) const {
        const Index begin = larger(row(group.begin), s * firsts);
        return {begin, smaller(row(group.end - 1) + length(group.end - 1), (s + 1) * firsts)};
    }
};

// to[panel][k][lane] = from[k · k_step + lane · lane_step], zeros beyond the last lane.
template <class Real>
void pack_panel(
    const Real* from, Index k_step, Index lane_step, Index depth, const Panels<Real>& panels,
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
    const Panels<Real>& panels, Real* to, int threads) {
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
template <class Real> Index tiles_in_group(const Panels<Real>& panels) {
    const Index room = middle_bytes() / Index(sizeof(Real)) / (panels.count * panel<Real>);
    return larger<Index>(1, room / tile_rows);
}

// A tile of a product whose rows are packed, and one whose rows are those of T or U.
template <class Real>
void multiply_pairs(const Factors<Real>& factors, const Target<Real>& target, Index rows, bool wide) {
    with_tile<tile_rows>(rows, wide, [&](auto r, auto w) {
        accumulate_tile<Real, r.value, w.value>(factors, target);
    });
}

template <class Real>
void multiply_middle(const Factors<Real>& factors, const Target<Real>& target, Index rows, bool wide) {
    with_tile<tile_rows>(rows, wide, [&](auto r, auto w) {
        accumulate_rows_tile<Real, r.value, w.value>(factors, target);
    });
}

// T or U of one output and one group of rows: in a thread's cache, or where all of T is kept.
template <class Real> struct Middle {
    Real* data;
    Index panel_step;  // from one panel of j to the next
    Real* at(Index q, Index row) const { return data + q * panel_step + row * panel<Real>; }
};

template <class Real> Index size_of_kept(const PairsOf<Real>& c) {
    return c.outputs * Panels<Real>(c.features_2).count * c.shared * c.firsts * panel<Real>;
}

// Of all that is kept, the part of one output, from a row on.
template <class Real> Middle<Real> kept_at(const PairsOf<Real>& c, Real* kept, Index o, Index row) {
    const Index step = c.shared * c.firsts * panel<Real>;
    return {kept + o * Panels<Real>(c.features_2).count * step + row * panel<Real>, step};
}

// T of one output, for a group of tiles whose rows of `first` are packed, as is the weight.
template <class Real>
void make_middle(
    const PairsOf<Real>& c, const RowTiles& tiles, Range group, const Panels<Real>& features,
    const Real* first, const Real* weights, Index output, const Middle<Real>& middle) {
    const Real* matrix = weights + output * c.features_1 * features.padded;
    const Index row_0 = tiles.row(group.begin);
    for (Index q = 0; q < features.count; ++q)
        for (Index t = group.begin; t < group.end; ++t) {
            const Index row = tiles.row(t) - row_0, length = tiles.length(t);
            multiply_pairs<Real>(
                {c.features_1, first + row * c.features_1, length,
                 matrix + features.start(q) * c.features_1, features.width(q)},
                {middle.at(q, row), panel<Real>, features.width(q), false}, length,
                features.wide(q));
        }
}

template <class Real>
bool pairs_forward_part(
    const PairsOf<Real>& c, const Real* weights, Range tile_range, Range outputs, const Real* bias,
    Real* out, Real* kept) {
    const RowTiles tiles(c.firsts);
    const Panels<Real> features(c.features_2);
    const Index group = smaller(tiles_in_group(features), tile_range.length());
    const Index most_rows = group * tile_rows;
    const Index group_positions = smaller(c.shared, (group - 1) / tiles.pieces.count + 2);
    // The other input in blocks that have room; T is made once more for each.
    const Index room = most_bytes_each / Index(sizeof(Real)) / (group_positions * c.features_2);
    const Index block = smaller(c.seconds, larger<Index>(panel<Real>, room));
    const Panels<Real> most(block);
    const bool direct = c.outputs == 1 && c.second_step == 1;
    const Index together = direct ? 1 : smaller(outputs_together, outputs.length());
    Scratch<Real> memory(
        most_rows * c.features_1 + most_rows * features.count * panel<Real> +
        group_positions * c.features_2 * most.padded +
        (direct ? 0 : together * most_rows * most.padded));
    if (!memory) return false;
    Real* const first = memory.get();
    Real* const in_cache = first + most_rows * c.features_1;
    Real* const second = in_cache + most_rows * features.count * panel<Real>;
    Real* const results = second + group_positions * c.features_2 * most.padded;

    for (Index from = tile_range.begin; from < tile_range.end; from += group) {
        const Range now{from, smaller(from + group, tile_range.end)};
        const Index row_0 = tiles.row(now.begin), s_0 = tiles.position(now.begin);
        const Index rows = tiles.row(now.end - 1) + tiles.length(now.end - 1) - row_0;
        for (Index t = now.begin; t < now.end; ++t)
            transpose(
                c.first.at(tiles.position(t), tiles.start(t)), c.first.step, tiles.length(t),
                c.features_1, first + (tiles.row(t) - row_0) * c.features_1, tiles.length(t));
        for (Index b = 0; b < c.seconds; b += block) {
            const Panels<Real> others(smaller(block, c.seconds - b));
            const Index each = c.features_2 * others.padded, last = tiles.position(now.end - 1);
            for (Index s = s_0; s <= last; ++s)
                for (Index q = 0; q < others.count; ++q)
                    pack_panel(
                        c.second.at(s, b), 1, c.second.step,
                        c.features_2, others, q, second + (s - s_0) * each);
            for (Index begin = outputs.begin; begin < outputs.end; begin += together) {
                const Index count = smaller(together, outputs.end - begin);
                for (Index o = begin; o < begin + count; ++o) {
                    const Middle<Real> middle = kept ? kept_at(c, kept, o, row_0)
                                                     : Middle<Real>{in_cache, rows * panel<Real>};
                    if (!kept || b == 0)
                        make_middle(c, tiles, now, features, first, weights, o, middle);
                    for (Index t = now.begin; t < now.end; ++t)
                        for (Index q = 0; q < others.count; ++q) {
                            const Index row = tiles.row(t) - row_0, length = tiles.length(t);
                            const Index s = tiles.position(t);
                            const Factors<Real> factors{
                                c.features_2, middle.at(0, row), middle.panel_step,
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
                            multiply_middle(factors, target, length, others.wide(q));
                        }
                }
                for (Index t = now.begin; !direct && t < now.end; ++t)
                    for (Index r = 0; r < tiles.length(t); ++r)
                        transpose(
                            results + (tiles.row(t) - row_0 + r) * others.padded,
                            rows * others.padded, count, others.size,
                            out + c.position(tiles.position(t), tiles.start(t) + r, b) + begin,
                            c.second_step);
            }
        }
    }
    return true;
}

// Chunks are ranges of rows and, where these are too few to go round, of outputs.
template <class Real>
bool pairs_forward(const PairsOf<Real>& c, const Real* bias, Real* out, Real* kept, int threads) {
    const Panels<Real> features(c.features_2);
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
            share({0, c.outputs}, chunk % along_outputs, along_outputs), bias, out, kept);
    });
}

// Cotangents of a tile of rows a and of some outputs. With `by_first` they become [o][b][a], rows
// of U's tile next to each other, else [o][a][b].
template <class Real>
void pack_cotangents(
    const PairsOf<Real>& c, const Real* g, Index rows, Index seconds, Index count, bool by_first,
    Real* to) {
    const Index inner = by_first ? rows : seconds, outer = by_first ? seconds : rows;
    const Index inner_step = by_first ? c.first_step : c.second_step;
    const Index outer_step = by_first ? c.second_step : c.first_step;
    if (count == 1 && outer_step == 1) return transpose(g, inner_step, inner, outer, to, inner);
    for (Index k = 0; k < outer; ++k)
        transpose(g + k * outer_step, inner_step, inner, count, to + k * inner, outer * inner);
}

template <class Real> struct PairGradients {
    Strided<Real> d_first, d_second;  // without data where not wanted
    Real* d_weight;
    Adds adds;                          // of `first`, which meets the weight, and `second`
    const Real *by_first, *by_second;   // W as [o][panel of i][j][lane] and [o][panel of j][i][lane]
    Real* kept;                         // all of T, if it was kept; then not by_second
};

// Of some tiles of rows. To d_second it is added; d_weight is this part's own.
template <class Real>
bool pairs_gradient_part(
    const PairsOf<Real>& c, const Real* g, const PairGradients<Real>& to, Range tile_range) {
    const RowTiles tiles(c.firsts);
    const Panels<Real> features(c.features_2), firsts(c.features_1);
    const Pieces first_tiles(c.features_1, tile_rows);
    const Index group = smaller(tiles_in_group(features), tile_range.length());
    const Index most_rows = group * tile_rows;
    const Index group_positions = smaller(c.shared, (group - 1) / tiles.pieces.count + 2);
    // The other input in blocks that have room.
    const Index room = most_bytes_each / Index(sizeof(Real)) /
                       larger(group_positions * features.padded, most_rows * outputs_together);
    const Index block = smaller(c.seconds, larger<Index>(panel<Real>, room));
    const bool whole = block == c.seconds, with_u = to.d_first.data || to.d_weight;
    const Index together = whole ? smaller(outputs_together, c.outputs) : 1;
    const Index cotangents_size = together * most_rows * block;
    Scratch<Real> memory(
        most_rows * features.count * panel<Real> + group_positions * block * features.padded +
        (to.d_second.data ? most_rows * c.features_1 + cotangents_size : 0) + cotangents_size);
    const bool makes_t = to.d_second.data && !to.kept;
    // The rows of `first` for dW, the same step from one to the next: where they are, or copied.
    const bool copies_rows = to.d_weight && !c.first.is_even(c.shared, c.firsts);
    Scratch<Real> rows_memory(copies_rows ? most_rows * c.features_1 : 0);
    if (!memory || !rows_memory) return false;
    Real* const middle = memory.get();
    Real* const second = middle + most_rows * features.count * panel<Real>;
    Real* const by_a = second + group_positions * block * features.padded;
    Real* const by_b = by_a + cotangents_size;
    Real* const first = by_b + cotangents_size;

    for (Index from = tile_range.begin; from < tile_range.end; from += group) {
        const Range now{from, smaller(from + group, tile_range.end)};
        const Index row_0 = tiles.row(now.begin), s_0 = tiles.position(now.begin);
        const Index s_end = tiles.position(now.end - 1) + 1;
        const Index rows = tiles.row(now.end - 1) + tiles.length(now.end - 1) - row_0;
        const Index each = block * features.padded;
        for (Index t = now.begin; makes_t && t < now.end; ++t)
            transpose(
                c.first.at(tiles.position(t), tiles.start(t)), c.first.step, tiles.length(t),
                c.features_1, first + (tiles.row(t) - row_0) * c.features_1, tiles.length(t));
        Matrix<Real> by_row{c.first.at(s_0, row_0 - s_0 * c.firsts), c.first.step};
        if (copies_rows) {
            by_row = {rows_memory.get(), c.features_1};
            for (Index row = 0; row < rows; ++row) {
                const Real* from = c.first.at((row_0 + row) / c.firsts, (row_0 + row) % c.firsts);
                for (Index i = 0; i < c.features_1; ++i)
                    rows_memory.get()[row * c.features_1 + i] = from[i];
            }
        }
        for (Index o = 0; o < c.outputs; ++o) {
            const Index one_of = o % together, count = smaller(together, c.outputs - o);
            for (Index b = 0; with_u && b < c.seconds; b += block) {
                const Index others = smaller(block, c.seconds - b);
                if (o == 0 || !whole)
                    for (Index s = s_0; s < s_end; ++s)
                        for (Index q = 0; q < features.count; ++q)
                            pack_panel(
                                c.second.at(s, b), c.second.step, Index(1), others, features, q, second + (s - s_0) * each);
                for (Index t = now.begin; one_of == 0 && t < now.end; ++t)
                    pack_cotangents(
                        c, g + c.position(tiles.position(t), tiles.start(t), b) + o,
                        tiles.length(t), others, count, true,
                        by_a + (tiles.row(t) - row_0) * block * together);
                for (Index q = 0; q < features.count; ++q)
                    for (Index t = now.begin; t < now.end; ++t) {
                        const Index row = tiles.row(t) - row_0, length = tiles.length(t);
                        multiply_pairs<Real>(
                            {others, by_a + row * block * together + one_of * others * length,
                             length,
                             second + (tiles.position(t) - s_0) * each + features.start(q) * others,
                             features.width(q)},
                            {middle + (q * rows + row) * panel<Real>, panel<Real>,
                             features.width(q), b > 0},
                            length, features.wide(q));
                    }
            }
            for (Index q = 0; to.d_first.data && q < firsts.count; ++q)
                for (Index t = now.begin; t < now.end; ++t) {
                    const Index row = tiles.row(t);
                    multiply_middle<Real>(
                        {c.features_2, middle + (row - row_0) * panel<Real>, rows * panel<Real>,
                         to.by_first + (o * firsts.padded + firsts.start(q)) * c.features_2,
                         firsts.width(q)},
                        {to.d_first.at(tiles.position(t), tiles.start(t)) + firsts.start(q),
                         to.d_first.step, firsts.used(q), to.adds.first || o > 0},
                        tiles.length(t), firsts.wide(q));
                }
            for (Index q = 0; to.d_weight && q < features.count; ++q)
                for (Index t = 0; t < first_tiles.count; ++t) {
                    const Index i = first_tiles.start(t);
                    multiply_pairs<Real>(
                        {rows, by_row.data + i, by_row.step,
                         middle + q * rows * panel<Real>, panel<Real>},
                        {to.d_weight + (o * c.features_1 + i) * c.features_2 + features.start(q),
                         c.features_2, features.used(q), to.adds.weight || from > tile_range.begin},
                        first_tiles.length(t), features.wide(q));
                }
            if (!to.d_second.data) continue;
            const Middle<Real> product = to.kept ? kept_at(c, to.kept, o, row_0)
                                                 : Middle<Real>{middle, rows * panel<Real>};
            if (makes_t) make_middle(c, tiles, now, features, first, to.by_second, o, product);
            for (Index b = 0; b < c.seconds; b += block) {
                const Index others = smaller(block, c.seconds - b);
                const Pieces other_tiles(others, tile_rows);
                for (Index s = s_0; s < s_end; ++s) {
                    const Range mine = tiles.rows_at(s, now);
                    Real* const packed = by_b + (mine.begin - row_0) * block * together;
                    if (one_of == 0)
                        pack_cotangents(
                            c, g + c.position(s, mine.begin - s * c.firsts, b) + o, mine.length(),
                            others, count, false, packed);
                    for (Index q = 0; q < features.count; ++q)
                        for (Index t = 0; t < other_tiles.count; ++t) {
                            const Index row = other_tiles.start(t);
                            multiply_pairs<Real>(
                                {mine.length(), packed + one_of * mine.length() * others + row,
                                 others, product.at(q, mine.begin - row_0), panel<Real>},
                                {to.d_second.at(s, b + row) + features.start(q),
                                 to.d_second.step, features.used(q), true},
                                other_tiles.length(t), features.wide(q));
                        }
                }
            }
        }
    }
    return true;
}

// Chunks are ranges of rows; each but the first has copies of the gradients that are sums over rows,
// and these are added up in their order. With many positions d_second needs no copies: each
// position is one chunk's own. Where the inputs are exchanged dW is transposed at the end.
template <class Real>
bool pairs_gradient(
    const PairsOf<Real>& c, const Real* g, Strided<Real> d_first, Strided<Real> d_second, Real* d_weight,
    Adds adds, Real* kept, int threads) {
    const Panels<Real> features(c.features_2), firsts(c.features_1);
    const Index per_position = RowTiles(c.firsts).pieces.count, tiles = c.shared * per_position;
    const Index matrix = c.features_1 * c.features_2, size = c.outputs * matrix;
    const Index second_size = c.shared * c.seconds * c.features_2;
    const bool turned = d_weight && c.is_exchanged;
    const bool large = d_weight && size * Index(sizeof(Real)) > copied_bytes;
    Index chunks = smaller(
        Index(large ? threads : 2 * threads), threads == 1 ? 1 : chunks_for(Index(c.work()), 1, threads));
    const bool by_position = c.shared >= chunks;
    const bool second_copies = d_second.data && !by_position;
    chunks = with_copies(
        smaller(chunks, tiles),
        Index(sizeof(Real)) * ((d_weight ? size : 0) + (second_copies ? second_size : 0)));
    Scratch<Real> by_first(d_first.data ? c.outputs * c.features_2 * firsts.padded : 0);
    Scratch<Real> by_second(d_second.data && !kept ? c.outputs * c.features_1 * features.padded : 0);
    Scratch<Real> weight_copies(d_weight ? (chunks - !turned) * size : 0);
    Scratch<Real> seconds(second_copies ? (chunks - 1) * second_size : 0);
    if (!by_first || !by_second || !weight_copies || !seconds) return false;
    if (d_first.data) pack_weights(c, c.step_2, c.step_1, c.features_2, firsts, by_first.get(), threads);
    if (d_second.data) {
        if (!kept) pack_weights(c, c.step_1, c.step_2, c.features_1, features, by_second.get(), threads);
        for (Index row = 0; !adds.second && row < c.shared * c.seconds; ++row)
            fill(d_second.at(row / c.seconds, row % c.seconds), c.features_2, Real(0));
    }
    const bool done = parallel(threads, chunks, [&](Index chunk) {
        PairGradients<Real> to{d_first, d_second, d_weight, adds, by_first.get(), by_second.get(), kept};
        if (d_weight && (turned || chunk > 0)) {
            to.d_weight = weight_copies.get() + (chunk - !turned) * size;
            to.adds.weight = false;
        }
        if (second_copies && chunk > 0) {
            Real* const copy = seconds.get() + (chunk - 1) * second_size;
            to.d_second = {copy, {c.shared, 0, c.seconds * c.features_2}, c.features_2};
            fill(copy, second_size, Real(0));
        }
        Range range = share({0, by_position ? c.shared : tiles}, chunk, chunks);
        if (by_position) range = {range.begin * per_position, range.end * per_position};
        return pairs_gradient_part(c, g, to, range);
    });
    if (!done) return false;
    for (Index row = 0; second_copies && row < c.shared * c.seconds; ++row) {
        Real* const to = d_second.at(row / c.seconds, row % c.seconds);
        for (Index chunk = 1; chunk < chunks; ++chunk) {
            const Real* from = seconds.get() + (chunk - 1) * second_size + row * c.features_2;
            for (Index j = 0; j < c.features_2; ++j) to[j] += from[j];
        }
    }
    if (d_weight && !turned) add_copies(d_weight, weight_copies.get(), chunks - 1, size, threads);
    if (!turned) return true;
    add_copies(weight_copies.get(), weight_copies.get() + size, chunks - 1, size, threads);
    const Index parts = smaller(c.outputs, chunks_for(size, 8, threads));
    return parallel(threads, parts, [&](Index part) {
        const Range mine = share({0, c.outputs}, part, parts);
        Scratch<Real> added(adds.weight ? matrix : 0);
        if (!added) return false;
        for (Index o = mine.begin; o < mine.end; ++o) {
            Real* const to = d_weight + o * matrix;
            transpose(
                weight_copies.get() + o * matrix, c.features_2, c.features_1, c.features_2,
                adds.weight ? added.get() : to, c.features_1);
            for (Index k = 0; adds.weight && k < matrix; ++k) to[k] += added.get()[k];
        }
        return true;
    });
}

}  // namespace
