// dW[o, i, j] = Σ_n g[n, o] · x1[n, i] · x2[n, j]: a matrix product over samples, lanes are j.
//
//     samples     rows of a tile are i; a = g[n, o] · x1[n, i] is packed for each o, b = x2
//     products    rows of a tile are o; a = g in place, b = x1[n, i] · x2 is formed in registers:
//                 for few features 2, where packing a would cost as much as the product
#pragma once

#include "copies.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

template <class Stored> struct WeightGradient {
    Sizes sizes;
    Matrix<Stored> g, x1, x2;
    bool products;
    bool adds = false;  // to what is there

    // Tiles are numbered along the axis of their rows first.
    Pieces rows() const {
        return Pieces(products ? sizes.outputs : sizes.features_1, Index(tile_rows));
    }
    Index tiles() const { return rows().count * (products ? sizes.features_1 : sizes.outputs); }
};

inline Index in_whole_depths(Index samples) {
    if (samples < depth_at_once) return larger(samples, least_depth);
    return samples / depth_at_once * depth_at_once;
}

// Samples whose x1, packed x2 and g stay in the first-level cache together.
template <class Real> Index products_at_once(const Sizes& s) {
    const double features = double(Panels<Real>(s.features_2).padded) + double(s.features_1) + double(s.outputs);
    return larger(least_samples, Index(double(nearest_bytes()) / sizeof(Real) / features));
}

// Some tiles of the gradient, summed over some samples, into d_weight, which need not be zero, or
// added to it.
template <class Stored>
bool weight_gradient_part(
    const WeightGradient<Stored>& c, Range samples, Range tiles, Sum<Stored>* d_weight, bool adds) {
    using Real = Unit<Stored>;
    using Number = Sum<Stored>;
    const Sizes& s = c.sizes;
    const Panels<Real> panels(s.features_2);
    const Pieces rows = c.rows();
    const Index widths = panels.padded;
    const bool far = is_far(s.outputs * s.features_1 * s.features_2 * Index(sizeof(Number)));
    const Index room = c.products
        ? products_at_once<Real>(s)
        : in_whole_depths(block_bytes() / Index(sizeof(Real)) / widths);
    const Index block = smaller(samples.length(), room);
    const Index products_room = c.products ? 0 : (depth_at_once + 2) * tile_rows + 4 * lanes<Real>;
    const Index second_size = units<Stored>(block) * widths;
    Scratch<Real> scratch(second_size + products_room + (c.products ? 0 : block));
    if (!scratch) return false;
    Real* const second = scratch.get();
    Real* const products = second + second_size;
    Number* const column = reinterpret_cast<Number*>(products + products_room);

    for (Index begin = samples.begin; begin < samples.end; begin += block) {
        const Range now{begin, smaller(samples.end, begin + block)};
        const Index depth = now.length();
        pack_columns<Stored>(c.x2.data + begin * c.x2.step, c.x2.step, depth, panels, second);
        Index column_of = -1;
        for (Index tile = tiles.begin; tile < tiles.end; ++tile) {
            const Index piece = tile % rows.count, other = tile / rows.count;
            const Index row = rows.start(piece), count = rows.length(piece);
            const Index o = c.products ? row : other, i = c.products ? other : row;
            Number* to = d_weight + (o * s.features_1 + i) * s.features_2;
            const Index row_step = c.products ? s.features_1 * s.features_2 : s.features_2;
            if constexpr (Types<Stored>::numbers == 1) if (c.products) {
                for (Index q = 0; q < panels.count; ++q) {
                    const Factors<Real> factors{
                        depth, c.g.data + begin * c.g.step + o, c.g.step,
                        second + q * panel<Real> * depth, panels.width(q)};
                    const Target<Real> target{
                        to + q * panel<Real>, row_step, panels.used(q), adds || begin > samples.begin, far};
                    with_tile<tile_rows>(count, panels.wide(q), [&](auto r, auto w) {
                        accumulate_scaled_tile<Real, r.value, w.value>(
                            factors, c.x1.data + begin * c.x1.step + i, c.x1.step, target);
                    });
                }
                continue;
            }
            if (column_of != o)
                for (Index n = 0; n < depth; ++n) column[n] = wide(c.g.data[(begin + n) * c.g.step + o]);
            column_of = o;
            for (Index k = 0; k < depth; k += depth_at_once) {
                const Index part = smaller(depth_at_once, depth - k);
                pack_products(
                    column + k, c.x1, {begin + k, begin + k + part}, i, count, s.samples,
                    s.features_1, products);
                for (Index q = 0; q < panels.count; ++q) {
                    const Factors<Real> factors{
                        units<Stored>(part), products, count,
                        second + q * panel<Real> * units<Stored>(depth) + units<Stored>(k) * panels.width(q),
                        panels.width(q)};
                    const Target<Number> target{
                        to + q * panel<Real>, row_step, panels.used(q),
                        adds || begin > samples.begin || k > 0, far};
                    with_tile<tile_rows>(count, panels.wide(q), [&](auto r, auto w) {
                        accumulate_tile<Real, r.value, w.value>(factors, target);
                    });
                }
            }
        }
    }
    return true;
}

// Chunks are ranges of samples with a copy of the gradient each, where it is small and samples are
// many; else ranges of tiles.
template <class Real>
bool weight_gradient(const WeightGradient<Real>& c, Real* d_weight, int threads) {
    const Sizes& s = c.sizes;
    const Index size = s.outputs * s.features_1 * s.features_2;
    const Index wanted = chunks_for(size, s.samples, threads);
    const Index copies = smaller(wanted, Index(threads));
    const Index least = c.tiles() < copies ? fewest_in_chunk : samples_in_chunk;
    if (copies > 1 && size * Index(sizeof(Real)) <= copied_bytes && s.samples >= least * copies) {
        Scratch<Real> partial((copies - 1) * size);
        if (!partial) return false;
        const bool done = parallel(threads, copies, [&](Index chunk) {
            Real* to = chunk == 0 ? d_weight : partial.get() + (chunk - 1) * size;
            return weight_gradient_part(
                c, share({0, s.samples}, chunk, copies), {0, c.tiles()}, to, c.adds && chunk == 0);
        });
        return done && add_copies(d_weight, partial.get(), copies - 1, size, threads);
    }
    const Index chunks = smaller(wanted, c.tiles());
    return parallel(threads, chunks, [&](Index chunk) {
        return weight_gradient_part(
            c, {0, s.samples}, share({0, c.tiles()}, chunk, chunks), d_weight, c.adds);
    });
}

// In bfloat16: by some outputs at a time, whose sums stay in a cache until they are rounded.
inline bool rounded_weight_gradient(
    const WeightGradient<BFloat16>& c, BFloat16* d_weight, int threads) {
    const Index outputs = c.sizes.outputs, matrix = c.sizes.features_1 * c.sizes.features_2;
    const Index most = larger<Index>(1, block_bytes() / Index(sizeof(float)) / matrix);
    const Index chunks = smaller(
        outputs, larger(divided_up(outputs, most), chunks_for(outputs * matrix, c.sizes.samples, threads)));
    return parallel(threads, chunks, [&](Index chunk) {
        const Range some = share({0, outputs}, chunk, chunks);
        WeightGradient<BFloat16> part = c;
        part.sizes.outputs = some.length();
        part.g.data += some.begin;
        const Index size = some.length() * matrix;
        Scratch<float> sums(size);
        if (!sums || !weight_gradient_part(part, {0, c.sizes.samples}, {0, part.tiles()}, sums.get(), false))
            return false;
        narrow<Brain>(sums.get(), size, reinterpret_cast<std::uint16_t*>(d_weight + some.begin * matrix));
        return true;
    });
}

}  // namespace
