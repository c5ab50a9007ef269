// dx1[n, i] = Σ_oj g · W · x2 and dx2[n, j] = Σ_oi g · W · x1 together, lanes are samples:
// D = Σ_o W[o, i, j] · g[n, o] is needed for both and lives in registers only.
//
//     samples on lanes         W is packed by features i, at once or as it is needed
//     gradient in registers    the same with d2 in registers: for few outputs
//     output by output         two products, D[i] = Σ_j W · x2 times g and D[j] = Σ_i W · x1 times g,
//                              for each output: where there are one or two
#pragma once

#include "copies.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Stored> struct InputGradients {
    Sizes sizes;
    Matrix<Stored> g, x1, x2;
    const Stored* weight;
    Sum<Stored> *d_first, *d_second;  // null where not wanted
};

constexpr int column_rows = tile_rows / 2;            // d2 takes as many registers as D

// What one chunk has a share in: some panels, and the rows of both gradients that it makes of them.
template <class Real> struct Part {
    Range panels, first, second;
    Real *d_first, *d_second;
};

// The panels of one group of samples; each factor's are [feature][lane].
template <class Stored> struct GradientPanels {
    using Real = Sum<Stored>;
    Unit<Stored>* g;
    Real *x1, *x2, *d1, *d2;
    GradientPanels(Real* memory, const Sizes& s) {
        g = reinterpret_cast<Unit<Stored>*>(memory);
        x1 = memory + units<Stored>(s.outputs) * panel<Real>;
        x2 = x1 + s.features_1 * panel<Real>;
        d1 = x2 + s.features_2 * panel<Real>;
        d2 = d1 + s.features_1 * panel<Real>;
    }
    // In double, where no sum is too large: sizes may be anybody's.
    static double numbers(const Sizes& s) {
        return (double(s.outputs) + 2.0 * double(s.features_1) + 2.0 * double(s.features_2)) * panel<Real>;
    }
    static Index size(const Sizes& s) { return Index(numbers(s)); }
    void fetch(const InputGradients<Stored>& c, Index sample, Index used) {
        const Sizes& s = c.sizes;
        pack_samples(c.g, sample, used, s.outputs, g);
        if (c.x1.data) pack_samples(c.x1, sample, used, s.features_1, x1);
        if (c.x2.data) pack_samples(c.x2, sample, used, s.features_2, x2);
        fill(d1, (s.features_1 + s.features_2) * panel<Real>, Real(0));
    }
    void deliver(const Part<Real>& part, const Sizes& s, Index sample, Index used) const {
        deliver(d1, part.first, s.features_1, sample, used, part.d_first);
        deliver(d2, part.second, s.features_2, sample, used, part.d_second);
    }
    static void deliver(
        const Real* d, Range rows, Index features, Index sample, Index used, Real* to) {
        if (to)
            transpose(
                d + rows.begin * panel<Real>, Index(panel<Real>), rows.length(), used,
                to + sample * features + rows.begin, features);
    }
};

// W of one feature i as it is packed, of the columns from `begin` on, and how much of W is to be asked for
// meanwhile.
template <class Stored> struct PackedFeature {
    Index i, begin, step;
    const Unit<Stored>* rows;
    const Unit<Stored>* ahead;
    Index ahead_columns;
};

// One panel of samples meets one tile of it.
template <class Stored>
void contract_feature(
    const InputGradients<Stored>& c, const PackedFeature<Stored>& feature, const Pieces& tiles, Index j_tile,
    const GradientPanels<Stored>& at, bool wide, Index number) {
    using Real = Unit<Stored>;
    constexpr Index step = panel<Real>;
    const Sizes& s = c.sizes;
    const Index i = feature.i, j = tiles.start(j_tile), rows = tiles.length(j_tile);
    Factors<Real> factors{units<Stored>(s.outputs), feature.rows + j - feature.begin, feature.step, at.g, step};
    if (feature.ahead) factors.ask_for(feature.ahead, s.features_1 * s.features_2, feature.ahead_columns, number);
    const Sum<Real> *x1 = at.x1 + i * step, *x2 = at.x2 + j * step;
    Sum<Real> *d1 = at.d1 + i * step, *d2 = at.d2 + j * step;
    with_tile<tile_rows>(rows, wide, [&](auto r, auto w) {
        if (!c.d_second) contract_tile<Real, r.value, w.value, true, false>(factors, x1, x2, d1, d2);
        else if (!c.d_first) contract_tile<Real, r.value, w.value, false, true>(factors, x1, x2, d1, d2);
        else contract_tile<Real, r.value, w.value, true, true>(factors, x1, x2, d1, d2);
    });
}

template <class Real> Index most_panels(const Sizes& s, Index bytes) {
    return larger<Index>(1, Index(double(bytes) / sizeof(Real) / GradientPanels<Real>::numbers(s)));
}

template <class Real> Index panels_in_block(const Sizes& s) {
    return smaller(panels_in_group, most_panels<Real>(s, gradient_group_bytes()));
}

// How threads divide the work: into ranges of panels, or each range of panels into ranges of the rows
// of one gradient. Samples are divided where their panels go round evenly; `rows_first` where the
// weight is larger than they are, because every chunk passes over all of what is not divided.
struct Cut {
    Index along_samples = 1, along_rows = 1;
    Index count() const { return along_samples * along_rows; }
};

template <class Real> Cut cut_of(const Sizes& s, Index rows, bool rows_first, int threads) {
    const Index matrix = s.features_1 * s.features_2, panels = Panels<Real>(s.samples).count;
    const Index wanted = chunks_for(s.samples * s.outputs, matrix, threads);
    const Index used = smaller(wanted, Index(threads));
    const bool even = 8 * panels >= 7 * used * divided_up(panels, used);
    const bool small = s.outputs * matrix < s.samples * (s.outputs + 2 * s.features_1 + 2 * s.features_2);
    Cut cut;
    if (rows >= used && !(even && (small || !rows_first))) {
        cut.along_rows = used;
    } else {
        const Index groups = panels / panels_in_block<Real>(s);
        cut.along_samples = smaller(panels, smaller(wanted, larger<Index>(1, groups / used) * used));
    }
    return cut;
}

// The panels of a part in blocks of at most so many: run(members, member) for each block, in which
// member(p, use) calls use(panels of p, whether p is wide).
template <class Stored, class Run>
bool over_panels(const InputGradients<Stored>& c, const Part<Sum<Stored>>& part, Index most, const Run& run) {
    using Real = Sum<Stored>;
    const Panels<Real> panels(c.sizes.samples);
    const Index size = GradientPanels<Real>::size(c.sizes);
    const Pieces blocks(part.panels.length(), most);
    Scratch<Real> scratch(divided_up(part.panels.length(), blocks.count) * size);
    if (!scratch) return false;
    for (Index block = 0; block < blocks.count; ++block) {
        const Index from = part.panels.begin + blocks.start(block), members = blocks.length(block);
        const auto at = [&](Index p) { return GradientPanels<Stored>(scratch.get() + p * size, c.sizes); };
        for (Index p = 0; p < members; ++p) at(p).fetch(c, panels.start(from + p), panels.used(from + p));
        const bool done = run(members, [&](Index p, const auto& use) { use(at(p), panels.wide(from + p)); });
        if (!done) return false;
        for (Index p = 0; p < members; ++p)
            at(p).deliver(part, c.sizes, panels.start(from + p), panels.used(from + p));
    }
    return true;
}

// run(part, k) for each range of panels and the k-th range of rows. `summed` is the gradient that is a
// sum over the ranges of rows, if any: each but the first has a copy.
template <class Stored, class Run>
bool in_parts(
    const InputGradients<Stored>& c, const Cut& cut, Sum<Stored>* summed, int threads, const Run& run) {
    using Real = Sum<Stored>;
    const Sizes& s = c.sizes;
    const bool first = summed == c.d_first;
    const Index size = s.samples * (first ? s.features_1 : s.features_2);
    const Index copies = summed ? cut.along_rows - 1 : 0;
    Scratch<Real> partial(copies * size);
    if (!partial) return false;
    const Index panels = Panels<Real>(s.samples).count;
    const bool done = parallel(threads, cut.count(), [&](Index chunk) {
        const Index k = chunk % cut.along_rows;
        Part<Real> part{
            share({0, panels}, chunk / cut.along_rows, cut.along_samples), {0, s.features_1},
            {0, s.features_2}, c.d_first, c.d_second};
        if (summed && k > 0) (first ? part.d_first : part.d_second) = partial.get() + (k - 1) * size;
        return run(part, k);
    });
    return done && add_copies(summed, partial.get(), copies, size, threads);
}

// All panels of a block meet what is packed of W, of some features and tiles; meanwhile rows of W are asked
// for from `ahead` on, so many numbers of each.
template <class Stored, class Member>
void contract_block(
    const InputGradients<Stored>& c, Range features, const Pieces& tiles, Range some,
    const Unit<Stored>* packed, Index members, const Member& member, const Unit<Stored>* ahead,
    Index ahead_columns) {
    const Index begin = tiles.start(some.begin), depth = units<Stored>(c.sizes.outputs);
    const Index step = packed_step<Unit<Stored>>(tiles.start(some.end) - begin);
    Index number = 0;
    for (Index i = features.begin; i < features.end; ++i, packed += depth * step) {
        const PackedFeature<Stored> feature{i, begin, step, packed, ahead, ahead_columns};
        for (Index p = 0; p < members; ++p)
            member(p, [&](const GradientPanels<Stored>& at, bool wide) {
                for (Index tile = some.begin; tile < some.end; ++tile)
                    contract_feature(c, feature, tiles, tile, at, wide, number++);
            });
    }
}

// W is packed once where it is to be met by several blocks of samples and has room, and else by each
// thread as much as stays in its cache, for a block of as many samples as have room.
template <class Stored> bool gradients_by_feature(const InputGradients<Stored>& c, int threads) {
    using Real = Sum<Stored>;
    const Sizes& s = c.sizes;
    const Index depth = units<Stored>(s.outputs);
    const Pieces tiles(s.features_2, tile_rows);
    const Index matrix = depth * packed_step<Unit<Stored>>(s.features_2), group = panels_in_block<Real>(s);
    const bool room = has_room<Real>(s.features_1 * matrix, most_bytes);
    const Cut cut = cut_of<Real>(s, s.features_1, true, threads);
    const Index panels = Panels<Real>(s.samples).count;
    const bool once = room && (cut.along_samples > 1 || panels > most_panels<Real>(s, gradient_block_bytes()));
    const Index row = depth * tile_rows * Index(sizeof(Real));  // bytes of one tile of one i
    const Index tiles_at_once = smaller(tiles.count, larger<Index>(1, most_bytes_each / row));
    const Index columns = packed_step<Unit<Stored>>(smaller(s.features_2, tiles_at_once * tile_rows));
    const Index room_for = packed_weight_bytes() / Index(sizeof(Real)) / (depth * columns);
    const Index at_once = larger<Index>(1, smaller(features_in_group, room_for));
    Scratch<Unit<Stored>> packed(once ? s.features_1 * matrix : 0);
    if (!packed) return false;
    if (once) {
        const Index parts = smaller(s.features_1, chunks_for(s.features_1 * matrix, copy_operations, threads));
        parallel(threads, parts, [&](Index part) {
            const Range features = share({0, s.features_1}, part, parts);
            pack_by_feature(
                s, c.weight, features, {0, s.features_2}, packed.get() + features.begin * matrix);
            return true;
        });
    }
    const Index most = once ? group : most_panels<Real>(s, most_bytes / cut.count());
    return in_parts(c, cut, c.d_second, threads, [&](Part<Real> part, Index k) {
        part.first = share({0, s.features_1}, k, cut.along_rows);
        Scratch<Unit<Stored>> own(once ? 0 : at_once * depth * columns);
        if (!own) return false;
        return over_panels(c, part, most, [&](Index members, const auto& member) {
            for (Index i = part.first.begin; i < part.first.end; i += at_once) {
                const Range now{i, smaller(part.first.end, i + at_once)};
                if (once) {
                    contract_block<Stored>(
                        c, now, tiles, {0, tiles.count}, packed.get() + i * matrix, members, member, nullptr, 0);
                    continue;
                }
                for (Index tile = 0; tile < tiles.count; tile += tiles_at_once) {
                    const Range some{tile, smaller(tiles.count, tile + tiles_at_once)};
                    const Range of_tiles{tiles.start(some.begin), tiles.start(some.end)};
                    pack_by_feature(s, c.weight, now, of_tiles, own.get());
                    const Unit<Stored>* ahead = nullptr;
                    const Index left = smaller(part.first.end - now.end, at_once) * s.features_2;
                    if constexpr (Types<Stored>::numbers == 1)
                        if (left > 0 && some.length() == tiles.count) ahead = c.weight + now.end * s.features_2;
                    contract_block<Stored>(c, now, tiles, some, own.get(), members, member, ahead, left);
                }
            }
            return true;
        });
    });
}

// W as [tile of j][i][o][row of the tile].
template <class Real> bool gradients_by_column(const InputGradients<Real>& c, int threads) {
    const Sizes& s = c.sizes;
    const Pieces tiles(s.features_2, column_rows);
    Scratch<Real> packed(s.outputs * s.features_1 * s.features_2);
    if (!packed) return false;
    const Index parts = smaller(tiles.count, chunks_for(s.outputs * s.features_1, s.features_2 * copy_operations, threads));
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
    const Cut cut = cut_of<Real>(s, tiles.count, false, threads);
    return in_parts(c, cut, c.d_first, threads, [&](Part<Real> part, Index k) {
        const Range some = share({0, tiles.count}, k, cut.along_rows);
        part.second = {tiles.start(some.begin), tiles.start(some.end)};
        return over_panels(c, part, panels_in_block<Real>(s), [&](Index members, const auto& member) {
            for (Index tile = some.begin; tile < some.end; ++tile)
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
            return true;
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
    const Cut cut = cut_of<Real>(s, smaller(first.count, second.count), false, threads);
    return in_parts<Real>(c, cut, nullptr, threads, [&](Part<Real> part, Index k) {
        const Range some = share({0, first.count}, k, cut.along_rows);
        const Range others = share({0, second.count}, k, cut.along_rows);
        part.first = {first.start(some.begin), first.start(some.end)};
        part.second = {second.start(others.begin), second.start(others.end)};
        return over_panels(c, part, panels_in_block<Real>(s), [&](Index members, const auto& member) {
            for (Index o = 0; o < s.outputs; ++o) {
                for (Index tile = some.begin; c.d_first && tile < some.end; ++tile)
                    for (Index p = 0; p < members; ++p)
                        member(p, [&](const GradientPanels<Real>& at, bool wide) {
                            const Index i = first.start(tile), rows = first.length(tile);
                            const Real* a = transposed.get() + o * matrix + i * s.features_2;
                            spread({s.features_2, a, rows, at.x2, step}, rows, wide, at.g + o * step, at.d1 + i * step);
                        });
                for (Index tile = others.begin; c.d_second && tile < others.end; ++tile)
                    for (Index p = 0; p < members; ++p)
                        member(p, [&](const GradientPanels<Real>& at, bool wide) {
                            const Index j = second.start(tile);
                            const Real* a = c.weight + o * matrix + j;
                            spread({s.features_1, a, s.features_2, at.x1, step}, second.length(tile), wide, at.g + o * step, at.d2 + j * step);
                        });
            }
            return true;
        });
    });
}

}  // namespace
