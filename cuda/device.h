#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mtrank::cuda {

/// The device this process uses: the first one visible. sm_80 or newer; others have no code here.
class Device {
 public:
  /// Empty where there is one that can be used; else why not, in one line.
  static std::string problem();
  /// Makes it the calling thread's. Throws ResourceError.
  Device();

  /// By name, for people: what this build has of CUDA, and the device or why there is none.
  static std::vector<std::pair<std::string, std::string>> facts();

  /// Bytes free and in all.
  size_t free_bytes() const;
  size_t total_bytes() const;
  /// JSON: name, compute capability, multiprocessors, memory, driver, CUDA and cuBLASLt versions. The same device and
  /// libraries give the same bits.
  std::string describe() const;
};

}  // namespace mtrank::cuda
