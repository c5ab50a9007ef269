// The kernel for one instruction set: compiled once for each, with LUCID_SET its name.
// Here a way is chosen from the sizes where the caller leaves it open.
#include "contract.hpp"
#include "few.hpp"
#include "input_gradients.hpp"
#include "tiny.hpp"
#include "weight_gradient.hpp"

namespace {

constexpr int fewest_rows = 4;  // tiles of fewer rows wait for the multiplier more than they use it

// Lanes as features cost a horizontal step for each row of W; lanes as samples may stand empty.
template <class Real> bool few_samples(const Sizes& s) {
    return s.samples * 3 <= lanes<Real> && s.features_2 >= lanes<Real>;
}

template <class Real> Way forward_way(const Sizes& s) {
    if (few_samples<Real>(s)) return Way::features;
    if (s.features_2 < fewest_rows && s.features_1 > s.features_2) return Way::swapped;
    return Way::samples;
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
    const Index matrix = s.features_1 * s.features_2;
    if (way == Way::swapped)
        return contract<Real>(
            {s.samples, s.outputs, s.features_2, s.features_1, x2, x1,
             {weight, matrix, 1, s.features_2, true}, bias, out}, threads);
    return contract<Real>(
        {s.samples, s.outputs, s.features_1, s.features_2, x1, x2,
         {weight, matrix, s.features_2, 1, way == Way::packed}, bias, out}, threads);
}

template <class Real>
bool gradient_of_weight(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, int threads,
    Way way) {
    if (way == Way::choose) {
        if (is_tiny(s)) return tiny_weight_gradient(s, g, x1, x2, d_weight), true;
        way = s.features_2 <= panel<Real> && s.outputs >= 6 ? Way::products : Way::samples;
    }
    return weight_gradient<Real>({s, g, x1, x2, way == Way::products}, d_weight, threads);
}

template <class Real> Way input_gradients_way(const Sizes& s, bool both, int threads) {
    if (few_samples<Real>(s)) return Way::features;
    const Index panels = Panels<Real>(s.samples).count;
    const Index bytes = s.outputs * s.features_1 * s.features_2 * Index(sizeof(Real));
    if (bytes > largest_packed_weight || panels < threads) return Way::shared;
    if (s.outputs <= 2 && s.features_1 >= 8 && s.features_2 >= 8) return Way::apart;
    if (s.outputs <= 32 && both && panels >= 2 * threads) return Way::column;
    return panels >= 4 * threads ? Way::samples : Way::shared;
}

template <class Real>
bool gradients_of_inputs(
    Sizes s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
    Real* d_second, int threads, Way way) {
    const bool both = d_first && d_second;
    if (way == Way::choose) {
        if (is_tiny(s)) return tiny_input_gradients(s, g, x1, x2, weight, d_first, d_second), true;
        way = input_gradients_way<Real>(s, both, threads);
    }
    if (way == Way::features && both)
        return few_input_gradients<Real>(s, g, {x1, x2}, weight, d_first, d_second, threads);
    const InputGradients<Real> c{s, g, x1, x2, weight, d_first, d_second, way};
    if (way == Way::apart) return gradients_apart(c, threads);
    if (way == Way::column && both) return gradients_by_column(c, threads);
    if (way == Way::samples) return gradients_by_samples(c, threads);
    return gradients_shared(c, threads);
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
    {forward<float>, gradient_of_weight<float>, gradients_of_inputs<float>},
    {forward<double>, gradient_of_weight<double>, gradients_of_inputs<double>},
};

}  // namespace lucid
