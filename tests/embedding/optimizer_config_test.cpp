#include "framework/embedding/optimizer_config.h"

#include <gtest/gtest.h>

namespace mtrank {
namespace {

TEST(OptimizerConfig, EveryTypeAConfigNamesExistsAndTakesItsNumbers) {
  DenseOptimizer dense;
  dense.lr = 0.25, dense.weight_decay = 0.5, dense.momentum = 0.125, dense.beta1 = 0.75, dense.eps = 0.0625;
  for (size_t i = 0; i < enum_names(DenseKind{}).size(); ++i) {
    dense.type = static_cast<DenseKind>(i);
    const OptimizerSettings s = optimizer_settings(dense);
    EXPECT_EQ(s.info().name, enum_names(dense.type)[i]);
    EXPECT_EQ(s.use(), OptimizerUse::dense);
    EXPECT_EQ(s.lr, 0.25);
    EXPECT_EQ(s.weight_decay, 0.5);
    EXPECT_EQ(s.get("lazy"), 0);
    EXPECT_EQ(s.get("momentum"), s.info().name == "sgd" ? 0.125 : 0);
    EXPECT_EQ(s.get("eps"), s.info().name == "sgd" ? 0 : 0.0625);
  }
  SparseOptimizer sparse;
  sparse.lazy = false, sparse.l1 = 0.5, sparse.initial_accumulator = 2;
  for (size_t i = 0; i < enum_names(SparseKind{}).size(); ++i) {
    sparse.type = static_cast<SparseKind>(i);
    const OptimizerSettings s = optimizer_settings(sparse);
    EXPECT_EQ(s.info().name, enum_names(sparse.type)[i]);
    EXPECT_EQ(s.use(), OptimizerUse::tables);
    EXPECT_EQ(s.get("lazy"), 0);
    EXPECT_EQ(s.get("l1"), s.info().name == "ftrl" ? 0.5 : 0);
    EXPECT_EQ(s.get("initial_accumulator"), s.info().name == "adam" || s.info().name == "sgd" ? 0 : 2);
  }
}

void expect_defaults(const OptimizerSettings& s) {
  const OptimizerSettings defaults(s.info().name, s.use());
  for (const OptimizerParameter& p : s.info().parameters)
    EXPECT_EQ(s.get(p.name), defaults.get(p.name)) << s.info().name << " " << p.name;
  EXPECT_EQ(s.lr, defaults.lr);
}

TEST(OptimizerConfig, DefaultsAreTheRegistrys) {
  SparseOptimizer sparse;
  for (size_t i = 0; i < enum_names(SparseKind{}).size(); ++i) {
    sparse.type = static_cast<SparseKind>(i);
    expect_defaults(optimizer_settings(sparse));
  }
  DenseOptimizer dense;
  for (size_t i = 0; i < enum_names(DenseKind{}).size(); ++i) {
    dense.type = static_cast<DenseKind>(i);
    expect_defaults(optimizer_settings(dense));
  }
}

}  // namespace
}  // namespace mtrank
