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

// Each writes all of its results and returns false where there is no memory for its scratch.
// `bias`, `d_first` or `d_second` may be null.
template <class Real> struct Operations {
    // out[n, o] = Σ_ij x1[n, i] · W[o, i, j] · x2[n, j] + bias[o]
    bool (*forward)(
        Sizes, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
        int threads, Algorithm);
    // dW[o, i, j] = Σ_n g[n, o] · x1[n, i] · x2[n, j]
    bool (*weight_gradient)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, Real* d_weight, int threads, Algorithm);
    // dx1[n, i] = Σ_oj g[n, o] · W[o, i, j] · x2[n, j];  dx2[n, j] = Σ_oi g · W · x1
    bool (*input_gradients)(
        Sizes, Matrix<Real> g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
        Real* d_second, int threads, Algorithm);
    // The same for pairs, all with W read; rows of x1 are (S, A), those of x2 (S, B).
    bool (*pairs)(
        Pairs, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, const Real* bias, Real* out,
        int threads);
    // Those that are not wanted are null.
    bool (*pair_gradients)(
        Pairs, const Real* g, Matrix<Real> x1, Matrix<Real> x2, const Real* weight, Real* d_first,
        Real* d_second, Real* d_weight, int threads);
    // The algorithm that costs least; of the inputs' gradients both are meant, or one alone.
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
};

template <class Real> const Operations<Real>& operations(const Kernel& kernel);
template <> inline const Operations<float>& operations(const Kernel& kernel) {
    return kernel.in_float;
}
template <> inline const Operations<double>& operations(const Kernel& kernel) {
    return kernel.in_double;
}

}  // namespace lucid
