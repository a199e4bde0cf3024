#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

/// Values that configs write as one text.
namespace mtrank {

/// `name`, `name(a, b)`: the name and its arguments as text.
struct Call {
  std::string name;
  std::vector<std::string> args;
  std::vector<size_t> offsets;  ///< of the arguments in the text
};
std::optional<TextError> parse_call(std::string_view text, Call& out);

/// `512MiB`, `2GB`, `65536`.
struct ByteSize {
  int64_t bytes = 0;
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const;
  static const char* type_name() { return "size"; }
};

/// `epoch`, `2 epochs`, `1000 steps`, `90 seconds`, `10 minutes`, `1 hour`; a bare number counts steps.
struct Interval {
  enum class Unit { epochs, steps, seconds };
  Unit unit = Unit::epochs;
  int64_t count = 1;
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const;
  static const char* type_name() { return "interval"; }
};

/// An interval that no clock decides, for what changes the result: `epoch`, `2 epochs`, `1000 steps`.
struct StepInterval : Interval {
  std::optional<TextError> parse_text(std::string_view text);
  static const char* type_name() { return "steps"; }
};

/// How parameters start. fan_in is uniform in ±1/sqrt(inputs), glorot uniform in ±sqrt(6/(inputs+outputs)), he normal
/// with deviation sqrt(2/inputs).
struct Init {
  enum class Kind { normal, uniform, zeros, constant, fan_in, glorot, he };
  Kind kind = Kind::normal;
  double a = 0.01;  ///< deviation of normal, lower end of uniform, the constant
  double b = 0;     ///< upper end of uniform
  static Init normal(double deviation) { return {Kind::normal, deviation, 0}; }
  static Init uniform(double low, double high) { return {Kind::uniform, low, high}; }
  static Init zeros() { return {Kind::zeros, 0, 0}; }
  static Init fan_in() { return {Kind::fan_in, 0, 0}; }
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const;
  static const char* type_name() { return "initializer"; }
};

/// A metric as configs name it: `auc`, `gauc(user_id)`, `ece(20)`.
struct MetricCall {
  std::string name;
  std::vector<std::string> args;
  Location at;
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const;
  static const char* type_name() { return "metric"; }
};

/// What decides the best checkpoint: a metric of one task, or its mean over the tasks that have it: `mean.auc`.
struct BestCall {
  std::string scope = "mean";  ///< "mean" or a task
  MetricCall metric;
  Location at;
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const { return scope + "." + metric.text(); }
  static const char* type_name() { return "task.metric"; }
};

/// A row of metrics.def, as far as the config layer must know it to refuse an impossible metric.
struct MetricRule {
  enum class Argument { none, column, count };
  enum class Task { binary, regression };
  enum class Direction { higher, lower, toward_one };
  const char* name;
  Argument argument;
  Task task;
  Direction direction;
  const char* doc;
};
std::span<const MetricRule> metric_rules();
const MetricRule* metric_rule(std::string_view name);

}  // namespace mtrank
