// Forward with few features: the products x1 · x2 are formed in registers, rows of a tile are
// outputs. With one or two features 2 the other ways would have tiles of one or two rows.
//
//     D[o][n] = Σ_ij W[o, i, j] · (x1[n, i] · x2[n, j])        out[n, o] = D[o][n] + bias[o]
#pragma once

#include "contract.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Real> struct Outer {
    Sizes sizes;
    Matrix<Real> x1, x2;
    const Real *weight, *bias;
    Real* out;
    Index products() const { return sizes.features_1 * sizes.features_2; }
};

template <class Real>
bool outer_part(const Outer<Real>& c, const Real* packed, Range panel_range, Range tile_range) {
    constexpr Index step = panel<Real>, tiles_at_once = outputs_at_once / tile_rows;
    const Sizes& s = c.sizes;
    const Panels<Real> panels(s.samples);
    const Pieces tiles(s.outputs, tile_rows);
    Scratch<Real> scratch((s.features_1 + s.features_2 + outputs_at_once) * step);
    if (!scratch) return false;
    Real* const x1 = scratch.get();
    Real* const x2 = x1 + s.features_1 * step;
    Real* const results = x2 + s.features_2 * step;
    for (Index p = panel_range.begin; p < panel_range.end; ++p) {
        const Index sample = panels.start(p), used = panels.used(p);
        pack_samples(c.x1, sample, used, s.features_1, x1);
        pack_samples(c.x2, sample, used, s.features_2, x2);
        for (Index begin = tile_range.begin; begin < tile_range.end; begin += tiles_at_once) {
            const Index end = smaller(begin + tiles_at_once, tile_range.end);
            const Index first = tiles.start(begin), outputs = tiles.start(end) - first;
            for (Index tile = begin; tile < end; ++tile) {
                const Index o = tiles.start(tile), rows = tiles.length(tile);
                const Target<Real> target{
                    results + (o - first) * step, step,
                    panels.wide(p) ? step : Index(lanes<Real>), c.bias != nullptr};
                for (Index r = 0; c.bias && r < rows; ++r)
                    fill(target.c + r * step, step, c.bias[o + r]);
                with_tile<tile_rows>(rows, panels.wide(p), [&](auto r, auto w) {
                    accumulate_products_tile<Real, r.value, w.value>(
                        s, packed + o * c.products(), x1, x2, target);
                });
            }
            transpose(results, step, outputs, used, c.out + sample * s.outputs + first, s.outputs);
        }
    }
    return true;
}

// Chunks are ranges of panels and, where these are too few to go round, of outputs.
template <class Real> bool outer_forward(const Outer<Real>& c, int threads) {
    const Sizes& s = c.sizes;
    const Pieces tiles(s.outputs, tile_rows);
    Scratch<Real> packed(s.outputs * c.products());
    if (!packed) return false;
    for (Index tile = 0; tile < tiles.count; ++tile) {
        const Index start = tiles.start(tile) * c.products(), rows = tiles.length(tile);
        transpose(c.weight + start, c.products(), rows, c.products(), packed.get() + start, rows);
    }
    const Index panels = Panels<Real>(s.samples).count;
    const Index wanted = chunks_for(s.samples * s.outputs, c.products(), threads);
    const Index along_samples = smaller(wanted, panels);
    const Index along_outputs = smaller(divided_up(wanted, along_samples), tiles.count);
    return parallel(threads, along_samples * along_outputs, [&](Index chunk) {
        return outer_part(
            c, packed.get(), share({0, panels}, chunk / along_outputs, along_samples),
            share({0, tiles.count}, chunk % along_outputs, along_outputs));
    });
}

}  // namespace
