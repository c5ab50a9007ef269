// The sum of the rows of a matrix, the gradient of a bias: some rows at a time in the type itself, and
// these sums in double.
#pragma once

#include "pack.hpp"
#include "pool.hpp"

namespace {

constexpr Index least_period = 64;     // numbers that are added up side by side
constexpr Index periods_at_once = 64;  // how often, before their sums go on in double
constexpr Index numbers_of_chunk = 1 << 20;

// Of so many numbers, whole rows, into totals[column].
template <class Real>
bool add_up_rows(const Real* from, Index numbers, Index columns, double* totals) {
    const Index together = columns < least_period ? least_period / columns : 1;
    const Index period = together * columns;
    Scratch<Real> scratch(period);
    if (!scratch) return false;
    Real* const sums = scratch.get();
    for (Index column = 0; column < columns; ++column) totals[column] = 0;
    for (Index begin = 0; begin < numbers; begin += period * periods_at_once) {
        const Index end = smaller(numbers, begin + period * periods_at_once);
        fill(sums, period, Real(0));
        Index at = begin;
        for (; at + period <= end; at += period)
            for (Index k = 0; k < period; ++k) sums[k] += from[at + k];
        for (Index k = 0; at + k < end; ++k) sums[k] += from[at + k];
        for (Index row = 0; row < period; row += columns)
            for (Index column = 0; column < columns; ++column) totals[column] += double(sums[row + column]);
    }
    return true;
}

// Chunks are ranges of rows; their totals are added up in their order.
template <class Real>
bool sum_rows(const Real* from, Index rows, Index columns, Real* to, int threads) {
    const Index chunks = larger<Index>(
        1, smaller(rows, smaller<Index>(threads, rows * columns / numbers_of_chunk)));
    Scratch<double> totals(chunks * columns);
    if (!totals) return false;
    const bool done = parallel(threads, chunks, [&](Index chunk) {
        const Range mine = share({0, rows}, chunk, chunks);
        return add_up_rows(
            from + mine.begin * columns, mine.length() * columns, columns, totals.get() + chunk * columns);
    });
    if (!done) return false;
    for (Index column = 0; column < columns; ++column) {
        double total = 0;
        for (Index chunk = 0; chunk < chunks; ++chunk) total += totals.get()[chunk * columns + column];
        to[column] = Real(total);
    }
    return true;
}

}  // namespace
