// The machine: its caches, its kind of core, and every size of a block that follows from them.
//
// A nest of loops reads one factor again and again while the other passes by. The one that is read
// again is cut into blocks that stay in a cache: in the second level, beside what passes by, or in the
// first. Sizes were measured on a core of Zen 4 (32 KiB, 1 MiB, 32 MiB shared) and are given as parts of
// its caches.
#pragma once

#include "index.hpp"

namespace lucid {

// In bytes: the caches of one core, and the last one, which the cores share. Read from the system when
// the module loads, within bounds; where it does not say, those of the core above.
struct Machine {
    Index first_level, second_level, last_level;
    bool zen4;  // the kind of core, for which costs were measured: choice.hpp
};

extern const Machine machine;

}  // namespace lucid

namespace {

using lucid::machine;

constexpr Index line_bytes = 64;  // what memory gives at once

// What a call may take for each thread, and once: a promise, with a few threads it stays within 64 MiB.
constexpr Index most_bytes_each = 4 << 20;
constexpr Index most_bytes = 16 << 20;
constexpr Index copied_bytes = 1 << 20;  // of a weight's gradient that each thread may have a copy of

// samples_on_lanes, forward: panels of samples, while all of W passes by. A W that does not stay beside
// them is large. In the chunks of one that is not, so many panels.
inline Index forward_group_bytes() { return machine.second_level * 3 / 8; }
inline Index large_weight_bytes() { return machine.second_level / 2; }
constexpr Index panels_in_chunk = 4;
constexpr Index outputs_at_once = 48;  // results kept as panels before they are transposed

// The input gradients: panels of samples and their gradients, so many at most; for W packed as it is
// needed they may take some of the last level too. W of one group of features, so many at most.
inline Index gradient_group_bytes() { return machine.second_level / 2; }
inline Index gradient_block_bytes() { return machine.second_level * 2; }
inline Index packed_weight_bytes() { return machine.second_level * 3 / 8; }
constexpr Index panels_in_group = 8, features_in_group = 8;

// packed_products and flat_features: packed x2, or the products, or what is between W and the inputs.
inline Index block_bytes() { return machine.second_level / 2; }
constexpr Index depth_at_once = 256;  // samples summed in registers before a tile is written
constexpr Index least_depth = 32;     // for which there is room in any case

// outer_product, weight: x1, packed x2 and g together, for so many samples at least.
inline Index nearest_bytes() { return machine.first_level * 3 / 4; }
constexpr Index least_samples = 64;

// Pairs: T or U for one output, and one group of rows; so many outputs of one pair are moved together.
inline Index middle_bytes() { return machine.second_level / 4; }
constexpr Index outputs_together = 4;

// The same with outputs on lanes: T of all outputs for so many tiles of rows at most.
inline Index output_middle_bytes() { return machine.second_level * 5 / 8; }
constexpr Index tiles_of_middle = 4;

// A weight that is read where it lies, again and again.
inline Index near_weight_bytes() { return machine.last_level / 4; }

// A weight's gradient that does not stay in the caches of the cores that write it.
inline bool is_far(Index bytes) { return bytes > machine.second_level; }

// stream_weight: rows of W in a chunk, for their results to lie in lines of their own.
constexpr Index rows_in_chunk = 16;

// Samples in a chunk of its own copy of the weight's gradient; fewer where there is nothing else to cut.
constexpr Index samples_in_chunk = 512, fewest_in_chunk = 64;

// Copying a number takes as long as so many multiply-adds: what chunks of copying are counted as.
constexpr Index copy_operations = 8;

// Multiplications that are done as they are written: packing would take longer than all of it.
constexpr double few_multiplications = 256;

// Up to so many they may be; its costs were measured up to here.
constexpr double most_as_written = 1e5;

}  // namespace
