#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/graph/attributes.h"

namespace mtrank {

struct Op;

using ValueId = int32_t;
constexpr ValueId kNoValue = -1;

enum class ValueKind : uint8_t {
  input,            ///< bound to a batch: dense features, labels, weights
  ids,              ///< bound to a batch: the ids of one feature
  scalar,           ///< one number a step, the same for every shard (a loss's scale)
  param,            ///< dense weights
  table,            ///< an embedding table
  activation,       ///< lives in a shard's arena
  gradient,         ///< of an activation: in the arena; of a param: in the gradient buffer
  sparse_gradient,  ///< of a pooled embedding, for the whole global batch
  loss,             ///< one double a shard: the sum of a task's loss
};
std::string_view value_kind_name(ValueKind kind);

/// A 2-D value, [B, cols] or [rows, cols]. Wider shapes are folded into the columns by the op that uses them.
struct Value {
  std::string name;
  ValueKind kind = ValueKind::activation;
  bool batch = true;  ///< rows is the batch; `rows` is unused then
  int64_t rows = 1;
  int64_t cols = 0;
  ValueId base = kNoValue;  ///< a view of columns [column, column + cols) of `base`
  int64_t column = 0;
  bool whole = false;  ///< f32 in every plan: a statistic of a row, which all of its numbers are divided by
};

struct OpNode {
  const Op* op = nullptr;
  std::string scope;                ///< the layer it belongs to, e.g. "cross/1"
  std::vector<ValueId> inputs;      ///< kNoValue where an optional one is absent
  std::vector<ValueId> outputs;     ///< kNoValue where a saved one is not wanted
  std::vector<uint8_t> accumulate;  ///< per output: 0 writes (=), 1 adds (+=)
  Attributes attributes;
};

/// How a weight begins: its distribution and its parameters, drawn by Philox from the value's name.
struct WeightInit {
  enum class Kind : uint8_t { zeros, constant, normal, uniform } kind = Kind::zeros;
  double a = 0;  ///< constant: the value; normal: standard deviation; uniform: low
  double b = 0;  ///< uniform: high
};

/// A dense weight. `shape` is what files show; in memory it is the value's [rows, cols].
struct ParamWeight {
  ValueId value = kNoValue;
  std::vector<int64_t> shape;
  WeightInit init;
};

struct TableWeight {
  ValueId value = kNoValue;
  WeightInit init;
};

/// A named number a graph computes: an output for every sample, or the loss of a task for a shard.
struct NamedValue {
  std::string name;
  ValueId value = kNoValue;
};

/// The gradient of one feature's pooled embedding, [B, D] over the global batch, and what it is pooled from.
struct SparseGradient {
  ValueId gradient = kNoValue;
  ValueId table = kNoValue;
  ValueId ids = kNoValue;
};

/// A config's model as a list of ops. Nodes [0, forward_nodes) compute the outputs and the losses, the rest their
/// gradients, in order. Values are single-assignment but for gradients, which later nodes may add to.
struct Graph {
  std::vector<Value> values;
  std::vector<OpNode> nodes;
  size_t forward_nodes = 0;
  std::vector<ParamWeight> params;
  std::vector<TableWeight> tables;
  std::vector<NamedValue> outputs;
  std::vector<NamedValue> losses;
  std::vector<SparseGradient> sparse_gradients;
  std::vector<ValueId> gradient_of;  ///< by value: its gradient, where differentiate() made one

  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  /// The value that owns the memory of `id`.
  ValueId root(ValueId id) const { return value(id).base == kNoValue ? id : value(id).base; }
  ValueId find(std::string_view name) const;
};

/// The nodes that `graph.outputs` need, and nothing else: what is stored in a bundle and run by serving.
Graph forward_only(const Graph& graph);

/// One line a value and a node, stable, for people and for tests. A node's outputs say whether they are written (=) or
/// added to (+=).
std::string to_text(const Graph& graph);
/// "activation deep/linear [B, 4] = h[:, 9:13]".
std::string value_text(const Graph& graph, ValueId id);
/// "dx +=, dw = linear_gradient(dy, x, w; groups=2)".
std::string node_text(const Graph& graph, const OpNode& node);

}  // namespace mtrank
