#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mtrank {

/// A fixed set of threads that share out numbered tasks. The caller is thread 0 and takes part, so `ThreadPool(1)`
/// starts none. There may be more threads than cores. Results must not depend on which thread runs a task, nor on the
/// order.
class ThreadPool {
 public:
  /// Throws ResourceError when the system has no room for so many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `f(task, thread)` once for every task in [0, tasks), handed out in ascending order to whichever thread is
  /// free, and returns when all have ended. When tasks throw, the exception of the lowest-numbered one is rethrown: no
  /// task after it need have run. One `run` at a time: neither from two threads nor from inside a task.
  void run(int tasks, const std::function<void(int task, int thread)>& f);

 private:
  void work(int thread);
  void take_tasks(int thread);
  void fail(int task);
  void stop();

  std::vector<std::thread> workers_;
  const int spins_;  // how often a thread looks before it sleeps

  std::mutex mutex_;
  std::condition_variable start_, finish_;
  std::atomic<uint64_t> generation_{0};  // changes when there is a job, or the end
  bool stop_ = false;
  bool open_ = false;  // a worker that wakes late must not enter a job that has ended

  // The job. Workers read it only between entering (open_ seen under the mutex) and leaving (active_ counted down).
  const std::function<void(int, int)>* f_ = nullptr;
  int tasks_ = 0;
  std::atomic<int> next_{0};
  std::atomic<int> active_{0};
  int failed_task_ = 0;
  std::exception_ptr failure_;
};

}  // namespace mtrank
