#include "framework/config/node.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "framework/core/decimal.h"

namespace mtrank {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view text, bool& negative) {
  negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return text;
}

template <class T>
std::optional<T> whole(std::string_view digits, int base) {
  T value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string shortest(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  std::array<char, 40> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), result.ptr);
}

}  // namespace

Node Node::scalar(std::string text, bool quoted) {
  Node node;
  node.kind = Kind::scalar;
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

Node Node::number(double value) { return scalar(shortest(value)); }
Node Node::integer(int64_t value) { return scalar(std::to_string(value)); }
Node Node::boolean(bool value) { return scalar(value ? "true" : "false"); }

Node Node::list() { return list({}); }

Node Node::list(std::vector<Node> items) {
  Node node;
  node.kind = Kind::list;
  node.items = std::move(items);
  return node;
}

Node Node::map() {
  Node node;
  node.kind = Kind::map;
  return node;
}

const Node::Entry* Node::find_entry(std::string_view key) const {
  for (const Entry& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

const Node* Node::find(std::string_view key) const {
  const Entry* entry = find_entry(key);
  return entry ? &entry->value : nullptr;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

const Node* Node::find_path(std::string_view path) const {
  const Node* node = this;
  while (node && !path.empty()) {
    const size_t dot = path.find('.');
    node = node->find(path.substr(0, dot));
    path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
  }
  return node;
}

Node& Node::set(std::string key, Node value) {
  if (Node* old = find(key)) return *old = std::move(value);
  kind = Kind::map;
  Location where = value.at;
  return entries.emplace_back(Entry{std::move(key), std::move(where), std::move(value)}).value;
}

bool Node::erase(std::string_view key) {
  return std::erase_if(entries, [&](const Entry& entry) { return entry.key == key; }) > 0;
}

std::optional<bool> Node::as_bool() const {
  if (!is_scalar() || quoted) return std::nullopt;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::optional<int64_t> Node::as_int() const {
  if (!is_scalar() || quoted) return std::nullopt;
  if (text.starts_with("0o")) return whole<int64_t>(std::string_view(text).substr(2), 8);
  if (text.starts_with("0x")) return whole<int64_t>(std::string_view(text).substr(2), 16);
  bool negative = false;
  const std::string_view digits = without_sign(text, negative);
  if (digits.empty() || !is_digit(digits.front())) return std::nullopt;
  return whole<int64_t>(negative ? std::string_view(text) : digits, 10);
}

std::optional<double> Node::as_double() const {
  if (auto integer = as_int()) return static_cast<double>(*integer);
  if (!is_scalar() || quoted) return std::nullopt;
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return std::numeric_limits<double>::quiet_NaN();
  bool negative = false;
  const std::string_view digits = without_sign(text, negative);
  if (digits == ".inf" || digits == ".Inf" || digits == ".INF")
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  if (digits.starts_with('-')) return std::nullopt;
  const std::optional<double> value = parse_decimal(digits);
  return value && negative ? 0 - *value : value;  // no -0, which would be written as the integer
}

std::string Node::spoken() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::scalar:
      break;
  }
  const std::string shown = text.size() > 60 ? text.substr(0, 57) + "..." : text;
  if (as_double()) return "the number " + shown;
  if (as_bool()) return shown;
  return "the text `" + shown + "`";
}

bool Node::same_value(const Node& other) const {
  if (kind != other.kind || items.size() != other.items.size() || entries.size() != other.entries.size()) return false;
  if (is_scalar() && text != other.text) {
    const auto i = as_int(), j = other.as_int();  // which a double may round
    const auto a = as_double(), b = other.as_double();
    if (i && j ? *i != *j : !a || !b || *a != *b) return false;
  }
  for (size_t i = 0; i < items.size(); ++i)
    if (!items[i].same_value(other.items[i])) return false;
  for (const Entry& entry : entries) {
    const Node* match = other.find(entry.key);
    if (!match || !entry.value.same_value(*match)) return false;
  }
  return true;
}

}  // namespace mtrank
