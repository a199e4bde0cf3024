#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "framework/graph/graph.h"

namespace mtrank {

class GradBuilder;

/// What changes from step to step, the same for every shard of a step.
struct StepInfo {
  uint64_t seed = 0;
  uint64_t step = 0;
};

/// Scratch memory of one thread, grown on demand and kept. 64-byte aligned.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  template <class T>
  T* get(size_t count) {
    return static_cast<T*>(bytes(count * sizeof(T)));
  }

 private:
  void* bytes(size_t size);
  void* data_ = nullptr;
  size_t size_ = 0;
};

/// One call of a kernel: a node's arguments for a run of rows.
struct OpCall {
  const OpNode& node;
  std::span<const View> in;   ///< data is null where an optional input is absent
  std::span<const View> out;  ///< data is null where an output is not wanted
  std::span<const uint8_t> accumulate;
  int64_t rows;           ///< rows of the batch in this call
  uint64_t first_sample;  ///< number of the first of them among all samples of its step
  const StepInfo& step;
  Scratch& scratch;
};

/// A node's inputs, for shape inference; an absent optional input has cols 0.
struct ShapeCall {
  std::span<const Value> in;
  const Attributes& attributes;
};

using Kernel = void (*)(const OpCall&);

/// Weights that a kernel reads in a layout of its own, made once a step: `input` of the node, a [rows, cols] value cut
/// into attribute "groups" blocks of rows / groups rows, each packed alone.
struct Packing {
  int input;
  size_t (*bytes)(int64_t rows, int64_t cols);
  void (*pack)(const float* weights, int64_t rows, int64_t cols, void* packed);
};

/// What the columns of an op's outputs stand for: a warm start takes weights over by it.
enum class ColumnMeaning : uint8_t {
  own,       ///< something new
  input,     ///< what those of the first input do
  operands,  ///< likewise, and those of the others too: column by column they are added, multiplied, …
};

/// An op: its shapes, its derivative as further nodes, its kernels. One object an op, listed in ops.def.
struct Op {
  const char* name;
  const char* summary;  ///< one line: formula and shapes
  /// Its inputs in a graph that scores, one letter each: x of the batch, w a weight, t a table, i ids. `?` follows one
  /// that may be absent, `*` ends a list that may repeat. Null: no such graph has it.
  const char* takes = nullptr;
  /// Columns of each output ([B, cols]); throws ShapeError in the user's words. Null for ops that write into values
  /// made by their callers.
  std::vector<int64_t> (*shapes)(const ShapeCall&) = nullptr;
  /// Emits the nodes of the gradient. Null where no gradient flows through.
  void (*backward)(GradBuilder&, const OpNode&) = nullptr;
  Kernel cpu_f32 = nullptr;
  Kernel cpu_f64 = nullptr;
  ColumnMeaning columns = ColumnMeaning::own;
  /// Floating-point operations for `rows` rows of the batch. Null: one an output element.
  double (*flops)(const Graph&, const OpNode&, int64_t rows) = nullptr;
  /// How the op's weights are packed once a step for the matrix kernel, or null.
  const Packing* packing = nullptr;
};

/// Every op of ops.def, in its order.
std::span<const Op* const> all_ops();
/// Null where there is none of that name.
const Op* find_op(std::string_view name);

}  // namespace mtrank
