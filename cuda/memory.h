#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/check.h"
#include "framework/embedding/accelerator.h"

namespace mtrank::cuda {

/// Device memory that is laid out first, region after region, and then taken in one allocation. Regions begin at
/// multiples of 256 bytes.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Bytes for `what`; returns where they will be. Regions of one name are one line of `regions()`.
  size_t reserve(const std::string& what, size_t bytes);
  size_t bytes() const { return bytes_; }
  const std::vector<AcceleratorRegion>& regions() const { return regions_; }

  /// Throws ResourceError with the numbers.
  void allocate();
  template <class T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(data_ + offset);
  }

 private:
  std::vector<AcceleratorRegion> regions_;
  size_t bytes_ = 0;
  std::byte* data_ = nullptr;
};

/// Page-locked host memory, which copies to and from the device without a stop.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(size_t bytes);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  template <class T>
  T* at(size_t offset = 0) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data_) + offset);
  }

 private:
  void* data_ = nullptr;
};

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }
  void synchronize() const { MTRANK_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  /// `timed`: elapsed times can be asked for.
  explicit Event(bool timed = false);
  ~Event();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) const { MTRANK_CUDA(cudaEventRecord(event_, stream)); }
  /// What comes on `stream` from now on waits for what was recorded.
  void hold(cudaStream_t stream) const { MTRANK_CUDA(cudaStreamWaitEvent(stream, event_, 0)); }
  void synchronize() const { MTRANK_CUDA(cudaEventSynchronize(event_)); }
  double seconds_since(const Event& earlier) const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// "12.34 GiB".
std::string gib(size_t bytes);

}  // namespace mtrank::cuda
