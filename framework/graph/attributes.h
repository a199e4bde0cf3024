#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mtrank {

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>>;

/// The constants of a node, by name. Few, so a flat list in the order they were given.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Attribute>> list) : list_(list) {}

  void set(std::string name, Attribute value);
  const Attribute* find(std::string_view name) const;
  /// The value of `name`, or `otherwise` where it is absent.
  int64_t integer(std::string_view name, int64_t otherwise = 0) const;
  double number(std::string_view name, double otherwise = 0) const;
  const std::string& text(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;

  const std::vector<std::pair<std::string, Attribute>>& list() const { return list_; }

 private:
  std::vector<std::pair<std::string, Attribute>> list_;
};

}  // namespace mtrank
