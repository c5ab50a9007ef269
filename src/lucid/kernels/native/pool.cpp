// The thread pool. Chunks of a job are claimed from an atomic counter, by the caller and by those
// workers that wake up in time: nobody waits for a worker that has not started. A second caller
// finds the pool busy and runs its job by itself. A forked child, in which no worker exists, starts
// with a fresh pool. When no thread can be made, the caller does all the work. Workers receive no signals.
//
// Which thread runs a chunk never changes a result: chunks write to places of their own, and sums
// over chunks are taken in the chunks' order.
#include "pool.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <cstdlib>
#include <new>

#ifdef _WIN32
#include <thread>
#else
#include <pthread.h>
#include <signal.h>
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

// A thread that calls work(context) and receives no signals: handlers are the program's own. False
// where none can be had. On POSIX without std::thread, which throws then: what an exception needs of
// its thread cannot be had either, and the C library ends the process.
#ifdef _WIN32
bool start_thread(void (*work)(void*), void* context) {
    try {
        std::thread(work, context).detach();
        return true;
    } catch (...) {
        return false;
    }
}
#else
struct Task {
    void (*work)(void*);
    void* context;
};

void* begin(void* argument) {
    const Task task = *static_cast<Task*>(argument);
    std::free(argument);
    task.work(task.context);
    return nullptr;
}

bool start_thread(void (*work)(void*), void* context) {
    void* const memory = std::malloc(sizeof(Task));
    if (!memory) return false;
    Task* const task = new (memory) Task{work, context};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const bool started = pthread_create(&thread, nullptr, begin, task) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (started) pthread_detach(thread);
    else std::free(task);
    return started;
}
#endif

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
        return start_thread([](void* pool) { static_cast<Pool*>(pool)->serve(); }, this);
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
    if (threads > 1) {
        const std::unique_lock<std::mutex> mine(pool->one_job, std::try_to_lock);
        if (mine) return pool->run(threads, count, work, context);
    }
    for (Index chunk = 0; chunk < count; ++chunk) work(context, chunk);
}

}  // namespace lucid
