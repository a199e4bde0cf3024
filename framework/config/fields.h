#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "framework/config/diagnostics.h"
#include "framework/config/node.h"

/// A config field is one row: name, default, bounds, help. A struct lists its rows once; parsing, the resolved config,
/// comparison and the reference docs all read them:
///
///     struct MlpConfig {
///       std::vector<int64_t> hidden;
///       std::string activation = "relu";
///       double dropout = 0;
///       void fields(Fields& f) {
///         f("hidden", hidden, "sizes of the hidden layers").min(1).required();
///         f("activation", activation, "after each layer").one_of({"relu", "gelu", "none"});
///         f("dropout", dropout, "share of activations dropped in training").min(0).below(1);
///       }
///     };
///     MlpConfig config;
///     parse_fields(node, config, diagnostics);   // strict; every problem of the node is reported
///     Node resolved = to_node(config);           // every default filled in
///
/// Types: bool, int, int64_t, uint64_t, float, double, std::string, Name (keeps its position), enums with an
/// `enum_names` (found by argument-dependent lookup), structs with `fields`, std::optional<T>, std::vector<T>,
/// OrderedMap<T>, and types that read one text themselves (`parse_text`) or a whole node (`parse_node`).
namespace mtrank {

class Fields;
class Row;
struct FieldInfo;

/// A map in the order written.
template <class T>
struct OrderedMap : std::vector<std::pair<Name, T>> {
  const T* get(std::string_view key) const {
    for (const auto& [name, value] : *this)
      if (name == key) return &value;
    return nullptr;
  }
};

/// What is wrong with a piece of text, and how far into it.
struct TextError {
  std::string message;
  size_t offset = 0;
  std::string help = {};
};

/// How to read, write and name one C++ type; the implementations of plain types are in fields.cpp.
class FieldType {
 public:
  virtual ~FieldType() = default;
  virtual void parse(const Node& node, void* value, const Row& row, Diagnostics& diagnostics) const = 0;
  virtual Node dump(const void* value) const = 0;
  virtual std::string name(const Row& row) const = 0;
  virtual bool takes_null() const { return false; }
  /// The rows of a struct, or of what a list, map or optional holds; nothing for leaves. Used by the docs.
  virtual std::vector<FieldInfo> children() const;
};

/// One field. Bounds and choices hold for every element of a list.
class Row {
 public:
  Row(const char* name, void* value, const FieldType* type, const char* help)
      : name(name), value(value), type(type), help(help) {}
  Row& min(double bound) { return lower = bound, *this; }
  Row& max(double bound) { return upper = bound, *this; }
  Row& above(double bound) { return lower = bound, lower_open = true, *this; }
  Row& below(double bound) { return upper = bound, upper_open = true, *this; }
  Row& one_of(std::vector<std::string> names) { return choices = std::move(names), *this; }
  Row& at_least(size_t count) { return min_count = count, *this; }  ///< elements of a list
  Row& required() { return is_required = true, *this; }
  /// The word for an unset optional, "none" when not given.
  Row& unset(const char* text) { return unset_word = text, *this; }
  /// This row decides which others apply; a scalar in place of the map stands for it: `optimizer: adam`.
  Row& selects() { return is_selector = true, *this; }
  /// The row applies only if the condition on the selector holds.
  Row& only_if(bool condition) { return applies = condition, *this; }

  std::string name;
  void* value;
  const FieldType* type;
  const char* help;
  std::optional<double> lower, upper;
  bool lower_open = false, upper_open = false;
  std::vector<std::string> choices;
  size_t min_count = 0;
  bool is_required = false, is_selector = false, applies = true;
  const char* unset_word = "none";

  /// "in [0, 1)", "one of a, b", "" without bounds.
  std::string bounds() const;
};

template <class T>
const FieldType& field_type();

/// Collects the rows of one struct.
class Fields {
 public:
  template <class T>
  Row& operator()(const char* name, T& value, const char* help) {
    return rows.emplace_back(name, &value, &field_type<T>(), help);
  }
  std::vector<Row> rows;
};

/// A row of the reference docs.
struct FieldInfo {
  std::string name, type, default_text, bounds, help;
  std::string applies_to;  ///< "adam, adamw" where only some choices of the selector have it
  std::vector<FieldInfo> children;
  std::string other_defaults = {};  ///< ", adagrad: 1": of choices that have another
};

namespace detail {
using Collect = void (*)(void* object, Fields& fields);
using Check = void (*)(const void* object, const Node& node, Diagnostics& diagnostics);
struct StructInfo {
  Collect collect;
  Check check;  ///< may be nullptr
};
void parse_struct(const Node& node, void* object, const StructInfo& info, Diagnostics& diagnostics);
Node dump_struct(void* object, const StructInfo& info);
std::vector<FieldInfo> describe_struct(void* object, const StructInfo& info);
void parse_enum(const Node& node, int* value, std::span<const char* const> names, const Row& row, Diagnostics& d);
void report_text_error(const Node& node, const TextError& error, Diagnostics& diagnostics);
bool expect_list(const Node& node, const Row& row, const std::string& type, Diagnostics& diagnostics);
bool expect_map(const Node& node, const Row& row, Diagnostics& diagnostics);
bool expect_text(const Node& node, const Row& row, const std::string& type, Diagnostics& diagnostics);
bool is_unset(const Node& node, const Row& row);
std::string plural(const std::string& type);

template <class T>
concept HasFields = requires(T t, Fields f) {
  t.fields(f);
};
template <class T>
concept HasText = requires(T t, std::string_view s) {
  t.parse_text(s);
};
template <class T>
concept HasNode = requires(T t, const Node& n, Diagnostics& d) {
  t.parse_node(n, d);
};
template <class T>
concept HasCheck = requires(const T t, const Node& n, Diagnostics& d) {
  t.check(n, d);
};

template <class T>
const StructInfo& struct_info() {
  static constexpr Check check = [] {
    if constexpr (HasCheck<T>)
      return +[](const void* o, const Node& n, Diagnostics& d) { static_cast<const T*>(o)->check(n, d); };
    else
      return static_cast<Check>(nullptr);
  }();
  static constexpr StructInfo info{[](void* o, Fields& f) { static_cast<T*>(o)->fields(f); }, check};
  return info;
}

template <class T>
struct StructType final : FieldType {
  void parse(const Node& node, void* value, const Row&, Diagnostics& d) const override {
    parse_struct(node, value, struct_info<T>(), d);
  }
  Node dump(const void* value) const override { return dump_struct(const_cast<void*>(value), struct_info<T>()); }
  std::string name(const Row&) const override { return "map"; }
  bool takes_null() const override { return true; }
  std::vector<FieldInfo> children() const override {
    T object{};
    return describe_struct(&object, struct_info<T>());
  }
};

/// bool-, text- and node-like user types: `std::optional<TextError> parse_text(std::string_view)`, `std::string text()
/// const`, `static const char* type_name()`.
template <class T>
struct TextType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    if (!expect_text(node, row, T::type_name(), d)) return;
    if (auto error = static_cast<T*>(value)->parse_text(node.text)) return report_text_error(node, *error, d);
    if constexpr (requires(T t) { t.at; }) static_cast<T*>(value)->at = node.at;
  }
  Node dump(const void* value) const override { return Node::scalar(static_cast<const T*>(value)->text()); }
  std::string name(const Row&) const override { return T::type_name(); }
};

/// `void parse_node(const Node&, Diagnostics&)`, `Node to_node() const`, `static const char* type_name()`.
template <class T>
struct NodeType final : FieldType {
  void parse(const Node& node, void* value, const Row&, Diagnostics& d) const override {
    static_cast<T*>(value)->parse_node(node, d);
  }
  Node dump(const void* value) const override { return static_cast<const T*>(value)->to_node(); }
  std::string name(const Row&) const override { return T::type_name(); }
  bool takes_null() const override { return true; }
};

template <class T>
struct EnumType final : FieldType {
  static_assert(sizeof(T) == sizeof(int));
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    int chosen = static_cast<int>(*static_cast<T*>(value));
    parse_enum(node, &chosen, enum_names(T{}), row, d);
    *static_cast<T*>(value) = static_cast<T>(chosen);
  }
  Node dump(const void* value) const override {
    return Node::scalar(enum_names(T{})[static_cast<size_t>(*static_cast<const T*>(value))]);
  }
  std::string name(const Row&) const override {
    std::string names;
    for (const char* choice : enum_names(T{})) names += (names.empty() ? "" : " | ") + std::string(choice);
    return names;
  }
};

template <class T>
struct OptionalType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    auto& optional = *static_cast<std::optional<T>*>(value);
    if (is_unset(node, row)) return optional.reset();
    if (!optional) optional.emplace();
    field_type<T>().parse(node, &*optional, row, d);
  }
  Node dump(const void* value) const override {
    const auto& optional = *static_cast<const std::optional<T>*>(value);
    return optional ? field_type<T>().dump(&*optional) : Node{};
  }
  std::string name(const Row& row) const override { return field_type<T>().name(row) + " or " + row.unset_word; }
  bool takes_null() const override { return true; }
  std::vector<FieldInfo> children() const override { return field_type<T>().children(); }
};

/// A list; one value alone stands for a list of one.
template <class T>
struct ListType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    auto& list = *static_cast<std::vector<T>*>(value);
    list.clear();
    if (!expect_list(node, row, name(row), d)) return;
    const size_t count = node.is_list() ? node.items.size() : 1;
    for (size_t i = 0; i < count; ++i) {
      T element{};
      field_type<T>().parse(node.is_list() ? node.items[i] : node, &element, row, d);
      list.push_back(std::move(element));
    }
  }
  Node dump(const void* value) const override {
    Node node = Node::list();
    for (const T& element : *static_cast<const std::vector<T>*>(value))
      node.items.push_back(field_type<T>().dump(&element));
    return node;
  }
  std::string name(const Row& row) const override { return "list of " + plural(field_type<T>().name(row)); }
  std::vector<FieldInfo> children() const override { return field_type<T>().children(); }
};

template <class T>
struct MapType final : FieldType {
  void parse(const Node& node, void* value, const Row& row, Diagnostics& d) const override {
    auto& map = *static_cast<OrderedMap<T>*>(value);
    if (!expect_map(node, row, d)) return;
    for (const Node::Entry& entry : node.entries) {
      T element{};
      field_type<T>().parse(entry.value, &element, row, d);
      map.emplace_back(Name(entry.key, entry.at), std::move(element));
    }
  }
  Node dump(const void* value) const override {
    Node node = Node::map();
    for (const auto& [key, element] : *static_cast<const OrderedMap<T>*>(value))
      node.set(key, field_type<T>().dump(&element));
    return node;
  }
  std::string name(const Row& row) const override { return "map of " + plural(field_type<T>().name(row)); }
  bool takes_null() const override { return true; }
  std::vector<FieldInfo> children() const override { return field_type<T>().children(); }
};

template <class T>
struct TypeFor;
template <class T>
requires HasFields<T>
struct TypeFor<T> : std::type_identity<StructType<T>> {
};
template <class T>
requires HasText<T>
struct TypeFor<T> : std::type_identity<TextType<T>> {
};
template <class T>
requires HasNode<T>
struct TypeFor<T> : std::type_identity<NodeType<T>> {
};
template <class T>
requires std::is_enum_v<T>
struct TypeFor<T> : std::type_identity<EnumType<T>> {
};
template <class T>
struct TypeFor<std::optional<T>> : std::type_identity<OptionalType<T>> {};
template <class T>
struct TypeFor<std::vector<T>> : std::type_identity<ListType<T>> {};
template <class T>
struct TypeFor<OrderedMap<T>> : std::type_identity<MapType<T>> {};
}  // namespace detail

template <class T>
const FieldType& field_type() {
  static const typename detail::TypeFor<T>::type type;
  return type;
}
template <>
const FieldType& field_type<bool>();
template <>
const FieldType& field_type<int>();
template <>
const FieldType& field_type<int64_t>();
template <>
const FieldType& field_type<uint64_t>();
template <>
const FieldType& field_type<float>();
template <>
const FieldType& field_type<double>();
template <>
const FieldType& field_type<std::string>();
template <>
const FieldType& field_type<Name>();
template <>
const FieldType& field_type<Node>();  ///< any subtree, kept as it is

/// Reads `node` (a map, or null for "all defaults") into `out`. A struct may have `void check(const Node&,
/// Diagnostics&) const` for what one row cannot say; it runs after the rows.
template <class T>
void parse_fields(const Node& node, T& out, Diagnostics& diagnostics) {
  detail::parse_struct(node, &out, detail::struct_info<T>(), diagnostics);
}

/// The struct as a tree with every default filled in.
template <class T>
Node to_node(const T& value) {
  return detail::dump_struct(const_cast<T*>(&value), detail::struct_info<T>());
}

/// The rows of a struct for the docs, defaults taken from `object`.
template <class T>
std::vector<FieldInfo> describe_fields(T object = {}) {
  return detail::describe_struct(&object, detail::struct_info<T>());
}

/// A markdown table of the rows, nested ones as `outer.inner`.
std::string fields_markdown(const std::vector<FieldInfo>& fields);

/// The name of an enumerator as configs write it.
template <class E>
const char* enum_name(E value) {
  return enum_names(E{})[static_cast<size_t>(value)];
}

}  // namespace mtrank
