#include <algorithm>

#include "framework/core/portable_math.h"
#include "framework/metrics/functions.h"

namespace mtrank {
namespace {

double mean_logloss(const SortedRows& rows) {
  double loss = 0, weight = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double p = std::clamp<double>(rows.prediction[i], kLoglossClip, 1 - kLoglossClip);
    loss -= rows.weight[i] * portable_log(rows.label[i] > 0.5f ? p : 1 - p);
    weight += rows.weight[i];
  }
  return loss / weight;
}

}  // namespace

MetricValue metric_logloss(const SortedRows& rows, const MetricSpec&) { return MetricValue::of(mean_logloss(rows)); }

MetricValue metric_ne(const SortedRows& rows, const MetricSpec&) {
  const ClassWeights classes = class_weights(rows);
  if (classes.one_class()) return one_class_only(classes);
  const double rate = classes.positive / classes.total();
  return MetricValue::of(mean_logloss(rows) / -(rate * portable_log(rate) + (1 - rate) * portable_log(1 - rate)));
}

}  // namespace mtrank
