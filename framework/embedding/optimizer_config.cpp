#include "framework/embedding/optimizer_config.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace mtrank {
namespace {

using Values = std::initializer_list<std::pair<std::string_view, double>>;

OptimizerSettings settings_of(std::string_view name, OptimizerUse use, const Values& values) {
  OptimizerSettings settings(name, use);
  for (const auto& [parameter, value] : values) {
    const auto& known = settings.info().parameters;
    const auto takes = [&, p = parameter](const OptimizerParameter& k) { return k.name == p && serves(k.use, use); };
    if (parameter == "lr" || parameter == "weight_decay" || std::any_of(known.begin(), known.end(), takes))
      settings.set(parameter, value);
  }
  return settings;
}

}  // namespace

OptimizerSettings optimizer_settings(const DenseOptimizer& c) {
  return settings_of(enum_names(c.type)[static_cast<size_t>(c.type)], OptimizerUse::dense,
                     {{"lr", c.lr},
                      {"momentum", c.momentum},
                      {"nesterov", c.nesterov},
                      {"beta1", c.beta1},
                      {"beta2", c.beta2},
                      {"eps", c.eps},
                      {"initial_accumulator", c.initial_accumulator},
                      {"weight_decay", c.weight_decay}});
}

OptimizerSettings optimizer_settings(const SparseOptimizer& c) {
  return settings_of(enum_names(c.type)[static_cast<size_t>(c.type)], OptimizerUse::tables,
                     {{"lr", c.lr},
                      {"lazy", c.lazy},
                      {"beta1", c.beta1},
                      {"beta2", c.beta2},
                      {"eps", c.eps},
                      {"initial_accumulator", c.initial_accumulator},
                      {"weight_decay", c.weight_decay},
                      {"l1", c.l1},
                      {"l2", c.l2},
                      {"beta", c.beta}});
}

}  // namespace mtrank
