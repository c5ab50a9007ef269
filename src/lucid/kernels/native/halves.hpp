// float16 and bfloat16, as 16 bits: widened to float without loss, narrowed by rounding to the nearest,
// to even at a tie. No number that float16 has is denormal in float, so it does not matter whether the
// processor flushes those.
#pragma once

#include <cstdint>
#include <cstring>

#include "index.hpp"
#include "pool.hpp"

namespace {

using lucid::Index;

inline float from_bits(std::uint32_t bits) {
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

inline std::uint32_t bits_of(float number) {
    std::uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
}

struct Brain {  // bfloat16
    static float wide(std::uint16_t half) { return from_bits(std::uint32_t(half) << 16); }
    static std::uint16_t narrow(float number) {
        const std::uint32_t bits = bits_of(number);
        const std::uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
        const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
        return std::uint16_t((is_nan ? bits | 0x400000 : rounded) >> 16);
    }
};

struct Half {  // float16
    static float wide(std::uint16_t half) {
        const std::uint32_t sign = std::uint32_t(half & 0x8000) << 16, exponent = half & 0x7c00;
        const std::uint32_t normal = (std::uint32_t(half & 0x7fff) << 13) + (112u << 23);
        const std::uint32_t denormal = bits_of(float(half & 0x3ff) * 0x1p-24f);
        const std::uint32_t bits = exponent == 0 ? denormal : exponent == 0x7c00 ? normal | 0x7f800000 : normal;
        return from_bits(bits | sign);
    }
    static std::uint16_t narrow(float number) {
        const std::uint32_t bits = bits_of(number), size = bits & 0x7fffffff;
        // a float has 13 bits more; below 2^-14, adding 1/2 shifts out as many as there are too many
        const std::uint32_t normal = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
        const std::uint32_t denormal = bits_of(from_bits(size) + 0.5f) - bits_of(0.5f);
        const std::uint32_t large = size > 0x7f800000 ? 0x7e00 : 0x7c00;
        const std::uint32_t half = size >= 0x47800000 ? large : size < 0x38800000 ? denormal : normal;
        return std::uint16_t(half | (bits >> 16 & 0x8000));
    }
};

template <class Kind, class Real> void widen(const std::uint16_t* from, Index count, Real* to) {
    for (Index k = 0; k < count; ++k) to[k] = Real(Kind::wide(from[k]));
}

template <class Kind, class Real> void narrow(const Real* from, Index count, std::uint16_t* to) {
    for (Index k = 0; k < count; ++k) to[k] = Kind::narrow(float(from[k]));
}

template <class From, class To> void copy(const From* from, Index count, To* to) {
    for (Index k = 0; k < count; ++k) to[k] = To(from[k]);
}

// work(begin, length) for parts of so many numbers, on several threads where there are several.
template <class Work> void in_chunks(Index count, const Work& work) {
    constexpr Index step = 1 << 16;
    parallel(lucid::get_threads(), (count + step - 1) / step, [&](Index chunk) {
        const Index begin = chunk * step;
        work(begin, step < count - begin ? step : count - begin);
        return true;
    });
}

}  // namespace
