#pragma once

#include "pairs.hpp"

namespace {

template <class Real> bool takes_pairs(const Pairs& p, const bool* needed) { (void)needed;
    const Index lanes_1 = divided_up(p.features_1, lanes<Real>) * lanes<Real>;
    const Index lanes_2 = divided_up(p.features_2, lanes<Real>) * lanes<Real>;
    return double(p.outputs) * double(lanes_1) * double(lanes_2) * sizeof(Real) <= double(most_bytes);
}

}  // namespace
