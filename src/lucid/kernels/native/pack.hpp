// Packing: samples transposed into panels whose lanes are samples, and cutting work into pieces.
#pragma once

#include "machine.hpp"
#include "scratch.hpp"
#include "tile.hpp"

namespace {

// `size` things cut into the fewest pieces of at most `most`, as evenly as they go:
// 64 rows make tiles of 11, 11, 11, 11, 10 and 10, not five of 12 and one of 4.
struct Pieces {
    Index size, count;
    Pieces(Index size, Index most) : size(size), count((size + most - 1) / most) {}
    Index start(Index piece) const { return size * piece / count; }
    Index length(Index piece) const { return start(piece + 1) - start(piece); }
};

struct Range {
    Index begin, end;
    Index length() const { return end - begin; }
};

// The part of `range` that falls to chunk `chunk` of `count`.
inline Range share(Range range, Index chunk, Index count) {
    const Index length = range.length();
    return {range.begin + length * chunk / count, range.begin + length * (chunk + 1) / count};
}

using lucid::least_operations;

// How many chunks for a number of dot products of some length: enough that a thread which comes late,
// or loses its core for a while, holds up little, and as many for each.
inline Index chunks_for(double products, double length, int threads) {
    if (threads <= 1) return 1;
    const double chunks = 1 + 2 * products * length / least_operations;
    if (chunks < threads) return Index(chunks);
    return Index(smaller(chunks, 4.0 * threads)) / threads * threads;
}

template <class Real> bool has_room(double numbers, Index bytes) {
    return numbers * double(sizeof(Real)) <= double(bytes);
}

inline Index divided_up(Index size, Index step) { return (size + step - 1) / step; }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LUCID_SHUFFLES 1
#endif
#endif

#ifdef LUCID_SHUFFLES
template <class Real> struct FourOf;
template <> struct FourOf<float> {
    typedef float type __attribute__((vector_size(16), aligned(4), may_alias));
};
template <> struct FourOf<Pair> {
    typedef std::uint32_t type __attribute__((vector_size(16), aligned(4), may_alias));
};
template <> struct FourOf<double> {
    typedef double type __attribute__((vector_size(32), aligned(8), may_alias));
};
#endif

// to[column][row] = from[row][column] for 4 × 4 numbers.
template <class Real>
LUCID_INLINE void transpose_four(const Real* from, Index from_step, Real* to, Index to_step) {
#ifdef LUCID_SHUFFLES
    using Four = typename FourOf<Real>::type;
    const Four r0 = *reinterpret_cast<const Four*>(from);
    const Four r1 = *reinterpret_cast<const Four*>(from + from_step);
    const Four r2 = *reinterpret_cast<const Four*>(from + 2 * from_step);
    const Four r3 = *reinterpret_cast<const Four*>(from + 3 * from_step);
    const Four low_01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
    const Four high_01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
    const Four low_23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
    const Four high_23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *reinterpret_cast<Four*>(to) = __builtin_shufflevector(low_01, low_23, 0, 1, 4, 5);
    *reinterpret_cast<Four*>(to + to_step) = __builtin_shufflevector(low_01, low_23, 2, 3, 6, 7);
    *reinterpret_cast<Four*>(to + 2 * to_step) =
        __builtin_shufflevector(high_01, high_23, 0, 1, 4, 5);
    *reinterpret_cast<Four*>(to + 3 * to_step) =
        __builtin_shufflevector(high_01, high_23, 2, 3, 6, 7);
#else
    for (int row = 0; row < 4; ++row)
        for (int column = 0; column < 4; ++column)
            to[column * to_step + row] = from[row * from_step + column];
#endif
}

// to[column][row] = from[row][column]
template <class Real>
void transpose(
    const Real* from, Index from_step, Index rows, Index columns, Real* to, Index to_step) {
    Index row = 0;
    for (; row + 4 <= rows; row += 4) {
        const Real* strip = from + row * from_step;
        Index column = 0;
        for (; column + 4 <= columns; column += 4)
            transpose_four(strip + column, from_step, to + column * to_step + row, to_step);
        for (; column < columns; ++column)
            for (int r = 0; r < 4; ++r) to[column * to_step + row + r] = strip[r * from_step + column];
    }
    for (; row < rows; ++row)
        for (Index column = 0; column < columns; ++column)
            to[column * to_step + row] = from[row * from_step + column];
}

template <class Real> void fill(Real* to, Index count, Real value) {
    for (Index k = 0; k < count; ++k) to[k] = value;
}

// One panel of samples: to[feature][sample], zeros in the lanes beyond the last sample. Lanes never
// meet, so what such a lane holds is lost with it.
template <class Real>
void pack_samples(Matrix<Real> x, Index first, Index samples, Index features, Real* to) {
    if (samples < panel<Real>) fill(to, features * panel<Real>, Real(0));
    transpose(x.data + first * x.step, x.step, samples, features, to, Index(panel<Real>));
}

// So many numbers of a row in float, or in pairs: zero is what the last one lacks.
inline void convert_row(const BFloat16* from, Index count, float* to) {
    widen<Brain>(reinterpret_cast<const std::uint16_t*>(from), count, to);
}

inline void convert_row(const BFloat16* from, Index count, Pair* to) {
    for (Index k = 0; k < count / 2; ++k)
        to[k] = pair(std::uint16_t(from[2 * k]), std::uint16_t(from[2 * k + 1]));
    if (count % 2) to[count / 2] = pair(std::uint16_t(from[count - 1]), 0);
}

// The same from bfloat16, in units of the panel: some at a time.
template <class To>
void pack_samples(Matrix<BFloat16> x, Index first, Index samples, Index features, To* to) {
    constexpr Index most = 64 * Types<To>::numbers;
    To strip[panel<To>][64];
    if (samples < panel<To>) fill(to, units<To>(features) * panel<To>, To(0));
    for (Index k = 0; k < features; k += most, to += 64 * panel<To>) {
        const Index count = smaller(most, features - k);
        for (Index n = 0; n < samples; ++n)
            convert_row(x.data + (first + n) * x.step + k, count, strip[n]);
        transpose(strip[0], 64, samples, units<To>(count), to, Index(panel<To>));
    }
}

// to[column][row] = from[row][column], rounded.
inline void transpose(
    const float* from, Index from_step, Index rows, Index columns, BFloat16* to, Index to_step) {
    constexpr Index most = 64;
    float strip[panel<float>][most];
    for (Index row = 0; row < rows; row += most) {
        const Index count = smaller(most, rows - row);
        transpose(from + row * from_step, from_step, count, columns, strip[0], most);
        for (Index k = 0; k < columns; ++k)
            narrow<Brain>(strip[k], count, reinterpret_cast<std::uint16_t*>(to + k * to_step + row));
    }
}

// Rows that follow each other along the depth, as units of numbers: one row, or two side by side;
// zeros for a second one that is not there.
template <class Stored> struct Rows {
    const Stored* first;
    Index step;
    bool has_next;
    LUCID_INLINE Vector<Stored> operator[](Index k) const { return load(first + k); }
    LUCID_INLINE Stored at(Index k) const { return first[k]; }
    LUCID_INLINE Index readable(Index of_first) const { return of_first; }
};

template <> struct Rows<BFloat16> {
    const BFloat16* first;
    Index step;
    bool has_next;
    LUCID_INLINE Vector<Pair> operator[](Index k) const {
        const Vector<Pair> low = low_bits(first + k);
        return has_next ? low | low_bits(first + step + k) << 16 : low;
    }
    LUCID_INLINE Pair at(Index k) const {
        return pair(std::uint16_t(first[k]), has_next ? std::uint16_t(first[step + k]) : 0);
    }
    LUCID_INLINE Index readable(Index of_first) const { return has_next ? of_first - step : of_first; }
};

// Samples or features in panels of two vectors; the last one is one vector wide where that suffices.
template <class Real> struct Panels {
    Index size, count, padded;  // in whole vectors
    explicit Panels(Index size)
        : size(size), count(divided_up(size, panel<Real>)),
          padded(divided_up(size, lanes<Real>) * lanes<Real>) {}
    static Index start(Index p) { return p * panel<Real>; }
    Index used(Index p) const { return smaller(Index(panel<Real>), size - start(p)); }
    bool wide(Index p) const { return used(p) > lanes<Real>; }
    Index width(Index p) const { return wide(p) ? panel<Real> : lanes<Real>; }
};

// Zeros to the end of the last vector, over which go the last numbers, as one vector that overlaps.
template <class Stored>
void copy_row(const Rows<Stored>& from, Index used, Index width, Unit<Stored>* to) {
    using Real = Unit<Stored>;
    if (used < lanes<Real>) {
        for (Index k = 0; k < used; ++k) to[k] = from.at(k);
        for (Index k = used; k < width; ++k) to[k] = Real(0);
        return;
    }
    Index k = 0;
    for (; k + lanes<Real> <= used; k += lanes<Real>) store<Real>(to + k, from[k]);
    if (k == used) return;
    if (used < width) store<Real>(to + width - lanes<Real>, Vector<Real>{});
    store<Real>(to + used - lanes<Real>, from[used - lanes<Real>]);
}

template <class Real> void copy_row(const Real* from, Index used, Index width, Real* to) {
    copy_row<Real>(Rows<Real>{from, 0, false}, used, width, to);
}

// A matrix with `rows` rows as [panel][row][lane]; rows by units.
template <class Stored>
void pack_columns(
    const Stored* matrix, Index step, Index rows, const Panels<Unit<Stored>>& panels, Unit<Stored>* to) {
    constexpr Index numbers = Types<Stored>::numbers;
    const Index depth = units<Stored>(rows);
    for (Index k = 0; k < depth; ++k, matrix += numbers * step)
        for (Index q = 0; q < panels.count; ++q)
            copy_row<Stored>(
                {matrix + panels.start(q), step, numbers * k + 1 < rows}, panels.used(q),
                panels.width(q), to + panels.start(q) * depth + k * panels.width(q));
}

// Whole vectors of a row of `count` numbers, as many as hold it, each but the last full: what is past
// its end is surplus, over which the next row is written. True where `readable` numbers are there to
// be loaded and `writable` places to be stored to; else nothing is done.
template <class Real, class Make>
LUCID_INLINE bool write_overlapping(
    Index count, Index readable, Index writable, Real* to, const Make& vector) {
    const Index reach = divided_up(count, lanes<Real>) * lanes<Real>;
    if (reach > readable || reach > writable) return false;
    for (Index k = 0; k < reach; k += lanes<Real>) store<Real>(to + k, vector(k));
    return true;
}

// W[:, features, columns] as [i][o][column], o by units, rows `packed_step` apart. Rows of W are read one
// after the other; they lie far apart, so those to come are asked for, which memory that is not there ignores.
constexpr Index rows_ahead = 4;

// Short rows follow each other; longer ones begin on a line, and not all at the same places of a cache.
template <class Real> Index packed_step(Index columns) {
    if (columns <= panel<Real>) return columns;
    const Index vectors = divided_up(columns, lanes<Real>);
    return (vectors % 4 ? vectors : vectors + 1) * lanes<Real>;
}

template <class Stored> LUCID_INLINE void ask_for_row(const Stored* from, Index numbers) {
    for (Index k = 0; k < numbers; k += line_bytes / Index(sizeof(Stored))) __builtin_prefetch(from + k);
}

template <class Stored>
void pack_by_feature(
    const Sizes& s, const Stored* weight, Range features, Range columns, Unit<Stored>* to) {
    using Real = Unit<Stored>;
    constexpr Index numbers = Types<Stored>::numbers;
    const Index depth = units<Stored>(s.outputs), count = columns.length(), step = packed_step<Real>(count);
    const Index matrix = s.features_1 * s.features_2;
    for (Index k = 0; k < depth; ++k)
        for (Index i = features.begin; i < features.end; ++i) {
            const Index o = numbers * k, at = o * matrix + i * s.features_2 + columns.begin;
            const Rows<Stored> from{weight + at, matrix, o + 1 < s.outputs};
            ask_for_row(from.first + rows_ahead * numbers * matrix, count);
            Real* row = to + ((i - features.begin) * depth + k) * step;
            const auto vector = [&](Index j) { return from[j]; };
            const Index readable = from.readable(s.outputs * matrix - at);
            if (!write_overlapping<Real>(count, readable, (depth - k) * step, row, vector))
                for (Index j = 0; j < count; ++j) row[j] = from.at(j);
        }
}

// to[n][r] = g[n] · x1[n][r] for some samples of all that x1 has; `to` has room for a row of vectors
// more.
template <class Real>
void pack_products(
    const Real* g, Matrix<Real> x1, Range samples, Index feature, Index rows, Index all_samples,
    Index all_features, Real* to) {
    const Index reach = divided_up(rows, lanes<Real>) * lanes<Real>;
    const Index lacking = reach - (all_features - feature);  // beyond the end of the last row
    const Index safe =
        lacking <= 0 ? all_samples : x1.step > 0 ? all_samples - divided_up(lacking, x1.step) : 0;
    const Index count = larger<Index>(0, smaller(samples.end, safe) - samples.begin);
    const Real* from = x1.data + samples.begin * x1.step + feature;
    Index n = 0;
    if (reach == lanes<Real>)
        for (; n < count; ++n, from += x1.step, to += rows) store<Real>(to, g[n] * load(from));
    for (; n < count; ++n, from += x1.step, to += rows)
        write_overlapping<Real>(rows, reach, reach, to, [&](Index k) { return g[n] * load(from + k); });
    for (; n < samples.length(); ++n, from += x1.step, to += rows)
        for (Index r = 0; r < rows; ++r) to[r] = g[n] * from[r];
}

// The same in pairs, each product rounded; `g` is in float. What the last pair lacks is zero.
inline void pack_products(
    const float* g, Matrix<BFloat16> x1, Range samples, Index feature, Index rows, Index all_samples,
    Index all_features, Pair* to) {
    const Index reach = divided_up(rows, lanes<float>) * lanes<float>;
    const Index lacking = reach - (all_features - feature);  // beyond the end of the last row
    const Index safe = lacking <= 0 ? all_samples
        : x1.step > 0               ? all_samples - divided_up(lacking, x1.step)
                                    : 0;
    const Index count = smaller(samples.end, safe) - samples.begin;
    const BFloat16* from = x1.data + samples.begin * x1.step + feature;
    Index n = 0;
    for (; n + 1 < count; n += 2, from += 2 * x1.step, to += rows)
        write_overlapping<Pair>(rows, reach, reach, to, [&](Index k) {
            return rounded(g[n] * load(from + k), g[n + 1] * load(from + x1.step + k));
        });
    for (; n < samples.length(); n += 2, from += 2 * x1.step, to += rows)
        for (Index r = 0; r < rows; ++r) {
            const bool has_next = n + 1 < samples.length();
            to[r] = pair(
                Brain::narrow(g[n] * wide(from[r])),
                has_next ? Brain::narrow(g[n + 1] * wide(from[x1.step + r])) : std::uint16_t(0));
        }
}

template <class Real> struct Samples {
    Matrix<Real> x1, x2;
    Matrix<Real> first(Index sample, Index feature) const {
        return {x1.data + sample * x1.step + feature, x1.step};
    }
    Matrix<Real> second(Index sample) const { return {x2.data + sample * x2.step, x2.step}; }
};

// x1[n, i] · x2[n, j] of some samples and features 1, a row of (i, j) for each sample, `step` apart;
// there is room for a vector more in each. `second` has room for one sample's x2 in whole vectors.
template <class Real>
void pack_outer(
    const Sizes& s, const Samples<Real>& x, Range samples, Range features, Real* second, Real* to,
    Index step) {
    const Index columns = s.features_2, width = divided_up(columns, lanes<Real>) * lanes<Real>;
    for (Index n = samples.begin; n < samples.end; ++n, to += step) {
        copy_row(x.second(n).data, columns, width, second);
        Real* row = to;
        for (Index i = features.begin; i < features.end; ++i, row += columns) {
            const Real by = *x.first(n, i).data;
            write_overlapping<Real>(
                columns, width, width, row, [&](Index k) { return by * load(second + k); });
        }
    }
}

}  // namespace
