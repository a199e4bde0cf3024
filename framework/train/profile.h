#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace mtrank {

/// Where the time of training steps goes: by node, summed over threads, and by phase, as the clock on the wall saw it.
struct StepProfile {
  struct Phase {
    std::string name;
    double seconds = 0;
  };
  std::vector<std::vector<double>> node_seconds;  ///< by thread and node
  std::vector<Phase> phases;

  void add(const char* name, double seconds) {
    for (Phase& phase : phases)
      if (phase.name == name) return void(phase.seconds += seconds);
    phases.push_back({name, seconds});
  }
};

/// Charges the time since it was made, or since the last call, to a phase. Does nothing without a profile.
class PhaseClock {
 public:
  using Clock = std::chrono::steady_clock;
  explicit PhaseClock(StepProfile* profile) : profile_(profile) {
    if (profile_) last_ = Clock::now();
  }
  void charge(const char* name) {
    if (!profile_) return;
    const Clock::time_point now = Clock::now();
    profile_->add(name, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

 private:
  StepProfile* profile_;
  Clock::time_point last_;
};

}  // namespace mtrank
