#include "framework/config/values.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mtrank {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// "10 minutes" -> 10 and "minutes"; the number is missing when there is none.
struct Quantity {
  std::optional<double> number;
  std::string unit;
};
Quantity split_quantity(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) ++end;
  return {Node::scalar(std::string(text.substr(0, end))).as_double(), std::string(trim(text.substr(end)))};
}

struct SizeUnit {
  const char* name;
  int64_t bytes;
};
constexpr SizeUnit kSizes[] = {
    {"TiB", 1LL << 40},    {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10}, {"TB", 1'000'000'000'000},
    {"GB", 1'000'000'000}, {"MB", 1'000'000},  {"KB", 1'000},      {"B", 1},           {"", 1}};

struct TimeUnit {
  const char* name;
  Interval::Unit unit;
  int64_t count;
};
constexpr TimeUnit kTimes[] = {{"epoch", Interval::Unit::epochs, 1},    {"step", Interval::Unit::steps, 1},
                               {"second", Interval::Unit::seconds, 1},  {"minute", Interval::Unit::seconds, 60},
                               {"hour", Interval::Unit::seconds, 3600}, {"s", Interval::Unit::seconds, 1}};

struct InitShape {
  const char* name;
  Init::Kind kind;
  size_t args;
};
constexpr InitShape kInits[] = {{"normal", Init::Kind::normal, 1}, {"uniform", Init::Kind::uniform, 2},
                                {"zeros", Init::Kind::zeros, 0},   {"constant", Init::Kind::constant, 1},
                                {"fan_in", Init::Kind::fan_in, 0}, {"glorot", Init::Kind::glorot, 0},
                                {"he", Init::Kind::he, 0}};

constexpr MetricRule kMetrics[] = {
#define METRIC(name, argument, task, direction, doc) \
  {#name, MetricRule::Argument::argument, MetricRule::Task::task, MetricRule::Direction::direction, doc},
#include "framework/config/metrics.def"
#undef METRIC
};

std::vector<std::string> metric_names() {
  std::vector<std::string> out;
  for (const MetricRule& rule : kMetrics) out.emplace_back(rule.name);
  return out;
}

}  // namespace

std::optional<TextError> parse_call(std::string_view text, Call& out) {
  out = {};
  const size_t open = text.find('(');
  out.name = trim(text.substr(0, open));
  if (open == std::string_view::npos) return std::nullopt;
  if (text.back() != ')') return TextError{"expected `)` at the end of `" + std::string(text) + "`", text.size() - 1};
  std::string_view inside = text.substr(open + 1, text.size() - open - 2);
  size_t offset = open + 1;
  while (!trim(inside).empty() || !out.args.empty()) {
    const size_t comma = inside.find(',');
    const std::string_view arg = inside.substr(0, comma);
    if (trim(arg).empty()) return TextError{"an argument of `" + out.name + "` is empty", offset};
    out.offsets.push_back(offset + arg.find_first_not_of(' '));
    out.args.emplace_back(trim(arg));
    if (comma == std::string_view::npos) break;
    inside.remove_prefix(comma + 1);
    offset += comma + 1;
  }
  return std::nullopt;
}

std::optional<TextError> ByteSize::parse_text(std::string_view text) {
  const Quantity quantity = split_quantity(text);
  for (const SizeUnit& unit : kSizes) {
    if (!quantity.number || quantity.unit != unit.name) continue;
    const double value = *quantity.number * static_cast<double>(unit.bytes);
    if (value < 1 || value > 9e18) return TextError{"the size `" + std::string(text) + "` is out of range"};
    bytes = static_cast<int64_t>(value);
    return std::nullopt;
  }
  return TextError{"`" + std::string(text) + "` is not a size", 0, "write it like 512MiB, 2GB or 65536"};
}

std::string ByteSize::text() const {
  for (const SizeUnit& unit : kSizes)
    if (std::string_view(unit.name).ends_with("iB") && bytes % unit.bytes == 0 && bytes > 0)
      return std::to_string(bytes / unit.bytes) + unit.name;
  return std::to_string(bytes);
}

std::optional<TextError> Interval::parse_text(std::string_view text) {
  const Quantity quantity = split_quantity(text);
  std::string unit_name = quantity.unit;
  if (unit_name.size() > 1 && unit_name.back() == 's') unit_name.pop_back();
  if (unit_name.empty() && quantity.number) unit_name = "step";
  const bool has_number = quantity.number || (!text.empty() && !(text[0] >= '0' && text[0] <= '9') && text[0] != '.');
  for (const TimeUnit& known : kTimes) {
    if (unit_name != known.name || !has_number) continue;
    const double value = quantity.number.value_or(1) * static_cast<double>(known.count);
    if (value < 1 || value != std::floor(value) || value > 1e15)
      return TextError{"the interval `" + std::string(text) + "` must be a whole number of at least 1"};
    unit = known.unit;
    count = static_cast<int64_t>(value);
    return std::nullopt;
  }
  return TextError{"`" + std::string(text) + "` is not an interval", 0,
                   "write it like epoch, 1000 steps, 90 seconds or 10 minutes"};
}

std::string Interval::text() const {
  if (unit == Unit::epochs) return count == 1 ? "epoch" : std::to_string(count) + " epochs";
  return std::to_string(count) + (unit == Unit::steps ? " step" : " second") + (count == 1 ? "" : "s");
}

std::optional<TextError> StepInterval::parse_text(std::string_view text) {
  if (auto error = Interval::parse_text(text)) return error;
  if (unit != Unit::seconds) return std::nullopt;
  return TextError{"`" + std::string(text) + "` would make the result depend on the machine's speed", 0,
                   "give epochs or steps: epoch, 1000 steps"};
}

std::optional<TextError> Init::parse_text(std::string_view text) {
  Call call;
  if (auto error = parse_call(text, call)) return error;
  std::vector<std::string> names;
  for (const InitShape& shape : kInits) {
    names.emplace_back(shape.name);
    if (call.name != shape.name) continue;
    if (call.args.size() != shape.args)
      return TextError{"`" + call.name + "` takes " + std::to_string(shape.args) + " number" +
                           (shape.args == 1 ? "" : "s") + ", found " + std::to_string(call.args.size()),
                       0, "write it like normal(0.01), uniform(-0.1, 0.1), constant(1), zeros, fan_in, glorot or he"};
    double numbers[2] = {0, 0};
    for (size_t i = 0; i < call.args.size(); ++i) {
      const auto value = Node::scalar(call.args[i]).as_double();
      if (!value || !std::isfinite(*value)) return TextError{"`" + call.args[i] + "` is not a number", call.offsets[i]};
      if (std::abs(*value) > 1e9) return TextError{call.args[i] + " is too large for a weight", call.offsets[i]};
      numbers[i] = *value;
    }
    if (shape.kind == Kind::normal && numbers[0] < 0)
      return TextError{"the deviation " + call.args[0] + " is negative", call.offsets[0]};
    if (shape.kind == Kind::uniform && !(numbers[0] < numbers[1]))
      return TextError{"uniform needs a lower end below its upper end", call.offsets[0]};
    kind = shape.kind;
    a = numbers[0];
    b = numbers[1];
    return std::nullopt;
  }
  return TextError{"`" + call.name + "` is not an initializer", 0, suggestion(call.name, names)};
}

std::string Init::text() const {
  const InitShape& shape = kInits[static_cast<size_t>(kind)];
  if (shape.args == 0) return shape.name;
  return std::string(shape.name) + "(" + Node::number(a).text + (shape.args == 2 ? ", " + Node::number(b).text : "") +
         ")";
}

std::optional<TextError> MetricCall::parse_text(std::string_view text) {
  Call call;
  if (auto error = parse_call(text, call)) return error;
  name = call.name;
  args = call.args;
  const MetricRule* rule = metric_rule(name);
  if (!rule) return TextError{"`" + name + "` is not a metric", 0, suggestion(name, metric_names())};
  const bool column = rule->argument == MetricRule::Argument::column;
  if (column && args.empty())
    return TextError{"`" + name + "` needs the column of its groups", 0, "write it like " + name + "(user_id)"};
  const size_t most = rule->argument == MetricRule::Argument::none ? 0 : 1;
  if (args.size() > most)
    return TextError{"`" + name + "` takes " + (most ? "one argument" : "no argument"), call.offsets[most]};
  if (!column && !args.empty()) {
    const auto count = Node::scalar(args[0]).as_int();
    if (!count || *count < 1 || *count > 100000)
      return TextError{"`" + name + "` takes a number from 1 to 100000, found `" + args[0] + "`", call.offsets[0]};
  }
  return std::nullopt;
}

std::string MetricCall::text() const {
  std::string out;
  for (const std::string& arg : args) out += (out.empty() ? "" : ", ") + arg;
  return args.empty() ? name : name + "(" + out + ")";
}

std::optional<TextError> BestCall::parse_text(std::string_view text) {
  const size_t dot = text.substr(0, text.find('(')).rfind('.');
  if (dot == std::string_view::npos)
    return TextError{"`" + std::string(text) + "` does not say whose metric", 0,
                     "write it like mean.auc or is_click.auc"};
  scope = text.substr(0, dot);
  auto error = metric.parse_text(text.substr(dot + 1));
  if (error) error->offset += dot + 1;
  return error;
}

std::span<const MetricRule> metric_rules() { return kMetrics; }

const MetricRule* metric_rule(std::string_view name) {
  for (const MetricRule& rule : kMetrics)
    if (name == rule.name) return &rule;
  return nullptr;
}

}  // namespace mtrank
