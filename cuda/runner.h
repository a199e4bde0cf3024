#pragma once

#include <span>
#include <vector>

#include "cuda/call.h"
#include "framework/graph/plan.h"

namespace mtrank::cuda {

/// What a plan's values are bound to on the device.
struct DeviceBindings {
  std::byte* arena = nullptr;
  std::span<const DeviceView> params, param_gradients, inputs, scalars, tables, sparse_gradients;
  std::span<const DeviceIds> ids;
  double* losses = nullptr;  ///< one each
};

/// A plan whose nodes know their arguments: launches them in order. The bound memory never moves.
class Runner {
 public:
  Runner(const Plan& plan, const DeviceBindings& bindings, uint64_t seed);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  size_t size() const { return nodes_.size(); }
  /// Launches nodes [begin, end) on the context's stream.
  void run(size_t begin, size_t end, const Context& context) const;
  /// Where a value lies.
  DeviceView view(ValueId id) const;

 private:
  struct Node {
    const OpNode* node;
    Launch launch;
    std::vector<DeviceView> in, out;
  };
  const Plan& plan_;
  const uint64_t seed_;
  std::vector<DeviceView> params_, gradients_, inputs_, scalars_, tables_, sparse_, losses_;
  std::vector<DeviceIds> ids_;
  std::byte* arena_;
  std::vector<Node> nodes_;
};

}  // namespace mtrank::cuda
