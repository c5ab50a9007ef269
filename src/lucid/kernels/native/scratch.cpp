#include "scratch.hpp"

#include "machine.hpp"

#include <cstdlib>

#ifdef _WIN32
#include <malloc.h>
#else
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>

#include <cstdint>
#endif

namespace lucid {
namespace {

constexpr std::size_t largest_kept = most_bytes_each;
constexpr int slots = 4;  // blocks that one thread may use at the same time
constexpr std::size_t alignment = 64;

std::size_t fail_from = 0;  // for the tests: larger blocks cannot be had; 0 for no such limit

// Not operator new, which throws within where there is no memory: what an exception needs of its
// thread cannot be had either, and the C library ends the process.
#ifdef _WIN32
void* aligned(std::size_t bytes) { return _aligned_malloc(bytes, alignment); }
void release(void* memory) { _aligned_free(memory); }
#else
void* aligned(std::size_t bytes) {
    void* memory = nullptr;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}
void release(void* memory) { std::free(memory); }
#endif

void* make(std::size_t bytes) {
    return fail_from > 0 && bytes >= fail_from ? nullptr : aligned(bytes);
}

// All zeros to begin with.
struct Cache {
    struct Kept {
        void* memory;
        std::size_t bytes;
        bool used;
    } kept[slots];
    void release_all() {
        for (Kept& each : kept) release(each.memory);
    }
};

// The cache of this thread, or null where it cannot have one. Not thread_local on POSIX: storage for
// that is made when it is first touched, and the C library ends the process where it cannot be.
#ifdef _WIN32
Cache* own_cache() {
    struct Own : Cache {
        ~Own() { release_all(); }
    };
    thread_local Own cache{};
    return &cache;
}
#else
struct Key {
    pthread_key_t key;
    bool made = pthread_key_create(&key, drop) == 0;
    static void drop(void* cache) {
        static_cast<Cache*>(cache)->release_all();
        std::free(cache);
    }
} of_thread;

Cache* own_cache() {
    if (!of_thread.made) return nullptr;
    if (void* const cache = pthread_getspecific(of_thread.key)) return static_cast<Cache*>(cache);
    void* const cache = std::calloc(1, sizeof(Cache));
    if (cache && pthread_setspecific(of_thread.key, cache) != 0) {
        std::free(cache);
        return nullptr;
    }
    return static_cast<Cache*>(cache);
}
#endif

}  // namespace

Block take_scratch(std::size_t bytes) {
    if (bytes < 64) bytes = 64;
    Cache* const cache = bytes <= largest_kept ? own_cache() : nullptr;
    if (cache && (fail_from == 0 || bytes < fail_from)) {
        for (Cache::Kept& each : cache->kept) {
            if (each.used) continue;
            if (each.bytes < bytes) {
                release(each.memory);
                each.memory = make(bytes);
                each.bytes = each.memory ? bytes : 0;
                if (!each.memory) return {nullptr, nullptr};
            }
            each.used = true;
            return {each.memory, &each.used};
        }
    }
    return {make(bytes), nullptr};
}

void return_scratch(Block block) {
    if (block.used) *block.used = false;
    else release(block.memory);
}

void prefer_large_pages(void* memory, std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr std::size_t least = 4 << 20, page = 4096;
    if (bytes < least) return;
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(memory);
    const std::uintptr_t first = (address + page - 1) / page * page, end = (address + bytes) / page * page;
    madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // may be refused
#else
    (void)memory, (void)bytes;
#endif
}

void set_scratch_failure(std::size_t from_bytes) { fail_from = from_bytes; }

}  // namespace lucid
