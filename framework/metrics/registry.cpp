#include <charconv>
#include <vector>

#include "framework/core/error.h"
#include "framework/metrics/functions.h"

namespace mtrank {
namespace {

constexpr MetricInfo kMetrics[] = {
#define METRIC(name, argument, task, direction, doc) \
  {#name, MetricArgument::argument, MetricTask::task, MetricDirection::direction, metric_##name, doc},
#include "framework/config/metrics.def"
#undef METRIC
};
constexpr int kDefaultBins = 15, kMaxBins = 100000;

std::string without_blanks(std::string_view text) {
  std::string out;
  for (char c : text)
    if (c != ' ' && c != '\t') out += c;
  return out;
}

const MetricInfo& find_metric(std::string_view name, const std::string& text) {
  std::string known;
  for (const MetricInfo& m : kMetrics) {
    if (m.name == name) return m;
    known += (known.empty() ? "" : ", ") + std::string(m.name);
  }
  throw ConfigError("unknown metric '" + text + "'; the metrics are " + known);
}

int parse_count(std::string_view digits, const std::string& text) {
  int count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc() || end != digits.data() + digits.size() || count < 1 || count > kMaxBins)
    throw ConfigError("metric '" + text + "': expected a whole number from 1 to " + std::to_string(kMaxBins) +
                      " in parentheses, found '" + std::string(digits) + "'");
  return count;
}

}  // namespace

std::span<const MetricInfo> metric_registry() { return kMetrics; }

MetricSpec parse_metric(std::string_view written) {
  MetricSpec spec;
  spec.text = without_blanks(written);
  const std::string_view text = spec.text;
  const size_t open = text.find('(');
  spec.info = &find_metric(text.substr(0, open), spec.text);
  const std::string name(spec.info->name);
  if (open != text.npos && (text.back() != ')' || text.find(')') != text.size() - 1))
    throw ConfigError("metric '" + spec.text + "': expected one closing parenthesis, at the end");
  const std::string_view inside = open == text.npos ? "" : text.substr(open + 1, text.size() - open - 2);
  switch (spec.info->argument) {
    case MetricArgument::none:
      if (open != text.npos) throw ConfigError("metric '" + spec.text + "': " + name + " takes nothing in parentheses");
      break;
    case MetricArgument::column:
      if (inside.empty())
        throw ConfigError("metric '" + spec.text + "': expected a column to group by, e.g. " + name + "(user_id)");
      spec.column = inside;
      break;
    case MetricArgument::count:
      spec.count = open == text.npos ? kDefaultBins : parse_count(inside, spec.text);
      break;
  }
  return spec;
}

BestMetric parse_best_metric(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == text.npos || dot == 0)
    throw ConfigError("'" + std::string(text) + "': expected TASK.METRIC or mean.METRIC, e.g. mean.auc");
  return {without_blanks(text.substr(0, dot)), parse_metric(text.substr(dot + 1))};
}

bool is_better(MetricDirection direction, double a, double b) {
  switch (direction) {
    case MetricDirection::higher:
      return a > b;
    case MetricDirection::lower:
      return a < b;
    case MetricDirection::toward_one:
      return (a < 1 ? 1 - a : a - 1) < (b < 1 ? 1 - b : b - 1);
  }
  return false;
}

MetricValue mean_over_tasks(std::span<const MetricValue> values) {
  double sum = 0;
  int defined = 0;
  for (const MetricValue& v : values)
    if (v.value) sum += *v.value, ++defined;
  if (defined == 0) return MetricValue::undefined("undefined for every task");
  return MetricValue::of(sum / defined);
}

}  // namespace mtrank
