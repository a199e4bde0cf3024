#include "framework/core/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "framework/core/error.h"

namespace mtrank {
namespace {

TEST(ThreadPool, EveryTaskRunsOnceWhateverTheThreads) {
  for (const int threads : {1, 2, 3, 16}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int tasks : {0, 1, 2, 7, 1000}) {
      std::vector<int> count(static_cast<size_t>(tasks), 0);
      pool.run(tasks, [&](int task, int thread) {
        ASSERT_GE(thread, 0);
        ASSERT_LT(thread, threads);
        ++count[static_cast<size_t>(task)];
      });
      EXPECT_EQ(count, std::vector<int>(static_cast<size_t>(tasks), 1)) << threads << " threads";
    }
  }
}

TEST(ThreadPool, ManyShortRunsSeeEachOthersWrites) {
  ThreadPool pool(3);
  std::vector<int> values(8, 0);
  for (int i = 0; i < 5000; ++i) {
    pool.run(8, [&](int task, int) { values[static_cast<size_t>(task)] += task; });
  }
  for (int task = 0; task < 8; ++task) EXPECT_EQ(values[static_cast<size_t>(task)], 5000 * task);
}

TEST(ThreadPool, TheLowestFailingTaskIsRethrownAndThePoolGoesOn) {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    try {
      pool.run(64, [](int task, int) {
        if (task % 10 == 3) throw std::runtime_error(std::to_string(task));
      });
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "3");
    }
  }
  std::atomic<int> ran{0};
  pool.run(10, [&](int, int) { ++ran; });
  EXPECT_EQ(ran, 10);
}

TEST(ThreadPool, TheLowestFailingTaskIsRethrownThoughItFailsLast) {
  ThreadPool pool(2);
  std::atomic<bool> failed = false;
  try {
    pool.run(2, [&](int task, int) {
      while (task == 0 && !failed) std::this_thread::yield();
      if (task == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the other is caught meanwhile
      failed = true;
      throw std::runtime_error(std::to_string(task));
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "0");
  }
}

TEST(ThreadPool, ANestedRunIsABug) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.run(2, [&](int, int) { pool.run(2, [](int, int) {}); }), std::logic_error);
}

TEST(ThreadPool, AThreadsOwnScratchIsNeverShared) {
  ThreadPool pool(4);
  std::vector<int> busy(4, 0);  // plain ints: the thread sanitizer would see two tasks on one thread number
  for (int i = 0; i < 100; ++i) {
    pool.run(20, [&](int, int thread) {
      EXPECT_EQ(++busy[static_cast<size_t>(thread)], 1);
      --busy[static_cast<size_t>(thread)];
    });
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // those take all addresses for themselves
/// In a process of its own, which has addresses for the stacks of some threads and not of all.
void start_too_many() {
  alarm(60);
  const rlimit addresses{rlim_t{1} << 30, rlim_t{1} << 30};
  setrlimit(RLIMIT_AS, &addresses);
  try {
    ThreadPool pool(1024);
  } catch (const ResourceError& e) {
    const std::string text = e.what();
    std::_Exit(text.find(" of 1024 threads could be started (") != std::string::npos ? 0 : 1);
  }
  std::_Exit(2);
}

TEST(ThreadPoolDeathTest, ThreadsThatCannotBeStartedAreAnErrorOfTheMachine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(start_too_many(), ::testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace mtrank
