#pragma once

#include <string>
#include <vector>

#include "framework/data/dataset.h"

namespace mtrank {

struct DataProblem {
  bool warning = false;
  std::string message;  ///< the file or part, what was found, what was expected
};

/// A task, as far as its data goes.
struct CheckedTask {
  std::string name;
  int label = 0;       ///< position in RowSpec::labels
  int condition = -1;  ///< of its `only_when` in RowSpec::conditions, or -1
};

/// Reads all parts once and reports everything that would stop a run or make its result meaningless: files, columns,
/// values of labels and numbers, ids out of range, lists of unequal length, a feature that equals a label, labels
/// without positives or negatives, conditions that match nothing. One problem hides no other: what a missing column
/// feeds is left out, and every feature is checked on its own. The result does not depend on `threads`.
std::vector<DataProblem> check_data(const DatasetSpec& spec, const std::vector<CheckedTask>& tasks, int threads);
std::vector<DataProblem> check_data(const Config& config, int threads);

}  // namespace mtrank
