#pragma once

#include <span>
#include <string>

#include "framework/graph/builder.h"
#include "framework/ops/losses/pointwise.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// What configs, docs and tests know of a loss of losses.def.
struct LossInfo {
  const char* name;
  const char* summary;
  bool binary;  ///< its prediction is σ(z), else z
  std::span<const Parameter> parameters;
};
std::span<const LossInfo> all_losses();
/// Null where there is none of that name.
const LossInfo* find_loss(std::string_view name);

/// Loss of one task, summed over the rows of a call, and its gradient, in one pass.
///   L = c Σ_r w_r l(z_r, y_r);  dz_r = c w_r l'(z_r, y_r)
/// z logit, y label, w weight [B, 1]: w is 0 where the task skips the row, whatever the label is. c: a number a step,
/// the task's weight over the Σ w of the global batch. L is a double a shard.  Saves dz.  Deterministic: 16 lanes.
void loss(Builder& builder, const std::string& type, std::span<const double> parameters, const std::string& task,
          ValueId logit, ValueId label, ValueId weight, ValueId scale);

}  // namespace mtrank
