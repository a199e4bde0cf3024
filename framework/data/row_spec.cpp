#include "framework/data/row_spec.h"

#include <algorithm>

namespace mtrank {

bool holds(double left, Comparison op, double right) {
  switch (op) {
    case Comparison::equal:
      return left == right;
    case Comparison::not_equal:
      return left < right || left > right;
    case Comparison::less:
      return left < right;
    case Comparison::less_equal:
      return left <= right;
    case Comparison::greater:
      return left > right;
    case Comparison::greater_equal:
      return left >= right;
  }
  return false;
}

bool LabelCondition::holds(const float* labels) const {
  return std::all_of(clauses.begin(), clauses.end(),
                     [&](const Clause& c) { return mtrank::holds(labels[c.label], c.op, c.value); });
}

void RowSpec::extend(InputSchema& schema) const {
  for (size_t i = 0; i < labels.size(); ++i) {
    bool corrected = false;
    if (sample && sample->correct == SampleSpec::Correct::logit && sample->when.clauses.size() == 1)
      corrected = sample->when.clauses[0].label == static_cast<int>(i);
    schema.labels.push_back({labels[i].name, labels[i].binary, corrected});
  }
  for (const auto& c : conditions) schema.conditions.push_back(c.text);
  schema.keys = keys;
}

}  // namespace mtrank
