#include <cmath>

#include "framework/metrics/functions.h"

namespace mtrank {
namespace {

template <class F>
double weighted_mean(const SortedRows& rows, const F& error) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    sum += rows.weight[i] * error(static_cast<double>(rows.prediction[i]) - rows.label[i]);
    weight += rows.weight[i];
  }
  return sum / weight;
}

double mean_squared(const SortedRows& rows) {
  return weighted_mean(rows, [](double d) { return d * d; });
}

}  // namespace

MetricValue metric_mse(const SortedRows& rows, const MetricSpec&) { return MetricValue::of(mean_squared(rows)); }
MetricValue metric_rmse(const SortedRows& rows, const MetricSpec&) {
  return MetricValue::of(std::sqrt(mean_squared(rows)));
}
MetricValue metric_mae(const SortedRows& rows, const MetricSpec&) {
  return MetricValue::of(weighted_mean(rows, [](double d) { return std::abs(d); }));
}

}  // namespace mtrank
