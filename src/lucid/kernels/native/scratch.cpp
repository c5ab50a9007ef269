#include "scratch.hpp"

#include <new>

namespace lucid {
namespace {

constexpr std::size_t largest_kept = std::size_t{4} << 20;
constexpr int slots = 4;  // blocks that one thread may use at the same time
constexpr std::align_val_t alignment{64};

std::size_t fail_from = 0;  // for the tests: larger blocks cannot be had; 0 for no such limit

void* make(std::size_t bytes) {
    if (fail_from > 0 && bytes >= fail_from) return nullptr;
    return ::operator new(bytes, alignment, std::nothrow);
}

struct Cache {
    struct Kept {
        void* memory = nullptr;
        std::size_t bytes = 0;
        bool used = false;
    } kept[slots];
    ~Cache() {
        for (Kept& each : kept) ::operator delete(each.memory, alignment);
    }
};

thread_local Cache cache;

}  // namespace

Block take_scratch(std::size_t bytes) {
    if (bytes < 64) bytes = 64;
    if (bytes <= largest_kept && (fail_from == 0 || bytes < fail_from)) {
        for (int slot = 0; slot < slots; ++slot) {
            Cache::Kept& each = cache.kept[slot];
            if (each.used) continue;
            if (each.bytes < bytes) {
                ::operator delete(each.memory, alignment);
                each.memory = make(bytes);
                each.bytes = each.memory ? bytes : 0;
                if (!each.memory) return {nullptr, -1};
            }
            each.used = true;
            return {each.memory, slot};
        }
    }
    return {make(bytes), -1};
}

void return_scratch(Block block) {
    if (block.slot >= 0) cache.kept[block.slot].used = false;
    else ::operator delete(block.memory, alignment);
}

void set_scratch_failure(std::size_t from_bytes) { fail_from = from_bytes; }

}  // namespace lucid
