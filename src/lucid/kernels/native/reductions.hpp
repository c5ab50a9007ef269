// Scores of rows with partners, reduced: no more of them is written than a tile, into the first cache.
//
//     s[r, m] = Σ_j q[r, j] · x2[m, j] + bias[r],  -∞ where a pair is left out
//
//     best      the k largest of each row and whose they are, the first of equal ones first
//     compare   rank[r, t] += #{m : s[r, m] > own} + ½ · #{m ≠ t : s[r, m] = own},  own = s[r, t]
//     chosen    dq[r] = Σ_k b[r, k] · x2[t[r, k]],  dx2[m] += Σ_rk [t[r, k] = m] · b[r, k] · q[r]
//
// A score is a sum in the order of the depth, whatever tile it is in: so that of one pair found alone has the
// bits of the same among all others. NaN is larger than any number.
#pragma once

#include "pairs.hpp"

namespace {

using lucid::Choices;
using lucid::Scores;

// The partners packed as panels, [position][panel][j][lane], by all threads.
template <class Real> struct PackedPartners {
    const Scores<Real>& c;
    Panels<Real> panels;
    Index positions, each;  // numbers of a position
    explicit PackedPartners(const Scores<Real>& c)
        : c(c), panels(c.partners), positions(c.partners_shared ? 1 : c.shared),
          each(c.features * panels.padded) {}
    Index size() const { return positions * each; }
    void pack(Real* to, int threads) const {
        const Index count = positions * panels.count;
        const Index chunks = smaller(count, chunks_for(double(size()), copy_operations, threads));
        parallel(threads, chunks, [&](Index chunk) {
            const Range range = share({0, count}, chunk, chunks);
            for (Index at = range.begin; at < range.end; ++at) {
                const Index s = at / panels.count;
                pack_panel(c.x2.at(s, 0), 1, c.x2.step, c.features, panels, at % panels.count, to + s * each);
            }
            return true;
        });
    }
};

// So many partners at once that they stay in the second cache, and a tile's scores in the first.
template <class Real> Index partners_at_once(const Scores<Real>& c) {
    const Index of_cache = middle_bytes() / Index(sizeof(Real)) / c.features;
    const Index room = smaller(of_cache, machine.first_level / 2 / Index(sizeof(Real)) / tile_rows);
    return larger<Index>(1, room / panel<Real>) * panel<Real>;
}

// The scores of a row, begun at a partner: the bias added, then -∞ where a pair is left out.
template <class Real> void add_bias(const Scores<Real>& c, Index row, Index count, Real* scores) {
    if (!c.bias) return;
    for (Index m = 0; m < count; ++m) scores[m] += c.bias[row];
}

template <class Real>
void leave_out(const Scores<Real>& c, Index row, Index begin, Index count, Real* scores) {
    constexpr Real lowest = -Real(__builtin_inf());
    if (c.kept) {
        const std::uint8_t* kept = c.kept + row * c.partners + begin;
        for (Index m = 0; m < count; ++m) scores[m] = kept[m] ? scores[m] : lowest;
    }
    const std::int64_t* excluded = c.excluded + row * c.exclusions;
    for (Index k = 0; k < c.exclusions; ++k) {
        const Index at = Index(excluded[k]) - c.start - begin;
        if (at >= 0 && at < count) scores[at] = lowest;
    }
}

// use(row, first partner, how many, scores) for each row and as many partners as are computed at once, in
// their order. A row counts on through all positions.
template <class Real, class Use>
bool scores_part(const Scores<Real>& c, const PackedPartners<Real>& second, const Real* packed, Range range, const Use& use) {
    const RowTiles tiles(c.rows);
    const Panels<Real>& panels = second.panels;
    const Index step = smaller(panels.padded, partners_at_once(c));
    const Index room = middle_bytes() / Index(sizeof(Real)) / (tile_rows * c.features);
    const Index group = smaller(larger<Index>(1, room), smaller(range.length(), tiles.pieces.count));
    Scratch<Real> memory(tile_rows * (group * c.features + step));
    if (!memory) return false;
    Real* const first = memory.get();
    Real* const scores = first + tile_rows * group * c.features;
    for (Index t = range.begin; t < range.end;) {
        const Index s = tiles.position(t);
        const Index end = smaller(smaller(range.end, t + group), (s + 1) * tiles.pieces.count);
        const Real* of_position = packed + (c.partners_shared ? 0 : s) * second.each;
        const auto of_tile = [&](Index tile) { return first + (tile - t) * tile_rows * c.features; };
        for (Index tile = t; tile < end; ++tile)
            transpose(
                c.q.at(s, tiles.start(tile)), c.q.step, tiles.length(tile), c.features, of_tile(tile),
                tiles.length(tile));
        for (Index begin = 0; begin < c.partners; begin += step) {
            const Index used = smaller(step, c.partners - begin);
            for (Index tile = t; tile < end; ++tile) {
                const Index length = tiles.length(tile);
                for (Index m = begin; m < begin + used; m += panel<Real>) {
                    const Index p = m / panel<Real>;
                    multiply_pairs<Real>(
                        {c.features, of_tile(tile), length, of_position + m * c.features, panels.width(p)},
                        {scores + (m - begin), step, panels.width(p), false}, length, panels.wide(p));
                }
                for (Index r = 0; r < length; ++r)
                    use(tiles.row(tile) + r, begin, used, scores + r * step);
            }
        }
        t = end;
    }
    return true;
}

template <class Real, class Use> bool for_scores(const Scores<Real>& c, int threads, const Use& use) {
    const PackedPartners<Real> second(c);
    Scratch<Real> packed(second.size());
    if (!packed) return false;
    second.pack(packed.get(), threads);
    const Index tiles = c.shared * RowTiles(c.rows).pieces.count;
    const double products = double(c.shared) * double(c.rows) * double(c.partners);
    const Index chunks = smaller(tiles, chunks_for(products, double(c.features), threads));
    return parallel(threads, chunks, [&](Index chunk) {
        return scores_part(c, second, packed.get(), share({0, tiles}, chunk, chunks), use);
    });
}

// How many scores are not at most so large: loops that the compiler makes vectors of, and that count in
// numbers as wide as the scores.
template <class Real> struct CountOf;
template <> struct CountOf<float> { using type = std::int32_t; };
template <> struct CountOf<double> { using type = std::int64_t; };

template <class Real> Index count_above(const Real* scores, Index count, Real than) {
    typename CountOf<Real>::type above = 0;
    for (Index m = 0; m < count; ++m) above += scores[m] <= than ? 0 : 1;
    return above;
}

template <class Real> Index count_equal(const Real* scores, Index count, Real to) {
    typename CountOf<Real>::type equal = 0;
    for (Index m = 0; m < count; ++m) equal += scores[m] == to ? 1 : 0;
    return equal;
}

template <class Real> LUCID_INLINE bool is_before(Real a, Real b) { return a > b || (a != a && b == b); }

// values[row][k], the largest first, and the partners that have them: -∞ and -1 where there are none yet.
template <class Real>
bool best_scores(const Scores<Real>& c, Index k, Real* values, std::int64_t* indices, int threads) {
    return for_scores(c, threads, [=, &c](Index row, Index begin, Index count, Real* scores) {
        Real* const best = values + row * k;
        std::int64_t* const which = indices + row * k;
        add_bias(c, row, count, scores);
        leave_out(c, row, begin, count, scores);
        if (best[k - 1] != best[k - 1] || count_above(scores, count, best[k - 1]) == 0) return;
        for (Index m = 0; m < count; ++m) {
            const Real score = scores[m];
            if (!is_before(score, best[k - 1])) continue;
            Index at = k - 1;
            for (; at > 0 && is_before(score, best[at - 1]); --at)
                best[at] = best[at - 1], which[at] = which[at - 1];
            best[at] = score, which[at] = c.start + begin + m;
        }
    });
}

// own[row][k] = s[row, places[row][k]], of those places that are among the partners, nothing left out: a tile
// for each k, of which the diagonal is taken.
template <class Real>
bool scores_at(const Scores<Real>& c, const std::int64_t* places, Index count, Real* own, int threads) {
    const RowTiles tiles(c.rows);
    const Index all = c.shared * tiles.pieces.count;
    const double products = double(c.shared) * double(c.rows) * double(count) * panel<Real>;
    const Index chunks = smaller(all, chunks_for(products, double(c.features), threads));
    return parallel(threads, chunks, [&](Index chunk) {
        const Range range = share({0, all}, chunk, chunks);
        Scratch<Real> memory((tile_rows + panel<Real>) * c.features + tile_rows * panel<Real>);
        if (!memory) return false;
        Real* const first = memory.get();
        Real* const second = first + tile_rows * c.features;
        Real* const scores = second + panel<Real> * c.features;
        for (Index t = range.begin; t < range.end; ++t) {
            const Index length = tiles.length(t), s = tiles.position(t), row = tiles.row(t);
            const Panels<Real> of_rows(length);
            transpose(c.q.at(s, tiles.start(t)), c.q.step, length, c.features, first, length);
            for (Index k = 0; k < count; ++k) {
                const auto place = [&](Index r) { return Index(places[(row + r) * count + k]) - c.start; };
                const auto is_here = [&](Index r) { return place(r) >= 0 && place(r) < c.partners; };
                for (Index p = 0; p < of_rows.count; ++p) {
                    const Index width = of_rows.width(p), begin = of_rows.start(p);
                    const Range some{begin, begin + of_rows.used(p)};
                    fill(second, c.features * width, Real(0));
                    for (Index r = some.begin; r < some.end; ++r)
                        if (is_here(r))
                            transpose(
                                c.x2.at(c.partners_shared ? 0 : s, place(r)), 0, 1, c.features,
                                second + r - begin, width);
                    multiply_pairs<Real>(
                        {c.features, first, length, second, width},
                        {scores, panel<Real>, width, false}, length, of_rows.wide(p));
                    for (Index r = some.begin; r < some.end; ++r)
                        if (is_here(r)) {
                            Real& score = scores[r * panel<Real> + r - begin];
                            add_bias(c, row + r, 1, &score);
                            own[(row + r) * count + k] = score;
                        }
                }
            }
        }
        return true;
    });
}

// Ranks, to which is added what these partners give; `own`, the scores of the places, is known or, where the
// partners are all, found.
template <class Real>
bool compare_scores(
    const Scores<Real>& c, const std::int64_t* places, Index targets, bool known, Real* own, Real* rank,
    int threads) {
    const bool at_once = c.partners <= partners_at_once(c);
    if (!known && !at_once && !scores_at(c, places, targets, own, threads)) return false;
    const bool reads = !known && at_once;
    return for_scores(c, threads, [=, &c](Index row, Index begin, Index count, Real* scores) {
        add_bias(c, row, count, scores);
        for (Index k = row * targets; reads && k < (row + 1) * targets; ++k) own[k] = scores[places[k] - c.start];
        leave_out(c, row, begin, count, scores);
        for (Index k = row * targets; k < (row + 1) * targets; ++k) {
            const Real s = own[k];
            const Index at = Index(places[k]) - c.start - begin;
            const bool itself = at >= 0 && at < count && scores[at] == s;
            const Index equal = count_equal(scores, count, s) - Index(itself);
            rank[k] += Real(count_above(scores, count, s)) + Real(equal) / 2;
        }
    });
}

template <class Real> LUCID_INLINE void add_multiple(Real by, const Real* from, Index count, Real* to) {
    for (Index j = 0; j < count; ++j) to[j] += by * from[j];
}

// The gradients of chosen scores: each row meets its own partners. Threads share the rows of dq, and of dx2,
// to which rows add in their order, the columns.
template <class Real> bool chosen_gradients(const Choices<Real>& c, Real* d_q, Real* d_x2, int threads) {
    const double products = double(c.rows) * double(c.count);
    const Index chunks = chunks_for(products, double(c.features), threads);
    const auto for_chosen = [&](Index r, const auto& use) {
        for (Index k = r * c.count; k < (r + 1) * c.count; ++k)
            if (c.places[k] >= 0) use(Index(c.places[k]), c.slopes[k]);
    };
    const Index of_rows = d_q ? smaller(c.rows, chunks) : 0;
    parallel(threads, of_rows, [&](Index chunk) {
        const Range range = share({0, c.rows}, chunk, of_rows);
        for (Index r = range.begin; r < range.end; ++r) {
            Real* const to = d_q + r * c.features;
            fill(to, c.features, Real(0));
            for_chosen(r, [&](Index m, Real by) { add_multiple(by, c.x2.data + m * c.x2.step, c.features, to); });
        }
        return true;
    });
    const Index of_columns = d_x2 ? smaller(divided_up(c.features, 2 * panel<Real>), chunks) : 0;
    parallel(threads, of_columns, [&](Index chunk) {
        const Range range = share({0, c.features}, chunk, of_columns);
        for (Index r = 0; r < c.rows; ++r) {
            const Real* const q = c.q.at(r / c.rows_each, r % c.rows_each) + range.begin;
            for_chosen(r, [&](Index m, Real by) {
                add_multiple(by, q, range.length(), d_x2 + m * c.features + range.begin);
            });
        }
        return true;
    });
    return true;
}

}  // namespace
