#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "framework/graph/runner.h"

namespace mtrank::testing {

/// Runs a graph on the CPU with storage of its own for everything a plan binds. Values are doubles at the interface,
/// T inside.
template <class T>
class GraphRunner {
 public:
  GraphRunner(Graph graph, int64_t rows)
      : plan_(make_plan(std::move(graph), rows, sizeof(T) == 8 ? DType::f64 : DType::f32)), rows_(rows) {
    const Graph& g = plan_.graph;
    for (const ParamWeight& p : g.params) {
      params_.push_back(matrix(g.value(p.value).rows, g.value(p.value).cols));
      gradients_.push_back(matrix(g.value(p.value).rows, g.value(p.value).cols));
    }
    for (const TableWeight& t : g.tables) tables_.push_back(matrix(g.value(t.value).rows, g.value(t.value).cols));
    for (ValueId id : plan_.inputs) inputs_.push_back(matrix(rows, g.value(id).cols));
    for (const SparseGradient& s : g.sparse_gradients) sparse_.push_back(matrix(rows, g.value(s.gradient).cols));
    scalars_.assign(plan_.scalars.size(), 1.0);
    ids_.resize(plan_.ids.size());
    losses_.resize(g.losses.size());
    arena_.resize(plan_.arena_bytes / 8 + 8);
    packed_.resize(plan_.packed_bytes / 4 + 16);
  }

  const Plan& plan() const { return plan_; }
  std::vector<T>& param(const std::string& name) { return params_[static_cast<size_t>(place(name).at)]; }
  std::vector<T>& param_gradient(const std::string& name) { return gradients_[static_cast<size_t>(place(name).at)]; }
  std::vector<T>& table(const std::string& name) { return tables_[static_cast<size_t>(place(name).at)]; }
  std::vector<T>& input(const std::string& name) { return inputs_[static_cast<size_t>(place(name).at)]; }
  double& scalar(const std::string& name) { return scalars_[static_cast<size_t>(place(name).at)]; }
  IdsView& ids(const std::string& name) { return ids_[static_cast<size_t>(place(name).at)]; }
  /// Gradient of the pooled output of the feature with these ids. [rows, D]
  std::vector<T>& pooled_gradient(const std::string& ids_name) {
    const Graph& g = plan_.graph;
    for (size_t i = 0; i < sparse_.size(); ++i)
      if (g.value(g.sparse_gradients[i].ids).name == ids_name) return sparse_[i];
    std::abort();
  }
  /// An activation after run(), where no later value took its memory: a graph output, or the last one written.
  std::vector<T> read(ValueId id) const {
    const Place& p = plan_.place(id);
    std::vector<T> out;
    const auto* base = reinterpret_cast<const T*>(aligned_arena() + p.at) + p.column;
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < plan_.graph.value(id).cols; ++c) out.push_back(base[r * p.ld + c]);
    return out;
  }

  /// Runs the whole plan and returns the sum of the losses.
  double run(bool forward_only = false) {
    const Graph& g = plan_.graph;
    auto views = [](std::vector<std::vector<T>>& storage, auto cols) {
      std::vector<View> result;
      for (size_t i = 0; i < storage.size(); ++i) {
        const int64_t width = cols(i);
        result.push_back(
            {storage[i].data(), width ? static_cast<int64_t>(storage[i].size()) / width : 0, width, width});
      }
      return result;
    };
    auto param_cols = [&](size_t i) { return g.value(g.params[i].value).cols; };
    const auto params = views(params_, param_cols), gradients = views(gradients_, param_cols);
    const auto inputs = views(inputs_, [&](size_t i) { return g.value(plan_.inputs[i]).cols; });
    const auto tables = views(tables_, [&](size_t i) { return g.value(g.tables[i].value).cols; });
    const auto sparse = views(sparse_, [&](size_t i) { return g.value(g.sparse_gradients[i].gradient).cols; });
    std::vector<View> scalars;
    for (double& s : scalars_) scalars.push_back({&s, 1, 1, 1});
    auto* packed = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(packed_.data()) + 63) / 64 * 64);
    for (size_t part = 0; part < plan_.packed.size(); ++part) pack_weight(plan_, part, params, packed);
    const Bindings bindings{params, gradients, inputs, ids_, scalars, tables, sparse, losses_, packed};
    run_nodes(plan_, 0, forward_only ? g.forward_nodes : g.nodes.size(), bindings, {rows_, first_sample, add_gradients},
              step_info, const_cast<std::byte*>(aligned_arena()), scratch_);
    double sum = 0;
    for (double loss : losses_) sum += loss;
    return sum;
  }

  StepInfo step_info;
  uint64_t first_sample = 0;
  bool add_gradients = false;  ///< of weights, to those of the last run

 private:
  static std::vector<T> matrix(int64_t rows, int64_t cols) { return std::vector<T>(static_cast<size_t>(rows * cols)); }
  const Place& place(const std::string& name) const {
    const ValueId id = plan_.graph.find(name);
    if (id == kNoValue) std::abort();
    return plan_.place(id);
  }
  const std::byte* aligned_arena() const {
    return reinterpret_cast<const std::byte*>((reinterpret_cast<uintptr_t>(arena_.data()) + 63) / 64 * 64);
  }

  Plan plan_;
  int64_t rows_;
  std::vector<std::vector<T>> params_, gradients_, tables_, inputs_, sparse_;
  std::vector<double> scalars_, losses_, arena_;
  std::vector<float> packed_;
  std::vector<IdsView> ids_;
  Scratch scratch_;
};

}  // namespace mtrank::testing
