// Pairs by this kernel, or by matrix products of the caller's library: whichever costs less, by what
// each does. As in choice.hpp a cost is a sum of counts, each times the nanoseconds that one of them
// takes on one core; they were fitted to 550 random sizes in float32, AVX-512, one thread (README.md).
#pragma once

#include "choice.hpp"
#include "pairs_by_outputs.hpp"

namespace {

template <class Real> struct PairCounts {
    double s, a, b, o, i, j, i_vectors, j_vectors, b_vectors, i_panels, j_panels, b_panels;
    double a_tiles, b_tiles, i_tiles;

    // The input that meets the weight first is x1, or x2.
    PairCounts(const Pairs& p, bool exchanged) {
        const Index firsts = exchanged ? p.seconds : p.firsts, seconds = exchanged ? p.firsts : p.seconds;
        const Index features_1 = exchanged ? p.features_2 : p.features_1;
        const Index features_2 = exchanged ? p.features_1 : p.features_2;
        s = double(p.shared), a = double(firsts), b = double(seconds), o = double(p.outputs);
        i = double(features_1), j = double(features_2);
        i_vectors = in_pieces(features_1, lanes<Real>), j_vectors = in_pieces(features_2, lanes<Real>);
        b_vectors = in_pieces(seconds, lanes<Real>);
        i_panels = in_pieces(features_1, panel<Real>), j_panels = in_pieces(features_2, panel<Real>);
        b_panels = in_pieces(seconds, panel<Real>);
        a_tiles = in_pieces(firsts, tile_rows), b_tiles = in_pieces(seconds, tile_rows);
        i_tiles = in_pieces(features_1, tile_rows);
    }
};

// The order that the kernel takes, without its arrays.
template <class Real> bool second_meets_weight(const Pairs& p) {
    const PairsOf<Real> left(p, {}, {}, nullptr);
    return left.exchanged().work() < left.work();
}

template <class Real> double pairs_forward_cost(const Pairs& p) {
    const bool exchanged = second_meets_weight<Real>(p);
    const PairCounts<Real> c(p, exchanged);
    const double s = c.s, a = c.a, b = c.b, o = c.o, i = c.i, j = c.j;
    const double products = i * c.j_vectors + j * c.b_vectors;
    const PairsOf<Real> left(p, {}, {}, nullptr), order = exchanged ? left.exchanged() : left;
    const double by_outputs = smaller(1.0, work_by_outputs(order, 1) / order.work());
    return by_outputs *
           (1440 + o * i * c.j_vectors * 1.87 + s * (a * i + b * j) * 0.14 + s * a * o * products * 0.276 +
            s * c.a_tiles * o * (products * 0.288 + (c.j_panels + c.b_panels) * 15.5) +
            s * a * b * o * 0.253);
}

template <class Real> double pairs_gradient_cost(const Pairs& p, const bool* needed, bool kept) {
    const bool exchanged = second_meets_weight<Real>(p);
    const PairCounts<Real> c(p, exchanged);
    const double s = c.s, a = c.a, b = c.b, o = c.o, i = c.i, j = c.j;
    const bool spread_1 = needed[0] && p.seconds == 1, spread_2 = needed[1] && p.firsts == 1;
    // Of the input that meets the weight, and of the other; what is spread is not found here.
    const bool d_first = exchanged ? needed[1] && !spread_2 : needed[0] && !spread_1;
    const bool d_second = exchanged ? needed[0] && !spread_1 : needed[1] && !spread_2;
    double cost = 2450 + o * i * j * 0.33 + s * (a * i + b * j) * 0.27;
    const auto spread = [&](double rows, double features, double vectors) {
        return s * o * vectors * (features + rows) * 0.25 + s * rows * o * 0.3;
    };
    const PairCounts<Real> left(p, false);
    if (spread_1) cost += spread(left.a, left.j, left.i_vectors);
    if (spread_2) cost += spread(left.b, left.i, left.j_vectors);
    const double u = d_first || needed[2], w = needed[2], t = d_second && !kept;
    const double multiplied = u * b * c.j_vectors + d_first * j * c.i_vectors + w * i * c.j_vectors +
                              (t * i + d_second * b) * c.j_vectors;
    const double loaded = c.a_tiles * (u * b * c.j_vectors + d_first * j * c.i_vectors +
                                       t * i * c.j_vectors) +
                          d_second * c.b_tiles * a * c.j_vectors + w * c.i_tiles * a * c.j_vectors;
    const double tiles = c.a_tiles * (c.j_panels * (u + t) + d_first * c.i_panels) +
                         d_second * c.b_tiles * c.j_panels;
    return cost + s * o * (a * multiplied * 0.222 + loaded * 0.852 + tiles * 18.8) +
           s * a * b * o * 1.05 * (u + d_second) / 2;
}

// The portable plan: one input with the weight and then with the other, tile by tile, whichever it
// is; `products` with the weight and `batched` ones for each position.
template <class Real> double portable_cost(const Pairs& p, const bool* needed) {
    const double wide = double(sizeof(Real)) / sizeof(float);
    double products = 1, batched = 1, results = 0.42, start = 4.8e4, position = 10, weights = 0.29;
    if (needed) {
        products = needed[0] + needed[1] + needed[2];
        batched = needed[1] + (needed[0] || needed[2]);
        results = 0.14 * batched, start = 3.8e4 * batched, position = 2.7 * batched, weights = 0.14 * products;
    }
    double least = 0;
    for (int order = 0; order < 2; ++order) {
        const PairCounts<Real> c(p, order == 1);
        const double cost =
            start + wide * (products * c.s * c.a * c.o * c.i * c.j * 0.031 +
                            batched * c.s * c.a * c.b * c.o * c.j * 0.033) +
            c.s * c.o * position + c.s * c.a * c.b * c.o * results + c.o * c.i * c.j * weights;
        if (order == 0 || cost < least) least = cost;
    }
    return least;
}

// The kernel packs the weight, for the gradients both ways.
template <class Real> bool takes_pairs(const Pairs& p, const bool* needed, bool kept) {
    const double padded = double(p.outputs) * double(lanes<Real>) * double(lanes<Real>) *
                          in_pieces(p.features_1, lanes<Real>) * in_pieces(p.features_2, lanes<Real>);
    if (padded * sizeof(Real) > double(most_bytes)) return false;
    return (needed ? pairs_gradient_cost<Real>(p, needed, kept) : pairs_forward_cost<Real>(p)) <=
           portable_cost<Real>(p, needed);
}

}  // namespace
