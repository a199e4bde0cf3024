#include <gtest/gtest.h>

#include "framework/config/config.h"

namespace mtrank {
namespace {

/// A mistake: `@` stands where it must be reported.
struct Misplaced {
  std::string text;         ///< of the config
  std::string override_of;  ///< --set, if any
  std::string message;      ///< part of what is said
};

const std::string kHead = "data: {train: a.csv, valid: b.csv}\nlabels: {y: }\n",
                  kData = kHead + "features: {u: id, w: id}\n";

const Misplaced kMistakes[] = {
    {"@", "", "the config is empty"},
    {"@- a\n", "", "a config is a map of sections"},
    {"@\xFF\xFE", "", "the file is UTF-16"},
    {"@#" + std::string(kMaxConfigBytes, '#'), "", "more than 8388608"},
    {"extends: @[a.yaml]\n", "", "`extends` takes the path of one file"},
    {"extends: @c.yaml\n", "", "extends itself"},
    {kData + "name: @\"${X\"\n", "", "`${` without `}`"},
    {kData + "name: @${1A:-b}\n", "", "no name of an environment variable"},
    {"data: @{trim: true}\nlabels: {y: }\nfeatures: {u: id}\n", "", "no training data"},
    {"data: {train: a, @header: false}\nlabels: {y: }\nfeatures: {u: id}\n", "", "needs `columns`"},
    {kHead + "features: {u: {type: id, table: t}}\ntables: {t: @int}\n", "", "`rows` is missing"},
    {kHead + "features: {u: {type: id, table: t}}\ndefaults: {table: {dim: 4}}\ntables: {t: @{ids: int}}\n", "",
     "`rows` is missing"},
    {kHead + "features: {@u: id}\ndefaults: {table: {ids: int}}\n", "", "`rows` is missing"},
    {kHead + "features: {g: {type: id, columns: [\"a{1..9999}\", \"b{1..9999}\", @\"c{1..9999}\"]}}\n", "",
     "more than 20000 columns"},
    {kHead + "features: {b: {type: bucket, boundaries: @[2, 2]}}\n", "", "`boundaries` must ascend"},
    {kData + "tables: {u: {vocab_from: [@w]}}\n", "", "fills the vocabulary of `u`"},
    {kData + "model: {m: {type: mlp, hidden: [4], from: [u, w, @u]}}\n", "", "listed twice"},
    {kData + "eval: {metrics: [auc, @auc]}\n", "", "metric `auc` is listed twice"},
    {kData + "eval: {best: last, patience: @1}\n", "", "`patience` needs a metric"},
    {kData + "eval: {best: @mean.calibration}\n", "", "does not say which checkpoint is better"},
    {kData + "train: @5\n", "", "expected a map of settings"},
    {kData + "train: {@epochs: }\n", "", "`epochs` has no value"},
    {kData + "train: {dense_optimizer: {type: adam, lr: @.nan}}\n", "", "`lr` must be finite"},
    {kData + "train: {dense_optimizer: {type: sgd, nesterov: @true}}\n", "", "needs a `momentum`"},
    {kData + "train: {logical_shards: @3}\n", "", "a power of two"},
    {kData + "train: {precision: @bf16, device: cpu}\n", "", "needs `device: cuda`"},
    {kData, "@nonsense", "form key=value"},
    {kData, "@train.epochs=", "an override needs a value"},
    {kData, "train.@.epochs=1", "a key of the override is empty"},
    {kData + "train: {epochs: 3}\n", "train.epochs.@x=1", "has no keys"},
    {kData, "data.@batchsize=null", "there is no `batchsize` to remove"},
    {kData, "data.@batchsize=8", "unknown key `batchsize`"},
    {kData, "tables.@extra={dim: 3}", "table `extra` is not used any more"},
    {kData + "model: {m: {type: mlp, hidden: [4], from: [u, w]}}\n", "features.@w=null", "layer `m` goes without it"},
    {"data: {train: a.csv}\nlabels: {y: , z: }\nfeatures: {u: id}\ntasks: {y: , z: }\noutputs: {a: y, b: z}\n",
     "tasks.@z=null", "output `b` with it"},
};

/// Takes the `@` out and returns its "line:column", or nothing.
std::string take_mark(std::string& text) {
  const size_t at = text.find('@');
  if (at == std::string::npos) return {};
  const auto line = std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n') + 1;
  const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  text.erase(at, 1);
  return std::to_string(line) + ":" + std::to_string(at - begin + 1);
}

TEST(Places, AreWhereTheMistakeStands) {
  for (Misplaced mistake : kMistakes) {
    const std::string in_text = take_mark(mistake.text), in_override = take_mark(mistake.override_of);
    std::vector<std::string> overrides;
    if (!mistake.override_of.empty()) overrides = {mistake.override_of};
    Diagnostics d;
    load_config_text(mistake.text, "c.yaml", overrides, d);
    std::string found;
    for (const Diagnostic& one : d.sorted())
      if (one.message.find(mistake.message) != std::string::npos)
        found = (one.at.known() ? one.at.source->name : "nowhere") + ":" + std::to_string(one.at.line) + ":" +
                std::to_string(one.at.column);
    EXPECT_EQ(found, in_text.empty() ? "--set:" + in_override : "c.yaml:" + in_text) << mistake.message;
  }
}

}  // namespace
}  // namespace mtrank
