#pragma once

#include "framework/metrics/rows.h"

namespace mtrank {

/// One function a row of metrics.def. The rows are not empty and hold no NaN.
#define METRIC(name, ...) MetricValue metric_##name(const SortedRows& rows, const MetricSpec& spec);
#include "framework/config/metrics.def"
#undef METRIC

/// AUC of rows that hold both classes.
double auc_of_two_classes(const SortedRows& rows, const ClassWeights& classes);
/// Bounds of p inside the logarithms of logloss, as in most published implementations.
constexpr double kLoglossClip = 1e-7;

/// Says which class is the only one.
MetricValue one_class_only(const ClassWeights& classes);

}  // namespace mtrank
