// The thread pool. Chunks of a job are claimed from an atomic counter, by the caller and by those
// workers that wake up in time: nobody waits for a worker that has not started. A second caller
// finds the pool busy and runs its job by itself. A forked child, in which no worker exists, starts
// with a fresh pool. When no thread can be made, the caller does all the work.
//
// Which thread runs a chunk never changes a result: chunks write to places of their own, and sums
// over chunks are taken in the chunks' order.
#include "pool.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace lucid {
namespace {

// How often a waiting thread looks again before it sleeps: some 20 to 50 microseconds.
constexpr int spins = 2000;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

class Pool {
public:
    void run(int threads, Index count, void (*work)(void*, Index), void* context) {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            work_ = work;
            context_ = context;
            count_ = count;
            next_.store(0, std::memory_order_relaxed);
            while (workers_ < threads - 1 && add_worker()) ++workers_;
            seats_ = threads - 1 < workers_ ? threads - 1 : workers_;
            jobs_.fetch_add(1, std::memory_order_release);
        }
        if (threads == 2) wake_.notify_one();
        else wake_.notify_all();
        claim_chunks();
        std::unique_lock<std::mutex> hold(mutex_);
        seats_ = 0;  // from here on nobody joins
        if (busy_ > 0) {
            hold.unlock();
            for (int s = 0; s < spins && busy_seen_.load(std::memory_order_acquire) > 0; ++s)
                pause_briefly();
            hold.lock();
            done_.wait(hold, [&] { return busy_ == 0; });
        }
    }

    std::mutex one_job;

private:
    bool add_worker() {
        try {
            std::thread([this] { serve(); }).detach();
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    }

    void serve() {
        unsigned seen = 0;
        for (;;) {
            for (int s = 0; s < spins && jobs_.load(std::memory_order_acquire) == seen; ++s)
                pause_briefly();
            std::unique_lock<std::mutex> hold(mutex_);
            wake_.wait(hold, [&] { return seats_ > 0; });
            --seats_;
            busy_seen_.store(++busy_, std::memory_order_relaxed);
            seen = jobs_.load(std::memory_order_relaxed);
            hold.unlock();
            claim_chunks();
            hold.lock();
            busy_seen_.store(--busy_, std::memory_order_release);
            if (busy_ == 0) done_.notify_one();
        }
    }

    void claim_chunks() {
        for (Index chunk; (chunk = next_.fetch_add(1, std::memory_order_relaxed)) < count_;)
            work_(context_, chunk);
    }

    std::mutex mutex_;                  // guards what follows, but for the atomic numbers
    std::condition_variable wake_, done_;
    int workers_ = 0;                   // threads that exist
    int seats_ = 0;                     // how many may still join the present job
    int busy_ = 0;                      // how many are at work on it
    void (*work_)(void*, Index) = nullptr;
    void* context_ = nullptr;
    Index count_ = 0;
    std::atomic<Index> next_{0};         // the next chunk to claim
    std::atomic<unsigned> jobs_{0};     // for those who spin
    std::atomic<int> busy_seen_{0};
};

// Never destroyed: workers sleep in it until the process ends. Overwritten after a fork.
alignas(64) unsigned char storage[sizeof(Pool)];
Pool* pool = nullptr;

void make_pool() { pool = new (storage) Pool; }

struct Start {
    Start() {
        make_pool();
#ifndef _WIN32
        pthread_atfork(nullptr, nullptr, make_pool);
#endif
    }
} start;

std::atomic<int> chosen_threads{1};

}  // namespace

int get_threads() { return chosen_threads.load(std::memory_order_relaxed); }
void set_threads(int count) { chosen_threads.store(count, std::memory_order_relaxed); }

void run_chunks(int threads, Index count, void (*work)(void*, Index), void* context) {
    if (threads > count) threads = int(count);
    if (threads > 1 && pool->one_job.try_lock()) {
        pool->run(threads, count, work, context);
        pool->one_job.unlock();
        return;
    }
    for (Index chunk = 0; chunk < count; ++chunk) work(context, chunk);
}

}  // namespace lucid
