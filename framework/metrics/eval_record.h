#pragma once

#include <string>
#include <utility>
#include <vector>

#include "framework/metrics/metric.h"

namespace mtrank {

/// The metrics of one task or output, by the metric's text ("auc", "gauc(user_id)"), in the order of the config.
struct TaskMetrics {
  std::string task;
  std::vector<std::pair<std::string, MetricValue>> metrics;
};
/// The tasks' metrics on the rows where a column has one value.
struct SegmentMetrics {
  std::string column;
  std::string value;
  std::vector<TaskMetrics> tasks;
};
/// One evaluation.
struct EvalRecord {
  std::string split;
  int64_t step = 0;
  std::vector<TaskMetrics> tasks;
  std::vector<SegmentMetrics> segments;  ///< those of one column stand together
};

}  // namespace mtrank
