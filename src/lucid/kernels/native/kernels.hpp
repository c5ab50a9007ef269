// What is compiled once for each instruction set: three operations, in three types.
#pragma once

#include <cstdint>

#include "index.hpp"

namespace lucid {

// bfloat16, as it lies in memory; halves.hpp converts it.
enum class BFloat16 : std::uint16_t {};

struct Sizes {
    Index samples, outputs, features_1, features_2;  // N, O, I, J
    // Additions and multiplications; not an integer, which might overflow.
    double operations() const {
        return 2.0 * double(samples) * double(outputs) * double(features_1) * double(features_2);
    }
};

// A matrix with contiguous rows, `step` numbers apart.
template <class Real> struct Matrix {
    const Real* data;
    Index step;
};

// Less work than this (in additions and multiplications) is not worth another thread.
constexpr double least_operations = 4e5;
inline bool is_worth_threads(double operations) { return operations >= least_operations; }

// Where in an array the shared positions are: those of one axis, or of two.
struct Positions {
    Index inner = 1, outer_step = 0, inner_step = 0;  // how many the inner axis has; in numbers
    Index at(Index position) const {
        return position < inner ? position * inner_step
                                : position / inner * outer_step + position % inner * inner_step;
    }
};

// Within each of so many shared positions, every row of x1 with every row of x2.
struct Pairs {
    Index shared, firsts, seconds, outputs, features_1, features_2;  // S, A, B, O, I, J
    Positions positions;            // of the result, as is what follows, in numbers
    Index first_step, second_step;
    // What is multiplied where the input with fewer rows meets the weight, and then the other.
    double operations() const {
        const double fewer = double(firsts < seconds ? firsts : seconds);
        return 2.0 * double(shared) * double(outputs) * double(features_1) * double(features_2) * fewer;
    }
    // With that of the other.
    double all_operations() const {
        const double features = double(features_1 < features_2 ? features_1 : features_2);
        return operations() +
               2.0 * double(shared) * double(outputs) * double(firsts) * double(seconds) * features;
    }
};

// The rows of one input, or of its gradient: those of each shared position are `step` apart.
template <class Real> struct Strided {
    Real* data = nullptr;
    Positions positions;
    Index step = 0;
    Real* at(Index position, Index row) const { return data + positions.at(position) + row * step; }
    // Whether the rows of the next position follow those of one, a step apart.
    bool is_even(Index shared, Index rows) const {
        return shared == 1 || (positions.inner == shared && rows > 1 && positions.inner_step == rows * step);
    }
};

// Rows of a matrix that are chosen: the k-th is the one with the number index[k].
template <class Real> struct Chosen {
    Real* data;
    const std::int64_t* index;
    Index features;
    Real* at(Index k) const { return data + Index(index[k]) * features; }
};

// Nodes with their edges side by side: node n has those from bounds[n] to bounds[n + 1].
struct Nodes {
    Index count, features;
    const std::int64_t* bounds;
    template <class Range> Range edges(Index begin, Index end) const {
        return {Index(bounds[begin]), Index(bounds[end])};
    }
};

// Scores of rows with partners, within each of so many positions; a row counts on through all of them. Partners
// are numbered from `start`.
template <class Real> struct Scores {
    using Number = Real;
    Index shared, rows, partners, features;  // S, R, M, J
    Strided<const Real> q, x2;
    bool partners_shared;          // the same for all positions
    const Real* bias;              // one for each row, or null
    const std::uint8_t* kept;      // [row][partner], 0 where a pair is left out; or null
    const std::int64_t* excluded;  // [row][exclusion]: partners left out, those that are here
    Index exclusions, start;
};

// Of each row some partners, -1 for none, and the gradient of each one's score. The rows of q are so many for each
// of its positions.
template <class Real> struct Choices {
    using Number = Real;
    Index rows, count, features, rows_each;
    const std::int64_t* places;  // [row][k]
    const Real* slopes;          // [row][k]
    Strided<const Real> q;
    Matrix<Real> x2;
};

// How an operation is computed; README.md says what each algorithm does. `chosen` is the one that
// costs least.
enum class Algorithm : int {
    chosen = -1,
    reference,
    samples_on_lanes,
    stream_weight,
    flat_features,
    outer_product,
    packed_products,
    gradient_in_registers,
    output_by_output,
};

// The names under which tests, documents and users know them, in the same order.
constexpr const char* algorithm_names[] = {
    "reference",
    "samples_on_lanes",
    "stream_weight",
    "flat_features",
    "outer_product",
    "packed_products",
    "gradient_in_registers",
    "output_by_output",
};

// Which gradients are added to what is there: those of rows that come in several parts.
struct Adds {
    bool first = false, second = false, weight = false;
};

enum class Operation { forward, inputs, weight };

constexpr const char* operation_names[] = {"forward", "inputs", "weight"};

// Those that an operation has: all of the list.
struct Algorithms {
    const Algorithm* first;
    int count;
};

constexpr Algorithm forward_algorithms[] = {
    Algorithm::reference, Algorithm::samples_on_lanes,
    Algorithm::stream_weight,
    Algorithm::flat_features, Algorithm::outer_product,
};
constexpr Algorithm inputs_algorithms[] = {
    Algorithm::reference, Algorithm::samples_on_lanes,
    Algorithm::stream_weight, Algorithm::flat_features,
    Algorithm::gradient_in_registers, Algorithm::output_by_output,
};
constexpr Algorithm weight_algorithms[] = {
    Algorithm::reference, Algorithm::packed_products, Algorithm::outer_product,
    Algorithm::flat_features,
};

template <int Count> constexpr Algorithms all_of(const Algorithm (&list)[Count]) { return {list, Count}; }

constexpr Algorithms algorithms_of(Operation operation) {
    return operation == Operation::forward ? all_of(forward_algorithms)
        : operation == Operation::inputs   ? all_of(inputs_algorithms)
                                           : all_of(weight_algorithms);
}

// What a forward pass can keep of its products for the gradients: so many numbers, 0 where nothing is
// gained, which spare the gradient of one input its product with the weight.
struct Kept {
    Index size = 0;
    bool of_first = false;  // of x1, or of x2
};

constexpr Index most_kept_bytes = 16 << 20;

// How much of each kind of work an algorithm does, or what one of each takes.
struct Work {
    static constexpr int kinds = 8;
    double of[kinds];
};

constexpr const char* work_names[Work::kinds] = {
    "start",     // of the call
    "multiply",  // multiply-adds of a vector
    "step",      // of a tile, from one k to the next, in vectors of b
    "tile",      // begun
    "finish",    // vectors that an epilogue meets
    "copy",      // numbers of samples packed or transposed, or vectors of them multiplied
    "pack",      // numbers of the weight packed, or its lines read
    "line",      // of the weight, from memory
};

// One step of Adam: g + decay · p is the gradient, shrink · p takes the parameter's place, `rest`s are
// 1 - beta, and `eps` and `rate` are corrected for the start from 0.
template <class Real> struct AdamStep {
    Real decay, shrink, beta_1, rest_1, beta_2, rest_2, eps, rate;
};

// One step of gradient descent: b ← momentum · b + share · (g + decay · p).
template <class Real> struct SgdStep {
    Real decay, momentum, share, rate;
    bool nesterov;
};

// Each writes all of its results and returns false where there is no memory for its scratch.
// `bias`, `d_first` or `d_second` may be null.
template <class Real> struct Operations {
    int lanes;  // numbers in a vector
    // out[n, o] = Σ_ij x1[n, i] · W[o, i, j] · x2[n, j] + bias[o]; `kept` may be null
    bool (*forward)(
        Sizes, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
        Real* kept, int threads, Algorithm);
    // dW[o, i, j] = Σ_n g[n, o] · x1[n, i] · x2[n, j], or added to what is there (not in bfloat16)
    bool (*weight_gradient)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, bool adds,
        int threads, Algorithm);
    // dx1[n, i] = Σ_oj g[n, o] · W[o, i, j] · x2[n, j];  dx2[n, j] = Σ_oi g · W · x1
    bool (*input_gradients)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
        Real* d_second, int threads, Algorithm);
    // The same for pairs.
    bool (*pairs)(
        const Pairs&, Strided<const Real> x1, Strided<const Real> x2, const Real* weight,
        const Real* bias, Real* out, Real* kept, int threads);
    // Those that are not wanted are null.
    bool (*pair_gradients)(
        const Pairs&, const Real* g, Strided<const Real> x1, Strided<const Real> x2, const Real* weight,
        Strided<Real> d_first, Strided<Real> d_second, Real* d_weight, Adds, Real* kept, int threads);
    // to[column] = Σ over the rows of a dense matrix, the gradient of the bias
    bool (*sum_rows)(const Real* from, Index rows, Index columns, Real* to, int threads);
    // Moments are changed where they are, the parameter is written to `out`; `largest` or `buffer` may
    // be null.
    void (*adam_step)(
        const AdamStep<Real>&, const Real* from, const Real* gradient, Real* mean, Real* square,
        Real* largest, Real* out, Index numbers);
    void (*sgd_step)(
        const SgdStep<Real>&, const Real* from, const Real* gradient, Real* buffer, Real* out,
        Index numbers);
    // to[e, l] = Σ_k from[e, k] · Σ_i x[n(e), i] · W[i, k, l] + bias[l], W packed as (I, K · L)
    bool (*edges_of_nodes)(
        const Nodes&, const Real* x, const Real* weight, Chosen<const Real> from, const Real* bias,
        Chosen<Real> to, int threads);
    // With U[n, k, l] = Σ_e∈n g[e, k] · from[e, l], which goes to `middle`: dx = U · W, packed as
    // (K · L, I), and dW[i, k, l] += Σ_n x[n, i] · U[n, k, l]; either may be null.
    bool (*nodes_of_edges)(
        const Nodes&, const Real* x, const Real* weight, Chosen<const Real> g, Chosen<const Real> from,
        Real* middle, Real* d_nodes, Real* d_weight, int threads);
    // From one node of `middle` to the next, of so many numbers.
    Index (*middle_step)(Index width);
    // As those two read it; how many numbers that is. `to` may be null.
    Index (*pack_matrix)(
        const Real* from, const Positions& rows, Index count, const Positions& columns, Index width,
        Real* to);
    // Scores of rows with partners, reduced: reductions.hpp.
    bool (*best_scores)(const Scores<Real>&, Index k, Real* values, std::int64_t* indices, int threads);
    bool (*scores_at)(
        const Scores<Real>&, const std::int64_t* places, Index count, Real* own, int threads);
    bool (*compare_scores)(
        const Scores<Real>&, const std::int64_t* places, Index count, bool known, Real* own, Real* rank,
        int threads);
    // dq is written, dx2 added to; either may be null
    bool (*chosen_gradients)(const Choices<Real>&, Real* d_q, Real* d_x2, int threads);
    // Of rows and of pairs; and the gradient that is then left to be found.
    Kept (*kept_of_rows)(const Sizes&, int threads);
    Kept (*kept_of_pairs)(const Pairs&);
    bool (*gradient_from_kept)(
        const Sizes&, Matrix<Real> g, const Real* kept, Real* d_second, int threads);
    // Whether that is faster than matrix products of the caller's library: of the forward without,
    // of the gradients with those that are needed, and whether there is what the forward kept.
    bool (*takes_pairs)(const Pairs&, const bool* needed, bool kept);
    // The algorithm that costs least; of the inputs' gradients both are meant, or one alone. In
    // bfloat16 it is `chosen` where conversion to float costs less.
    Algorithm (*choose)(Operation, Sizes, int threads, bool both);
    // Whether an algorithm of the operation can do these sizes in the memory that it may take.
    bool (*suits)(Operation, Algorithm, const Sizes&, bool both);
    // What it does, as counts: for benchmarks/fit_costs.py.
    Work (*work)(Operation, Algorithm, const Sizes&);
};

struct Kernel {
    const char* name;
    Operations<float> in_float;
    Operations<double> in_double;
    const Operations<BFloat16>* in_bfloat16;  // of rows; not of pairs
};

template <class Real> const Operations<Real>& operations(const Kernel& kernel);
template <> inline const Operations<float>& operations(const Kernel& kernel) {
    return kernel.in_float;
}
template <> inline const Operations<double>& operations(const Kernel& kernel) {
    return kernel.in_double;
}
template <> inline const Operations<BFloat16>& operations(const Kernel& kernel) {
    return *kernel.in_bfloat16;
}

}  // namespace lucid
