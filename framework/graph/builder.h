#pragma once

#include <string>
#include <vector>

#include "framework/graph/op.h"

namespace mtrank {

/// No value is wider, so that sizes computed from widths stay far below what an int64 holds.
constexpr int64_t kMaxColumns = 1 << 30;

/// Appends values and nodes to a graph. Ops' headers offer functions on top of `apply`.
class Builder {
 public:
  Builder(Graph& graph, bool training) : graph_(graph), training_(training) {}

  Graph& graph() { return graph_; }
  /// Whether dropout and the losses are wanted.
  bool training() const { return training_; }

  /// Values bound to a batch: [B, cols]; the ids of a feature; one number a step.
  ValueId input(const std::string& name, int64_t cols);
  ValueId ids(const std::string& name);
  ValueId scalar(const std::string& name);
  /// A weight [rows, cols], named by the current scope. `shape` is what files show, [rows, cols] when empty.
  ValueId param(const std::string& name, int64_t rows, int64_t cols, WeightInit init, std::vector<int64_t> shape = {});
  ValueId table(const std::string& name, int64_t rows, int64_t dim, WeightInit init);

  /// Appends a node and returns its outputs, of the columns that the op infers.
  std::vector<ValueId> apply(const Op& op, std::vector<ValueId> inputs, Attributes attributes = {},
                             const std::string& name = "");
  /// The same, the first output only.
  ValueId apply1(const Op& op, std::vector<ValueId> inputs, Attributes attributes = {}, const std::string& name = "");
  /// A node that writes into given values.
  void emit(const Op& op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, std::vector<uint8_t> accumulate,
            Attributes attributes = {});

  /// Columns [begin, begin + width) of x, without a copy.
  ValueId slice(ValueId x, int64_t begin, int64_t width);
  /// [x0 | x1 | ...]. Parts that no other concat owns are written in place by their producers; the others are copied.
  /// The same parts give the same value. Throws ShapeError where they are more than kMaxColumns wide.
  ValueId concat(const std::vector<ValueId>& parts, const std::string& name);

  int64_t cols(ValueId id) const { return graph_.value(id).cols; }

  /// Names made while it lives start with `name`/.
  class Scope {
   public:
    Scope(Builder& builder, const std::string& name) : builder_(builder), saved_(builder.scope_) {
      builder.scope_ = saved_.empty() ? name : saved_ + "/" + name;
    }
    ~Scope() { builder_.scope_ = saved_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Builder& builder_;
    std::string saved_;
  };
  void set_scope(const std::string& scope) { scope_ = scope; }

  /// The value is named by the current scope.
  ValueId add_value(Value value);

 private:
  std::string scoped(const std::string& name) const;
  bool can_move(ValueId id) const;

  Graph& graph_;
  bool training_;
  std::string scope_;
  struct Concat {
    std::vector<ValueId> parts;
    ValueId result;
  };
  std::vector<Concat> concats_;
};

}  // namespace mtrank
