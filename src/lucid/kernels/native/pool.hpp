// A small pool of threads of one's own; pool.cpp says how it works.
#pragma once

#include "index.hpp"

namespace lucid {

int get_threads();
void set_threads(int count);

// Calls work(context, chunk) for each chunk from 0 to count - 1, on up to `threads` threads.
void run_chunks(int threads, Index count, void (*work)(void*, Index), void* context);

}  // namespace lucid

namespace {

// Runs work(chunk) for each chunk; false when any of them returned false.
template <class Work> bool parallel(int threads, Index count, const Work& work) {
    struct Context {
        const Work& work;
        int failed;
    } context{work, 0};
    lucid::run_chunks(threads, count, [](void* pointer, Index chunk) {
        Context& given = *static_cast<Context*>(pointer);
        if (!given.work(chunk)) __atomic_store_n(&given.failed, 1, __ATOMIC_RELAXED);
    }, &context);
    return __atomic_load_n(&context.failed, __ATOMIC_RELAXED) == 0;
}

}  // namespace
