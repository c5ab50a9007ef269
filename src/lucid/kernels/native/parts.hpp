// Long calls in parts, so that an interruption is heard: each part takes a fraction of a second, and
// `go_on` is asked between two. Rows of a result are computed as they would be in one piece. What is
// summed over rows, a weight's gradient say, is summed part by part: then its last bits are others
// than in one piece, and the same ones from run to run, because parts follow from sizes alone.
#pragma once

#include "kernels.hpp"
#include "scratch.hpp"

namespace {

using lucid::Algorithm;
using lucid::BFloat16;
using lucid::Matrix;
using lucid::Operations;
using lucid::Pairs;
using lucid::Positions;
using lucid::Sizes;
using lucid::Strided;

// Additions and multiplications of a part, for each thread with vectors of 16 numbers: an eighth of a
// second at the rate of matrix products. Shorter parts pack the weight too often.
double part_operations = 1.2e10;

template <class Real> double operations_of_part(const Operations<Real>& on, int threads) {
    return part_operations * on.lanes / 16 * threads;
}

constexpr Index least_rows = 512;  // of a part: with fewer, the weight is read too often

// `size` rows of so many operations in all: how many of them a part has, in whole panels.
inline Index rows_of_part(Index size, double operations, double most) {
    const double parts = operations / most;
    if (parts < 2) return size;
    const Index rows = Index(double(size) / parts) / 64 * 64;
    return rows > least_rows ? rows : least_rows;
}

// call(begin, length) for one part after the other, until one fails or there is no going on.
template <class GoOn, class Call>
bool in_parts(Index size, Index step, bool& started, const GoOn& go_on, const Call& call) {
    for (Index begin = 0; begin < size; begin += step) {
        if (started && !go_on()) return false;
        started = true;
        if (!call(begin, step < size - begin ? step : size - begin)) return false;
    }
    return true;
}

template <class Real> Matrix<Real> from(Matrix<Real> x, Index row) {
    return {x.data ? x.data + row * x.step : nullptr, x.step};
}

template <class Real> Real* at(Real* data, Index numbers) { return data ? data + numbers : nullptr; }

template <class Real, class GoOn>
bool forward_in_parts(
    const Operations<Real>& on, Sizes s, Matrix<Real> x1, Matrix<Real> x2, const Real* weight,
    const Real* bias, Real* out, Real* kept, int threads, Algorithm algorithm, const GoOn& go_on) {
    const Index step = rows_of_part(s.samples, s.operations(), operations_of_part(on, threads));
    if (algorithm == Algorithm::chosen && step < s.samples)
        algorithm = on.choose(lucid::Operation::forward, s, threads, true);
    bool started = false;
    return in_parts(s.samples, step, started, go_on, [&](Index n, Index length) {
        s.samples = length;
        return on.forward(
            s, from(x1, n), from(x2, n), weight, bias, out + n * s.outputs, kept, threads, algorithm);
    });
}

template <class Real, class GoOn>
bool inputs_in_parts(
    const Operations<Real>& on, Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2,
    const Real* weight, Real* d1, Real* d2, int threads, Algorithm algorithm, const GoOn& go_on) {
    const double operations = (d1 && d2 ? 2 : 1) * s.operations();
    const Index step = rows_of_part(s.samples, operations, operations_of_part(on, threads));
    if (algorithm == Algorithm::chosen && step < s.samples)
        algorithm = on.choose(lucid::Operation::inputs, s, threads, d1 && d2);
    bool started = false;
    return in_parts(s.samples, step, started, go_on, [&](Index n, Index length) {
        s.samples = length;
        return on.input_gradients(
            s, from(g, n), from(x1, n), from(x2, n), weight, at(d1, n * s.features_1),
            at(d2, n * s.features_2), threads, algorithm);
    });
}

// `adds` to what is there; every part after the first does.
template <class Real, class GoOn>
bool weight_in_parts(
    const Operations<Real>& on, Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2,
    Real* d_weight, bool adds, int threads, Algorithm algorithm, const GoOn& go_on) {
    const Index step = rows_of_part(s.samples, s.operations(), operations_of_part(on, threads));
    if (algorithm == Algorithm::chosen && step < s.samples)
        algorithm = on.choose(lucid::Operation::weight, s, threads, true);
    bool started = false;
    return in_parts(s.samples, step, started, go_on, [&](Index n, Index length) {
        s.samples = length;
        return on.weight_gradient(
            s, from(g, n), from(x1, n), from(x2, n), d_weight, adds || n > 0, threads, algorithm);
    });
}

// In bfloat16 by outputs: no sum is rounded before it is whole.
template <class GoOn>
bool weight_in_parts(
    const Operations<BFloat16>& on, Sizes s, Matrix<BFloat16> g, Matrix<BFloat16> x1,
    Matrix<BFloat16> x2, BFloat16* d_weight, bool, int threads, Algorithm algorithm, const GoOn& go_on) {
    const double parts = s.operations() / operations_of_part(on, threads);
    const Index outputs = s.outputs, matrix = s.features_1 * s.features_2;
    const Index most = parts < 2 ? outputs : Index(double(outputs) / parts);
    bool started = false;
    return in_parts(outputs, most < 1 ? 1 : most, started, go_on, [&](Index o, Index length) {
        s.outputs = length;
        return on.weight_gradient(
            s, {g.data + o, g.step}, x1, x2, d_weight + o * matrix, false, threads, algorithm);
    });
}

// A range of the shared positions and of the rows of one input, as pairs of their own.
struct PairsPart {
    Index outer, inner, inners, row;  // begins, and how many there are of the inner axis
    bool cuts_first;
    Positions of(Positions p) const { return {inners, p.outer_step, p.inner_step}; }
    template <class Real> Strided<Real> part(Strided<Real> x, bool is_cut) const {
        if (x.data)
            x.data += outer * x.positions.outer_step + inner * x.positions.inner_step +
                      (is_cut ? row * x.step : 0);
        x.positions = of(x.positions);
        return x;
    }
    template <class Real> Strided<Real> first(Strided<Real> x) const { return part(x, cuts_first); }
    template <class Real> Strided<Real> second(Strided<Real> x) const { return part(x, !cuts_first); }
    Index result(const Pairs& p) const {
        return outer * p.positions.outer_step + inner * p.positions.inner_step +
               row * (cuts_first ? p.first_step : p.second_step);
    }
};

// call(part, its pairs) for one part after the other: outer positions, then inner ones, then rows of
// the input that has more of them.
template <class GoOn, class Call>
bool pairs_in_parts(const Pairs& p, double operations, double most, const GoOn& go_on, const Call& call) {
    const double parts = operations / most;
    const Index outers = p.shared / p.positions.inner;
    const bool cuts_first = p.firsts >= p.seconds;
    Index outer_step = outers, inner_step = p.positions.inner, row_step = cuts_first ? p.firsts : p.seconds;
    const auto cut = [](Index& step, double into) {
        const Index least = Index(double(step) / into);
        step = least < 1 ? 1 : least;
    };
    const Index rows = row_step;
    if (parts >= 2) {
        cut(outer_step, parts);
        if (parts > 2 * double(outers)) cut(inner_step, parts / double(outers));
        if (parts > 2 * double(p.shared)) {
            cut(row_step, parts / double(p.shared));
            const Index least = rows < 64 ? rows : 64;
            row_step = row_step < least ? least : row_step;
        }
    }
    bool started = false;
    return in_parts(outers, outer_step, started, go_on, [&](Index outer, Index outer_length) {
        bool first = false;
        return in_parts(p.positions.inner, inner_step, first, go_on, [&](Index inner, Index length) {
            bool first_row = false;
            return in_parts(rows, row_step, first_row, go_on, [&](Index row, Index row_length) {
                const PairsPart part{outer, inner, length, row, cuts_first};
                Pairs mine = p;
                mine.shared = outer_length * length;
                mine.positions = part.of(p.positions);
                (cuts_first ? mine.firsts : mine.seconds) = row_length;
                return call(part, mine);
            });
        });
    });
}

}  // namespace
