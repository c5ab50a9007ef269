// Rows of bfloat16, for one instruction set: compiled once for each, with LUCID_SET its name. Pairs of
// numbers are multiplied and added up in float; what is not summed is rounded once, and in the weight's
// gradient the products g · x1 as well. `chosen` is conversion to float, by who calls.
#include "choice.hpp"
#include "contract.hpp"
#include "input_gradients.hpp"
#include "report.hpp"
#include "weight_gradient.hpp"

#define LUCID_JOIN_(a, b) a##b
#define LUCID_JOIN(a, b) LUCID_JOIN_(a, b)

namespace {

using lucid::Work;

constexpr Index rounded_at_once = 1 << 20;  // numbers of gradients that are sums yet

// The one algorithm that an operation has.
constexpr Algorithm only(Operation operation) {
    return operation == Operation::weight ? Algorithm::packed_products : Algorithm::samples_on_lanes;
}

bool suits_bfloat16(Operation operation, Algorithm algorithm, const Sizes& s, bool both) {
    if (algorithm != only(operation)) return false;
    const double matrix = double(s.features_1) * double(s.features_2);
    return operation == Operation::weight ? has_room<float>(matrix, most_bytes_each)
                                          : suits<float>(operation, algorithm, s, both);
}

Algorithm choose_bfloat16(Operation operation, Sizes s, int threads, bool both) {
    return is_pair_fast && suits_bfloat16(operation, only(operation), s, both) &&
                   pairs_cost_less(operation, only(operation), s, threads, both)
               ? only(operation)
               : Algorithm::chosen;
}

Work work_of_bfloat16(Operation operation, Algorithm algorithm, const Sizes& s) {
    return estimate(operation, algorithm, Counts<float>(s)).work;
}

bool forward(
    Sizes s, Matrix<BFloat16> x1, Matrix<BFloat16> x2, const BFloat16* weight, const BFloat16* bias,
    BFloat16* out, BFloat16*, int threads, Algorithm) {
    const Report report(Operation::forward, s, sizeof(*out), only(Operation::forward), threads);
    return contract<BFloat16>({s, x1, x2, weight, bias, out}, threads);
}

bool gradient_of_weight(
    Sizes s, Matrix<BFloat16> g, Matrix<BFloat16> x1, Matrix<BFloat16> x2, BFloat16* d_weight,
    bool, int threads, Algorithm) {
    const Report report(Operation::weight, s, sizeof(*d_weight), only(Operation::weight), threads);
    return rounded_weight_gradient({s, g, x1, x2, false}, d_weight, threads);
}

// For so many samples at a time that their sums have room.
bool gradients_of_inputs(
    Sizes s, Matrix<BFloat16> g, Matrix<BFloat16> x1, Matrix<BFloat16> x2, const BFloat16* weight,
    BFloat16* d_first, BFloat16* d_second, int threads, Algorithm) {
    const Report report(Operation::inputs, s, sizeof(*weight), only(Operation::inputs), threads);
    const Index all = s.samples, features_1 = s.features_1, features_2 = s.features_2;
    const Index room = larger<Index>(1, rounded_at_once / (features_1 + features_2) / panel<float>);
    const Index most = smaller(all, room * panel<float>);
    Scratch<float> sums(most * (features_1 + features_2));
    if (!sums) return false;
    const auto from = [](Matrix<BFloat16> x, Index n) {
        return Matrix<BFloat16>{x.data ? x.data + n * x.step : nullptr, x.step};
    };
    const auto round = [&](const float* found, Index count, BFloat16* to) {
        in_chunks(to ? count : 0, [&](Index at, Index length) {
            narrow<Brain>(found + at, length, reinterpret_cast<std::uint16_t*>(to + at));
        });
    };
    for (Index n = 0; n < all; n += most) {
        s.samples = smaller(most, all - n);
        float* const first = d_first ? sums.get() : nullptr;
        float* const second = d_second ? sums.get() + s.samples * features_1 : nullptr;
        const InputGradients<BFloat16> c{s, from(g, n), from(x1, n), from(x2, n), weight, first, second};
        if (!gradients_by_feature(c, threads)) return false;
        round(first, s.samples * features_1, d_first ? d_first + n * features_1 : nullptr);
        round(second, s.samples * features_2, d_second ? d_second + n * features_2 : nullptr);
    }
    return true;
}

bool takes_no_pairs(const lucid::Pairs&, const bool*, bool) { return false; }

}  // namespace

namespace lucid {

extern const Operations<BFloat16> LUCID_JOIN(bfloat16_, LUCID_SET);
const Operations<BFloat16> LUCID_JOIN(bfloat16_, LUCID_SET) = {
    lanes<float>, forward, gradient_of_weight, gradients_of_inputs, nullptr, nullptr, nullptr, nullptr,
    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, takes_no_pairs, choose_bfloat16, suits_bfloat16, work_of_bfloat16};

}  // namespace lucid
