#include "framework/config/expression.h"

#include <algorithm>
#include <cmath>

namespace mtrank {
namespace {

bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads names, numbers and symbols; the first error wins.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { skip(); }
  bool done() const { return at_ == text_.size(); }
  size_t offset() const { return at_; }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool accept(std::string_view symbol) {
    if (text_.substr(at_, symbol.size()) != symbol) return false;
    at_ += symbol.size();
    skip();
    return true;
  }
  std::string name() {
    const size_t start = at_;
    while (!done() && (starts_name(peek()) || is_digit(peek()))) ++at_;
    std::string out(text_.substr(start, at_ - start));
    skip();
    return out;
  }
  std::optional<double> number() {
    const size_t start = at_;
    if (peek() == '-' || peek() == '+') ++at_;
    while (!done() && (is_digit(peek()) || peek() == '.')) ++at_;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '-' || peek() == '+') ++at_;
      while (!done() && is_digit(peek())) ++at_;
    }
    const auto value = Node::scalar(std::string(text_.substr(start, at_ - start))).as_double();
    if (!value || !std::isfinite(*value)) return at_ = start, std::nullopt;
    skip();
    return value;
  }
  std::string found() const { return done() ? "the end" : std::string("`") + peek() + "`"; }

 private:
  void skip() {
    while (!done() && text_[at_] == ' ') ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : scan_(text) {}
  std::optional<TextError> parse(Expression& out) {
    out = sum();
    if (!error_ && !scan_.done()) fail("expected an operator, found " + scan_.found());
    return error_;
  }

 private:
  static constexpr int kMaxDepth = 100;

  void fail(std::string message) {
    if (!error_)
      error_ = TextError{std::move(message), scan_.offset(), "write it like `click * 0.5 + (cart - buy) / 2`"};
  }
  static Expression binary(Expression::Op op, size_t offset, Expression left, Expression right) {
    Expression out;
    out.op = op;
    out.offset = offset;
    out.args.push_back(std::move(left));
    out.args.push_back(std::move(right));
    return out;
  }
  Expression sum() {
    Expression left = product();
    while (!error_ && (scan_.peek() == '+' || scan_.peek() == '-')) {
      const size_t offset = scan_.offset();
      const auto op = scan_.accept("+") ? Expression::Op::add : (scan_.accept("-"), Expression::Op::subtract);
      left = binary(op, offset, std::move(left), product());
    }
    return left;
  }
  Expression product() {
    Expression left = atom();
    while (!error_ && (scan_.peek() == '*' || scan_.peek() == '/')) {
      const size_t offset = scan_.offset();
      const auto op = scan_.accept("*") ? Expression::Op::multiply : (scan_.accept("/"), Expression::Op::divide);
      left = binary(op, offset, std::move(left), atom());
    }
    return left;
  }
  Expression atom() {
    Expression out;
    out.offset = scan_.offset();
    // Chains of operators build left-deep trees, so they count too.
    if (++nodes_ > kMaxDepth) return fail("longer than " + std::to_string(kMaxDepth) + " terms"), out;
    if (scan_.accept("(")) {
      out = sum();
      if (!error_ && !scan_.accept(")")) fail("expected `)`, found " + scan_.found());
    } else if (scan_.accept("-")) {
      out.op = Expression::Op::negate;
      out.args.push_back(atom());
    } else if (starts_name(scan_.peek())) {
      out.op = Expression::Op::name;
      out.name = scan_.name();
    } else if (const auto value = scan_.number()) {
      out.value = *value;
    } else {
      fail("expected a task or a number, found " + scan_.found());
    }
    return out;
  }

  Scanner scan_;
  std::optional<TextError> error_;
  int nodes_ = 0;
};

Name located(const std::string& name, size_t offset, const Location& whole, size_t text_size) {
  Location at = whole;
  const int quote = at.length == static_cast<int>(text_size) + 2 ? 1 : 0;
  if (at.length >= static_cast<int>(text_size)) {
    at.column += static_cast<int>(offset) + quote;
    at.length = static_cast<int>(name.size());
  }
  return Name(name, at);
}

void collect_names(const Expression& node, const Expression& whole, std::vector<Name>& out) {
  if (node.op == Expression::Op::name) out.push_back(located(node.name, node.offset, whole.at, whole.source.size()));
  for (const Expression& arg : node.args) collect_names(arg, whole, out);
}

constexpr const char* kSymbols[] = {"==", "!=", "<", "<=", ">", ">="};

std::optional<Compare> accept_compare(Scanner& scan) {
  for (const Compare op : {Compare::equal, Compare::not_equal, Compare::less_equal, Compare::greater_equal,
                           Compare::less, Compare::greater})
    if (scan.accept(compare_symbol(op))) return op;
  return std::nullopt;
}

}  // namespace

std::vector<Name> Expression::names() const {
  std::vector<Name> out;
  collect_names(*this, *this, out);
  return out;
}

bool Expression::is_product() const {
  if (op == Op::name) return true;
  return op == Op::multiply && args[0].is_product() && args[1].is_product();
}

std::optional<TextError> Expression::parse_text(std::string_view input) {
  *this = {};
  auto error = ExpressionParser(input).parse(*this);
  source = input;
  return error;
}

const char* compare_symbol(Compare op) { return kSymbols[static_cast<size_t>(op)]; }

bool compare(double left, Compare op, double right) {
  if (std::isnan(left) || std::isnan(right)) return false;
  switch (op) {
    case Compare::equal:
      return left == right;
    case Compare::not_equal:
      return left != right;
    case Compare::less:
      return left < right;
    case Compare::less_equal:
      return left <= right;
    case Compare::greater:
      return left > right;
    case Compare::greater_equal:
      return left >= right;
  }
  return false;
}

std::vector<Name> Condition::names() const {
  std::vector<Name> out;
  for (const Clause& clause : clauses) out.push_back(located(clause.name, clause.offset, at, source.size()));
  return out;
}

std::optional<TextError> Condition::parse_text(std::string_view input) {
  clauses.clear();
  source = input;
  Scanner scan(input);
  const auto fail = [&](const std::string& what) {
    return TextError{"expected " + what + ", found " + scan.found(), scan.offset(),
                     "write it like `is_click == 1 and rating >= 3`"};
  };
  do {
    Clause clause;
    clause.offset = scan.offset();
    if (!starts_name(scan.peek())) return fail("a label");
    clause.name = scan.name();
    const auto op = accept_compare(scan);
    if (!op) return fail("one of == != < <= > >=");
    clause.op = *op;
    const auto value = scan.number();
    if (!value) return fail("a number");
    clause.value = *value;
    clauses.push_back(std::move(clause));
  } while (scan.accept("and ") || scan.accept("&&"));
  if (!scan.done()) return fail("`and` or the end");
  return std::nullopt;
}

void Positive::parse_node(const Node& node, Diagnostics& d) {
  *this = {};
  if (node.is_list()) {
    for (const Node& item : node.items) {
      if (!item.is_scalar()) d.error(Code::wrong_type, item.at, "`positive` takes texts, found " + item.spoken());
      values.push_back(item.text);
    }
    if (values.empty()) d.error(Code::out_of_bounds, node.at, "`positive` lists no value");
    return;
  }
  if (!node.is_scalar())
    return d.error(Code::wrong_type, node.at,
                   "`positive` takes a list of texts or a comparison, found " + node.spoken());
  Scanner scan(node.text);
  op = accept_compare(scan);
  if (!op) return void(values = {node.text});
  const auto number = scan.number();
  if (!number || !scan.done())
    return d.error(Code::malformed, node.at, "the comparison `" + node.text + "` does not end in a number",
                   "write it like \">= 30000\"; put texts that start with a symbol in a list");
  value = *number;
}

Node Positive::to_node() const {
  if (op) return Node::scalar(std::string(compare_symbol(*op)) + " " + Node::number(value).text, true);
  Node out = Node::list();
  for (const std::string& text : values) out.items.push_back(Node::scalar(text, true));
  return out;
}

}  // namespace mtrank
