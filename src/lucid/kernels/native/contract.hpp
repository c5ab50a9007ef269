// Forward, lanes are samples: W is read in place, for its tiles are contiguous in j.
//
//     out[n, o] = Σ_j (Σ_i x1[n, i] · W[o, i, j]) · x2[n, j] + bias[o]
//
// The product in brackets, T, can be kept, as [panel of n][o][j][lane]: the gradient of x2 is then
//
//     dx2[n, j] = Σ_o g[n, o] · T[n, o, j]
#pragma once

#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Stored> struct Contraction {
    Sizes sizes;
    Matrix<Stored> x1, x2;
    const Stored *weight, *bias;
    Stored* out;
    Sum<Stored>* kept = nullptr;
};

template <class Real> Index size_of_kept(const Sizes& s) {
    return Panels<Real>(s.samples).count * panel<Real> * s.outputs * s.features_2;
}

template <class Real> Index panels_in_forward_group(const Sizes& s) {
    const Index each = Index(sizeof(Real)) * panel<Real> * (s.features_1 + s.features_2);
    return larger<Index>(1, forward_group_bytes() / each);
}

// One matrix of W as the nest reads it: where it is, or packed by units of i.
template <class Real> const Real* matrix_of(const Sizes&, const Real* weight, Real*) { return weight; }

inline const Pair* matrix_of(const Sizes& s, const BFloat16* weight, Pair* to) {
    const Index columns = s.features_2, depth = units<BFloat16>(s.features_1);
    for (Index k = 0; k < depth; ++k) {
        const Rows<BFloat16> from{weight + 2 * k * columns, columns, 2 * k + 1 < s.features_1};
        copy_row<BFloat16>(from, columns, columns, to + k * columns);
    }
    return to;
}

template <class Stored>
bool contract_part(const Contraction<Stored>& c, Range panel_range, Range output_range) {
    using Real = Unit<Stored>;
    using Number = Sum<Stored>;
    constexpr Index step = panel<Real>;
    constexpr bool is_packed = Types<Stored>::numbers > 1;
    const Sizes& s = c.sizes;
    const Panels<Number> panels(s.samples);
    const Pieces tiles(s.features_2, tile_rows);
    const Index group = smaller(panels_in_forward_group<Number>(s), panel_range.length());
    const Index depth = units<Stored>(s.features_1);
    const Index first_size = depth * step, second_size = s.features_2 * step;
    const Index out_size = outputs_at_once * step, matrix_size = s.features_1 * s.features_2;
    Scratch<Real> factors_1(group * first_size + (is_packed ? depth * s.features_2 : 0));
    Scratch<Number> scratch(group * (second_size + out_size));
    if (!factors_1 || !scratch) return false;
    Real* const first = factors_1.get();
    Number* const second = scratch.get();
    Number* const result = second + group * second_size;

    for (Index from = panel_range.begin; from < panel_range.end; from += group) {
        const Index members = smaller(group, panel_range.end - from);
        for (Index p = 0; p < members; ++p) {
            const Index sample = panels.start(from + p), used = panels.used(from + p);
            pack_samples(c.x1, sample, used, s.features_1, first + p * first_size);
            pack_samples(c.x2, sample, used, s.features_2, second + p * second_size);
        }
        for (Index begin = output_range.begin; begin < output_range.end; begin += outputs_at_once) {
            const Index end = smaller(begin + outputs_at_once, output_range.end);
            for (Index o = begin; o < end; ++o) {
                const Real* matrix = matrix_of(s, c.weight + o * matrix_size, first + group * first_size);
                for (Index p = 0; p < members; ++p) {
                    Number* sum = result + p * out_size + (o - begin) * step;
                    fill(sum, step, c.bias ? wide(c.bias[o]) : Number(0));
                    for (Index tile = 0; tile < tiles.count; ++tile) {
                        const Index j = tiles.start(tile);
                        Factors<Real> factors{depth, matrix + j, s.features_2, first + p * first_size, step};
                        if (!is_packed && o + 1 < s.outputs)
                            factors.ask_for(
                                matrix + matrix_size, s.features_2, s.features_2,
                                p * tiles.count + tile);
                        const Number* others = second + p * second_size + j * step;
                        Number* const kept = c.kept
                            ? c.kept + (((from + p) * s.outputs + o) * s.features_2 + j) * step
                            : nullptr;
                        with_tile<tile_rows>(tiles.length(tile), panels.wide(from + p), [&](auto r, auto w) {
                            if (kept)
                                contract_tile<Real, r.value, w.value, true, false, true>(
                                    factors, nullptr, others, sum, kept);
                            else
                                contract_tile<Real, r.value, w.value, true, false>(
                                    factors, nullptr, others, sum, nullptr);
                        });
                    }
                }
            }
            for (Index p = 0; p < members; ++p)
                transpose(
                    result + p * out_size, step, end - begin, panels.used(from + p),
                    c.out + panels.start(from + p) * s.outputs + begin, s.outputs);
        }
    }
    return true;
}

// Chunks are ranges of panels and, where these are too few to go round, of outputs. A large weight
// passes by once for each range of panels, so then such a range is a whole group, unless outputs are
// too few as well.
template <class Stored> bool contract(const Contraction<Stored>& c, int threads) {
    using Real = Sum<Stored>;
    const Sizes& s = c.sizes;
    const Index panels = Panels<Real>(s.samples).count, matrix = s.features_1 * s.features_2;
    const Index wanted = chunks_for(s.samples * s.outputs, matrix, threads);
    const bool large = s.outputs * matrix * Index(sizeof(Real)) > large_weight_bytes();
    const Index panels_each = large ? panels_in_forward_group<Real>(s) : panels_in_chunk;
    const Index least = divided_up(smaller(wanted, Index(threads)), s.outputs);
    const Index along_samples = smaller(panels, larger(least, smaller(wanted, panels / panels_each)));
    const Index along_outputs = smaller(divided_up(wanted, along_samples), s.outputs);
    return parallel(threads, along_samples * along_outputs, [&](Index chunk) {
        return contract_part(
            c, share({0, panels}, chunk / along_outputs, along_samples),
            share({0, s.outputs}, chunk % along_outputs, along_outputs));
    });
}

// The gradient of x2 from what was kept. Chunks are ranges of panels.
template <class Real>
bool gradient_from_kept(
    const Sizes& s, Matrix<Real> g, const Real* kept, Real* d_second, int threads) {
    constexpr Index step = panel<Real>;
    const Panels<Real> panels(s.samples);
    const Index each = s.outputs * s.features_2;
    const Index chunks = smaller(panels.count, chunks_for(s.samples, 4 * each, threads));
    return parallel(threads, chunks, [&](Index chunk) {
        Scratch<Real> scratch((s.outputs + s.features_2) * step);
        if (!scratch) return false;
        Real* const starts = scratch.get();
        Real* const sums = starts + s.outputs * step;
        const Range mine = share({0, panels.count}, chunk, chunks);
        for (Index p = mine.begin; p < mine.end; ++p) {
            pack_samples(g, panels.start(p), panels.used(p), s.outputs, starts);
            for (Index o = 0; o < s.outputs; ++o) {
                const Real* from = kept + (p * each + o * s.features_2) * step;
                for (Index q = 0; q < panels.width(p); q += lanes<Real>) {
                    const Vector<Real> start = load(starts + o * step + q);
                    for (Index j = 0; j < s.features_2; ++j) {
                        Real* const sum = sums + j * step + q;
                        const Vector<Real> term = start * load(from + j * step + q);
                        store<Real>(sum, o == 0 ? term : load(sum) + term);
                    }
                }
            }
            transpose(
                sums, step, s.features_2, panels.used(p), d_second + panels.start(p) * s.features_2,
                s.features_2);
        }
        return true;
    });
}

}  // namespace
