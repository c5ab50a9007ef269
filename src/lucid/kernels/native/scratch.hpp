// Working memory that stays with its thread from call to call.
//
// The C library gives blocks of this size back to the system whenever they are freed, and then
// every page of the next one is a page fault: for a call of 40 microseconds that would be half.
#pragma once

#include <cstddef>

#include "index.hpp"

namespace lucid {

struct Block {
    void* memory;  // aligned to 64 bytes; null when there is none left
    bool* used;    // cleared when it is returned to the thread's cache; null for a block of its own
};

Block take_scratch(std::size_t bytes);
void return_scratch(Block block);

// Asks the system for large pages where new memory of so many bytes is large: it would be cleared and
// mapped 4 KiB at a time. NumPy does so for its arrays, PyTorch does not.
void prefer_large_pages(void* memory, std::size_t bytes);

}  // namespace lucid

namespace {

// `count` numbers, for the lifetime of this object; converts to false when there is no memory.
template <class Real> class Scratch {
public:
    explicit Scratch(Index count)
        : block_(lucid::take_scratch(static_cast<std::size_t>(count) * sizeof(Real))) {}
    ~Scratch() { lucid::return_scratch(block_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    explicit operator bool() const { return block_.memory != nullptr; }
    Real* get() const { return static_cast<Real*>(block_.memory); }

private:
    lucid::Block block_;
};

}  // namespace
