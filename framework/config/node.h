#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mtrank {

class Diagnostics;

/// A text that positions point into: a config file, or one `--set a.b=c`.
struct Source {
  std::string name;
  std::string text;
};

/// Where something was written. Line and column count from 1; the column counts code points, as editors do.
struct Location {
  std::shared_ptr<const Source> source;
  int line = 0;
  int column = 0;
  int length = 1;  ///< code points to underline
  bool known() const { return source != nullptr; }
};

/// A piece of text from the config that remembers where it stood, so that a later check can point at it.
struct Name : std::string {
  Name() = default;
  Name(std::string text, Location where = {}) : std::string(std::move(text)), at(std::move(where)) {}  // NOLINT
  Name(const char* text) : std::string(text) {}                                                        // NOLINT
  Location at;
};

/// One node of a YAML tree with its position. A value type: copying copies the subtree.
/// Scalars keep the text as written; the `as_` functions read it by the core schema of YAML 1.2 (`010` is ten, `yes` is
/// text).
struct Node {
  enum class Kind { null, scalar, list, map };
  struct Entry;

  Kind kind = Kind::null;
  std::string text;            ///< of a scalar
  bool quoted = false;         ///< a quoted or block scalar is text, whatever it looks like
  bool from_override = false;  ///< given by --set
  Location at;                 ///< of the value
  std::vector<Node> items;     ///< of a list
  std::vector<Entry> entries;  ///< of a map, in the order written

  static Node scalar(std::string text, bool quoted = false);
  static Node number(double value);
  static Node integer(int64_t value);
  static Node boolean(bool value);
  static Node list();
  static Node list(std::vector<Node> items);
  static Node map();

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }

  /// The value under `key`, or nullptr when this is no map or has no such key.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  const Entry* find_entry(std::string_view key) const;
  /// Walks a dotted path such as `train.schedule.type`.
  const Node* find_path(std::string_view path) const;
  /// Sets or replaces a key (at the end when new).
  Node& set(std::string key, Node value);
  bool erase(std::string_view key);

  std::optional<bool> as_bool() const;
  std::optional<int64_t> as_int() const;
  std::optional<double> as_double() const;  ///< integers too
  /// What a user would call this: "a list", "the text `abc`", "the number 3".
  std::string spoken() const;

  /// Same shape and same values; positions and the spelling of numbers do not matter.
  bool same_value(const Node& other) const;
};

struct Node::Entry {
  std::string key;
  Location at;  ///< of the key
  Node value;
};

/// Longer texts are refused. Thousands of features fit, also with every default written out.
constexpr size_t kMaxConfigBytes = size_t{8} << 20;

/// Parses one strict YAML document. Problems (bad UTF-8, syntax, tabs, duplicate keys, cyclic anchors, too deep, too
/// big, a second document) go to `diagnostics` with their place; time and memory are bounded whatever the input.
/// Returns what could be read, a null node when nothing could.
Node parse_yaml(std::string_view text, const std::string& name, Diagnostics& diagnostics);
Node parse_yaml(std::shared_ptr<const Source> source, Diagnostics& diagnostics);

/// Writes a tree so that parse_yaml reads the same values back: block maps, short leaves in flow style, strings quoted
/// where needed.
std::string write_yaml(const Node& node);
/// The same tree as one line of JSON, keys in order.
std::string write_json(const Node& node);

}  // namespace mtrank
