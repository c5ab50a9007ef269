// Results that are sums over chunks: each chunk but the first has a copy, and the copies are added up
// in their order, whichever thread made them.
#pragma once

#include "pack.hpp"
#include "pool.hpp"

namespace {

// Fewer chunks, where each but the first needs a copy of so many bytes.
inline Index with_copies(Index chunks, Index bytes) {
    const Index most = 1 + most_bytes / (bytes > 0 ? bytes : 1);
    return chunks < most ? chunks : most;
}

// to[k] += Σ of the copies, in their order, `size` numbers apart.
template <class Real> bool add_copies(Real* to, const Real* from, Index copies, Index size, int threads) {
    const Index parts = chunks_for(size, copies, threads);
    return parallel(threads, parts, [&](Index part) {
        const Range range = share({0, size}, part, parts);
        for (Index copy = 0; copy < copies; ++copy)
            for (Index k = range.begin; k < range.end; ++k) to[k] += from[copy * size + k];
        return true;
    });
}

}  // namespace
