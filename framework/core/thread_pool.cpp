#include "framework/core/thread_pool.h"

#include <algorithm>
#include <utility>

#include "framework/core/error.h"

namespace mtrank {
namespace {

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Spinning pays between the calls of one training step, and only when every thread can have a core of its own.
int spins_for(int threads) { return threads <= static_cast<int>(std::thread::hardware_concurrency()) ? 2000 : 0; }

}  // namespace

ThreadPool::ThreadPool(int threads) : spins_(spins_for(threads)) {
  MTRANK_ASSERT(threads >= 1);
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
  } catch (const std::exception& e) {
    const int started = this->threads();
    stop();
    throw ResourceError("only " + std::to_string(started) + " of " + std::to_string(threads) +
                        " threads could be started (" + e.what() + "): ask for fewer threads");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int tasks, const std::function<void(int task, int thread)>& f) {
  if (tasks <= 0) return;
  MTRANK_ASSERT(f_ == nullptr);
  {
    std::lock_guard lock(mutex_);
    f_ = &f;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    failure_ = nullptr;
    if (tasks > 1 && !workers_.empty()) {
      open_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
  }
  // One wake-up per task beyond the caller's: waking threads that find nothing costs more than it gives.
  const int helpers = std::min(tasks - 1, static_cast<int>(workers_.size()));
  if (helpers == static_cast<int>(workers_.size())) {
    start_.notify_all();
  } else {
    for (int i = 0; i < helpers; ++i) start_.notify_one();
  }
  take_tasks(0);
  for (int i = 0; i < spins_ && active_.load(std::memory_order_acquire) > 0; ++i) pause_cpu();
  std::exception_ptr failure;
  {
    std::unique_lock lock(mutex_);
    open_ = false;
    finish_.wait(lock, [this] { return active_.load(std::memory_order_acquire) == 0; });
    f_ = nullptr;
    failure = std::exchange(failure_, nullptr);
  }
  if (failure) std::rethrow_exception(failure);
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    for (int i = 0; i < spins_ && generation_.load(std::memory_order_acquire) == seen; ++i) pause_cpu();
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      if (stop_) return;
      seen = generation_.load(std::memory_order_relaxed);
      if (!open_) continue;
      active_.fetch_add(1, std::memory_order_relaxed);
    }
    take_tasks(thread);
    std::lock_guard lock(mutex_);
    if (active_.fetch_sub(1, std::memory_order_release) == 1) finish_.notify_one();
  }
}

void ThreadPool::take_tasks(int thread) {
  for (int task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) {
    try {
      (*f_)(task, thread);
    } catch (...) {
      fail(task);
    }
  }
}

// Tasks are handed out in ascending order, so every task below this one has started: the lowest failure is known in the
// end even though the rest is dropped.
void ThreadPool::fail(int task) {
  std::lock_guard lock(mutex_);
  if (!failure_ || task < failed_task_) {
    failure_ = std::current_exception();
    failed_task_ = task;
  }
  next_.store(tasks_, std::memory_order_relaxed);
}

}  // namespace mtrank
