#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

namespace mtrank {

/// Arithmetic over task probabilities: `is_click * long_view`, `0.3 * click + 0.7 * (cart + checkout)`.
///     sum := product (('+'|'-') product)*; product := atom (('*'|'/') atom)*; atom := number | name | '-' atom | '('
///     sum ')'
struct Expression {
  enum class Op { number, name, add, subtract, multiply, divide, negate };
  Op op = Op::number;
  double value = 0;              ///< of a number
  std::string name;              ///< of a name
  size_t offset = 0;             ///< of this node in the text
  std::vector<Expression> args;  ///< one for negate, two for the operators
  std::string source;            ///< the text (of the whole expression only)
  Location at;                   ///< likewise

  /// The names in order of appearance, each with its own position.
  std::vector<Name> names() const;
  /// Whether it is a single name or a product of names only.
  bool is_product() const;

  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const { return source; }
  static const char* type_name() { return "expression"; }
};

enum class Compare { equal, not_equal, less, less_equal, greater, greater_equal };
const char* compare_symbol(Compare op);
/// NaN (a missing label) satisfies nothing, `!=` included.
bool compare(double left, Compare op, double right);

/// One or more comparisons of labels with numbers: `is_click == 1 and play_time >= 3000`.
struct Condition {
  struct Clause {
    std::string name;
    Compare op = Compare::equal;
    double value = 0;
    size_t offset = 0;
  };
  std::vector<Clause> clauses;  ///< all of them must hold
  std::string source;
  Location at;

  std::vector<Name> names() const;
  std::optional<TextError> parse_text(std::string_view text);
  std::string text() const { return source; }
  static const char* type_name() { return "condition"; }
};

/// Which values of a label's column count as positive: exact texts, or a comparison such as ">= 30000".
struct Positive {
  std::vector<std::string> values;  ///< empty with a comparison
  std::optional<Compare> op;
  double value = 0;

  void parse_node(const Node& node, Diagnostics& diagnostics);
  Node to_node() const;
  static const char* type_name() { return "list of texts, or a comparison"; }
};

}  // namespace mtrank
