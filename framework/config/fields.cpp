#include "framework/config/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace mtrank {
namespace {

void wrong_type(const Node& node, const Row& row, const std::string& wanted, Diagnostics& d, std::string help = {}) {
  d.error(Code::wrong_type, node.at, "`" + row.name + "` takes " + wanted + ", found " + node.spoken(),
          std::move(help));
}

std::string number_text(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? std::to_string(static_cast<int64_t>(value)) : Node::number(value).text;
}

void check_bounds(const Node& node, double value, const Row& row, Diagnostics& d) {
  const bool low = row.lower && !(row.lower_open ? value > *row.lower : value >= *row.lower);
  const bool high = row.upper && !(row.upper_open ? value < *row.upper : value <= *row.upper);
  if (low || high)
    d.error(Code::out_of_bounds, node.at, "`" + row.name + "` is " + node.text + ", it must be " + row.bounds());
}

/// The nearest of the choices, which may be the wrong one: so all of them, where they are few.
std::string choice_help(const std::string& value, const std::vector<std::string>& choices) {
  const std::string near = suggestion(value, choices), all = suggestion("", choices);
  return near == all || choices.size() > 8 ? near : near + " " + all;
}

void check_choice(const Node& node, const std::string& value, const Row& row, Diagnostics& d) {
  if (row.choices.empty() || std::find(row.choices.begin(), row.choices.end(), value) != row.choices.end()) return;
  d.error(Code::not_a_choice, node.at, "`" + value + "` is not a choice for `" + row.name + "`",
          choice_help(value, row.choices));
}

/// What to write instead of a number that is none in YAML 1.2.
std::string number_help(const Node& node) {
  if (!node.is_scalar()) return {};
  std::string digits = node.text;
  std::erase_if(digits, [](char c) { return c == '_' || c == ',' || c == ' '; });
  const Node plain = Node::scalar(digits);
  if (const auto value = plain.as_double(); value && std::isfinite(*value)) {
    if (std::abs(*value) < 1e18 && *value == std::floor(*value))
      return "write " + std::to_string(static_cast<int64_t>(*value)) + (node.quoted ? ", without quotes" : "");
    if (node.quoted) return "remove the quotes";
  }
  return {};
}

struct BoolType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    const auto parsed = node.as_bool();
    if (parsed) return void(*static_cast<bool*>(value) = *parsed);
    std::string help;
    if (node.text == "yes" || node.text == "on") help = "write true";
    if (node.text == "no" || node.text == "off") help = "write false";
    wrong_type(node, row, "true or false", d, help);
  }
  Node dump(const void* value) const override { return Node::boolean(*static_cast<const bool*>(value)); }
  std::string name(const Row&) const override { return "bool"; }
};

template <class T>
struct IntegerType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    const auto parsed = node.as_int();
    if (!parsed) return wrong_type(node, row, "an integer", d, number_help(node));
    const bool fits = std::is_signed_v<T> ? *parsed >= static_cast<int64_t>(std::numeric_limits<T>::min()) &&
                                                static_cast<uint64_t>(std::max<int64_t>(*parsed, 0)) <=
                                                    static_cast<uint64_t>(std::numeric_limits<T>::max())
                                          : *parsed >= 0;
    if (!fits) return d.error(Code::out_of_bounds, node.at, "`" + row.name + "` cannot hold " + node.text);
    *static_cast<T*>(value) = static_cast<T>(*parsed);
    check_bounds(node, static_cast<double>(*parsed), row, d);
  }
  Node dump(const void* value) const override {
    return Node::integer(static_cast<int64_t>(*static_cast<const T*>(value)));
  }
  std::string name(const Row&) const override { return "integer"; }
};

template <class T>
struct RealType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    const auto parsed = node.as_double();
    if (!parsed) return wrong_type(node, row, "a number", d, number_help(node));
    if (!std::isfinite(*parsed)) return d.error(Code::out_of_bounds, node.at, "`" + row.name + "` must be finite");
    *static_cast<T*>(value) = static_cast<T>(*parsed);
    check_bounds(node, *parsed, row, d);
  }
  Node dump(const void* value) const override {
    const T number = *static_cast<const T*>(value);
    if constexpr (std::is_same_v<T, double>) return Node::number(number);
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    return Node::scalar(std::string(buffer, end));
  }
  std::string name(const Row&) const override { return "number"; }
};

template <class T>
struct StringType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    if (!node.is_scalar() && !row.choices.empty())
      return wrong_type(node, row, "one of its names", d, suggestion("", row.choices));
    if (!node.is_scalar())
      return wrong_type(node, row, "text", d, node.is_null() ? "quote it: \"" + node.text + "\"" : "");
    if constexpr (std::is_same_v<T, Name>)
      *static_cast<Name*>(value) = Name(node.text, node.at);
    else
      *static_cast<std::string*>(value) = node.text;
    check_choice(node, node.text, row, d);
  }
  Node dump(const void* value) const override { return Node::scalar(*static_cast<const T*>(value), true); }
  std::string name(const Row& row) const override {
    std::string names;
    for (const std::string& choice : row.choices) names += (names.empty() ? "" : " | ") + choice;
    return names.empty() ? "text" : names;
  }
};

struct TreeType final : FieldType {
  void parse(const Node& node, void* value, const Row&, Diagnostics&) const override {
    *static_cast<Node*>(value) = node;
  }
  Node dump(const void* value) const override { return *static_cast<const Node*>(value); }
  std::string name(const Row&) const override { return "any"; }
  bool takes_null() const override { return true; }
};

Fields collect(void* object, const detail::StructInfo& info) {
  Fields fields;
  info.collect(object, fields);
  return fields;
}

const Row* find_row(const Fields& fields, std::string_view name) {
  for (const Row& row : fields.rows)
    if (row.name == name) return &row;
  return nullptr;
}

const Row* selector_of(const Fields& fields) {
  for (const Row& row : fields.rows)
    if (row.is_selector) return &row;
  return nullptr;
}

std::vector<std::string> choices_of(const Row& row) {
  std::vector<std::string> out;
  std::string names = row.type->name(row);
  for (size_t start = 0; start <= names.size();) {
    size_t end = names.find(" | ", start);
    if (end == std::string::npos) end = names.size();
    out.push_back(names.substr(start, end - start));
    start = end + 3;
  }
  return out;
}

/// The choices of the selector for which `row` applies, "" when it always does. `others` gets
/// those for which its value is not `value`: "b: 2".
std::string applies_to(void* object, const detail::StructInfo& info, const std::string& row, const Node& value = {},
                       std::string* others = nullptr) {
  const Fields now = collect(object, info);
  const Row* selector = selector_of(now);
  if (!selector) return {};
  const Node before = selector->type->dump(selector->value);
  Diagnostics ignored;
  std::string names;
  bool always = true;
  for (const std::string& choice : choices_of(*selector)) {
    selector->type->parse(Node::scalar(choice), selector->value, *selector, ignored);
    const Fields fields = collect(object, info);
    const Row* found = find_row(fields, row);
    if (found && found->applies) {
      names += (names.empty() ? "" : ", ") + choice;
      const Node own = found->type->dump(found->value);
      if (others && !found->is_selector && own.is_scalar() && !own.same_value(value))
        *others += ", " + choice + ": " + own.text;
    } else {
      always = false;
    }
  }
  selector->type->parse(before, selector->value, *selector, ignored);
  return always ? std::string() : names;
}

std::string unknown_key_help(const std::string& key, const Fields& fields) {
  if (key.find(')') != std::string::npos) return "inside { } and [ ] a comma ends the value: quote the text before it";
  std::vector<std::string> names;
  for (const Row& row : fields.rows)
    if (row.applies) names.push_back(row.name);
  return suggestion(key, names, "keys here");
}

void parse_entry(const Node::Entry& entry, void* object, const detail::StructInfo& info, const Fields& fields,
                 Diagnostics& d) {
  const Row* row = find_row(fields, entry.key);
  if (!row)
    return d.error(Code::unknown_key, entry.at, "unknown key `" + entry.key + "`", unknown_key_help(entry.key, fields));
  if (!row->applies) {
    const Row* selector = selector_of(fields);
    const std::string chosen = selector ? selector->type->dump(selector->value).text : "";
    const std::string where = applies_to(object, info, entry.key);
    return d.error(Code::does_not_apply, entry.at, "`" + entry.key + "` does not apply to `" + chosen + "`",
                   where.empty() ? "" : "it belongs to " + where);
  }
  if (entry.value.is_null() && !row->type->takes_null())
    return d.error(Code::wrong_type, entry.at, "`" + entry.key + "` has no value",
                   "give it one, or remove the key for its default");
  row->type->parse(entry.value, row->value, *row, d);
}

}  // namespace

std::vector<FieldInfo> FieldType::children() const { return {}; }

std::string Row::bounds() const {
  if (lower && upper)
    return std::string("in ") + (lower_open ? "(" : "[") + number_text(*lower) + ", " + number_text(*upper) +
           (upper_open ? ")" : "]");
  if (lower) return (lower_open ? "above " : "at least ") + number_text(*lower);
  if (upper) return (upper_open ? "below " : "at most ") + number_text(*upper);
  return {};
}

namespace detail {

void parse_struct(const Node& node, void* object, const StructInfo& info, Diagnostics& d) {
  Fields fields = collect(object, info);
  const Row* selector = selector_of(fields);
  if (node.is_scalar() && selector) {
    selector->type->parse(node, selector->value, *selector, d);
    if (info.check) info.check(object, node, d);
    return;
  }
  if (!node.is_map() && !node.is_null()) {
    return d.error(Code::wrong_type, node.at, "expected a map of settings, found " + node.spoken(),
                   unknown_key_help("", fields));
  }
  bool known = true;
  if (const Node* choice = selector ? node.find(selector->name) : nullptr; choice && !choice->is_null()) {
    const int before = d.errors();
    selector->type->parse(*choice, selector->value, *selector, d);
    known = d.errors() == before;
    fields = collect(object, info);
    selector = selector_of(fields);
  }
  // With an unknown type nobody can say which keys fit or are missing, but each can still be looked at.
  if (!known)
    for (Row& row : fields.rows) row.applies = true;
  for (const Node::Entry& entry : node.entries)
    if (!selector || entry.key != selector->name || entry.value.is_null()) parse_entry(entry, object, info, fields, d);
  if (!known) return;
  for (const Row& row : fields.rows) {
    if (row.is_required && row.applies && !node.find(row.name))
      d.error(Code::missing_key, node.at, "`" + row.name + "` is missing", row.help);
  }
  if (info.check) info.check(object, node, d);
}

Node dump_struct(void* object, const StructInfo& info) {
  Node node = Node::map();
  for (const Row& row : collect(object, info).rows)
    if (row.applies) {
      Node value = row.type->dump(row.value);
      if (value.is_null() && row.type->name(row).find(" or ") != std::string::npos)
        value = Node::scalar(row.unset_word);
      node.set(row.name, std::move(value));
    }
  return node;
}

std::vector<FieldInfo> describe_struct(void* object, const StructInfo& info) {
  std::vector<FieldInfo> out;
  for (const Row& row : collect(object, info).rows) {
    const Node value = row.type->dump(row.value);
    std::string others;
    FieldInfo field{row.name,
                    row.type->name(row),
                    {},
                    row.bounds(),
                    row.help,
                    applies_to(object, info, row.name, value, &others),
                    row.type->children()};
    field.other_defaults = others;
    if (row.is_required)
      field.default_text = "required";
    else if (value.is_null())
      field.default_text = row.unset_word;
    else if (value.is_scalar())
      field.default_text = value.text.empty() ? "\"\"" : value.text;
    else if (!value.is_map() || value.entries.empty())
      field.default_text = write_json(value);
    out.push_back(std::move(field));
  }
  return out;
}

void parse_enum(const Node& node, int* value, std::span<const char* const> names, const Row& row, Diagnostics& d) {
  std::vector<std::string> choices(names.begin(), names.end());
  if (!node.is_scalar()) return wrong_type(node, row, "one of its names", d, suggestion("", choices));
  for (size_t i = 0; i < choices.size(); ++i)
    if (choices[i] == node.text) return void(*value = static_cast<int>(i));
  d.error(Code::not_a_choice, node.at, "`" + node.text + "` is not a choice for `" + row.name + "`",
          choice_help(node.text, choices));
}

void report_text_error(const Node& node, const TextError& error, Diagnostics& d) {
  Location at = node.at;
  // Escapes and folded lines would need a map of their own; then the whole value is underlined.
  if (error.offset > 0 && at.length >= static_cast<int>(error.offset)) {
    at.column += static_cast<int>(error.offset) + (node.quoted ? 1 : 0);
    at.length = 1;
  }
  d.error(Code::malformed, at, error.message, error.help);
}

bool expect_list(const Node& node, const Row& row, const std::string& type, Diagnostics& d) {
  if (node.is_map() && type == "list of maps") return true;
  if (node.is_map()) return wrong_type(node, row, "a " + type, d), false;
  if (node.is_list() && node.items.size() < row.min_count)
    return d.error(Code::out_of_bounds, node.at,
                   "`" + row.name + "` needs at least " + std::to_string(row.min_count) + " value" +
                       (row.min_count == 1 ? "" : "s") + ", found " + std::to_string(node.items.size())),
           false;
  return true;
}

bool expect_map(const Node& node, const Row& row, Diagnostics& d) {
  if (node.is_map()) return true;
  if (!node.is_null()) wrong_type(node, row, "a map of names", d);
  return false;
}

bool expect_text(const Node& node, const Row& row, const std::string& type, Diagnostics& d) {
  if (node.is_scalar()) return true;
  wrong_type(node, row, (type.find_first_of("aeio") == 0 ? "an " : "a ") + type, d);
  return false;
}

bool is_unset(const Node& node, const Row& row) {
  return node.is_null() || (node.is_scalar() && !node.quoted && node.text == row.unset_word);
}

std::string plural(const std::string& type) {
  if (type == "text") return "texts";
  if (type.find(" | ") != std::string::npos || type.find(" of ") != std::string::npos) return type;
  return type + "s";
}

}  // namespace detail

template <>
const FieldType& field_type<bool>() {
  static const BoolType type;
  return type;
}
template <>
const FieldType& field_type<int>() {
  static const IntegerType<int> type;
  return type;
}
template <>
const FieldType& field_type<int64_t>() {
  static const IntegerType<int64_t> type;
  return type;
}
template <>
const FieldType& field_type<uint64_t>() {
  static const IntegerType<uint64_t> type;
  return type;
}
template <>
const FieldType& field_type<float>() {
  static const RealType<float> type;
  return type;
}
template <>
const FieldType& field_type<double>() {
  static const RealType<double> type;
  return type;
}
template <>
const FieldType& field_type<std::string>() {
  static const StringType<std::string> type;
  return type;
}
template <>
const FieldType& field_type<Name>() {
  static const StringType<Name> type;
  return type;
}
template <>
const FieldType& field_type<Node>() {
  static const TreeType type;
  return type;
}

namespace {
void add_rows(const std::vector<FieldInfo>& fields, const std::string& prefix, std::string& out) {
  const auto cell = [](std::string text) {
    for (size_t i = 0; (i = text.find('|', i)) != std::string::npos; i += 2) text.insert(i, 1, '\\');
    return text;
  };
  for (const FieldInfo& field : fields) {
    std::string help = field.help;
    if (!field.bounds.empty()) help += "; " + field.bounds;
    if (!field.applies_to.empty()) help += " (" + field.applies_to + ")";
    out += "| `" + prefix + field.name + "` | " + cell(field.type) + " | " +
           (field.default_text.empty() ? "" : "`" + cell(field.default_text) + "`" + cell(field.other_defaults)) +
           " | " + cell(help) + " |\n";
    add_rows(field.children, prefix + field.name + ".", out);
  }
}
}  // namespace

std::string fields_markdown(const std::vector<FieldInfo>& fields) {
  std::string out = "| key | type | default | |\n|---|---|---|---|\n";
  add_rows(fields, "", out);
  return out;
}

}  // namespace mtrank
