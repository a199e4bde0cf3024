#pragma once

namespace mtrank {

/// While one lives, SIGINT and SIGTERM end the process at once with 130 or 143, files left whole or with partial names.
/// After `defer()` the first one is noted instead: there is work to save; the second one ends the process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  void defer();
  /// The signal that came, or 0.
  int received() const;
};

}  // namespace mtrank
