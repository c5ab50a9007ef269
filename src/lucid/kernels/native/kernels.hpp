// What is compiled once for each instruction set: three operations, in two types.
#pragma once

#include "index.hpp"

namespace lucid {

struct Sizes {
    Index samples, outputs, features_1, features_2;  // N, O, I, J
};

// A matrix with contiguous rows, `step` numbers apart.
template <class Real> struct Matrix {
    const Real* data;
    Index step;
};

// Within each of so many shared positions, every row of x1 with every row of x2.
struct Pairs {
    Index shared, firsts, seconds, outputs, features_1, features_2;  // S, A, B, O, I, J
    bool first_outside;  // the result is (S, A, B, O), else (S, B, A, O)
};

enum class Way : int {
    choose = 0,
    samples = 1,   // lanes are samples, W read in place (forward) or packed (gradients)
    packed = 2,    // the same, with W packed for each group of samples
    features = 3,  // lanes are features of x2: for few samples
    swapped = 4,   // as `packed`, with x1 and x2 exchanged
    products = 5,  // weight gradient: x1 · x2 in registers, rows are outputs
    column = 6,    // input gradients: d2 in registers, for few outputs
    apart = 7,     // input gradients: one product for each, for very few outputs
    shared = 8,    // input gradients: threads share the samples and split i
    rows = 9,      // lanes are features of x2, rows of a tile samples: for moderately many
    outer = 10,    // forward: x1 · x2 in registers, rows are outputs: for few features
    flat = 11,     // lanes are both features: for few samples whose features 2 fill no vector
};

// Each writes all of its results and returns false where there is no memory for its scratch.
// `bias`, `d_first` or `d_second` may be null.
template <class Real> struct Operations {
    // out[n, o] = Σ_ij x1[n, i] · W[o, i, j] · x2[n, j] + bias[o]
    bool (*forward)(
        Sizes, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
        int threads, Way);
    // dW[o, i, j] = Σ_n g[n, o] · x1[n, i] · x2[n, j]
    bool (*weight_gradient)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, int threads, Way);
    // dx1[n, i] = Σ_oj g[n, o] · W[o, i, j] · x2[n, j];  dx2[n, j] = Σ_oi g · W · x1
    bool (*input_gradients)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
        Real* d_second, int threads, Way);
    // The same for pairs, all with W read; rows of x1 are (S, A), those of x2 (S, B).
    bool (*pairs)(
        Pairs, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
        int threads);
    // Those that are not wanted are null.
    bool (*pair_gradients)(
        Pairs, const Real* g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
        Real* d_second, Real* d_weight, int threads);
    // The ways that would be chosen: of the forward, of both input gradients, of the weight's.
    void (*choose)(Sizes, int threads, Way (&chosen)[3]);
};

struct Kernel {
    const char* name;
    Operations<float> in_float;
    Operations<double> in_double;
};

template <class Real> const Operations<Real>& operations(const Kernel& kernel);
template <> inline const Operations<float>& operations(const Kernel& kernel) {
    return kernel.in_float;
}
template <> inline const Operations<double>& operations(const Kernel& kernel) {
    return kernel.in_double;
}

}  // namespace lucid
