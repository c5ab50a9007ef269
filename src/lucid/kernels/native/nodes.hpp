// Edges of few nodes: a node meets the weight once, and its edges what comes of that.
//
//     T[n, k, l] = Σ_i x[n, i] · W[i, k, l]          to[e, l] = Σ_k from[e, k] · T[n(e), k, l]
//     U[n, k, l] = Σ_e∈n g[e, k] · from[e, l]        dx[n, i] = Σ_kl U[n, k, l] · W[i, k, l]
//                                                    dW[i, k, l] = Σ_n x[n, i] · U[n, k, l]
//
// The first line is the form, and with g in the place of `from` the gradient of `from`. T is held for a
// few nodes at a time, in a cache, U for those of a call.
#pragma once

#include "pack.hpp"
#include "pool.hpp"

namespace {

using lucid::Chosen;
using lucid::Nodes;
using lucid::Positions;

constexpr Index nodes_at_once = 24;  // whole tiles of any instruction set

// From one node of T or U to the next: an odd number of lines, for the caches, and the last vector may
// be read beyond its end.
template <class Real> Index middle_step(Index width) {
    const Index vectors = divided_up(width, lanes<Real>);
    return (vectors + 1 + vectors % 2) * lanes<Real>;
}

// Columns of a matrix by panels: packed, or rows `step` apart where they lie.
template <class Real> struct Columns {
    const Real* data;
    Index panel_step, step;
    static Columns packed(const Real* data, Index depth) { return {data, depth, 0}; }
    static Columns of_rows(const Real* data, Index step) { return {data, 1, step}; }
};

// c = a · b, or added to what is there; rows of a and c are so far apart.
template <class Real>
void multiply_rows(
    Matrix<Real> a, Index rows, Index depth, const Columns<Real>& b, const Panels<Real>& panels, Real* c,
    Index c_step, bool adds) {
    const Pieces tiles(rows, tile_rows);
    for (Index q = 0; q < panels.count; ++q) {
        const Index step = b.step ? b.step : panels.width(q);
        for (Index k = 0; k < depth; k += depth_at_once)
            for (Index tile = 0; tile < tiles.count; ++tile) {
                const Index row = tiles.start(tile);
                const Factors<Real> factors{
                    smaller(depth_at_once, depth - k), a.data + row * a.step + k, a.step,
                    b.data + panels.start(q) * b.panel_step + k * step, step};
                const Target<Real> target{
                    c + row * c_step + panels.start(q), c_step, panels.used(q), adds || k > 0};
                with_tile<tile_rows>(tiles.length(tile), panels.wide(q), [&](auto r, auto w) {
                    accumulate_spaced_tile<Real, r.value, w.value>(factors, target);
                });
            }
    }
}

template <class Real> void copy(const Real* from, Index count, Real* to) {
    for (Index k = 0; k < count; ++k) to[k] = from[k];
}

// The rows of some edges, one after the other.
template <class Real> void gather(Chosen<const Real> x, Range edges, Real* to) {
    for (Index e = edges.begin; e < edges.end; ++e, to += x.features) copy(x.at(e), x.features, to);
}

template <class Real>
bool edges_of_nodes(
    const Nodes& s, const Real* x, const Real* weight, Chosen<const Real> from, const Real* bias,
    Chosen<Real> to, int threads) {
    const Index outer = from.features, inner = to.features, step = middle_step<Real>(outer * inner);
    const Panels<Real> all(outer * inner), results(inner);
    const Pieces chunks(s.count, nodes_at_once);
    return parallel(threads, chunks.count, [&](Index chunk) {
        const Index first = chunks.start(chunk), nodes = chunks.length(chunk);
        const Range edges = s.edges<Range>(first, first + nodes);
        Scratch<Real> scratch(nodes * step + edges.length() * (outer + inner));
        if (!scratch) return false;
        Real* const middle = scratch.get();
        Real* const rows = middle + nodes * step;
        Real* const found = rows + edges.length() * outer;
        multiply_rows<Real>(
            {x + first * s.features, s.features}, nodes, s.features,
            Columns<Real>::packed(weight, s.features), all, middle, step, false);
        gather(from, edges, rows);
        for (Index e = 0; bias && e < edges.length(); ++e) copy(bias, inner, found + e * inner);
        for (Index n = 0; n < nodes; ++n) {
            const Range mine = s.edges<Range>(first + n, first + n + 1);
            const Index at = mine.begin - edges.begin;
            multiply_rows<Real>(
                {rows + at * outer, outer}, mine.length(), outer,
                Columns<Real>::of_rows(middle + n * step, inner), results, found + at * inner, inner,
                bias != nullptr);
        }
        for (Index e = 0; e < edges.length(); ++e)
            copy(found + e * inner, inner, to.at(edges.begin + e));
        return true;
    });
}

// U of some nodes, whose edges lie one after the other.
template <class Real>
void sum_edges(const Nodes& s, Range nodes, const Real* g, Index outer, const Real* from, Index inner, Real* to) {
    const Panels<Real> panels(inner);
    const Pieces tiles(outer, tile_rows);
    const Index start = s.edges<Range>(nodes.begin, nodes.end).begin, step = middle_step<Real>(outer * inner);
    for (Index n = nodes.begin; n < nodes.end; ++n, to += step) {
        const Range edges = s.edges<Range>(n, n + 1);
        for (Index q = 0; q < panels.count; ++q)
            for (Index tile = 0; tile < tiles.count; ++tile) {
                const Index k = tiles.start(tile);
                const Factors<Real> factors{
                    edges.length(), g + (edges.begin - start) * outer + k, outer,
                    from + (edges.begin - start) * inner + panels.start(q), inner};
                const Target<Real> target{
                    to + k * inner + panels.start(q), inner, panels.used(q), false};
                with_tile<tile_rows>(tiles.length(tile), panels.wide(q), [&](auto r, auto w) {
                    accumulate_tile<Real, r.value, w.value>(factors, target);
                });
            }
    }
}

// dx is written, dW added to; either may be null, and then what only it needs.
template <class Real>
bool nodes_of_edges(
    const Nodes& s, const Real* x, const Real* weight, Chosen<const Real> g, Chosen<const Real> from,
    Real* middle, Real* d_nodes, Real* d_weight, int threads) {
    const Index outer = g.features, inner = from.features, width = outer * inner;
    const Index step = middle_step<Real>(width);
    const Panels<Real> all(width), features(s.features);
    const Pieces chunks(s.count, nodes_at_once);
    const bool done = parallel(threads, chunks.count, [&](Index chunk) {
        const Range nodes{chunks.start(chunk), chunks.start(chunk + 1)};
        const Range edges = s.edges<Range>(nodes.begin, nodes.end);
        Scratch<Real> scratch(edges.length() * (outer + inner) + lanes<Real>);
        if (!scratch) return false;
        Real* const rows = scratch.get();
        gather(g, edges, rows);
        gather(from, edges, rows + edges.length() * outer);
        Real* const mine = middle + nodes.begin * step;
        sum_edges(s, nodes, rows, outer, rows + edges.length() * outer, inner, mine);
        if (d_nodes)
            multiply_rows<Real>(
                {mine, step}, nodes.length(), width, Columns<Real>::packed(weight, width), features,
                d_nodes + nodes.begin * s.features, s.features, false);
        return true;
    });
    if (!done || !d_weight) return done;
    const Pieces tiles(s.features, tile_rows);
    return parallel(threads, all.count, [&](Index q) {
        const Panels<Real> panels(all.used(q));
        Scratch<Real> packed(smaller(depth_at_once, s.count) * panel<Real>);
        if (!packed) return false;
        for (Index n = 0; n < s.count; n += depth_at_once) {
            const Index part = smaller(depth_at_once, s.count - n);
            pack_columns(middle + n * step + all.start(q), step, part, panels, packed.get());
            for (Index tile = 0; tile < tiles.count; ++tile) {
                const Index i = tiles.start(tile);
                const Factors<Real> factors{
                    part, x + n * s.features + i, s.features, packed.get(), panels.width(0)};
                const Target<Real> target{
                    d_weight + i * width + all.start(q), width, all.used(q), true};
                with_tile<tile_rows>(tiles.length(tile), all.wide(q), [&](auto r, auto w) {
                    accumulate_tile<Real, r.value, w.value>(factors, target);
                });
            }
        }
        return true;
    });
}

// A matrix whose rows and columns are each those of two axes, as [panel][row][lane]; how many numbers
// that is.
template <class Real>
Index pack_matrix(const Real* from, const Positions& rows, Index count, const Positions& columns, Index width, Real* to) {
    const Panels<Real> panels(width);
    for (Index q = 0; to && q < panels.count; ++q) {
        Index places[panel<Real>];
        for (Index k = 0; k < panels.used(q); ++k) places[k] = columns.at(panels.start(q) + k);
        for (Index row = 0; row < count; ++row, to += panels.width(q)) {
            const Real* const own = from + rows.at(row);
            for (Index k = 0; k < panels.used(q); ++k) to[k] = own[places[k]];
            for (Index k = panels.used(q); k < panels.width(q); ++k) to[k] = Real(0);
        }
    }
    return panels.padded * count;
}

}  // namespace
