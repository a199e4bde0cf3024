#include "framework/metrics/functions.h"

namespace mtrank {

MetricValue metric_pr_auc(const SortedRows& rows, const MetricSpec&) {
  const ClassWeights classes = class_weights(rows);
  if (classes.positive == 0) return one_class_only(classes);
  ClassWeights above;
  double area = 0;
  for (size_t i = rows.size(); i > 0;) {
    const float tie = rows.prediction[i - 1];
    const double before = above.positive;
    for (; i > 0 && rows.prediction[i - 1] == tie; --i)
      (rows.label[i - 1] > 0.5f ? above.positive : above.negative) += rows.weight[i - 1];
    area += (above.positive - before) * (above.positive / above.total());
  }
  return MetricValue::of(area / classes.positive);
}

}  // namespace mtrank
