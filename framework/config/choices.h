#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"
#include "framework/core/parameter.h"

/// What a config may choose from lists that are kept further up: their folders define these functions, so that a row
/// there is all that a new choice needs.
namespace mtrank {

/// A row of losses.def or optimizers.def.
struct Choice {
  std::string_view name;
  std::vector<Parameter> parameters;
  bool binary = false;        ///< a loss of 0/1 labels
  bool weight_decay = false;  ///< an optimiser that takes one
};
const std::vector<Choice>& loss_choices();             // framework/ops/loss.cpp
const std::vector<Choice>& dense_optimizer_choices();  // framework/embedding/optimizer.cpp
const std::vector<Choice>& table_optimizer_choices();
/// The formats of readers.def.
const std::vector<std::string>& file_formats();  // framework/data/reader.cpp

std::vector<std::string> choice_names(const std::vector<Choice>& choices);
/// "bce or focal": the losses of 0/1 labels, or those of numbers.
std::string loss_names(bool binary);
/// Null when there is none of that name.
const Choice* find_choice(const std::vector<Choice>& choices, std::string_view name);

/// The numbers of a section that has a `type`: each type's own, at its defaults until they are read.
class ChoiceNumbers {
 public:
  /// A row for every parameter of any choice; the others than those of `type` do not apply.
  void fields(Fields& f, const std::vector<Choice>& choices, const std::string& type);
  void check(const Node& node, const std::vector<Choice>& choices, const std::string& type, Diagnostics& d) const;
  /// `otherwise` where nothing was read; a flag is 0 or 1.
  double get(const std::string& type, std::string_view name, double otherwise) const;

 private:
  struct Value {
    double number;
    bool flag, is_flag;
  };
  std::map<std::string, Value> values_;
};

}  // namespace mtrank
