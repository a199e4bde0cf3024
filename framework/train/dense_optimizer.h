#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "framework/core/thread_pool.h"
#include "framework/embedding/buffer.h"
#include "framework/embedding/optimizer.h"

namespace mtrank {

/// One slot of the dense weights' state, one float a weight, laid out as the weights are.
struct DenseState {
  std::string_view name;
  FloatBuffer values;
};

/// The update of all dense weights, which lie in one flat buffer. Element-wise, in parallel over fixed chunks.
class DenseUpdate {
 public:
  /// Throws ResourceError when there is no memory for the state of n weights.
  DenseUpdate(OptimizerSettings settings, int64_t n);

  /// weights <- optimiser(weights, scale * gradient); `step` counts from 1, the learning rate is times `lr_factor`.
  void apply(ThreadPool& pool, float* weights, const float* gradient, double lr_factor, int64_t step, double scale);

  int64_t size() const { return n_; }
  const OptimizerSettings& settings() const { return settings_; }
  std::span<const DenseState> state() const { return state_; }
  /// By number of the optimiser's slot, null where it has none.
  SlotPointers slots() const { return slots_; }

 private:
  OptimizerSettings settings_;
  int64_t n_;
  std::vector<DenseState> state_;
  SlotPointers slots_{};
};

/// Σ x² in double, over fixed blocks folded by a fixed tree. Not finite exactly when an element is not.
double squared_norm(ThreadPool& pool, const float* x, int64_t n);

/// What gradients are multiplied by so that their norm is at most `max_norm`, as PyTorch does it:
/// min(1, max_norm / (norm + 1e-6)).
double clip_factor(double norm, double max_norm);

}  // namespace mtrank
