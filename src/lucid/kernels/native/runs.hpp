// Rows in runs, each with a weight of its own out of several: a run is rows side by side that belong to
// one group. Long runs are divided among the threads, short ones are handed out whole.
#pragma once

#include "parts.hpp"
#include "pool.hpp"

namespace {

// Run k has the rows bounds[k] to bounds[k + 1] and the weight which[k]; no weight has two runs.
struct Runs {
    Index count;
    const std::int64_t *which, *bounds;
    Index rows(Index run) const { return Index(bounds[run + 1] - bounds[run]); }
    bool are_within(Index rows_in_all, Index weights) const {
        if (bounds[0] < 0 || bounds[count] > rows_in_all) return false;
        for (Index k = 0; k < count; ++k)
            if (bounds[k + 1] < bounds[k] || which[k] < 0 || which[k] >= weights) return false;
        return true;
    }
};

// call(run, threads) for each that has rows, of so many operations in all.
template <class Call> bool each_run(const Runs& runs, double operations, int threads, const Call& call) {
    const auto one = [&](Index run, int many) { return runs.rows(run) == 0 || call(run, many); };
    if (threads > 1 && operations < 16 * lucid::least_operations * double(runs.count))
        return parallel(threads, runs.count, [&](Index run) { return one(run, 1); });
    for (Index run = 0; run < runs.count; ++run)
        if (!one(run, threads)) return false;
    return true;
}



template <class Real>
bool runs_forward(
    const Operations<Real>& on, Sizes s, Matrix<Real> x1, Matrix<Real> x2, const Real* weight,
    Matrix<Real> bias, Matrix<Real> out, const Runs& runs, int threads) {
    const Index numbers = s.outputs * s.features_1 * s.features_2;
    Real* const to = const_cast<Real*>(out.data);
    return each_run(runs, s.operations(), threads, [&](Index run, int many) {
        const Index from_row = Index(runs.bounds[run]), which = Index(runs.which[run]);
        Sizes mine = s;
        mine.samples = runs.rows(run);
        return on.forward(
            mine, from(x1, from_row), from(x2, from_row), weight + which * numbers,
            from(bias, which).data, to + from_row * out.step, nullptr, many, Algorithm::chosen);
    });
}

// Those that are not wanted are null. `met[which]` says whether there is something to add to.
template <class Real>
bool runs_gradients(
    const Operations<Real>& on, Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2,
    const Real* weight, Real* d1, Real* d2, Real* d_weight, bool* met, const Runs& runs, int threads) {
    const Index numbers = s.outputs * s.features_1 * s.features_2;
    const double operations = s.operations() * ((d1 || d2 ? 2 : 0) + (d_weight ? 1 : 0));
    return each_run(runs, operations, threads, [&](Index run, int many) {
        const Index n = Index(runs.bounds[run]), which = Index(runs.which[run]);
        Sizes mine = s;
        mine.samples = runs.rows(run);
        if (d1 || d2)
            if (!on.input_gradients(
                    mine, from(g, n), from(x1, n), from(x2, n), weight + which * numbers,
                    at(d1, n * s.features_1), at(d2, n * s.features_2), many, Algorithm::chosen))
                return false;
        if (!d_weight) return true;
        const bool adds = met[which];
        met[which] = true;
        return on.weight_gradient(
            mine, from(g, n), from(x1, n), from(x2, n), d_weight + which * numbers, adds, many,
            Algorithm::chosen);
    });
}

template <class Real> void add(Real* to, const Real* from, Index count) {
    for (Index k = 0; k < count; ++k) to[k] += from[k];
}

// total[index[n]] += rows[n], one after the other; false for an index outside.
template <class Real>
bool add_to_rows(Real* total, Index count, Index features, const std::int64_t* index, Matrix<Real> rows, Index n) {
    for (Index row = 0; row < n; ++row) {
        if (index[row] < 0 || index[row] >= count) return false;
        add(total + Index(index[row]) * features, rows.data + row * rows.step, features);
    }
    return true;
}

}  // namespace
