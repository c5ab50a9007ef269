// The kernel for one instruction set: compiled once for each, with LUCID_SET its name.
// Here a way is chosen from the sizes where the caller leaves it open.
#include "contract.hpp"
#include "few.hpp"
#include "input_gradients.hpp"
#include "outer.hpp"
#include "pairs.hpp"
#include "rows.hpp"
#include "tiny.hpp"
#include "weight_gradient.hpp"

namespace {

// The part of the lanes that is in use when `size` things lie on them.
template <class Real> double fill_of(Index size) {
    return double(size) / double(divided_up(size, lanes<Real>) * lanes<Real>);
}

// The same where W is copied: less than a vector goes number by number.
template <class Real> double fill_of_copies(Index size) {
    return fill_of<Real>(size) * (size < lanes<Real> ? 0.5 : 1);
}

// How much of the multiplier's rate is left by work in proportion to 1 / size.
inline double left_by(double size, double cost) { return size / (size + cost); }

// One pass over W at the speed of memory, where multiplying is not what takes the time.
template <class Real> bool few_samples(const Sizes& s, Index most) {
    return s.features_2 >= lanes<Real> && s.samples <= most;
}

// A large W comes from memory. Where it is read in place by columns of a tile, a matrix ought to
// stay in the second-level cache beside the next one, which is asked for meanwhile; and rows that
// lie a multiple of 4 KiB apart compete for the same places.
template <class Real> double read_by_columns(const Sizes& s) {
    const Index row = s.features_2 * Index(sizeof(Real)), matrix = s.features_1 * row;
    if (s.outputs * matrix <= most_bytes / 4) return 1;
    return left_by(8 << 20, double(matrix)) * (row % 4096 == 0 ? 0.85 : 1);
}

// Where lanes are features, a matrix of W is copied by each thread, and all of the samples once.
template <class Real> bool matrix_has_room(Index matrix) {
    return matrix * Index(sizeof(Real)) <= most_bytes_each;
}

template <class Real> Index samples_with_room(const Sizes& s) {
    return most_bytes / Index(sizeof(Real)) / (s.features_1 + 2 * s.features_2 + s.outputs);
}

// Shares of the multiplier's rate, fitted to measurements (README.md): lanes that are samples may
// stand empty, and so may those that are features, which also copy W: once for all samples.
template <class Real> Way forward_way(const Sizes& s) {
    const Index vectors = s.features_2 / lanes<Real>;
    if (few_samples<Real>(s, smaller<Index>(2 + vectors / 6, samples_at_once))) return Way::features;
    const Index matrix = s.features_1 * s.features_2;
    const bool packs = s.outputs * matrix * Index(sizeof(Real)) <= most_bytes;
    if (smaller(s.features_1, s.features_2) <= 3 && packs)
        return s.outputs == 1 && vectors >= 4 ? Way::features : Way::outer;
    const double rows = fill_of_copies<Real>(s.features_2) * left_by(double(s.samples), 4) *
                        left_by(double(matrix), 25 * lanes<Real>) * left_by(double(s.outputs), 0.1);
    const double samples = fill_of<Real>(s.samples) * read_by_columns<Real>(s);
    if (rows > samples && matrix_has_room<Real>(matrix)) return Way::rows;
    // Tiles of few steps wait for the multiplier; packing W the other way round costs too.
    const bool shallow = s.features_1 <= 6 && s.features_2 >= 4 * s.features_1;
    return shallow && s.outputs >= 4 && s.samples >= 150 ? Way::swapped : Way::samples;
}

template <class Real>
bool rows_forward_in_parts(
    Sizes s, const Samples<Real>& x, const Real* weight, const Real* bias, Real* out, int threads) {
    const Pieces parts(s.samples, larger<Index>(1, samples_with_room<Real>(s)));
    for (Index part = 0; part < parts.count; ++part) {
        const Index n = parts.start(part);
        s.samples = parts.length(part);
        const Samples<Real> mine{x.first(n, 0), x.second(n)};
        if (!rows_forward<Real>(s, mine, weight, bias, out + n * s.outputs, threads)) return false;
    }
    return true;
}

template <class Real>
bool forward(
    Sizes s, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
    int threads, Way way) {
    if (way == Way::choose) {
        if (is_tiny(s)) return tiny_forward(s, x1, x2, weight, bias, out), true;
        way = forward_way<Real>(s);
    }
    if (way == Way::features) return few_forward<Real>(s, {x1, x2}, weight, bias, out, threads);
    if (way == Way::rows) return rows_forward_in_parts<Real>(s, {x1, x2}, weight, bias, out, threads);
    if (way == Way::outer) return outer_forward<Real>({s, x1, x2, weight, bias, out}, threads);
    const Index matrix = s.features_1 * s.features_2;
    if (way == Way::swapped)
        return contract<Real>(
            {s.samples, s.outputs, s.features_2, s.features_1, x2, x1,
             {weight, matrix, 1, s.features_2, true}, bias, out}, threads);
    return contract<Real>(
        {s.samples, s.outputs, s.features_1, s.features_2, x1, x2,
         {weight, matrix, s.features_2, 1, way == Way::packed}, bias, out}, threads);
}

// Rows of tiles are i, and products are packed, or rows are o, and there is one more
// multiplication for each; then tiles are written far apart, too far for a large gradient.
template <class Real> Way weight_gradient_way(const Sizes& s) {
    const double samples =
        left_by(double(smaller<Index>(s.features_1, tile_rows)), 1) * left_by(double(s.features_2), 4);
    const double products = left_by(double(smaller<Index>(s.outputs, tile_rows)), 2);
    const bool near = s.outputs * s.features_1 * s.features_2 * Index(sizeof(Real)) <= copied_bytes;
    return products > samples && (near || s.features_1 < 4) ? Way::products : Way::samples;
}

// Lanes are features of x1 where those of x2 would leave most of them empty.
template <class Real> bool better_exchanged(const Sizes& s) {
    const Index bytes = s.outputs * s.features_1 * s.features_2 * Index(sizeof(Real));
    return bytes <= most_bytes_each &&
           (s.features_2 == 1 || s.samples >= (s.features_2 * 4 <= lanes<Real> ? 4 : 16)) &&
           fill_of<Real>(s.features_1) > 1.4 * fill_of<Real>(s.features_2);
}

template <class Real>
bool exchanged_weight_gradient(
    const Sizes& s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, int threads) {
    const Sizes other{s.samples, s.outputs, s.features_2, s.features_1};
    const bool products = weight_gradient_way<Real>(other) == Way::products;
    if (s.features_2 == 1)  // the gradient lies in memory as it would exchanged
        return weight_gradient<Real>({other, g, x2, x1, products}, d_weight, threads);
    const Index matrix = s.features_1 * s.features_2;
    Scratch<Real> found(s.outputs * matrix);
    if (!found || !weight_gradient<Real>({other, g, x2, x1, products}, found.get(), threads)) return false;
    for (Index o = 0; o < s.outputs; ++o)
        transpose(
            found.get() + o * matrix, s.features_1, s.features_2, s.features_1,
            d_weight + o * matrix, s.features_2);
    return true;
}

template <class Real>
bool gradient_of_weight(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, int threads,
    Way way) {
    if (way == Way::choose) {
        if (is_tiny(s)) return tiny_weight_gradient(s, g, x1, x2, d_weight), true;
        if (better_exchanged<Real>(s))
            return exchanged_weight_gradient(s, g, x1, x2, d_weight, threads);
        way = weight_gradient_way<Real>(s);
    }
    return weight_gradient<Real>({s, g, x1, x2, way == Way::products}, d_weight, threads);
}

// As above; where lanes are features there is a sum over them for each sample and feature 1, and
// where they are samples W is packed into tiles, at a higher price.
template <class Real> Way input_gradients_way(const Sizes& s, int threads) {
    const Index panels = Panels<Real>(s.samples).count, matrix = s.outputs * s.features_2;
    const bool packs = matrix * s.features_1 * Index(sizeof(Real)) <= most_bytes;
    const bool long_rows = s.features_2 >= 8 * lanes<Real>;
    if (few_samples<Real>(s, !packs ? 3 : long_rows ? 1 : 0)) return Way::features;
    if (s.features_2 <= column_rows && packs) return Way::column;
    const double rows = fill_of_copies<Real>(s.features_2) * left_by(double(s.samples), 4) *
                        left_by(double(matrix), 25 * lanes<Real>) * left_by(double(s.outputs), 12);
    const bool apart = s.outputs <= 3 && s.features_1 >= 4 && s.features_2 >= 8 && packs;
    const double samples =
        fill_of<Real>(s.samples) *
        (apart ? left_by(double(s.samples), 4) / 2
               : left_by(double(s.samples), 20) * left_by(double(s.outputs), 4));
    if (rows > samples && matrix_has_room<Real>(matrix) && s.samples <= samples_with_room<Real>(s))
        return Way::rows;
    if (!packs) return Way::shared;
    if (apart) return Way::apart;
    if (s.outputs <= 40 && s.features_1 > 3 && panels >= 2 * threads) return Way::column;
    return panels >= 4 * threads ? Way::samples : Way::shared;
}

template <class Real>
bool gradients_of_inputs(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
    Real* d_second, int threads, Way way) {
    const bool both = d_first && d_second;
    if (way == Way::choose) {
        if (is_tiny(s)) return tiny_input_gradients(s, g, x1, x2, weight, d_first, d_second), true;
        way = input_gradients_way<Real>(s, threads);
        // One gradient alone is a plain sum or a plain product of the same tiles.
        if (!both && (way == Way::rows || way == Way::column || way == Way::features)) way = Way::shared;
    }
    if (way == Way::features && both)
        return few_input_gradients<Real>(s, g, {x1, x2}, weight, d_first, d_second, threads);
    if (way == Way::rows && both)
        return rows_input_gradients<Real>(s, g, {x1, x2}, weight, d_first, d_second, threads);
    const InputGradients<Real> c{s, g, x1, x2, weight, d_first, d_second, way};
    if (way == Way::apart) return gradients_apart(c, threads);
    if (way == Way::column && both) return gradients_by_column(c, threads);
    if (way == Way::samples) return gradients_by_samples(c, threads);
    return gradients_shared(c, threads);
}

// The input with the fewer rows meets the weight, or whatever multiplies less.
template <class Real>
bool pairs(
    Pairs p, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
    int threads) {
    const PairsOf<Real> left(p, x1, x2, weight), right = left.exchanged();
    return pairs_forward(right.work() < left.work() ? right : left, bias, out, threads);
}

template <class Real>
bool pair_gradients(
    Pairs p, const Real* g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
    Real* d_second, Real* d_weight, int threads) {
    const PairsOf<Real> left(p, x1, x2, weight), right = left.exchanged();
    if (right.work() < left.work()) return pairs_gradient(right, g, d_second, d_first, d_weight, threads);
    return pairs_gradient(left, g, d_first, d_second, d_weight, threads);
}

template <class Real> void choose(Sizes s, int threads, Way (&chosen)[3]) {
    chosen[0] = is_tiny(s) ? Way::choose : forward_way<Real>(s);
    chosen[1] = is_tiny(s) ? Way::choose : input_gradients_way<Real>(s, threads);
    chosen[2] = is_tiny(s) ? Way::choose : weight_gradient_way<Real>(s);
}

}  // namespace

#define LUCID_QUOTE_(name) #name
#define LUCID_QUOTE(name) LUCID_QUOTE_(name)
#define LUCID_JOIN_(a, b) a##b
#define LUCID_JOIN(a, b) LUCID_JOIN_(a, b)

namespace lucid {

extern const Kernel LUCID_JOIN(kernel_, LUCID_SET);
const Kernel LUCID_JOIN(kernel_, LUCID_SET) = {
    LUCID_QUOTE(LUCID_SET),
    {forward<float>, gradient_of_weight<float>, gradients_of_inputs<float>, pairs<float>,
     pair_gradients<float>, choose<float>},
    {forward<double>, gradient_of_weight<double>, gradients_of_inputs<double>, pairs<double>,
     pair_gradients<double>, choose<double>},
};

}  // namespace lucid
