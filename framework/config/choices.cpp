#include "framework/config/choices.h"

#include <algorithm>
#include <set>

namespace mtrank {
namespace {

const Parameter* find_parameter(const Choice& choice, std::string_view name) {
  for (const Parameter& p : choice.parameters)
    if (p.name == name) return &p;
  return nullptr;
}

void bound(Row& row, const Range& range) {
  if (range.flag) return;
  range.low_open ? row.above(range.low) : row.min(range.low);
  range.high_open ? row.below(range.high) : row.max(range.high);
}

}  // namespace

std::vector<std::string> choice_names(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.emplace_back(choice.name);
  return names;
}

std::string loss_names(bool binary) {
  std::string names;
  for (const Choice& choice : loss_choices())
    if (choice.binary == binary) names += (names.empty() ? "" : " or ") + std::string(choice.name);
  return names;
}

const Choice* find_choice(const std::vector<Choice>& choices, std::string_view name) {
  const auto found = std::find_if(choices.begin(), choices.end(), [&](const Choice& c) { return c.name == name; });
  return found == choices.end() ? nullptr : &*found;
}

void ChoiceNumbers::fields(Fields& f, const std::vector<Choice>& choices, const std::string& type) {
  const Choice* chosen = find_choice(choices, type);
  std::set<std::string_view> known;
  for (const Choice& choice : choices)
    for (const Parameter& first : choice.parameters) {
      if (!known.insert(first.name).second) continue;
      const Parameter* own = chosen ? find_parameter(*chosen, first.name) : nullptr;
      const Parameter& p = own ? *own : first;
      const std::string key = std::string(own ? chosen->name : choice.name) + "." + std::string(p.name);
      Value& value = values_.try_emplace(key, Value{p.otherwise, p.otherwise != 0, p.range.flag}).first->second;
      Row& row = p.range.flag ? f(p.name.data(), value.flag, p.help) : f(p.name.data(), value.number, p.help);
      row.only_if(own != nullptr);
      bound(row, p.range);
    }
}

void ChoiceNumbers::check(const Node& node, const std::vector<Choice>& choices, const std::string& type,
                          Diagnostics& d) const {
  const Choice* chosen = find_choice(choices, type);
  if (!chosen) return;
  for (const Parameter& p : chosen->parameters)
    if (!p.needs.empty() && get(type, p.name, 0) != 0 && get(type, p.needs, 0) == 0)
      d.error(Code::impossible_setting, node.find(p.name)->at,
              "`" + std::string(p.name) + "` needs a `" + std::string(p.needs) + "` above 0");
}

double ChoiceNumbers::get(const std::string& type, std::string_view name, double otherwise) const {
  const auto found = values_.find(type + "." + std::string(name));
  return found == values_.end() ? otherwise : found->second.is_flag ? found->second.flag : found->second.number;
}

}  // namespace mtrank
