#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/metrics/functions.h"

namespace mtrank {

MetricValue metric_calibration(const SortedRows& rows, const MetricSpec&) {
  const ClassWeights classes = class_weights(rows);
  if (classes.positive == 0) return one_class_only(classes);
  double predicted = 0;
  for (size_t i = 0; i < rows.size(); ++i) predicted += static_cast<double>(rows.weight[i]) * rows.prediction[i];
  return MetricValue::of(predicted / classes.positive);
}

/// A run of equal predictions goes whole into the bin that holds the middle of its weight, so the value does not
/// depend on the order of rows.
MetricValue metric_ece(const SortedRows& rows, const MetricSpec& spec) {
  const double total = class_weights(rows).total();
  struct Bin {
    double predicted = 0, positive = 0;
  };
  std::vector<Bin> bins(spec.count);
  double below = 0;
  for (size_t i = 0; i < rows.size();) {
    const float tie = rows.prediction[i];
    double weight = 0, positive = 0;
    for (; i < rows.size() && rows.prediction[i] == tie; ++i) {
      weight += rows.weight[i];
      if (rows.label[i] > 0.5f) positive += rows.weight[i];
    }
    const double middle = (below + 0.5 * weight) / total;
    Bin& bin = bins[std::min<size_t>(static_cast<size_t>(middle * spec.count), spec.count - 1)];
    bin.predicted += weight * tie;
    bin.positive += positive;
    below += weight;
  }
  double error = 0;
  for (const Bin& bin : bins) error += std::abs(bin.predicted - bin.positive);
  return MetricValue::of(error / total);
}

}  // namespace mtrank
