// A few numbers: the sums as they are written. Packing would take longer than all of it.
#pragma once

#include "pack.hpp"

namespace {

inline bool is_tiny(const Sizes& s) {
    return s.operations() <= 2 * few_multiplications;
}

template <class Real>
void tiny_forward(
    const Sizes& s, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out) {
    for (Index n = 0; n < s.samples; ++n) {
        const Real *w = weight, *first = x1.data + n * x1.step, *second = x2.data + n * x2.step;
        for (Index o = 0; o < s.outputs; ++o) {
            Real sum = 0;
            for (Index i = 0; i < s.features_1; ++i, w += s.features_2) {
                Real inner = 0;
                for (Index j = 0; j < s.features_2; ++j) inner += w[j] * second[j];
                sum += first[i] * inner;
            }
            *out++ = bias ? sum + bias[o] : sum;
        }
    }
}

template <class Real>
void tiny_weight_gradient(
    const Sizes& s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, bool adds) {
    if (!adds) fill(d_weight, s.outputs * s.features_1 * s.features_2, Real(0));
    for (Index n = 0; n < s.samples; ++n) {
        const Real *first = x1.data + n * x1.step, *second = x2.data + n * x2.step;
        Real* to = d_weight;
        for (Index o = 0; o < s.outputs; ++o)
            for (Index i = 0; i < s.features_1; ++i, to += s.features_2) {
                const Real by = g.data[n * g.step + o] * first[i];
                for (Index j = 0; j < s.features_2; ++j) to[j] += by * second[j];
            }
    }
}

template <class Real>
void tiny_input_gradients(
    const Sizes& s, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight,
    Real* d_first, Real* d_second) {
    if (d_first) fill(d_first, s.samples * s.features_1, Real(0));
    if (d_second) fill(d_second, s.samples * s.features_2, Real(0));
    for (Index n = 0; n < s.samples; ++n) {
        const Real* w = weight;
        for (Index o = 0; o < s.outputs; ++o) {
            const Real by = g.data[n * g.step + o];
            for (Index i = 0; i < s.features_1; ++i, w += s.features_2) {
                if (d_first) {
                    Real inner = 0;
                    for (Index j = 0; j < s.features_2; ++j) inner += w[j] * x2.data[n * x2.step + j];
                    d_first[n * s.features_1 + i] += by * inner;
                }
                if (d_second) {
                    const Real scale = by * x1.data[n * x1.step + i];
                    for (Index j = 0; j < s.features_2; ++j)
                        d_second[n * s.features_2 + j] += scale * w[j];
                }
            }
        }
    }
}

}  // namespace
