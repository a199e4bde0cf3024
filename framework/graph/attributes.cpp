#include "framework/graph/attributes.h"

namespace mtrank {

void Attributes::set(std::string name, Attribute value) {
  for (auto& [known, old] : list_) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  list_.emplace_back(std::move(name), std::move(value));
}

const Attribute* Attributes::find(std::string_view name) const {
  for (const auto& [known, value] : list_)
    if (known == name) return &value;
  return nullptr;
}

int64_t Attributes::integer(std::string_view name, int64_t otherwise) const {
  const Attribute* value = find(name);
  return value ? std::get<int64_t>(*value) : otherwise;
}

double Attributes::number(std::string_view name, double otherwise) const {
  const Attribute* value = find(name);
  return value ? std::get<double>(*value) : otherwise;
}

const std::string& Attributes::text(std::string_view name) const {
  static const std::string empty;
  const Attribute* value = find(name);
  return value ? std::get<std::string>(*value) : empty;
}

const std::vector<int64_t>& Attributes::integers(std::string_view name) const {
  static const std::vector<int64_t> empty;
  const Attribute* value = find(name);
  return value ? std::get<std::vector<int64_t>>(*value) : empty;
}

}  // namespace mtrank
