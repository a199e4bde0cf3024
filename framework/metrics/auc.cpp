#include "framework/metrics/functions.h"

namespace mtrank {

MetricValue one_class_only(const ClassWeights& classes) {
  return MetricValue::undefined(classes.positive == 0 ? "no positive row" : "no negative row");
}

double auc_of_two_classes(const SortedRows& rows, const ClassWeights& classes) {
  double negative_below = 0, ordered = 0;
  for (size_t i = 0; i < rows.size();) {
    const float tie = rows.prediction[i];
    ClassWeights here;
    for (; i < rows.size() && rows.prediction[i] == tie; ++i)
      (rows.label[i] > 0.5f ? here.positive : here.negative) += rows.weight[i];
    ordered += here.positive * (negative_below + 0.5 * here.negative);
    negative_below += here.negative;
  }
  return ordered / (classes.positive * classes.negative);
}

MetricValue metric_auc(const SortedRows& rows, const MetricSpec&) {
  const ClassWeights classes = class_weights(rows);
  return classes.one_class() ? one_class_only(classes) : MetricValue::of(auc_of_two_classes(rows, classes));
}

}  // namespace mtrank
