#pragma once

#include <span>
#include <vector>

#include "cuda/call.h"
#include "cuda/memory.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/accelerator.h"
#include "framework/graph/plan.h"

namespace mtrank::cuda {

/// How a batch for a plan lies in one piece, on the host and on the device alike: some bytes of the caller's, the
/// scalars, the inputs [rows, cols] as f32, and for each feature its offsets, ids and weights. Every logical shard has
/// as many rows, of which the batch fills the first.
class StagedLayout {
 public:
  /// `room` by id input of the plan, which is one shard's; `extra` bytes come first.
  StagedLayout(const Plan& plan, int shards, std::vector<IdsRoom> room, size_t extra);

  struct Ids {
    bool list, weighted;
    int64_t capacity;
    size_t offsets, ids, weights;  // bytes from the start; what a feature does not have is left out
  };
  struct Input {
    int64_t cols;
    size_t at;
  };
  /// What a shard has of a batch: rows from `from` on, which lie from row `to` on.
  struct Shard {
    int64_t from, to, rows;
  };
  size_t bytes() const { return bytes_; }
  int64_t rows() const { return shards_ * shard_rows_; }
  int64_t shard_rows() const { return shard_rows_; }
  int64_t shards() const { return shards_; }
  Shard shard(int64_t batch, int64_t s) const;
  size_t scalars() const { return scalars_; }
  size_t scalar_count() const { return scalar_count_; }
  const std::vector<Input>& inputs() const { return inputs_; }
  const std::vector<Ids>& ids() const { return ids_; }
  /// Whether every list of the batch has room.
  bool holds(const HostBatch& batch) const;

 private:
  size_t take(size_t bytes);

  int64_t shards_, shard_rows_;
  size_t bytes_ = 0, scalars_ = 0, scalar_count_ = 0;
  std::vector<Input> inputs_;
  std::vector<Ids> ids_;
};

/// A batch on its way: page-locked memory that is filled by the host, the same on the device, and the inputs as the
/// plan's kernels read them. Rows that the batch does not have: no ids, zeros.
class Slot {
 public:
  Slot(const Plan& plan, const StagedLayout& layout);
  /// Reserves the device's part; finds it once the memory is allocated, and takes the page-locked part.
  void reserve(DeviceMemory& memory);
  void bind(const DeviceMemory& memory);

  /// Fills the page-locked part. The bits do not depend on the threads.
  void fill(const HostBatch& batch, ThreadPool& pool);
  /// The caller's own bytes: on the host, and where they will be on the device.
  template <class T>
  T* extra() const {
    return pinned_.at<T>();
  }
  template <class T>
  const T* extra_on_device() const {
    return reinterpret_cast<const T*>(device_);
  }
  /// Copies the first `bytes` of it to the device.
  void copy(cudaStream_t stream, size_t bytes) const;
  /// Turns wide inputs into rows that begin at multiples of 64 bytes, of the plan's dtype. One launch an input and
  /// shard.
  void unpack(cudaStream_t stream) const;

  const std::vector<DeviceView>& inputs() const { return inputs_; }
  const std::vector<DeviceIds>& ids() const { return ids_; }
  const std::vector<DeviceView>& scalars() const { return scalars_; }

 private:
  const Plan& plan_;
  const StagedLayout& layout_;
  PinnedMemory pinned_;
  size_t offset_ = 0, unpacked_offset_ = 0;
  std::vector<size_t> unpacked_;  // by input: bytes from unpacked_offset_, or SIZE_MAX where it is read as it came
  size_t unpacked_bytes_ = 0;
  std::byte* device_ = nullptr;
  std::vector<DeviceView> inputs_, scalars_;
  std::vector<DeviceIds> ids_;
};

}  // namespace mtrank::cuda
