#pragma once

#include <cstddef>
#include <memory>
#include <vector>

/// Stacks to switch between within one thread of the machine.
namespace mtrank::emulator {

class Fiber {
 public:
  /// The calling thread's own stack.
  Fiber();
  /// A new stack on which `entry` starts at the first switch; it must never return.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves the running fiber, which must be this one, and returns when someone switches back to it.
  void switch_to(Fiber& next);
  /// The first thing `entry` does.
  static void entered();

  int thread = 0;  ///< which one to run on it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mtrank::emulator
