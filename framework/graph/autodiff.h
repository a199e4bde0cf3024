#pragma once

#include <map>
#include <utility>
#include <vector>

#include "framework/graph/builder.h"

namespace mtrank {

/// Appends to `graph` the nodes that compute the gradient of the sum of its losses.
void differentiate(Graph& graph);

/// What an op's `backward` writes with. Gradients of views are views of the gradient, so slices and concats need no
/// nodes; for each gradient it is known which columns have been written, hence who writes (=) and who adds (+=).
class GradBuilder {
 public:
  explicit GradBuilder(Graph& graph);

  /// Whether anything trainable lies under v.
  bool wants(ValueId v) const { return v != kNoValue && wanted_[static_cast<size_t>(v)]; }
  /// The gradient of v, complete; kNoValue where none flows.
  ValueId gradient(ValueId v);
  /// A new value shaped like v, for a gradient on the way.
  ValueId temporary(ValueId like, const std::string& name);
  /// Emits a node; output i adds to the gradient of targets[i], and is absent where that wants none.
  void emit(const Op& op, std::vector<ValueId> inputs, const std::vector<ValueId>& targets, Attributes attributes = {});
  /// Emits a node with outputs of its own.
  void emit_into(const Op& op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, Attributes attributes = {});
  /// The node whose backward pass comes next. The gradients of its outputs are complete, and may be passed on, once.
  void begin(const OpNode& node);
  /// gradient(v) += g. Where v has none yet it simply takes g over: call it after everything else that reads g.
  void pass(ValueId g, ValueId v);

  Graph& graph() { return builder_.graph(); }
  Builder& builder() { return builder_; }

 private:
  using Range = std::pair<int64_t, int64_t>;
  std::pair<ValueId, bool> target(ValueId v);
  ValueId gradient_view(ValueId v);
  ValueId root_gradient(ValueId root);
  std::vector<Range> uncovered(ValueId root, Range range) const;
  void cover(ValueId root, Range range);
  void fill_zero(ValueId root, const std::vector<Range>& holes);
  Range range_of(ValueId v) const;

  Builder builder_;
  std::vector<uint8_t> wanted_;
  std::map<ValueId, std::vector<Range>> covered_;  // by root value
};

}  // namespace mtrank
