#pragma once

#include <vector>

#include "cuda/call.h"
#include "cuda/fusion.h"
#include "cuda/memory.h"
#include "framework/graph/plan.h"

namespace mtrank::cuda {

/// A second stream, with working memory of its own.
struct SideStream {
  Stream stream;
  Event forked, done;
  std::byte *scratch = nullptr, *workspace = nullptr;  ///< Context::scratch, Context::workspace
};

/// What a plan's values are bound to on the device.
struct DeviceBindings {
  std::byte* arena = nullptr;
  std::vector<DeviceView> params = {}, param_gradients = {}, inputs = {}, scalars = {}, tables = {},
                          sparse_gradients = {};
  std::vector<DeviceIds> ids = {};
  double* losses = nullptr;  ///< one each
  std::vector<ReluFusion> relus = {};
  std::vector<void*> signs = {};  ///< of each of them, ReluFusion::bytes at multiples of 256 bytes
  std::vector<BiasFusion> biases = {};
};

/// A batch value, or a part of one, that the plan placed in the arena.
DeviceView in_arena(const Plan& plan, ValueId id, std::byte* arena);

/// A plan whose nodes know their arguments: launches them in order. The bound memory never moves. Of what the plan runs
/// together, losses and gated mixtures are one launch, and a weight gradient runs beside the input gradient behind it
/// where the context has a side stream.
class Runner {
 public:
  Runner(const Plan& plan, DeviceBindings bindings, uint64_t seed);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  size_t size() const { return nodes_.size(); }
  /// Launches nodes [begin, end) on the context's stream, which waits for what ran beside them.
  void run(size_t begin, size_t end, const Context& context) const;
  /// Whether a product that was launched before node n has done the node's work.
  bool fused(size_t n) const;
  /// Where a value lies.
  DeviceView view(ValueId id) const;

 private:
  struct Node {
    const OpNode* node;
    Launch launch;
    std::vector<DeviceView> in, out;
    NodeRange launches = {};   ///< nodes launched when this one's turn comes; none: another's
    bool forks = false;        ///< runs beside the next node
    bool joins = false;        ///< is that next node
    size_t masked_by = 0;      ///< a later node that may mask by the signs that this one keeps; 0: none
    BiasSums* sums = nullptr;  ///< that it makes for the next node
  };
  Call call(const Node& node, const Context& context) const;
  void launch(size_t n, const Context& context) const;
  const Plan& plan_;
  const DeviceBindings bindings_;
  const uint64_t seed_;
  std::vector<Node> nodes_;
  std::vector<ReluSigns> signs_;  // the nodes' views point to them
  std::vector<BiasSums> sums_;    // and to these
};

}  // namespace mtrank::cuda
