// Which algorithm: the one that costs least, by what each does.
//
// A cost is a sum of counts, each times the nanoseconds that one of them takes on one core. It
// multiplies (one fused multiply-add of a vector), steps (the loads of one k of a tile), starts tiles,
// copies and adds up; README.md says how the numbers were found and what wrong choices cost. The
// counts are of the instruction set's own vectors and tiles, the nanoseconds those of AVX-512.
#pragma once

#include "contract.hpp"
#include "flat.hpp"
#include "input_gradients.hpp"
#include "pack.hpp"
#include "tile.hpp"
#include "weight_gradient.hpp"

namespace {

inline double in_pieces(Index size, Index of) { return double(divided_up(size, of)); }

// What the costs below count: the sizes themselves, in vectors, in panels and in tiles of rows.
template <class Real> struct Counts {
    Sizes s;
    double n, o, i, j, f;
    double n_vectors, j_vectors, f_vectors, n_panels, j_panels, f_panels;
    double n_tiles, o_tiles, i_tiles, j_tiles;
    double large, far;  // lines of W beyond the second and the last level of the caches

    explicit Counts(const Sizes& sizes) : s(sizes) {
        n = double(s.samples), o = double(s.outputs);
        i = double(s.features_1), j = double(s.features_2), f = i * j;
        n_vectors = vectors(s.samples), j_vectors = vectors(s.features_2), f_vectors = vectors(matrix());
        n_panels = panels(s.samples), j_panels = panels(s.features_2), f_panels = panels(matrix());
        n_tiles = tiles(s.samples), o_tiles = tiles(s.outputs);
        i_tiles = tiles(s.features_1), j_tiles = tiles(s.features_2);
        large = lines_beyond(most_bytes / 4), far = lines_beyond(most_bytes / 2);
    }
    double lines_beyond(Index level) const { return double(larger<Index>(0, bytes() - level)) / 64; }
    static double vectors(Index size) { return in_pieces(size, lanes<Real>); }
    static double panels(Index size) { return in_pieces(size, panel<Real>); }
    static double tiles(Index size) { return in_pieces(size, tile_rows); }
    // Where less than a vector is taken number by number.
    static double pieces(Index size) { return size < lanes<Real> ? double(size) : vectors(size); }
    Index matrix() const { return s.features_1 * s.features_2; }
    Index bytes() const { return s.outputs * matrix() * Index(sizeof(Real)); }
};

// The cheapest so far.
struct Cheapest {
    Algorithm algorithm = Algorithm::chosen;
    double nanoseconds = 0;
    void offer(Algorithm other, double cost) {
        if (algorithm == Algorithm::chosen || cost < nanoseconds) algorithm = other, nanoseconds = cost;
    }
};

template <class Real> bool has_room(Index numbers, Index bytes) {
    return numbers * Index(sizeof(Real)) <= bytes;
}

template <class Real> Index samples_with_room(const Sizes& s) {
    return most_bytes / Index(sizeof(Real)) / (s.features_1 + 2 * s.features_2 + s.outputs);
}

constexpr double waking = 5000;  // until another thread has joined and is waited for

// Whether an algorithm can do these sizes in the memory that a call may take.
template <class Real>
bool suits(Operation operation, Algorithm algorithm, const Sizes& s, bool both) {
    const Index matrix = s.features_1 * s.features_2;
    const bool packs_weight = has_room<Real>(s.outputs * matrix, most_bytes);
    const bool other = both || has_room<Real>(s.samples * larger(s.features_1, s.features_2), most_bytes_each);
    switch (operation) {
    case Operation::forward:
        switch (algorithm) {
        case Algorithm::samples_on_lanes_packed:
        case Algorithm::samples_on_lanes_swapped:
        case Algorithm::features_on_lanes: return has_room<Real>(matrix, most_bytes_each);
        case Algorithm::outer_product: return packs_weight;
        case Algorithm::flat_features: return has_room<Real>(s.samples * s.features_2, flat_bytes);
        default: return true;
        }
    case Operation::inputs:
        switch (algorithm) {
        case Algorithm::samples_on_lanes_whole:
        case Algorithm::output_by_output: return packs_weight;
        case Algorithm::gradient_in_registers: return packs_weight && both;
        case Algorithm::stream_weight: return other;
        case Algorithm::features_on_lanes:
            return other && has_room<Real>(s.outputs * s.features_2, most_bytes_each) &&
                   s.samples <= samples_with_room<Real>(s);
        case Algorithm::flat_features:
            return other && has_room<Real>(
                (smaller(s.samples, flat_samples) + s.outputs) * s.features_2, most_bytes_each);
        default: return true;
        }
    case Operation::weight:
        if (algorithm == Algorithm::flat_features)
            return has_room<Real>(flat_samples * s.features_2, most_bytes_each);
    }
    return true;
}

// What a cost becomes when so many pieces go round among threads: 3 by 2 take the time of 2.
inline double shared_by(Index threads, double pieces, double cost) {
    const Index count = Index(pieces), at_once = smaller(threads, count);
    if (at_once == 1) return cost;
    return cost * double(divided_up(count, at_once)) / pieces + waking;
}

template <class Real> Algorithm forward_choice(const Sizes& s) {
    const Counts<Real> c(s);
    const double n = c.n, o = c.o, i = c.i, j = c.j, f = c.f, n_vectors = c.n_vectors;
    const double packing = 0.19 * n * (i + j + o);
    const double groups = 1 + c.n_panels * (i + j) * panel<Real> * sizeof(Real) / group_bytes;
    Cheapest best;
    const auto able = [&](Algorithm algorithm) {
        return suits<Real>(Operation::forward, algorithm, s, true);
    };
    best.offer(
        Algorithm::samples_on_lanes,
        50 + packing + o * f * n_vectors * 0.26 +
            o * c.j_tiles * (i * n_vectors * 0.35 + c.n_panels * 8) + c.far * groups * 3.2);
    best.offer(
        Algorithm::stream_weight,
        o * n * (i * (c.pieces(s.features_2) * 0.63 + 1.8) + 5) + o * f / 64 * 0.27 + c.far * 1.1);
    if (able(Algorithm::features_on_lanes)) {
        best.offer(
            Algorithm::samples_on_lanes_swapped,
            80 + packing + o * f * (n_vectors * 0.26 + groups * 0.2) +
                o * c.i_tiles * (j * n_vectors * 0.28 + c.n_panels * 10.5) + c.far * groups * 3.2);
        best.offer(
            Algorithm::features_on_lanes,
            10 + n * (i + j) * 0.18 + o * n * (i * c.j_vectors * 0.145 + c.j_vectors * 0.2 + 5.7) +
                o * c.n_tiles * (i * c.j_vectors * 1.9 + c.j_panels * 9) +
                o * i * c.pieces(s.features_2) * 0.45 + c.far * 4.4);
    }
    if (able(Algorithm::outer_product))
        best.offer(
            Algorithm::outer_product,
            40 + packing + o * f * (n_vectors * 0.3 + 0.16) +
                c.o_tiles * (f * n_vectors * 0.4 + c.n_panels * 27));
    if (able(Algorithm::flat_features))
        best.offer(
            Algorithm::flat_features,
            30 + n * i * c.j_vectors * 1.25 + o * n * (c.pieces(c.matrix()) * 0.72 + 4.9) +
                o * f / 64 * 0.65 + c.far * 2.2);
    return best.algorithm;
}

template <class Real> Algorithm inputs_choice(const Sizes& s, int threads, bool both) {
    const Counts<Real> c(s);
    const double n = c.n, o = c.o, i = c.i, j = c.j, f = c.f, n_vectors = c.n_vectors;
    const double packing = 0.2 * n * (2 * i + 2 * j + o);
    const auto able = [&](Algorithm algorithm) {
        return suits<Real>(Operation::inputs, algorithm, s, both);
    };
    const Index used = smaller<Index>(threads, chunks_for(s.samples * s.outputs, c.matrix(), threads));
    const auto by_samples = [&](double cost) { return shared_by(used, c.n_panels, cost); };
    const auto by_features = [&](double cost) { return shared_by(used, i, cost); };
    Cheapest best;
    const double samples =
        100 + packing + o * f * (n_vectors * 0.24 + 0.5) + f * n_vectors * 0.5 +
        i * c.j_tiles * (o * n_vectors * 0.65 + c.n_panels * 18) + c.far * 4.5;
    if (able(Algorithm::samples_on_lanes_whole) && c.n_panels >= 4 * threads) best.offer(Algorithm::samples_on_lanes_whole, by_samples(samples));
    else best.offer(Algorithm::samples_on_lanes, by_features(samples));
    if (able(Algorithm::gradient_in_registers))
        best.offer(
            Algorithm::gradient_in_registers,
            by_samples(
                40 + packing + o * f * (n_vectors * 0.2 + 0.53) + f * n_vectors * 0.36 +
                i * in_pieces(s.features_2, column_rows) * (o * n_vectors * 0.53 + c.n_panels * 3.1) +
                c.far * 60));
    if (able(Algorithm::output_by_output))
        best.offer(
            Algorithm::output_by_output,
            by_samples(
                50 + packing + o * f * (n_vectors * 0.4 + 0.2) +
                o * (c.i_tiles * j + c.j_tiles * i) * n_vectors * 1.15 +
                o * (c.i_tiles + c.j_tiles) * c.n_panels * 10 + c.far * 80));
    if (able(Algorithm::stream_weight))
        best.offer(
        Algorithm::stream_weight,
        by_features(o * i * n * (c.pieces(s.features_2) * 1.4 + 9.2) + c.far * 1.3));
    if (able(Algorithm::features_on_lanes))
        best.offer(
            Algorithm::features_on_lanes,
            by_features(
                20 + n * (i + j + o) * 0.5 + i * n * (o * c.j_vectors * 0.15 + c.j_vectors * 2 + 3.8) +
                i * c.n_tiles * (o * c.j_vectors * 1.9 + c.j_panels * 12) +
                o * i * c.pieces(s.features_2) * 0.33 + c.far * 7));
    if (able(Algorithm::flat_features))
        best.offer(
            Algorithm::flat_features,
            shared_by(
                used, double(flat_chunks<Real>(s, used)),
                100 + n * o * 0.22 + n * i * (c.pieces(s.features_2) * 1.2 + 7) +
                    n * o * c.f_vectors * 0.265 + c.n_tiles * (o * c.f_vectors + c.f_panels * 12) +
                    (flat_in_place<Real>(s) ? 0 : o * c.f_vectors * 0.7) + c.far * 8));
    return best.algorithm;
}

template <class Real> Algorithm weight_choice(const Sizes& s, int threads) {
    const Counts<Real> c(s);
    const double n = c.n, o = c.o, i = c.i, j_vectors = c.j_vectors, f_vectors = c.f_vectors;
    const double copied = c.pieces(s.features_2), depths = in_pieces(s.samples, depth_at_once);
    const double blocks = in_pieces(s.samples, products_at_once<Real>(s));
    const Index used = smaller<Index>(threads, chunks_for(s.outputs * c.matrix(), s.samples, threads));
    Cheapest best;
    best.offer(
        Algorithm::packed_products,
        shared_by(
            used, double(used),
            40 + n * (o + copied) * 0.74 + o * i * j_vectors * (n * 0.263 + depths * 1.1) +
                o * c.i_tiles * (n * (j_vectors * 0.33 + 2) + c.j_panels * depths * 3.8) +
                c.far * 4.5));
    best.offer(
        Algorithm::outer_product,
        shared_by(
            used, double(used),
            n * (j_vectors * 1.6 + copied * 0.53) + o * i * j_vectors * (n * 0.3 + blocks * 0.96) +
                i * c.o_tiles * (n * j_vectors * 0.34 + c.j_panels * blocks * 5.2) + c.large * 2 +
                c.far * 5));
    if (suits<Real>(Operation::weight, Algorithm::flat_features, s, true))
        best.offer(
            Algorithm::flat_features,
            shared_by(
                used, double(flat_chunks<Real>(s, used)),
                10 + n * (i * (j_vectors * 1.12 + 0.3) + copied * 1.1) +
                    o * f_vectors * (n * 0.28 + depths * 1.1) +
                    c.o_tiles * (n * f_vectors * 0.25 + c.f_panels * depths * 3.2) + c.large * depths * 4 +
                    c.far * 4.7));
    return best.algorithm;
}

}  // namespace
