// Sizes and positions: signed, and 64 bits also where `long` has 32.
#pragma once

#include <cstddef>

namespace lucid {

typedef std::ptrdiff_t Index;

}  // namespace lucid

using lucid::Index;
