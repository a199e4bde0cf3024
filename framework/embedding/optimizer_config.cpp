#include "framework/embedding/optimizer_config.h"

namespace mtrank {
namespace {

OptimizerSettings settings_of(const std::string& type, OptimizerUse use, double lr, double weight_decay,
                              const ChoiceNumbers& numbers) {
  OptimizerSettings settings(type, use);
  settings.set("lr", lr);
  settings.set("weight_decay", weight_decay);
  for (const OptimizerParameter& p : settings.info().parameters)
    if (serves(p.use, use)) settings.set(p.name, numbers.get(type, p.name, p.otherwise));
  return settings;
}

}  // namespace

OptimizerSettings optimizer_settings(const DenseOptimizer& c) {
  return settings_of(c.type, OptimizerUse::dense, c.lr, c.weight_decay, c.numbers);
}

OptimizerSettings optimizer_settings(const SparseOptimizer& c) {
  return settings_of(c.type, OptimizerUse::tables, c.lr, c.weight_decay, c.numbers);
}

}  // namespace mtrank
