#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "framework/data/batch.h"

namespace mtrank {

enum class Comparison : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };
/// NaN (a missing label) satisfies nothing.
bool holds(double left, Comparison op, double right);

/// Comparisons of labels with numbers, all of which must hold.
struct LabelCondition {
  struct Clause {
    int label = 0;  ///< position in RowSpec::labels
    Comparison op = Comparison::equal;
    double value = 0;
  };
  std::string text;  ///< as written
  std::vector<Clause> clauses;

  bool holds(const float* labels) const;
};

struct LabelSpec {
  std::string name, column;
  bool binary = true;
  std::vector<std::string> positive;     ///< binary: values that are 1; any other value is 0
  std::optional<Comparison> comparison;  ///< binary: `positive: ">= 30000"`; with neither, the column holds 0 and 1
  double threshold = 0;
};

/// Keeps some of the training rows that match a condition.
struct SampleSpec {
  enum class Correct : uint8_t { none, weight, logit };
  LabelCondition when;
  double keep = 1;
  Correct correct = Correct::weight;
};

/// Which rows of a set of files belong to a part of it.
struct SplitSpec {
  std::string by;  ///< empty: all rows; "row": row number mod folds; else a column: hash of its value mod folds
  int folds = 1;
  std::vector<uint8_t> take;  ///< by fold
};

/// What a row has beside features.
struct RowSpec {
  std::vector<LabelSpec> labels;
  std::vector<LabelCondition> conditions;  ///< distinct `only_when`s
  std::vector<std::string> keys;           ///< columns that group or segment metrics
  std::string weight_column;               ///< empty: every row weighs 1
  std::optional<SampleSpec> sample;        ///< training rows only
  SplitSpec split;
  uint64_t seed = 0;  ///< of the sample

  /// Adds labels, conditions and keys to a schema of features.
  void extend(InputSchema& schema) const;
};

}  // namespace mtrank
