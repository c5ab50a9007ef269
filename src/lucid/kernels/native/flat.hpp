// Both features as one, f = (i, j), which is how they lie in W; lanes are f. For few samples, for
// features 2 that would leave lanes empty, and for weight gradients of many outputs.
//
//     P[n, f] = x1[n, i] · x2[n, j]              out[n, o] = Σ_f W[o, f] · P[n, f]
//     D[n, f] = Σ_o g[n, o] · W[o, f]            dx1[n, i] = Σ_j D · x2;  dx2[n, j] = Σ_i D · x1
//                                                dW[o, f] = Σ_n g[n, o] · P[n, f]
//
// P and D are written down, of so many features 1 at a time that they stay in the second-level
// cache: little work beside that of the outputs, if there are many.
#pragma once

#include "copies.hpp"
#include "few.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "tile.hpp"

namespace {

// Features 1 in a block, where each feature f takes so many numbers.
template <class Real> Index flat_features(const Sizes& s, Range mine, Index numbers) {
    const Index room = block_bytes() / Index(sizeof(Real)) / (numbers * s.features_2);
    return smaller(mine.length(), larger<Index>(1, room));
}

// W is read where it lies by the only tile of few samples, while the caches hold it.
template <class Real> bool flat_in_place(const Sizes& s) {
    const Index bytes = s.outputs * s.features_1 * s.features_2 * Index(sizeof(Real));
    return s.samples <= tile_rows && bytes <= near_weight_bytes();
}

// Chunks of features 1, each of some panels, or the last one of each would be a large part.
template <class Real> Index flat_chunks(const Sizes& s, Index wanted) {
    const Index panels = divided_up(s.features_1 * s.features_2, 4 * panel<Real>);
    return smaller(wanted, smaller(s.features_1, panels));
}

// A step from row to row of P that spreads them over all places of the first-level cache.
template <class Real> Index flat_step(Index columns) {
    const Index vectors = divided_up(columns, lanes<Real>) + 1;
    return (vectors | 1) * lanes<Real>;
}

// Chunks are ranges of i, whose results are summed in their order, and of outputs.
template <class Real>
bool flat_forward(
    const Sizes& s, const Samples<Real>& x, const Real* weight, const Real* bias, Real* out,
    int threads) {
    const Index size = s.features_1 * s.features_2, n_out = s.samples * s.outputs;
    const Index wanted = chunks_for(n_out, size, threads);
    const Index along_features = with_copies(flat_chunks<Real>(s, wanted), n_out * Index(sizeof(Real)));
    const Index along_outputs = smaller(divided_up(wanted, along_features), s.outputs);
    Scratch<Real> partial((along_features - 1) * n_out);
    if (!partial) return false;
    const bool done = parallel(threads, along_features * along_outputs, [&](Index chunk) {
        const Index part = chunk / along_outputs;
        const Range mine = share({0, s.features_1}, part, along_features);
        const Range outputs = share({0, s.outputs}, chunk % along_outputs, along_outputs);
        const Index at_once = flat_features<Real>(s, mine, s.samples);
        const Index step = flat_step<Real>(at_once * s.features_2);
        Scratch<Real> memory(s.samples * (step + lanes<Real>) + s.features_2 + lanes<Real>);
        if (!memory) return false;
        auto* const sums = reinterpret_cast<Vector<Real>*>(memory.get());
        Real* const products = memory.get() + s.samples * lanes<Real>;
        Real* const second = products + s.samples * step;
        Real* const to = part == 0 ? out : partial.get() + (part - 1) * n_out;
        const Real one = 1;
        for (Index i = mine.begin; i < mine.end; i += at_once) {
            const Range now{i, smaller(i + at_once, mine.end)};
            pack_outer(s, x, {0, s.samples}, now, second, products, step);
            const Sizes of_one{s.samples, 1, 1, now.length() * s.features_2};
            for (Index o = outputs.begin; o < outputs.end; ++o) {
                few_output<Real>(
                    of_one, {{&one, 0}, {products, step}}, weight + o * size + i * s.features_2,
                    {0, 1}, sums);
                for (Index n = 0; n < s.samples; ++n) {
                    Real& result = to[n * s.outputs + o];
                    const Real before = i > mine.begin ? result : part == 0 && bias ? bias[o] : Real(0);
                    result = before + sum_of_lanes<Real>(sums[n]);
                }
            }
        }
        return true;
    });
    return done && add_copies(out, partial.get(), along_features - 1, n_out, threads);
}

// Chunks are ranges of i and, where these are too few to go round, of tiles of outputs.
template <class Real>
bool flat_weight_gradient(
    const Sizes& s, Matrix<Real> g, const Samples<Real>& x, Real* d_weight, bool adds, int threads) {
    const Index size = s.features_1 * s.features_2;
    const bool far = is_far(s.outputs * size * Index(sizeof(Real)));
    const Pieces blocks(s.samples, depth_at_once), tiles(s.outputs, tile_rows);
    const Index depth = divided_up(s.samples, blocks.count);
    const Index wanted = chunks_for(s.outputs * size, s.samples, threads);
    const Index along_features = flat_chunks<Real>(s, wanted);
    const Index along_outputs = smaller(
        tiles.count, divided_up(smaller(wanted, Index(threads)), along_features));
    return parallel(threads, along_features * along_outputs, [&](Index chunk) {
        const Range mine = share({0, s.features_1}, chunk / along_outputs, along_features);
        const Range outputs = share({0, tiles.count}, chunk % along_outputs, along_outputs);
        const Index at_once = flat_features<Real>(s, mine, depth);
        const Index step = flat_step<Real>(at_once * s.features_2);
        Scratch<Real> products(depth * step + s.features_2 + lanes<Real>);
        if (!products) return false;
        Real* const second = products.get() + depth * step;
        for (Index i = mine.begin; i < mine.end; i += at_once) {
            const Range now{i, smaller(i + at_once, mine.end)};
            const Panels<Real> panels(now.length() * s.features_2);
            for (Index block = 0; block < blocks.count; ++block) {
                const Index first = blocks.start(block), count = blocks.length(block);
                pack_outer(s, x, {first, first + count}, now, second, products.get(), step);
                for (Index q = 0; q < panels.count; ++q)
                    for (Index t = outputs.begin; t < outputs.end; ++t) {
                        const Index o = tiles.start(t);
                        const Factors<Real> factors{
                            count, g.data + first * g.step + o, g.step,
                            products.get() + panels.start(q), step};
                        const Target<Real> target{
                            d_weight + o * size + i * s.features_2 + panels.start(q), size,
                            panels.used(q), adds || block > 0, far};
                        with_tile<tile_rows>(tiles.length(t), panels.wide(q), [&](auto r, auto w) {
                            accumulate_tile<Real, r.value, w.value>(factors, target);
                        });
                    }
            }
        }
        return true;
    });
}

// Chunks are ranges of i, over which d2 is summed in their order, and, where these are too few to go
// round, of samples.
template <class Real>
bool flat_input_gradients(
    const Sizes& s, Matrix<Real> g, const Samples<Real>& x, const Real* weight, Real* d_first,
    Real* d_second, int threads) {
    const Index size = s.features_1 * s.features_2, n_second = s.samples * s.features_2;
    const bool in_place = flat_in_place<Real>(s);
    const Index wanted = chunks_for(s.samples * s.outputs, size, threads);
    const Index along_features =
        with_copies(flat_chunks<Real>(s, wanted), n_second * Index(sizeof(Real)));
    const Index along_samples = smaller(
        divided_up(s.samples, tile_rows), divided_up(smaller(wanted, Index(threads)), along_features));
    Scratch<Real> shared(s.samples * s.outputs + (along_features - 1) * n_second);
    if (!shared) return false;
    Real* const turned = shared.get();  // g as [o][n]
    Real* const partial = turned + s.samples * s.outputs;
    transpose(g.data, g.step, s.samples, s.outputs, turned, s.samples);
    const bool done = parallel(threads, along_features * along_samples, [&](Index chunk) {
        const Index part = chunk / along_samples;
        const Range mine = share({0, s.features_1}, part, along_features);
        const Range samples = share({0, s.samples}, chunk % along_samples, along_samples);
        const Pieces blocks(samples.length(), depth_at_once);
        const Index most = divided_up(samples.length(), blocks.count);
        const Index at_once = flat_features<Real>(s, mine, most + s.outputs);
        const Index step = flat_step<Real>(at_once * s.features_2);
        Scratch<Real> memory((most + s.outputs) * step);
        if (!memory) return false;
        Real* const middle = memory.get();
        Real* const copied = middle + most * step;
        Real* const d2 = part == 0 ? d_second : partial + (part - 1) * n_second;
        fill(d2 + samples.begin * s.features_2, samples.length() * s.features_2, Real(0));
        for (Index block = 0; block < blocks.count; ++block) {
            const Index first = samples.begin + blocks.start(block), count = blocks.length(block);
            const Pieces tiles(count, tile_rows);
            for (Index i = mine.begin; i < mine.end; i += at_once) {
                const Index end = smaller(i + at_once, mine.end), column = i * s.features_2;
                const Panels<Real> panels((end - i) * s.features_2);
                const bool copies = !in_place || column + panels.padded > size;
                if (copies) pack_columns(weight + column, size, s.outputs, panels, copied);
                for (Index q = 0; q < panels.count; ++q)
                    for (Index t = 0; t < tiles.count; ++t) {
                        const Index row = tiles.start(t);
                        Factors<Real> factors{
                            s.outputs, turned + first + row, s.samples,
                            copied + panels.start(q) * s.outputs, panels.width(q)};
                        if (!copies) factors.b = weight + column + panels.start(q), factors.b_step = size;
                        const Target<Real> target{
                            middle + row * step + panels.start(q), step, panels.width(q), false};
                        with_tile<tile_rows>(tiles.length(t), panels.wide(q), [&](auto r, auto w) {
                            accumulate_tile<Real, r.value, w.value>(factors, target);
                        });
                    }
                for (Index n = first; n < first + count; ++n)
                    for (Index k = i; k < end; ++k) {
                        Real sum = 0;
                        both_row<Real>(
                            s.features_2, middle + (n - first) * step + (k - i) * s.features_2,
                            Real(1), *x.first(n, k).data, x.second(n).data, sum,
                            d2 + n * s.features_2);
                        d_first[n * s.features_1 + k] = sum;
                    }
            }
        }
        return true;
    });
    return done && add_copies(d_second, partial, along_features - 1, n_second, threads);
}

}  // namespace
