#include "cuda/fusion.h"

#include <algorithm>
#include <optional>

#include "cuda/gates.h"
#include "cuda/launch.h"
#include "cuda/narrow.h"
#include "framework/ops/activation.h"
#include "framework/ops/ops.h"

namespace mtrank::cuda {
namespace {

constexpr int64_t kSignsAlign = 128;  // bits: the library's unit of rows

/// The nodes that touch a value or a part of it, in order.
using Touches = std::vector<std::vector<size_t>>;

Touches touches_of(const Graph& graph) {
  Touches touches(graph.values.size());
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const auto touch = [&](ValueId id) {
      if (id == kNoValue) return;
      auto& nodes = touches[static_cast<size_t>(graph.root(id))];
      if (nodes.empty() || nodes.back() != n) nodes.push_back(n);
    };
    for (ValueId id : graph.nodes[n].inputs) touch(id);
    for (ValueId id : graph.nodes[n].outputs) touch(id);
  }
  return touches;
}

/// Whether the library multiplies by a linear node's weights, `w` or their gradient, in one group or each of several.
bool wide(const Graph& graph, const OpNode& node, ValueId w) {
  const Value& value = graph.value(w);
  return value.cols > kNarrow && value.rows / node.attributes.integer("groups", 1) > kNarrow;
}
bool wide_of_one_group(const Graph& graph, const OpNode& node) {
  return wide(graph, node, node.inputs[1]) && node.attributes.integer("groups", 1) == 1;
}

bool is_relu(const OpNode& node) { return parse_activation(node.attributes.text("activation")) == Activation::relu; }

bool has_own_memory(const Value& value) {
  return value.batch && value.kind == ValueKind::gradient && value.base == kNoValue;
}

/// Node n as a part of the product before it, where it is an activation_gradient that can be one.
std::optional<ReluFusion> find_relu(const Graph& graph, const Touches& touches, size_t n) {
  const OpNode& gradient = graph.nodes[n];
  if (gradient.op != &ops::activation_gradient || !is_relu(gradient) || gradient.accumulate[0]) return {};
  const ValueId dy = gradient.inputs[0], y = gradient.inputs[1], dz = gradient.outputs[0];
  if (!has_own_memory(graph.value(dy)) || !has_own_memory(graph.value(dz))) return {};
  // Nobody else sees dy, and dz begins here.
  const auto &of_dy = touches[static_cast<size_t>(dy)], &of_dz = touches[static_cast<size_t>(dz)];
  if (of_dy.size() != 2 || of_dy[1] != n || of_dz.front() != n) return {};
  const OpNode& product = graph.nodes[of_dy[0]];
  if (product.op != &ops::linear_input_gradient || product.accumulate[0] || product.outputs[0] != dy) return {};
  const auto forward = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const OpNode& node) {
    return node.op == &ops::linear && node.outputs[0] == y;
  });
  if (forward == graph.nodes.end() || !is_relu(*forward) || forward->outputs[1] != kNoValue) return {};
  if (!wide_of_one_group(graph, *forward) || !wide_of_one_group(graph, product)) return {};
  return ReluFusion{static_cast<size_t>(forward - graph.nodes.begin()), of_dy[0], n, graph.value(dz).cols};
}

/// Node n, where it is element-wise and writes the dz of the weight gradient behind it.
std::optional<BiasFusion> find_bias(const Graph& graph, size_t n) {
  const OpNode& writer = graph.nodes[n];
  const bool crosses = writer.op == &ops::cross_gradient;
  if (n + 1 == graph.nodes.size() || (!crosses && writer.op != &ops::activation_gradient)) return {};
  const BiasFusion found{n, crosses ? size_t{1} : size_t{0}};
  const OpNode& reader = graph.nodes[n + 1];
  const ValueId dz = writer.outputs[found.output];
  if (reader.op != &ops::linear_weight_gradient || reader.inputs[1] != dz || reader.outputs[1] == kNoValue) return {};
  if (!wide(graph, reader, reader.outputs[0])) return {};  // a narrow product sums dz itself
  if (!has_own_memory(graph.value(dz)) || writer.accumulate[found.output]) return {};
  return found;
}

/// Whether `node` reads or writes anything that a node of `range` writes.
bool depends(const Graph& graph, const OpNode& node, const NodeRange& range) {
  const auto uses = [&](ValueId written) {
    const auto same = [&](ValueId id) { return id != kNoValue && graph.root(id) == graph.root(written); };
    return written != kNoValue && (std::any_of(node.inputs.begin(), node.inputs.end(), same) ||
                                   std::any_of(node.outputs.begin(), node.outputs.end(), same));
  };
  for (size_t n = range.begin; n < range.end; ++n)
    if (std::any_of(graph.nodes[n].outputs.begin(), graph.nodes[n].outputs.end(), uses)) return true;
  return false;
}

/// Whether two nodes are a softmax and the mixture that it gates, or the gradients of both.
bool gated(const OpNode& first, const OpNode& second) {
  const bool forward = first.op == &ops::softmax && second.op == &ops::mixture;
  if (!forward && (first.op != &ops::mixture_gradient || second.op != &ops::softmax_gradient)) return false;
  const OpNode &softmax = forward ? first : second, &mixture = forward ? second : first;
  const int64_t experts = mixture.attributes.integer("experts");
  return softmax.attributes.integer("size") == experts && experts <= kGatesTogether &&
         second.inputs[0] == first.outputs[0] && (forward || softmax.inputs[1] == mixture.inputs[1]);
}

/// Whether node n can join the range that ends before it.
bool extends(const Graph& graph, const NodeRange& range, size_t n) {
  const OpNode &first = graph.nodes[range.begin], &node = graph.nodes[n];
  if (range.end == n && range.begin + 1 == n && gated(first, node)) return true;
  if (range.end != n || depends(graph, node, range)) return false;
  if (node.op == &ops::loss) return first.op == &ops::loss;
  return range.begin + 1 == n && first.op == &ops::linear_weight_gradient && node.op == &ops::linear_input_gradient &&
         !depends(graph, first, {n, n + 1});
}

std::vector<NodeRange> find_together(const Graph& graph) {
  std::vector<NodeRange> found;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!found.empty() && extends(graph, found.back(), n))
      ++found.back().end;
    else
      found.push_back({n, n + 1});
  }
  std::erase_if(found, [](const NodeRange& range) { return range.end - range.begin == 1; });
  return found;
}

}  // namespace

int64_t ReluFusion::ld() const { return round_up(cols, kSignsAlign); }

Fusions fuse(Graph& graph) {
  Fusions fusions;
  const Touches touches = touches_of(graph);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const auto relu = find_relu(graph, touches, n);
    if (!relu) continue;
    const ValueId dz = graph.nodes[n].outputs[0];
    graph.nodes[relu->product].outputs[0] = graph.nodes[n].inputs[0] = dz;
    fusions.relus.push_back(*relu);
  }
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (const auto bias = find_bias(graph, n)) fusions.biases.push_back(*bias);
  fusions.together = find_together(graph);
  return fusions;
}

}  // namespace mtrank::cuda
