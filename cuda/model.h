#pragma once

#include <array>
#include <optional>
#include <vector>

#include "cuda/call.h"
#include "cuda/embedding/sparse_update.h"
#include "cuda/memory.h"
#include "cuda/updates.h"
#include "framework/embedding/accelerator.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::cuda {

/// Everything that training changes, on the device: dense weights with their gradient, their optimiser's state and
/// their copies in bf16; tables and their state.
class DeviceModel {
 public:
  /// `low`: keep copies in bf16. `gradients`: how many of the dense weights' there are, one behind the other.
  DeviceModel(const HostModel& host, const OptimizerSettings& optimizer, bool low, int gradients);

  void reserve(DeviceMemory& memory);
  /// Where everything lies, once the memory is allocated; gradients are zeroed on `stream`.
  void bind(const DeviceMemory& memory, cudaStream_t stream);

  void upload(cudaStream_t stream);
  void download(cudaStream_t stream);
  /// What the host's initialisation would give.
  void initialize(const Graph& graph, uint64_t seed, cudaStream_t stream);

  int64_t elements() const { return host_.layout->elements(); }
  float* weights() const { return weights_; }
  float* gradient(int i = 0) const { return gradient_ + i * gradient_stride(); }
  const SlotPointers& slots() const { return slots_; }
  /// In the order of the training graph's tables; addresses once bound.
  const std::vector<DeviceTable>& tables() const { return tables_; }
  /// The copies in bf16, which the update keeps up to date; null where there are none.
  const LowCopies* low_copies() const { return copier_ ? &*copier_ : nullptr; }

  /// For a graph that has some of the same weights, by name, in the graph's order.
  std::vector<DeviceView> params_of(const Graph& graph) const;
  std::vector<DeviceView> gradients_of(const Graph& graph, int i) const;
  std::vector<DeviceView> tables_of(const Graph& graph) const;

 private:
  /// Elements from gradient to gradient: each begins at a multiple of 256 bytes, as much as products ask about.
  int64_t gradient_stride() const;

  struct Copy {
    void *device, *host;
    size_t bytes;
  };
  std::vector<Copy> copies() const;

  HostModel host_;
  const OptimizerSettings& optimizer_;
  const bool low_;
  const int gradients_;
  std::vector<LowCopy> low_copies_;  // by entry of the layout; addresses once bound
  std::vector<int64_t> low_offsets_;
  int64_t low_elements_ = 0;
  std::optional<LowCopies> copier_;

  struct At {
    size_t weights = 0;
    std::array<size_t, kMaxSlots> slots{};
  };
  At dense_at_;
  std::vector<At> tables_at_;
  size_t gradient_at_ = 0, low_at_ = 0, low_copies_at_ = 0;

  float *weights_ = nullptr, *gradient_ = nullptr;
  SlotPointers slots_{};
  std::vector<DeviceTable> tables_;
};

}  // namespace mtrank::cuda
