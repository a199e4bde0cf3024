#pragma once

#include <vector>

#include "framework/data/batch.h"
#include "framework/graph/plan.h"

namespace mtrank {

/// Finds the features of a batch that a plan's inputs "dense:<feature>" and ids "ids:<feature>" stand for.
class BatchBinder {
 public:
  /// Other inputs are left to the caller. Throws FileError when the schema has no such feature.
  BatchBinder(const Plan& plan, const InputSchema& schema);

  /// Views from row `first` of the batch on, in the order of plan.inputs and plan.ids. The inputs of others are kept.
  void bind(const Batch& batch, int64_t first, std::vector<View>& inputs, std::vector<IdsView>& ids) const;

 private:
  struct Dense {
    int slot;  // -1: the caller's
    int64_t width;
  };
  std::vector<Dense> dense_;
  std::vector<int> ids_;
};

}  // namespace mtrank
