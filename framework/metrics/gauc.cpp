#include "framework/core/error.h"
#include "framework/metrics/functions.h"

namespace mtrank {
namespace {

MetricValue grouped_auc(const SortedRows& rows, const MetricSpec& spec, bool by_weight) {
  MTRANK_ASSERT(rows.key.size() == rows.size());
  const Groups groups = group_rows(rows.key);
  const RowStorage grouped = gather_rows({rows.prediction, rows.label, rows.weight, {}}, groups.rows);
  double sum = 0, weight = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    const SortedRows group = grouped.view().subset(groups.begin[g], groups.begin[g + 1]);
    const ClassWeights classes = class_weights(group);
    if (classes.one_class()) continue;
    const double w = by_weight ? classes.total() : 1.0;
    sum += w * auc_of_two_classes(group, classes);
    weight += w;
  }
  if (weight == 0) return MetricValue::undefined("no " + spec.column + " has both a positive and a negative row");
  return MetricValue::of(sum / weight);
}

}  // namespace

MetricValue metric_gauc(const SortedRows& rows, const MetricSpec& spec) { return grouped_auc(rows, spec, true); }
MetricValue metric_gauc_mean(const SortedRows& rows, const MetricSpec& spec) { return grouped_auc(rows, spec, false); }

}  // namespace mtrank
