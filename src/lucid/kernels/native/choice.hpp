// Which algorithm: the one that costs least, by what each does.
//
// A cost is a sum of counts of work, each times the nanoseconds that one of them takes on one core:
// one table, with a row for each algorithm and a column for each kind of work, fitted to measurements
// on a kind of core by benchmarks/fit_costs.py. Counts are of the instruction set's own vectors and
// tiles. README.md says what wrong choices cost.
#pragma once

#include "contract.hpp"
#include "flat.hpp"
#include "input_gradients.hpp"
#include "pack.hpp"
#include "tile.hpp"
#include "weight_gradient.hpp"

namespace {

using lucid::Work;

struct Cost {
    Operation operation;
    Algorithm algorithm;
    Work nanoseconds;
};

// clang-format off
constexpr Cost other_costs[] = {
#include "costs_other.inc"
};
constexpr Cost zen4_costs[] = {
#include "costs_zen4.inc"
};
// clang-format on

constexpr int cost_rows = sizeof(other_costs) / sizeof(Cost);
static_assert(sizeof(zen4_costs) == sizeof(other_costs), "a row for each algorithm");
static_assert(
    cost_rows == lucid::algorithms_of(Operation::forward).count +
                     lucid::algorithms_of(Operation::inputs).count +
                     lucid::algorithms_of(Operation::weight).count, "a row for each algorithm");

// Whether an algorithm can do these sizes in the memory that a call may take.
template <class Real>
bool suits(Operation operation, Algorithm algorithm, const Sizes& s, bool both) {
    const double n = double(s.samples), j = double(s.features_2), o = double(s.outputs);
    const double longer = double(larger(s.features_1, s.features_2));
    const bool packs_weight = has_room<Real>(o * double(s.features_1) * j, most_bytes);
    const bool other = both || has_room<Real>(n * longer, most_bytes_each);
    switch (operation) {
    case Operation::forward:
        if (algorithm == Algorithm::outer_product) return packs_weight;
        if (algorithm == Algorithm::flat_features) return has_room<Real>(n * j, block_bytes());
        return true;
    case Operation::inputs:
        if (algorithm == Algorithm::output_by_output) return packs_weight;
        if (algorithm == Algorithm::gradient_in_registers) return packs_weight && both;
        if (algorithm == Algorithm::stream_weight) return other;
        if (algorithm == Algorithm::flat_features)
            return other &&
                   has_room<Real>((smaller(n, double(depth_at_once)) + o) * j, most_bytes_each);
        return true;
    case Operation::weight:
        if (algorithm == Algorithm::flat_features)
            return has_room<Real>(double(depth_at_once) * j, most_bytes_each);
    }
    return true;
}

inline double in_pieces(double size, double of) { return __builtin_ceil(size / of); }

// The sizes, in vectors, in panels and in tiles of rows: in double, where no product is too large.
template <class Real> struct Counts {
    double n, o, i, j, f;
    double n_vectors, j_vectors, f_vectors, n_panels, j_panels, f_panels;
    double n_tiles, o_tiles, i_tiles, j_tiles;
    // Lines of W: all, those beyond the last level of the caches, and those beyond the second one, as
    // often as the groups of panels of the input gradients meet them.
    double weight_lines, far_lines, met_lines;

    explicit Counts(const Sizes& s)
        : n(double(s.samples)), o(double(s.outputs)), i(double(s.features_1)),
          j(double(s.features_2)), f(i * j), n_vectors(vectors(n)), j_vectors(vectors(j)),
          f_vectors(vectors(f)), n_panels(in_pieces(n, panel<Real>)),
          j_panels(in_pieces(j, panel<Real>)), f_panels(in_pieces(f, panel<Real>)),
          n_tiles(in_pieces(n, tile_rows)), o_tiles(in_pieces(o, tile_rows)),
          i_tiles(in_pieces(i, tile_rows)), j_tiles(in_pieces(j, tile_rows)),
          weight_lines(o * f * sizeof(Real) / line_bytes),
          far_lines(larger(0.0, weight_lines - double(near_weight_bytes() / line_bytes))),
          met_lines(
              larger(0.0, weight_lines - double(machine.second_level / line_bytes)) *
              in_pieces(n_panels, double(panels_in_block<Real>(s)))) {}

    static double vectors(double size) { return in_pieces(size, lanes<Real>); }
    // Where less than a vector is taken number by number.
    static double pieces(double size) { return size < lanes<Real> ? size : vectors(size); }
};

// What an algorithm does for these sizes, and in how many pieces threads can divide it.
struct Estimate {
    Work work;
    double pieces;
};

template <class Real> Estimate forward_work(Algorithm algorithm, const Counts<Real>& c) {
    const double numbers = c.n * (c.i + c.j + c.o);
    switch (algorithm) {
    case Algorithm::samples_on_lanes: {
        const double groups =
            1 + c.n_panels * (c.i + c.j) * panel<Real> * sizeof(Real) / double(forward_group_bytes());
        return {{{1, c.o * c.f * c.n_vectors, c.o * c.j_tiles * c.i * c.n_vectors,
                 c.o * c.j_tiles * c.n_panels, c.o * c.j * c.n_vectors, numbers, 0, c.far_lines * groups}},
                c.n_panels * c.o};
    }
    case Algorithm::stream_weight:
        return {{{1, c.o * c.n * c.i * c.pieces(c.j), c.o * c.n * c.i, c.o * c.n, 0, 0, c.weight_lines,
                 c.far_lines}}, c.o * in_pieces(c.i, rows_in_chunk) * in_pieces(c.n, samples_at_once)};
    case Algorithm::outer_product:
        return {{{1, c.o * c.f * c.n_vectors, c.o_tiles * c.f * c.n_vectors, c.o_tiles * c.n_panels,
                 0, numbers, c.o * c.f, 0}}, c.n_panels * c.o_tiles};
    case Algorithm::flat_features:
        return {{{1, c.o * c.n * c.pieces(c.f), 0, c.o * c.n, 0, c.n * c.i * c.j_vectors,
                 c.weight_lines, c.far_lines}}, smaller(c.i, c.f_panels) * c.o};
    default: return {{{1, c.n * c.o * c.f, c.n * c.o * c.i, c.n * c.o, 0, 0, 0, 0}}, 1};
    }
}

template <class Real> Estimate inputs_work(Algorithm algorithm, const Counts<Real>& c) {
    const double numbers = c.n * (2 * c.i + 2 * c.j + c.o), adds = c.o * c.f * c.n_vectors;
    switch (algorithm) {
    case Algorithm::samples_on_lanes:
        return {{{1, adds, c.i * c.j_tiles * c.o * c.n_vectors, c.i * c.j_tiles * c.n_panels,
                 c.f * c.n_vectors, numbers, c.o * c.f, c.met_lines}}, larger(c.n_panels, c.i)};
    case Algorithm::gradient_in_registers: {
        const double tiles = in_pieces(c.j, column_rows);
        return {{{1, adds, c.i * tiles * c.o * c.n_vectors, c.i * tiles * c.n_panels,
                 c.f * c.n_vectors, numbers, c.o * c.f, c.met_lines}}, larger(c.n_panels, tiles)};
    }
    case Algorithm::output_by_output:
        return {{{1, 2 * adds, c.o * (c.i_tiles * c.j + c.j_tiles * c.i) * c.n_vectors,
                 c.o * (c.i_tiles + c.j_tiles) * c.n_panels, c.o * (c.i + c.j) * c.n_vectors, numbers,
                 c.o * c.f, c.far_lines}}, larger(c.n_panels, smaller(c.i_tiles, c.j_tiles))};
    case Algorithm::stream_weight:
        return {{{1, c.o * c.i * c.n * c.pieces(c.j), c.o * c.i * c.n, 0, 0, 0, c.weight_lines,
                 c.far_lines}}, in_pieces(c.i, rows_in_chunk) * in_pieces(c.n, samples_at_once)};
    case Algorithm::flat_features: {
        const bool in_place = c.n <= tile_rows && c.weight_lines * line_bytes <= double(near_weight_bytes());
        return {{{1, c.n * c.o * c.f_vectors, c.n_tiles * c.o * c.f_vectors, c.n_tiles * c.f_panels,
                 c.n * c.i * (c.pieces(c.j) + 6), c.n * c.o, in_place ? 0 : c.o * c.f_vectors,
                 c.far_lines}}, smaller(c.i, c.f_panels) * c.n_tiles};
    }
    default: return {{{1, 2 * c.n * c.o * c.f, c.n * c.o * c.i, 0, 0, 0, 0, 0}}, 1};
    }
}

template <class Real> Estimate weight_work(Algorithm algorithm, const Counts<Real>& c) {
    const double copied = c.pieces(c.j), depths = in_pieces(c.n, depth_at_once);
    const double large = larger(0.0, c.weight_lines - double(near_weight_bytes() / 2 / line_bytes));
    switch (algorithm) {
    case Algorithm::packed_products:
        return {{{1, c.n * c.o * c.i * c.j_vectors, c.n * c.o * c.i_tiles * c.j_vectors,
                 c.o * c.i_tiles * c.j_panels * depths, c.o * c.i * c.j_vectors * depths,
                 c.n * (c.o + copied), c.n * c.o * c.i_tiles, c.far_lines * depths}}, c.o * c.i_tiles * depths};
    case Algorithm::outer_product: {
        const double features = c.j_vectors * lanes<Real> + c.i + c.o;
        const double room = larger(
            double(least_samples), double(nearest_bytes()) / sizeof(Real) / features);
        const double blocks = in_pieces(c.n, room);
        return {{{1, c.n * c.o * c.i * c.j_vectors, c.n * c.i * c.o_tiles * c.j_vectors,
                 c.i * c.o_tiles * c.j_panels * blocks, c.o * c.i * c.j_vectors * blocks,
                 c.n * (3 * c.j_vectors + copied), large, c.far_lines * blocks}}, c.i * c.o_tiles * depths};
    }
    case Algorithm::flat_features:
        return {{{1, c.n * c.o * c.f_vectors, c.n * c.o_tiles * c.f_vectors,
                 c.o_tiles * c.f_panels * depths, c.o * c.f_vectors * depths,
                 c.n * (c.i * c.j_vectors + c.i / 4 + copied), large * depths, c.far_lines * depths}},
                smaller(c.i, c.f_panels) * c.o_tiles};
    default: return {{{1, c.n * c.o * c.f, c.n * c.o * c.i, 0, 0, 0, 0, 0}}, 1};
    }
}

template <class Real>
Estimate estimate(Operation operation, Algorithm algorithm, const Counts<Real>& c) {
    return operation == Operation::forward ? forward_work(algorithm, c)
        : operation == Operation::inputs   ? inputs_work(algorithm, c)
                                           : weight_work(algorithm, c);
}

// Nanoseconds of the conversion of arguments and results, and of each number. In bfloat16 a number of
// samples takes longer to copy than one in float, and one of W in pairs half as long.
constexpr double converting = 20000, converting_each = 0.4, copying_halves = 1.5, packing_pairs = 0.5;

constexpr double waking = 5000;  // nanoseconds, until another thread has joined and is waited for

// The nanoseconds of an estimate: of the pieces that go round among threads, 3 by 2 take the time of 2.
inline double cost(const Estimate& estimate, const Work& nanoseconds, double threads) {
    double sum = 0;
    for (int kind = 0; kind < Work::kinds; ++kind) sum += estimate.work.of[kind] * nanoseconds.of[kind];
    const double at_once = smaller(threads, estimate.pieces);
    if (at_once <= 1) return sum;
    return sum * __builtin_ceil(estimate.pieces / at_once) / estimate.pieces + waking;
}

inline const Cost* costs_here() {
    return lucid::machine.zen4 && vector_bytes == 64 ? zen4_costs : other_costs;
}

struct Found {
    Algorithm algorithm;
    double nanoseconds;
};

template <class Real> Found cheapest(Operation operation, const Sizes& s, int threads, bool both) {
    const Counts<Real> c(s);
    const double used = smaller<double>(threads, chunks_for(c.n * c.o, c.f, threads));
    const Cost* const costs = costs_here();
    Algorithm best = Algorithm::reference;
    double least = -1;
    for (int row = 0; row < cost_rows; ++row) {
        const Cost& of = costs[row];
        if (of.operation != operation || !suits<Real>(operation, of.algorithm, s, both)) continue;
        if (of.algorithm == Algorithm::reference && c.n * c.o * c.f > most_as_written) continue;
        const double found = cost(estimate(operation, of.algorithm, c), of.nanoseconds, used);
        if (least < 0 || found < least) best = of.algorithm, least = found;
    }
    return {best, least};
}

// Whether an algorithm that multiplies pairs of bfloat16 costs less than conversion to float, and then
// the cheapest one. Of what it does in float, multiply-adds are half as many, and so are steps.
inline bool pairs_cost_less(
    Operation operation, Algorithm algorithm, const Sizes& s, int threads, bool both) {
    const Counts<float> c(s);
    const double used = smaller<double>(threads, chunks_for(c.n * c.o, c.f, threads));
    double numbers = c.n * (c.i + c.j + c.o) + c.o * c.f;
    Estimate estimated = estimate(operation, algorithm, c);
    estimated.work.of[1] /= 2, estimated.work.of[2] /= 2, estimated.work.of[5] *= copying_halves;
    if (operation == Operation::inputs) numbers += c.n * (c.i + c.j);
    if (operation == Operation::forward) estimated.work.of[5] += c.o * c.f * packing_pairs;
    for (int row = 0; row < cost_rows; ++row) {
        const Cost& of = costs_here()[row];
        if (of.operation == operation && of.algorithm == algorithm)
            return cost(estimated, of.nanoseconds, used) <
                   cheapest<float>(operation, s, threads, both).nanoseconds + converting +
                       numbers * converting_each;
    }
    return false;
}

}  // namespace
