#include "framework/embedding/optimizer.h"

#include <string>

#include "framework/config/choices.h"
#include "framework/core/error.h"
#include "framework/embedding/optimizer_kernels.h"

#define MTRANK_OPTIMIZER_HEADERS
#include "framework/embedding/optimizers.def"
#undef MTRANK_OPTIMIZER_HEADERS

namespace mtrank {
namespace {

constexpr OptimizerInfo kOptimizers[] = {
#define OPTIMIZER(Type) optimizer_kernels::info<optimizers::Type>(),
#include "framework/embedding/optimizers.def"
#undef OPTIMIZER
};

const char* use_name(OptimizerUse use) { return use == OptimizerUse::dense ? "dense weights" : "tables"; }

const OptimizerInfo& optimizer_for(std::string_view name, OptimizerUse use) {
  std::string known;
  for (const OptimizerInfo& info : kOptimizers) {
    if (!serves(info.use, use)) continue;
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + std::string(info.name);
  }
  throw ConfigError("there is no optimizer '" + std::string(name) + "' for " + use_name(use) + "; the optimizers are " +
                    known);
}

std::vector<Choice> choices_of(OptimizerUse use) {
  std::vector<Choice> choices;
  for (const OptimizerInfo& info : kOptimizers) {
    if (!serves(info.use, use)) continue;
    Choice& choice = choices.emplace_back(Choice{info.name, {}, false, info.takes_weight_decay});
    for (const OptimizerParameter& p : info.parameters)
      if (serves(p.use, use)) choice.parameters.push_back(p);
  }
  return choices;
}

}  // namespace

std::span<const OptimizerInfo> optimizer_registry() { return kOptimizers; }

const std::vector<Choice>& dense_optimizer_choices() {
  static const std::vector<Choice> choices = choices_of(OptimizerUse::dense);
  return choices;
}
const std::vector<Choice>& table_optimizer_choices() {
  static const std::vector<Choice> choices = choices_of(OptimizerUse::tables);
  return choices;
}

const OptimizerInfo* find_optimizer(std::string_view name) {
  for (const OptimizerInfo& info : kOptimizers)
    if (info.name == name) return &info;
  return nullptr;
}

OptimizerSettings::OptimizerSettings(std::string_view name, OptimizerUse use)
    : info_(&optimizer_for(name, use)), use_(use) {
  for (size_t i = 0; i < info_->parameters.size(); ++i)
    if (serves(info_->parameters[i].use, use)) values_[i] = info_->parameters[i].otherwise;
}

OptimizerSettings::OptimizerSettings(std::string_view name, OptimizerUse use,
                                     std::initializer_list<std::pair<std::string_view, double>> values)
    : OptimizerSettings(name, use) {
  for (const auto& [parameter, value] : values) set(parameter, value);
}

void OptimizerSettings::set(std::string_view name, double value) {
  const std::string what = "optimizer " + std::string(info_->name) + ": " + std::string(name);
  if (name == "lr" || name == "weight_decay") {
    if (!(value >= 0 && value < 1e10))
      throw ConfigError(what + " is " + std::to_string(value) + ", expected 0 or more");
    (name == "lr" ? lr : weight_decay) = value;
    return;
  }
  for (size_t i = 0; i < info_->parameters.size(); ++i) {
    const OptimizerParameter& p = info_->parameters[i];
    if (name != p.name || !serves(p.use, use_)) continue;
    if (!p.range.holds(value))
      throw ConfigError(what + " is " + std::to_string(value) + ", expected " + std::to_string(p.range.low) + " to " +
                        std::to_string(p.range.high));
    values_[i] = value;
    return;
  }
  throw ConfigError(what + " is no parameter of it");
}

double OptimizerSettings::get(std::string_view name) const {
  for (size_t i = 0; i < info_->parameters.size(); ++i)
    if (info_->parameters[i].name == name) return values_[i];
  return 0;
}

std::vector<int> needed_slots(const OptimizerSettings& settings) {
  std::vector<int> needed;
  for (size_t i = 0; i < settings.info().slots.size(); ++i) {
    const std::string_view when = settings.info().slots[i].when;
    if (when.empty() || settings.get(when) != 0) needed.push_back(static_cast<int>(i));
  }
  return needed;
}

}  // namespace mtrank
