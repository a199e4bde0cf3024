#pragma once

namespace mtrank {

/// While one lives, SIGINT and SIGTERM are noted, and a second one ends the process at once with 130 or 143.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  /// The signal that came, or 0.
  int received() const;
};

}  // namespace mtrank
