// The kernel for one instruction set: compiled once for each, with LUCID_SET its name.
// Here an algorithm is chosen from the sizes where the caller leaves it open.
#include "choice.hpp"
#include "contract.hpp"
#include "few.hpp"
#include "flat.hpp"
#include "input_gradients.hpp"
#include "nodes.hpp"
#include "outer.hpp"
#include "pairs.hpp"
#include "pairs_by_outputs.hpp"
#include "pairs_choice.hpp"
#include "reductions.hpp"
#include "report.hpp"
#include "spread.hpp"
#include "steps.hpp"
#include "sums.hpp"
#include "tiny.hpp"
#include "weight_gradient.hpp"

#define LUCID_QUOTE_(name) #name
#define LUCID_QUOTE(name) LUCID_QUOTE_(name)
#define LUCID_JOIN_(a, b) a##b
#define LUCID_JOIN(a, b) LUCID_JOIN_(a, b)

namespace {

constexpr const char* name_of_set = LUCID_QUOTE(LUCID_SET);

template <class Value> void exchange(Value& a, Value& b) {
    const Value before = a;
    a = b, b = before;
}

// W with one column lies in memory as it would with one row: lanes are for the longer of both.
inline bool is_one_column(const Sizes& s) { return s.features_2 == 1 && s.features_1 > 1; }

template <class Real> void exchange(Sizes& s, Matrix<Real>& x1, Matrix<Real>& x2) {
    exchange(s.features_1, s.features_2);
    exchange(x1, x2);
}

template <class Real> Algorithm choose(Operation operation, Sizes s, int threads, bool both) {
    if (is_tiny(s)) return Algorithm::reference;
    if (is_one_column(s)) exchange(s.features_1, s.features_2);
    return cheapest<Real>(operation, s, threads, both).algorithm;
}

template <class Real> Work work_of(Operation operation, Algorithm algorithm, const Sizes& sizes) {
    Sizes s = sizes;
    if (is_one_column(s)) exchange(s.features_1, s.features_2);
    return estimate(operation, algorithm, Counts<Real>(s)).work;
}

template <class Real>
bool is_suited(Operation operation, Algorithm algorithm, const Sizes& sizes, bool both) {
    Sizes s = sizes;
    if (is_one_column(s)) exchange(s.features_1, s.features_2);
    return suits<Real>(operation, algorithm, s, both);
}

template <class Real>
bool forward(
    Sizes s, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
    Real* kept, int threads, Algorithm algorithm) {
    if (is_one_column(s)) exchange(s, x1, x2);
    if (algorithm == Algorithm::chosen)
        algorithm = choose<Real>(Operation::forward, s, threads, true);
    const Report report(Operation::forward, s, sizeof(Real), algorithm, threads);
    if (algorithm == Algorithm::reference)
        return tiny_forward(s, x1, x2, weight, bias, out), true;
    if (algorithm == Algorithm::stream_weight) return few_forward<Real>(s, {x1, x2}, weight, bias, out, threads);
    if (algorithm == Algorithm::flat_features) return flat_forward<Real>(s, {x1, x2}, weight, bias, out, threads);
    if (algorithm == Algorithm::outer_product) return outer_forward<Real>({s, x1, x2, weight, bias, out}, threads);
    return contract<Real>({s, x1, x2, weight, bias, out, kept}, threads);
}

// What takes so many numbers, if there is room for them in whole panels.
template <class Real> lucid::Kept kept_if_room(double numbers, Index size, bool of_first) {
    const bool room = has_room<Real>(numbers, lucid::most_kept_bytes) &&
                      has_room<Real>(double(size), lucid::most_kept_bytes);
    return room ? lucid::Kept{size, of_first} : lucid::Kept{};
}

// Where both input gradients would take a product with the weight each, and the forward has one of them.
template <class Real> lucid::Kept kept_of_rows(const Sizes& s, int threads) {
    if (is_one_column(s) ||
        choose<Real>(Operation::inputs, s, threads, true) != Algorithm::output_by_output ||
        choose<Real>(Operation::forward, s, threads, true) != Algorithm::samples_on_lanes)
        return {};
    const double numbers = double(s.outputs) * double(s.samples) * double(s.features_2);
    return kept_if_room<Real>(numbers, size_of_kept<Real>(s), false);
}

template <class Real>
bool gradient_of_weight(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, bool adds, int threads,
    Algorithm algorithm) {
    if (is_one_column(s)) exchange(s, x1, x2);
    if (algorithm == Algorithm::chosen)
        algorithm = choose<Real>(Operation::weight, s, threads, true);
    const Report report(Operation::weight, s, sizeof(Real), algorithm, threads);
    if (algorithm == Algorithm::reference)
        return tiny_weight_gradient(s, g, x1, x2, d_weight, adds), true;
    if (algorithm == Algorithm::flat_features) return flat_weight_gradient<Real>(s, g, {x1, x2}, d_weight, adds, threads);
    return weight_gradient<Real>({s, g, x1, x2, algorithm == Algorithm::outer_product, adds}, d_weight, threads);
}

template <class Real>
bool always_both(
    const Sizes& s, Matrix<Real> g, const Samples<Real>& x, const Real* weight, Real* d_first,
    Real* d_second, int threads, Algorithm algorithm) {
    if (algorithm == Algorithm::stream_weight) return few_input_gradients<Real>(s, g, x, weight, d_first, d_second, threads);
    return flat_input_gradients<Real>(s, g, x, weight, d_first, d_second, threads);
}

// One gradient alone by an algorithm that computes both: for the input that is not given there is a row of
// zeros.
template <class Real>
bool one_of_both(
    const Sizes& s, Matrix<Real> g, Samples<Real> x, const Real* weight, Real* d_first,
    Real* d_second, int threads, Algorithm algorithm) {
    const Index features = d_first ? s.features_2 : s.features_1, row = larger(s.features_1, s.features_2);
    Scratch<Real> memory(row + s.samples * features);
    if (!memory) return false;
    fill(memory.get(), row, Real(0));
    Real* const unwanted = memory.get() + row;
    if (d_first) x.x1 = {memory.get(), 0}, d_second = unwanted;
    else x.x2 = {memory.get(), 0}, d_first = unwanted;
    return always_both(s, g, x, weight, d_first, d_second, threads, algorithm);
}

template <class Real>
bool gradients_of_inputs(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
    Real* d_second, int threads, Algorithm algorithm) {
    const bool both = d_first && d_second;
    if (is_one_column(s)) exchange(s, x1, x2), exchange(d_first, d_second);
    if (algorithm == Algorithm::chosen)
        algorithm = choose<Real>(Operation::inputs, s, threads, both);
    const Report report(Operation::inputs, s, sizeof(Real), algorithm, threads);
    if (algorithm == Algorithm::reference)
        return tiny_input_gradients(s, g, x1, x2, weight, d_first, d_second), true;
    if (algorithm == Algorithm::stream_weight || algorithm == Algorithm::flat_features) {
        const Samples<Real> x{x1, x2};
        if (both) return always_both(s, g, x, weight, d_first, d_second, threads, algorithm);
        return one_of_both(s, g, x, weight, d_first, d_second, threads, algorithm);
    }
    const InputGradients<Real> c{s, g, x1, x2, weight, d_first, d_second};
    if (algorithm == Algorithm::output_by_output) return gradients_apart(c, threads);
    if (algorithm == Algorithm::gradient_in_registers) return gradients_by_column(c, threads);
    return gradients_by_feature(c, threads);
}

// The input with the fewer rows meets the weight, or whatever multiplies less; which of both ways it is
// done changes no bit.
template <class Real>
bool pairs(
    const Pairs& p, Strided<const Real> x1, Strided<const Real> x2, const Real* weight,
    const Real* bias, Real* out, Real* kept, int threads) {
    const PairsOf<Real> left(p, x1, x2, weight), right = left.exchanged();
    const PairsOf<Real>& c = right.work() < left.work() ? right : left;
    if (!kept && work_by_outputs(c, threads) < c.work()) return pairs_forward_by_outputs(c, bias, out, threads);
    return pairs_forward(c, bias, out, kept, threads);
}

// The product of the input that meets the weight, unless an input's gradient is spread.
template <class Real> lucid::Kept kept_of_pairs(const Pairs& p) {
    if (p.firsts == 1 || p.seconds == 1) return {};
    const PairsOf<Real> left(p, {}, {}, nullptr);
    const PairsOf<Real> c = second_meets_weight<Real>(p) ? left.exchanged() : left;
    const double rows = double(c.shared) * double(c.firsts);
    return kept_if_room<Real>(
        double(c.outputs) * rows * double(c.features_2), size_of_kept(c), c.is_exchanged);
}

// Where all rows of an input meet the same row of the other, their gradients are its product with the
// weight, spread.
template <class Real>
bool pair_gradients(
    const Pairs& p, const Real* g, Strided<const Real> x1, Strided<const Real> x2,
    const Real* weight, Strided<Real> d_first, Strided<Real> d_second, Real* d_weight, Adds adds,
    Real* kept, int threads) {
    const PairsOf<Real> left(p, x1, x2, weight), right = left.exchanged();
    if (d_first.data && p.seconds == 1) {
        if (!spread_gradient(left, g, d_first, adds.first, threads)) return false;
        d_first.data = nullptr;
    }
    if (d_second.data && p.firsts == 1) {
        if (!spread_gradient(right, g, d_second, adds.second, threads)) return false;
        d_second.data = nullptr;
    }
    if (!d_first.data && !d_second.data && !d_weight) return true;
    if (right.work() < left.work())
        return pairs_gradient(
            right, g, d_second, d_first, d_weight, {adds.second, adds.first, adds.weight}, kept, threads);
    return pairs_gradient(left, g, d_first, d_second, d_weight, adds, kept, threads);
}

}  // namespace

namespace lucid {

extern const Operations<BFloat16> LUCID_JOIN(bfloat16_, LUCID_SET);
extern const Kernel LUCID_JOIN(kernel_, LUCID_SET);
const Kernel LUCID_JOIN(kernel_, LUCID_SET) = {
    name_of_set,
    {lanes<float>, forward<float>, gradient_of_weight<float>, gradients_of_inputs<float>, pairs<float>,
     pair_gradients<float>, sum_rows<float>, adam_step<float>, sgd_step<float>, edges_of_nodes<float>, nodes_of_edges<float>, middle_step<float>, pack_matrix<float>,
     best_scores<float>, scores_at<float>, compare_scores<float>, chosen_gradients<float>,
     kept_of_rows<float>, kept_of_pairs<float>, gradient_from_kept<float>, takes_pairs<float>, choose<float>, is_suited<float>, work_of<float>},
    {lanes<double>, forward<double>, gradient_of_weight<double>, gradients_of_inputs<double>, pairs<double>,
     pair_gradients<double>, sum_rows<double>, adam_step<double>, sgd_step<double>, edges_of_nodes<double>, nodes_of_edges<double>, middle_step<double>, pack_matrix<double>,
     best_scores<double>, scores_at<double>, compare_scores<double>, chosen_gradients<double>,
     kept_of_rows<double>, kept_of_pairs<double>, gradient_from_kept<double>, takes_pairs<double>, choose<double>, is_suited<double>, work_of<double>},
    &LUCID_JOIN(bfloat16_, LUCID_SET),
};

}  // namespace lucid
