#include "framework/train/stop_signal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace mtrank {
namespace {

/// A child that holds a StopSignal and never gets to the end of what it does. It writes a byte when it is ready, and
/// another one for every signal it noted.
class Endless {
 public:
  explicit Endless(bool deferred) {
    if (::pipe(said_) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ != 0) return;
    StopSignal stop;
    if (deferred) stop.defer();
    say();
    while (!stop.received()) ::usleep(1000);
    say();
    for (;;) ::pause();
  }
  ~Endless() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    ::close(said_[0]), ::close(said_[1]);
  }
  void listen() {
    char byte;
    ASSERT_EQ(::read(said_[0], &byte, 1), 1);
  }
  void signal(int number) { ::kill(pid_, number); }
  /// The exit status, -1 where a signal itself ended it.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  void say() {
    if (::write(said_[1], "x", 1) != 1) ::_exit(1);
  }
  int said_[2];
  pid_t pid_ = -1;
};

TEST(StopSignal, BeforeThereIsWorkToSaveTheFirstOneEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Endless child(false);
    child.listen();
    child.signal(signal);
    EXPECT_EQ(child.wait(), 128 + signal);
  }
}

TEST(StopSignal, TheSecondOneEndsTheProcessWhateverItIsDoing) {
  for (const int first : {SIGINT, SIGTERM})
    for (const int second : {SIGINT, SIGTERM}) {
      Endless child(true);
      child.listen();
      child.signal(first);
      child.listen();  // it was noted, and the process lives
      child.signal(second);
      EXPECT_EQ(child.wait(), 128 + second);
    }
}

}  // namespace
}  // namespace mtrank
