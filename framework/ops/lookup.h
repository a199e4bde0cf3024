#pragma once

#include <span>

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

enum class Pooling : uint8_t { sum, mean, sqrtn };

/// One feature of a lookup.
struct LookupFeature {
  ValueId table;  // [rows, D]
  ValueId ids;
  Pooling pool = Pooling::sum;
};

/// Pooled embeddings of many features at once, of any widths.   y_f = s_f Σ_i w_i E_f[id_i]
/// Ids of -1 are skipped; weights w default to 1; s is 1 (sum), 1 / Σ w (mean) or 1 / sqrt(Σ w²) (sqrtn); a row
/// without ids gives zeros, and so does a mean where Σ w is not above 0. y_f [B, D_f].  Its gradient is not a table's
/// but the pooled output's, s_f dy_f, for the whole global batch: the table's optimiser sums it by row.  Deterministic:
/// ids are added in their order.
std::vector<ValueId> lookup(Builder& builder, std::span<const LookupFeature> features);

}  // namespace mtrank
