#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/cli/reference.h"
#include "framework/embedding/optimizer.h"
#include "framework/graph/op.h"
#include "framework/ops/loss.h"
#include "models/layer.h"
#include "tests/support/process.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;

TEST(Describe, DocsReferenceIsNotStale) {
  for (const cli::ReferencePage& page : cli::reference_pages()) {
    const std::string path = MTRANK_SOURCE_DIR "/docs/reference/" + page.name + ".md";
    EXPECT_EQ(testing::read_text(path), cli::to_markdown(page)) << path << " is stale: run launch/reference";
  }
}

TEST(Describe, WithoutANameListsEverything) {
  const ProcessResult r = run_mtrank({"describe"});
  EXPECT_EQ(r.code, 0) << r.err;
  for (const cli::ReferencePage& page : cli::reference_pages())
    for (const cli::ReferenceEntry& entry : page.entries) EXPECT_THAT(r.out, HasSubstr(entry.name));
}

TEST(Describe, EveryLayerHasAFormulaItsKeysAndExamples) {
  for (const LayerInfo* layer : all_layers()) {
    const ProcessResult r = run_mtrank({"describe", layer->name});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("(layers) " + std::string(layer->name) + "\n"));
    for (const FieldInfo& field : layer->fields()) EXPECT_THAT(r.out, HasSubstr(field.name));
    EXPECT_THAT(r.out, HasSubstr("{type: " + std::string(layer->name)));
    EXPECT_GE(layer->examples.size(), 1u) << layer->name;
  }
}

TEST(Describe, BoundsAreThoseOfTheConfig) {
  const std::string adam = run_mtrank({"describe", "adam"}).out, sgd = run_mtrank({"describe", "sgd"}).out;
  const std::string bce = run_mtrank({"describe", "bce"}).out;
  EXPECT_THAT(adam, HasSubstr("decay of the mean of its square; in [0, 1)"));
  EXPECT_THAT(adam, HasSubstr("lazy          true"));
  EXPECT_THAT(sgd, HasSubstr("0 keeps no state; in [0, 1)"));
  EXPECT_THAT(adam, HasSubstr("every row moves each step (tables)"));
  EXPECT_THAT(sgd, HasSubstr("nesterov      false"));
  EXPECT_THAT(bce, HasSubstr("weight of positives; in (0, 1000000000]"));
  EXPECT_THAT(bce, HasSubstr("y becomes y (1 - s) + s / 2; in [0, 1)"));
}

TEST(Describe, EveryParameterOfALossOrOptimiserIsAKeyOfTheConfig) {
  const auto has = [](const std::string& page, const std::string& entry, std::string_view key) {
    for (const cli::ReferencePage& one : cli::reference_pages())
      for (const cli::ReferenceEntry& found : one.entries)
        for (const FieldInfo& field : found.fields)
          if (one.name == page && found.name == entry && field.name == key) return true;
    return false;
  };
  for (const LossInfo& loss : all_losses())
    for (const Parameter& p : loss.parameters) EXPECT_TRUE(has("losses", loss.name, p.name)) << p.name;
  for (const OptimizerInfo& one : optimizer_registry())
    for (const OptimizerParameter& p : one.parameters)
      EXPECT_TRUE(has("optimizers", std::string(one.name), p.name)) << one.name << " " << p.name;
}

/// So that `check` refuses what the optimiser would.
TEST(Describe, NumbersOfOptimisersHaveBothBounds) {
  for (const cli::ReferencePage& page : cli::reference_pages())
    for (const cli::ReferenceEntry& entry : page.entries)
      for (const FieldInfo& field : entry.fields)
        if (page.name == "optimizers" && field.type == "number") {
          EXPECT_THAT(field.bounds, ::testing::StartsWith("in ")) << entry.name << " " << field.name;
        }
}

TEST(Describe, ANameOfSeveralThingsShowsAll) {
  const ProcessResult r = run_mtrank({"describe", "mse"});
  EXPECT_THAT(r.out, HasSubstr("(losses) mse"));
  EXPECT_THAT(r.out, HasSubstr("(metrics) mse"));
}

TEST(Describe, AnUnknownNameSuggestsTheNearest) {
  const ProcessResult r = run_mtrank({"describe", "adma"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("there is nothing named `adma`. Did you mean `adam`?"));
}

}  // namespace
}  // namespace mtrank
