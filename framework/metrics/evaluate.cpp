#include "framework/metrics/evaluate.h"

#include <algorithm>
#include <cmath>

#include "framework/core/error.h"
#include "framework/metrics/functions.h"

namespace mtrank {
namespace {

/// Sorted rows beside the sorted columns that the metrics group by.
struct SortedColumns {
  RowStorage rows;
  std::map<std::string, std::vector<uint64_t>> columns;
};

const KeyColumn& find_column(const EvaluationInput& input, const std::string& name) {
  const auto found =
      std::find_if(input.columns.begin(), input.columns.end(), [&](const KeyColumn& c) { return c.name == name; });
  MTRANK_ASSERT(found != input.columns.end());
  return *found;
}

template <class T>
std::vector<T> gather(std::span<const T> values, std::span<const uint32_t> order) {
  std::vector<T> out(order.size());
  for (size_t i = 0; i < order.size(); ++i) out[i] = values[order[i]];
  return out;
}

SortedColumns gather(const SortedColumns& all, std::span<const uint32_t> order) {
  const SortedRows rows = all.rows.view();
  SortedColumns out{gather_rows({rows.prediction, rows.label, rows.weight, {}}, order), {}};
  for (const auto& [name, values] : all.columns) out.columns[name] = gather<uint64_t>(values, order);
  return out;
}

/// NaN sorts last, the infinities to both ends.
bool all_finite(const SortedRows& rows) {
  return std::isfinite(rows.prediction.front()) && std::isfinite(rows.prediction.back());
}

MetricValue compute_sorted(const MetricSpec& spec, const SortedRows& rows) {
  if (rows.size() == 0) return MetricValue::undefined("no rows");
  if (!all_finite(rows)) return MetricValue::undefined("a prediction is not finite");
  return spec.info->compute(rows, spec);
}

Evaluation evaluate_rows(const std::vector<MetricSpec>& metrics, const SortedColumns& sorted, size_t begin,
                         size_t end) {
  Evaluation out;
  SortedRows rows = sorted.rows.view().subset(begin, end);
  out.rows = rows.size();
  for (float w : rows.weight) out.weight += w;
  for (const MetricSpec& spec : metrics) {
    rows.key = {};
    if (!spec.column.empty()) rows.key = std::span(sorted.columns.at(spec.column)).subspan(begin, end - begin);
    out.values.push_back(compute_sorted(spec, rows));
  }
  return out;
}

void warn(const std::vector<MetricSpec>& metrics, const SortedRows& rows, const std::string& task,
          EvaluationResult& result) {
  if (rows.size() > 1 && rows.prediction.front() == rows.prediction.back())
    result.warnings.push_back("task " + task + ": every prediction is the same (" +
                              std::to_string(rows.prediction.front()) + "); the model has learnt nothing");
  for (size_t m = 0; m < metrics.size(); ++m)
    if (metrics[m].info->compute == metric_auc && result.all.values[m].value == 1.0)
      result.warnings.push_back("task " + task +
                                ": auc is exactly 1; is a feature made from the label, or are there too few rows?");
}

}  // namespace

EvaluationResult evaluate(const std::vector<MetricSpec>& metrics, const EvaluationInput& input) {
  const MetricInput rows{input.prediction, input.label, input.weight, {}};
  const std::vector<uint32_t> order = sort_rows(rows);
  SortedColumns sorted{gather_rows(rows, order), {}};
  for (const MetricSpec& spec : metrics)
    if (!spec.column.empty() && !sorted.columns.contains(spec.column))
      sorted.columns[spec.column] = gather(find_column(input, spec.column).value, order);

  EvaluationResult result;
  result.all = evaluate_rows(metrics, sorted, 0, order.size());
  warn(metrics, sorted.rows.view(), input.task, result);
  for (const std::string& segment : input.segments) {
    const Groups groups = group_rows(gather(find_column(input, segment).value, order));
    const SortedColumns grouped = gather(sorted, groups.rows);
    std::map<uint64_t, Evaluation>& values = result.segments[segment];
    for (size_t g = 0; g < groups.size(); ++g)
      values[groups.keys[g]] = evaluate_rows(metrics, grouped, groups.begin[g], groups.begin[g + 1]);
  }
  return result;
}

MetricValue compute_metric(const MetricSpec& spec, const MetricInput& input) {
  return compute_sorted(spec, gather_rows(input, sort_rows(input)).view());
}

}  // namespace mtrank
