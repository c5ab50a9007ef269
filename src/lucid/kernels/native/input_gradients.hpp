// dx1[n, i] = Σ_oj g · W · x2 and dx2[n, j] = Σ_oi g · W · x1 together, lanes are samples:
// D = Σ_o W[o, i, j] · g[n, o] is needed for both and lives in registers only.
//
//     samples   W packed once for all, threads share the samples
//     column    the same with d2 in registers: for few outputs
//     shared    each thread packs the part of W of its features i: for few samples or a large W
//     apart     two products, D[i] = Σ_j W · x2 times g and D[j] = Σ_i W · x1 times g, for each
//               output: where there are one or two
#pragma once

#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Real> struct InputGradients {
    Sizes sizes;
    Matrix<Real> g, x1, x2;
    const Real* weight;
    Real *d_first, *d_second;  // null where not wanted
};

constexpr int column_rows = tile_rows / 2;            // d2 takes as many registers as D
constexpr Index gradient_group_bytes = 512 * 1024;    // panels that stay in the second-level cache
constexpr Index group_of_features = 384 * 1024;         // bytes of W that are packed at once

// The panels of one group of samples; each factor's are [feature][lane].
template <class Real> struct GradientPanels {
    Real *g, *x1, *x2, *d1, *d2;
    GradientPanels(Real* memory, const Sizes& s) {
        g = memory;
        x1 = g + s.outputs * panel<Real>;
        x2 = x1 + s.features_1 * panel<Real>;
        d1 = x2 + s.features_2 * panel<Real>;
        d2 = d1 + s.features_1 * panel<Real>;
    }
    static Index size(const Sizes& s) {
        return (s.outputs + 2 * s.features_1 + 2 * s.features_2) * panel<Real>;
    }
    void fetch(const InputGradients<Real>& c, Index sample, Index used) {
        const Sizes& s = c.sizes;
        pack_samples(c.g, sample, used, s.outputs, g);
        if (c.x1.data) pack_samples(c.x1, sample, used, s.features_1, x1);
        if (c.x2.data) pack_samples(c.x2, sample, used, s.features_2, x2);
        fill(d1, (s.features_1 + s.features_2) * panel<Real>, Real(0));
    }
    void deliver(const InputGradients<Real>& c, Index sample, Index used) const {
        const Index i = c.sizes.features_1, j = c.sizes.features_2;
        if (c.d_first) transpose(d1, Index(panel<Real>), i, used, c.d_first + sample * i, i);
        if (c.d_second) transpose(d2, Index(panel<Real>), j, used, c.d_second + sample * j, j);
    }
};

// W[:, features, tiles] as [i][tile of j][o][row of the tile]. Rows of W are read one after the other;
// each piece is written in whole vectors, over whose excess the next o is written, where there is
// a next o that is far enough from the end of the tile, and of W.
template <class Real>
void pack_by_feature(
    const Sizes& s, const Real* weight, Range features, const Pieces& tiles, Range some, Real* to) {
    const Index begin = tiles.start(some.begin), columns = tiles.start(some.end) - begin;
    for (Index o = 0; o < s.outputs; ++o)
        for (Index i = features.begin; i < features.end; ++i) {
            const Real* from = weight + (o * s.features_1 + i) * s.features_2;
            const Index left = ((s.outputs - o) * s.features_1 - i) * s.features_2;
            Real* of_feature = to + (i - features.begin) * s.outputs * columns;
            for (Index tile = some.begin; tile < some.end; ++tile) {
                const Index j = tiles.start(tile), rows = tiles.length(tile);
                const Index vectors = divided_up(rows, lanes<Real>), reach = vectors * lanes<Real>;
                Real* piece = of_feature + (j - begin) * s.outputs + o * rows;
                if ((s.outputs - o) * rows >= reach && left - j >= reach)
                    for (Index v = 0; v < vectors; ++v)
                        store<Real>(piece + v * lanes<Real>, load(from + j + v * lanes<Real>));
                else
                    for (Index r = 0; r < rows; ++r) piece[r] = from[j + r];
            }
        }
}

// One panel of samples meets one packed tile of W, of one feature i.
template <class Real>
void contract_feature(
    const InputGradients<Real>& c, Index i, const Real* packed, const Pieces& tiles, Index j_tile,
    const GradientPanels<Real>& at, Real* d2, bool wide) {
    constexpr Index step = panel<Real>;
    const Index j = tiles.start(j_tile), rows = tiles.length(j_tile), depth = c.sizes.outputs;
    const Factors<Real> factors{depth, packed, rows, at.g, step};
    const Real *x1 = at.x1 + i * step, *x2 = at.x2 + j * step;
    Real* d1 = at.d1 + i * step;
    d2 += j * step;
    with_tile<tile_rows>(rows, wide, [&](auto r, auto w) {
        if (!c.d_second) contract_tile<Real, r.value, w.value, true, false>(factors, x1, x2, d1, d2);
        else if (!c.d_first) contract_tile<Real, r.value, w.value, false, true>(factors, x1, x2, d1, d2);
        else contract_tile<Real, r.value, w.value, true, true>(factors, x1, x2, d1, d2);
    });
}

// Ranges of panels, in groups: run(group's panels, count, wide).
template <class Real, class Run>
bool over_samples(const InputGradients<Real>& c, int threads, const Run& run) {
    const Panels<Real> panels(c.sizes.samples);
    const Index size = GradientPanels<Real>::size(c.sizes);
    const Index room = gradient_group_bytes / Index(sizeof(Real)) / size;
    const Index group = larger<Index>(1, smaller<Index>(8, room));
    const Index wanted = chunks_for(
        c.sizes.samples * c.sizes.outputs, c.sizes.features_1 * c.sizes.features_2, threads);
    const Index chunks = larger<Index>(1, smaller(wanted, panels.count));
    return parallel(threads, chunks, [&](Index chunk) {
        const Range range = share({0, panels.count}, chunk, chunks);
        Scratch<Real> scratch(smaller(group, range.length()) * size);
        if (!scratch) return false;
        for (Index from = range.begin; from < range.end; from += group) {
            const Index members = smaller(group, range.end - from);
            for (Index p = 0; p < members; ++p)
                GradientPanels<Real>(scratch.get() + p * size, c.sizes)
                    .fetch(c, panels.first(from + p), panels.used(from + p));
            run(members, [&](Index p, const auto& use) {
                use(GradientPanels<Real>(scratch.get() + p * size, c.sizes), panels.wide(from + p));
            });
            for (Index p = 0; p < members; ++p)
                GradientPanels<Real>(scratch.get() + p * size, c.sizes)
                    .deliver(c, panels.first(from + p), panels.used(from + p));
        }
        return true;
    });
}

template <class Real> bool gradients_by_samples(const InputGradients<Real>& c, int threads) {
    const Sizes& s = c.sizes;
    const Pieces tiles(s.features_2, tile_rows);
    const Index matrix = s.outputs * s.features_2;
    Scratch<Real> packed(s.features_1 * matrix);
    if (!packed) return false;
    const Index parts = smaller(s.features_1, chunks_for(s.features_1 * matrix, 8, threads));
    parallel(threads, parts, [&](Index part) {
        const Range features = share({0, s.features_1}, part, parts);
        pack_by_feature(
            s, c.weight, features, tiles, {0, tiles.count}, packed.get() + features.begin * matrix);
        return true;
    });
    return over_samples(c, threads, [&](Index members, const auto& member) {
        for (Index i = 0; i < s.features_1; ++i)
            for (Index tile = 0; tile < tiles.count; ++tile)
                for (Index p = 0; p < members; ++p)
                    member(p, [&](const GradientPanels<Real>& at, bool wide) {
                        const Real* a = packed.get() + i * matrix + tiles.start(tile) * s.outputs;
                        contract_feature(c, i, a, tiles, tile, at, at.d2, wide);
                    });
    });
}

// W as [tile of j][i][o][row of the tile].
template <class Real> bool gradients_by_column(const InputGradients<Real>& c, int threads) {
    const Sizes& s = c.sizes;
    const Pieces tiles(s.features_2, column_rows);
    Scratch<Real> packed(s.outputs * s.features_1 * s.features_2);
    if (!packed) return false;
    const Index parts = smaller(tiles.count, chunks_for(s.outputs * s.features_1, s.features_2 * 8, threads));
    parallel(threads, parts, [&](Index part) {
        const Range some = share({0, tiles.count}, part, parts);
        Real* to = packed.get() + tiles.start(some.begin) * s.features_1 * s.outputs;
        for (Index tile = some.begin; tile < some.end; ++tile)
            for (Index i = 0; i < s.features_1; ++i)
                for (Index o = 0; o < s.outputs; ++o) {
                    const Real* from = c.weight + (o * s.features_1 + i) * s.features_2 + tiles.start(tile);
                    for (Index r = tiles.length(tile); r > 0; --r) *to++ = *from++;
                }
        return true;
    });
    return over_samples(c, threads, [&](Index members, const auto& member) {
        for (Index tile = 0; tile < tiles.count; ++tile)
            for (Index p = 0; p < members; ++p)
                member(p, [&](const GradientPanels<Real>& at, bool wide) {
                    const Index j = tiles.start(tile), rows = tiles.length(tile);
                    const Real* a = packed.get() + j * s.features_1 * s.outputs;
                    const Factors<Real> factors{s.outputs, a, rows, at.g, Index(panel<Real>)};
                    const Real* x2 = at.x2 + j * panel<Real>;
                    Real* d2 = at.d2 + j * panel<Real>;
                    with_tile<column_rows>(rows, wide, [&](auto r, auto w) {
                        contract_column<Real, r.value, w.value>(
                            factors, s.features_1, at.x1, x2, at.d1, d2);
                    });
                });
    });
}

// Each output by itself: d1[i] += g[o] · Σ_j W[o, i, j] · x2[j], and the same for d2.
template <class Real> bool gradients_apart(const InputGradients<Real>& c, int threads) {
    constexpr Index step = panel<Real>;
    const Sizes& s = c.sizes;
    const Pieces first(s.features_1, tile_rows), second(s.features_2, tile_rows);
    const Index matrix = s.features_1 * s.features_2;
    Scratch<Real> transposed(c.d_first ? s.outputs * matrix : 0);
    if (!transposed) return false;
    if (c.d_first)
        for (Index o = 0; o < s.outputs; ++o)
            for (Index tile = 0; tile < first.count; ++tile)
                transpose(
                    c.weight + o * matrix + first.start(tile) * s.features_2, s.features_2,
                    first.length(tile), s.features_2,
                    transposed.get() + o * matrix + first.start(tile) * s.features_2, first.length(tile));
    const auto spread = [](const Factors<Real>& factors, Index rows, bool wide, const Real* g, Real* to) {
        with_tile<tile_rows>(rows, wide, [&](auto r, auto w) {
            contract_tile<Real, r.value, w.value, false, true>(factors, g, nullptr, nullptr, to);
        });
    };
    return over_samples(c, threads, [&](Index members, const auto& member) {
        for (Index o = 0; o < s.outputs; ++o) {
            for (Index tile = 0; c.d_first && tile < first.count; ++tile)
                for (Index p = 0; p < members; ++p)
                    member(p, [&](const GradientPanels<Real>& at, bool wide) {
                        const Index i = first.start(tile), rows = first.length(tile);
                        const Real* a = transposed.get() + o * matrix + i * s.features_2;
                        spread({s.features_2, a, rows, at.x2, step}, rows, wide, at.g + o * step, at.d1 + i * step);
                    });
            for (Index tile = 0; c.d_second && tile < second.count; ++tile)
                for (Index p = 0; p < members; ++p)
                    member(p, [&](const GradientPanels<Real>& at, bool wide) {
                        const Index j = second.start(tile);
                        const Real* a = c.weight + o * matrix + j;
                        spread({s.features_1, a, s.features_2, at.x1, step}, second.length(tile), wide, at.g + o * step, at.d2 + j * step);
                    });
        }
    });
}

// All panels of a block meet what is packed of W.
template <class Real, class Member>
void contract_block(
    const InputGradients<Real>& c, Range features, const Pieces& tiles, Range some,
    const Real* packed, Index members, const Member& member) {
    const Index begin = tiles.start(some.begin), columns = tiles.start(some.end) - begin;
    for (Index i = features.begin; i < features.end; ++i, packed += c.sizes.outputs * columns)
        for (Index p = 0; p < members; ++p)
            member(p, [&](const GradientPanels<Real>& at, Real* d2, bool wide) {
                for (Index tile = some.begin; tile < some.end; ++tile) {
                    const Real* a = packed + (tiles.start(tile) - begin) * c.sizes.outputs;
                    contract_feature(c, i, a, tiles, tile, at, d2, wide);
                }
            });
}

// Threads share the panels of a block of samples and split the features i: rows of d1 are a
// chunk's own, d2 is summed over the chunks, in their order.
template <class Real> bool gradients_shared(const InputGradients<Real>& c, int threads) {
    const Sizes& s = c.sizes;
    const Panels<Real> panels(s.samples);
    const Pieces tiles(s.features_2, tile_rows);
    const Index size = GradientPanels<Real>::size(s), d2_size = s.features_2 * panel<Real>;
    const Index matrix = s.outputs * s.features_2;
    const Index chunks = smaller(
        smaller(chunks_for(s.samples * s.features_1, matrix, threads), Index(threads)), s.features_1);
    const Index room = most_bytes / Index(sizeof(Real)) / (size + (chunks - 1) * d2_size);
    const Index block = larger<Index>(1, smaller(panels.count, room));
    const Index row = s.outputs * tile_rows * Index(sizeof(Real));  // bytes of one tile of one i
    const Index tiles_at_once = smaller(tiles.count, larger<Index>(1, most_bytes_each / row));
    const Index columns = smaller(s.features_2, tiles_at_once * tile_rows);
    const Index room_for = group_of_features / Index(sizeof(Real)) / (s.outputs * columns);
    const Index at_once = larger<Index>(1, smaller<Index>(8, room_for));
    Scratch<Real> memory(block * (size + (chunks - 1) * d2_size));
    if (!memory) return false;
    for (Index from = 0; from < panels.count; from += block) {
        const Index members = smaller(block, panels.count - from);
        const auto at = [&](Index p) { return GradientPanels<Real>(memory.get() + p * size, s); };
        const auto partial = [&](Index chunk, Index p) {
            return memory.get() + block * size + ((chunk - 1) * block + p) * d2_size;
        };
        const Index parts = smaller(members, chunks);
        parallel(threads, parts, [&](Index part) {
            const Range range = share({0, members}, part, parts);
            for (Index p = range.begin; p < range.end; ++p) {
                at(p).fetch(c, panels.first(from + p), panels.used(from + p));
                for (Index chunk = 1; chunk < chunks; ++chunk) fill(partial(chunk, p), d2_size, Real(0));
            }
            return true;
        });
        const bool done = parallel(threads, chunks, [&](Index chunk) {
            Scratch<Real> packed(at_once * s.outputs * columns);
            if (!packed) return false;
            const Range range = share({0, s.features_1}, chunk, chunks);
            for (Index i = range.begin; i < range.end; i += at_once)
                for (Index tile = 0; tile < tiles.count; tile += tiles_at_once) {
                    const Range now{i, smaller(range.end, i + at_once)};
                    const Range some{tile, smaller(tiles.count, tile + tiles_at_once)};
                    pack_by_feature(s, c.weight, now, tiles, some, packed.get());
                    contract_block(c, now, tiles, some, packed.get(), members, [&](Index p, const auto& use) {
                        use(at(p), chunk == 0 ? at(p).d2 : partial(chunk, p), panels.wide(from + p));
                    });
                }
            return true;
        });
        if (!done) return false;
        parallel(threads, parts, [&](Index part) {
            const Range range = share({0, members}, part, parts);
            for (Index p = range.begin; p < range.end; ++p) {
                Real* d2 = at(p).d2;
                for (Index chunk = 1; chunk < chunks; ++chunk) {
                    const Real* more = partial(chunk, p);
                    for (Index k = 0; k < d2_size; ++k) d2[k] += more[k];
                }
                at(p).deliver(c, panels.first(from + p), panels.used(from + p));
            }
            return true;
        });
    }
    return true;
}

}  // namespace
