// The steps of optimisers: one pass over a parameter, its gradient and what is remembered of it. In one
// thread: what bounds it is memory, and threads of the caller's library may still hold the other cores.
#pragma once

#include "kernels.hpp"

namespace {

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

// With and without the largest v, and with and without decay in the gradient, so that each loop is one
// of vectors, and nothing is multiplied by 0, which would make NaN of infinity.
template <bool has_largest, bool has_decay, class Real>
void adam_loop(
    const lucid::AdamStep<Real>& s, const Real* __restrict from, const Real* __restrict gradient,
    Real* __restrict mean, Real* __restrict square, Real* __restrict largest, Real* __restrict out,
    Index numbers) {
    for (Index k = 0; k < numbers; ++k) {
        Real g = gradient[k];
        if (has_decay) g += from[k] * s.decay;
        const Real m = mean[k] * s.beta_1 + g * s.rest_1;
        Real v = square[k] * s.beta_2 + g * g * s.rest_2;
        mean[k] = m;
        square[k] = v;
        if (has_largest) {
            const Real before = largest[k];
            v = v > before || v != v ? v : before;  // NaN stays, as in NumPy's maximum
            largest[k] = v;
        }
        out[k] = from[k] * s.shrink - m / (root(v) + s.eps) * s.rate;
    }
}

template <class Real>
void adam_step(
    const lucid::AdamStep<Real>& s, const Real* from, const Real* gradient, Real* mean, Real* square,
    Real* largest, Real* out, Index numbers) {
    const bool decays = s.decay != 0;
    const auto loop = largest ? decays ? adam_loop<true, true, Real> : adam_loop<true, false, Real>
                               : decays ? adam_loop<false, true, Real> : adam_loop<false, false, Real>;
    loop(s, from, gradient, mean, square, largest, out, numbers);
}

template <bool has_buffer, bool is_nesterov, class Real>
void sgd_loop(
    const lucid::SgdStep<Real>& s, const Real* __restrict from, const Real* __restrict gradient,
    Real* __restrict buffer, Real* __restrict out, Index numbers) {
    for (Index k = 0; k < numbers; ++k) {
        const Real p = from[k];
        Real d = gradient[k];
        if (s.decay != 0) d += p * s.decay;
        if (has_buffer) {
            const Real b = buffer[k] * s.momentum + d * s.share;
            buffer[k] = b;
            d = is_nesterov ? d + b * s.momentum : b;
        }
        out[k] = p - d * s.rate;
    }
}

template <class Real>
void sgd_step(
    const lucid::SgdStep<Real>& s, const Real* from, const Real* gradient, Real* buffer, Real* out,
    Index numbers) {
    const auto loop = !buffer      ? sgd_loop<false, false, Real>
                       : s.nesterov ? sgd_loop<true, true, Real> : sgd_loop<true, false, Real>;
    loop(s, from, gradient, buffer, out, numbers);
}

}  // namespace
