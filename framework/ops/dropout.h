#pragma once

#include "framework/core/math.h"
#include "framework/core/philox.h"
#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Dropout (Srivastava et al., JMLR 2014), in training only.   y = x m / (1 - p), m ~ Bernoulli(1 - p)
/// x, y [B, H]; 0 <= p < 1, rounded to a multiple of 2^-16.  dx = dy m / (1 - p).  Saves nothing: the gradient draws m
/// again. m depends on the seed, the value's name, the step, the sample's number and the column alone, so neither
/// threads nor ranks nor the cut into shards can change it.  Returns x itself outside training and for p = 0.
ValueId dropout(Builder& builder, ValueId x, double p);

/// The random numbers of dropout, 16 bits a column. 128 columns are one group of 16 Philox blocks: column c takes block
/// c % 16 and its half-word (c % 128) / 16, low halves first, so that 16 lanes work side by side.
struct DropoutMask {
  static constexpr int64_t kGroup = 128;
  static constexpr double kSteps = 65536;
  Philox random;
  uint64_t step;
  uint32_t threshold;  ///< half-words below it are dropped

  static uint32_t threshold_of(double p) {
    return static_cast<uint32_t>(p * kSteps + 0.5 < kSteps - 1 ? p * kSteps + 0.5 : kSteps - 1);
  }
  /// 1 / (1 - p) for the p that the threshold stands for.
  double scale() const { return kSteps / (kSteps - threshold); }
  /// Number of block `lane` of a group of a row with `groups` groups.
  MTRANK_HD static uint64_t index(uint64_t sample, int64_t groups, int64_t group, int64_t lane) {
    return (sample * static_cast<uint64_t>(groups) + static_cast<uint64_t>(group)) * 16 + static_cast<uint64_t>(lane);
  }
  MTRANK_HD bool keeps(uint32_t half) const { return half >= threshold; }
};

}  // namespace mtrank
