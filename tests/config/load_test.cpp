#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "framework/config/config.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* kDesign = R"(version: 1
name: kuairand_mmoe
seed: 1
data:
  train: "${MTRANK_DATA_UNSET:-data}/kuairand/train.csv.gz"
  valid: "${MTRANK_DATA_UNSET:-data}/kuairand/valid.csv.gz"
  test:  "${MTRANK_DATA_UNSET:-data}/kuairand/test.csv.gz"
  sample: {when: is_click == 0, keep: 0.1, correct: weight}
labels:
  is_click: {}
  long_view: {}
  checkout: {}
defaults:
  table: {ids: vocab, dim: 16, init: normal(0.01)}
  task: {loss: bce, tower: {from: experts, hidden: [64]}}
tables:
  video: {vocab_from: [video_id], optimizer: {type: rowwise_adagrad, lr: 0.05}}
features:
  video_id: {type: id, table: video}
  watched:  {type: ids, column: watched_videos, separator: "|", table: video, pool: mean, max_len: 50, keep: last, unseen: drop}
  cats:     {type: id, columns: [user_id, author_id, tab, "onehot_feat{0..17}"]}
  nums:     {type: dense, columns: [duration_ms, freshness_days], transform: log1p, normalize: zscore, missing: 0}
  age_band: {type: bucket, column: register_days, boundaries: [30, 365, 730]}
  position: {type: id, train_only: {serve_as: 0}}
model:
  cross:   {type: dcn_v2, from: features, layers: 3}
  deep:    {type: mlp, from: [nums, watched], hidden: [256, 128], activation: relu, dropout: 0.1}
  experts: {type: mmoe, from: [cross, deep], experts: 4, hidden: [256, 128]}
tasks:
  is_click: {weight: 1.0}
  long_view: {only_when: is_click == 1}
  checkout: {trained_as: is_click * checkout}
train:
  device: auto
  precision: fp32
  batch_size: 2048
  epochs: 3
  dense_optimizer:  {type: adam, lr: 1e-3}
  sparse_optimizer: {type: adam, lr: 1e-3, lazy: true}
  schedule: {type: constant, warmup_steps: 0}
  clip_norm: none
  checkpoint: {every: epoch, keep: 2}
eval: {every: epoch, metrics: [auc, gauc(user_id), logloss, ne, calibration], segments: [tab], best: mean.auc, patience: 1}
outputs:
  p_click: is_click
  p_long: {expr: is_click * long_view, label: long_view}
)";

Config load_ok(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Diagnostics d;
  Config config = load_config_text(text, "c.yaml", overrides, d);
  EXPECT_EQ(d.render(), "");
  return config;
}

std::string complaints(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Diagnostics d;
  load_config_text(text, "c.yaml", overrides, d);
  return d.render();
}

/// A small sound config with `extra` in place of nothing.
std::string small(const std::string& extra) {
  return "data: {train: a.csv}\nlabels: {y: }\nfeatures: {u: id, w: id}\n" + extra;
}

TEST(LoadConfig, the_example_of_the_design) {
  const Config c = load_ok(kDesign);
  EXPECT_EQ(c.data.train, std::vector<std::string>{"data/kuairand/train.csv.gz"});
  ASSERT_EQ(c.features.size(), 2u + 21u + 3u);
  EXPECT_EQ(c.features[5].name, "onehot_feat0");
  EXPECT_EQ(c.feature("watched")->columns[0], "watched_videos");
  EXPECT_EQ(c.feature("watched")->unseen, Unseen::drop);
  EXPECT_EQ(c.feature("nums")->columns.size(), 2u);
  EXPECT_EQ(c.feature("position")->train_only->serve_as, "0");
  EXPECT_EQ(c.features_named("cats").size(), 21u);
  EXPECT_EQ(c.features_named("features").size(), c.features.size());
  const Table* video = c.table("video");
  ASSERT_TRUE(video);
  EXPECT_EQ(video->optimizer->type, "rowwise_adagrad");
  EXPECT_EQ(video->dim, 16);
  EXPECT_EQ(c.table("tab")->optimizer->type, "adam");
  EXPECT_EQ(c.table("age_band")->ids, IdSpace::integer);
  EXPECT_EQ(c.table("age_band")->rows, 5);
  EXPECT_EQ(c.layer("experts")->from.size(), 2u);
  EXPECT_EQ(c.layer("deep")->settings.find_path("dropout")->as_double(), 0.1);
  EXPECT_EQ(c.task("long_view")->only_when->clauses[0].value, 1);
  EXPECT_TRUE(c.task("checkout")->trained_as->is_product());
  EXPECT_EQ(c.task("is_click")->tower.type, "mlp");
  EXPECT_EQ(c.task("is_click")->tower.from[0], "experts");
  EXPECT_EQ(c.eval.metrics[1].args[0], "user_id");
  EXPECT_EQ(c.eval.patience, 1);
  EXPECT_EQ(c.outputs[1].label, Name("long_view"));
}

TEST(LoadConfig, nothing_is_required_that_has_a_default) {
  const Config c = load_ok(small(""));
  ASSERT_EQ(c.tasks.size(), 1u);
  EXPECT_EQ(c.name, "c");
  EXPECT_EQ(c.tasks[0].tower.from[0], "features");
  EXPECT_EQ(c.tasks[0].loss->type, "bce");
  EXPECT_EQ(c.outputs[0].name, "y");
  EXPECT_EQ(c.tables.size(), 2u);
  EXPECT_EQ(c.eval.metrics[0].name, "auc");
  EXPECT_FALSE(c.eval.best);
}

TEST(LoadConfig, regression_gets_its_loss_and_metrics) {
  const Config c = load_ok("data: {train: a, valid: b}\nlabels: {spend: {type: regression}}\nfeatures: {u: id}\n");
  EXPECT_EQ(c.tasks[0].loss->type, "mse");
  EXPECT_EQ(c.eval.best->text(), "mean.mse");
}

TEST(LoadConfig, mmoe_of_two_tasks_and_three_experts_fits_in_60_lines) {
  const std::string path = MTRANK_SOURCE_DIR "/tests/config/two_tasks.yaml";
  Diagnostics d;
  const Config c = load_config(path, {}, d);
  EXPECT_EQ(d.render(), "");
  EXPECT_EQ(c.tasks.size(), 2u);
  EXPECT_EQ(c.layer("experts")->settings.find("experts")->as_int(), 3);
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 60);
}

TEST(LoadConfig, every_config_of_the_repository_is_sound) {
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(MTRANK_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".yaml") continue;
    Diagnostics d;
    const Config c = load_config(entry.path().string(), {}, d);
    EXPECT_EQ(d.render(), "") << entry.path();
    const Config again = load_ok(resolved_yaml(c));
    EXPECT_THAT(differences(resolved_tree(c), resolved_tree(again)), IsEmpty());
    ++count;
  }
  EXPECT_GE(count, 4);
}

TEST(LoadConfig, resolved_form_reads_back_to_the_same) {
  const Config c = load_ok(kDesign);
  const std::string text = resolved_yaml(c);
  const Config again = load_ok(text);
  EXPECT_THAT(differences(resolved_tree(c), resolved_tree(again)), IsEmpty());
  EXPECT_EQ(resolved_yaml(again), text);
  EXPECT_EQ(config_hash(c), config_hash(again));
  EXPECT_EQ(again.features.size(), c.features.size());
  EXPECT_THAT(text, HasSubstr("lazy: true"));
}

TEST(LoadConfig, portable_form_has_no_paths_and_loads) {
  const Config c = load_ok(kDesign, {"train.threads=7", "train.device=cpu", "data.cache=/somewhere"});
  const std::string text = portable_yaml(c);
  for (const char* word : {"csv.gz", "threads", "device", "somewhere"}) EXPECT_THAT(text, Not(HasSubstr(word)));
  Diagnostics d;
  const Config again = load_portable(text, "bundle", d);
  EXPECT_TRUE(d.ok()) << d.render();
  EXPECT_EQ(portable_yaml(again), text);
}

TEST(LoadConfig, differences_name_the_keys) {
  const Node a = resolved_tree(load_ok(kDesign));
  const auto against = [&](const std::vector<std::string>& changes) {
    return differences(a, resolved_tree(load_ok(kDesign, changes)));
  };
  EXPECT_THAT(against({"train.batch_size=4096"}), ElementsAre("train.batch_size: 2048, now 4096"));
  EXPECT_THAT(against({"train.clip_norm=1"}), ElementsAre("train.clip_norm: none, now 1"));
  EXPECT_THAT(differences(resolved_tree(load_ok(kDesign, {"seed=9007199254740993"})),
                          resolved_tree(load_ok(kDesign, {"seed=9007199254740992"}))),
              ElementsAre("seed: 9007199254740993, now 9007199254740992"));
  EXPECT_THAT(against({"tables.video.dim=32", "model.cross.layers=2"}),
              ElementsAre("tables.video.dim: 16, now 32", "model.cross.layers: 3, now 2"));
  EXPECT_THAT(against({"tables.user_id={ids: hash, rows: 7}"}), Contains(StartsWith("tables.user_id")));
  EXPECT_THAT(against({"train.device=cpu", "train.threads=3"}), IsEmpty());
}

TEST(LoadConfig, differences_name_what_came_what_went_and_what_moved) {
  const auto of = [](const char* before, const char* after) {
    Diagnostics d;
    return differences(parse_yaml(before, "before", d), parse_yaml(after, "after", d));
  };
  EXPECT_THAT(of("{features: {a: 1, b: 2}}", "{features: {b: 2}}"), ElementsAre("features.a: 1, now not given"));
  EXPECT_THAT(of("{features: {b: 2}}", "{features: {a: 1, b: 2}}"), ElementsAre("features.a: not given, now 1"));
  EXPECT_THAT(of("{features: {a: 1, b: 2, c: 3}}", "{features: {b: 2, a: 1, c: 4}}"),
              ElementsAre("features.c: 3, now 4", "features.b: its place changed"));
}

TEST(LoadConfig, overrides_win_and_point_at_themselves) {
  const Config c =
      load_ok(kDesign, {"train.batch_size=8192", "train.schedule={type: cosine, warmup_steps: 5}", "seed=7"});
  EXPECT_EQ(c.train.batch_size, 8192);
  EXPECT_EQ(c.train.schedule.type, ScheduleKind::cosine);
  EXPECT_EQ(c.seed, 7);
  EXPECT_THAT(complaints(kDesign, {"train.batch_size=8k"}), HasSubstr("--> --set:1:18"));
  EXPECT_THAT(complaints(kDesign, {"train.batchsize=8"}), HasSubstr("did you mean `batch_size`?"));
  EXPECT_THAT(complaints(kDesign, {"train.batchsize=null"}), HasSubstr("there is no `batchsize` to remove"));
  EXPECT_THAT(complaints(kDesign, {"nonsense"}), HasSubstr("form key=value"));
  for (const char* text : {"data.delimiter=,", "name=\"a\" b"})
    EXPECT_THAT(complaints(kDesign, {text}), HasSubstr("quote all of it")) << text;
  EXPECT_THAT(complaints(kDesign, {"train.epochs="}), HasSubstr("an override needs a value"));
  EXPECT_THAT(complaints(kDesign, {"train..epochs=1"}), HasSubstr("a key of the override is empty"));
  EXPECT_EQ(load_ok(small("train:\n"), {"train.epochs=2"}).train.epochs, 2);
  EXPECT_THAT(complaints(kDesign, {"train.epochs.x=1"}), HasSubstr("`train.epochs` is the number 3 and has no keys"));
}

TEST(LoadConfig, an_ablation_is_one_flag) {
  Diagnostics d;
  const Config c = load_config_text(kDesign, "c.yaml", {"features.watched=null"}, d);
  EXPECT_TRUE(d.ok()) << d.render();
  EXPECT_THAT(d.render(), HasSubstr("`watched` is removed, so layer `deep` goes without it"));
  EXPECT_FALSE(c.feature("watched"));
  EXPECT_THAT(c.layer("deep")->from, ElementsAre(Name("nums")));
  EXPECT_THAT(complaints(kDesign, {"tasks.long_view=null"}), HasSubstr("output `p_long` with it"));
  const std::string two = small(
      "tables: {t: {ids: vocab, vocab_from: [v, x]}}\nmodel: {a: {type: mlp, from: features, hidden: [4]}, "
      "b: {type: mlp, from: u, hidden: [4]}}\ntasks: {y: {tower: {from: [a, b]}}}\noutputs: {b: y, p: y}\n");
  std::string with_table = two;
  with_table.replace(with_table.find("w: id}"), 6, "w: id, v: {type: id, table: t}, x: {type: id, table: t}}");
  EXPECT_THAT(complaints(with_table, {"model.b=null"}),
              HasSubstr("`b` is removed, so the tower of `y` goes without it"));
  EXPECT_THAT(complaints(with_table, {"model.b=null"}), Not(HasSubstr("output `b`")));
  EXPECT_THAT(complaints(with_table, {"features.v=null"}),
              HasSubstr("`v` is removed, so the vocabulary of `t` goes without it"));
  EXPECT_THAT(complaints(kDesign, {"features.nums=null", "features.watched=null"}),
              HasSubstr("there is no layer or feature"));
  Diagnostics e;
  load_config_text(kDesign, "c.yaml", {"tables.extra={dim: 3}"}, e);
  EXPECT_TRUE(e.ok());
  EXPECT_THAT(e.render(), HasSubstr("warning[W301]: table `extra` is not used any more, after --set"));
}

TEST(LoadConfig, defaults_are_replaced_key_by_key) {
  const Config c = load_ok(
      "data: {train: a}\nlabels: {y: , z: }\nfeatures: {u: id, h: id, n: {type: dense}}\n"
      "defaults: {table: {ids: vocab, min_count: 5, dim: 8}, task: {loss: {type: focal, gamma: 1}, "
      "tower: {from: u, hidden: [9], dropout: 0.5}}}\n"
      "tables: {h: {ids: hash}}\ntasks: {y: {tower: {hidden: [3]}}, z: {loss: bce, tower: {from: [features]}}}\n");
  EXPECT_EQ(c.table("u")->min_count, 5);
  EXPECT_EQ(c.table("h")->ids, IdSpace::hash);
  EXPECT_EQ(c.table("h")->rows, 100000);
  EXPECT_EQ(c.table("h")->dim, 8);
  EXPECT_EQ(c.task("y")->loss->numbers.get("focal", "gamma", 2), 1);
  EXPECT_EQ(c.task("y")->tower.from[0], "u");
  EXPECT_EQ(write_json(c.task("y")->tower.settings), R"({"hidden":[3],"dropout":0.5})");
  EXPECT_EQ(c.task("z")->loss->type, "bce");
}

TEST(LoadConfig, variables_expand) {
  ::setenv("MTRANK_TEST_SIZE", "77", 1);
  const Config c = load_ok(small("train:\n  batch_size: ${MTRANK_TEST_SIZE:-5}\n  epochs: ${MTRANK_TEST_NONE:-2}\n"));
  EXPECT_EQ(c.train.batch_size, 77);
  EXPECT_EQ(c.train.epochs, 2);
  EXPECT_EQ(load_ok(small("name: a$${b}\n")).name, "a${b}");
  EXPECT_THAT(complaints(small("name: \"${MTRANK_TEST_NONE}\"\n")), HasSubstr("error[E011]"));
  EXPECT_THAT(complaints(small("train: {epochs: ${MTRANK_TEST_NONE:-2}}\n")), HasSubstr("quote a value with ${...}"));
  EXPECT_THAT(complaints(small("name: ${1A:-b}\n")), HasSubstr("`1A` is no name of an environment variable"));
  ::setenv("MTRANK_TEST_EMPTY", "", 1);
  EXPECT_EQ(load_ok(small("name: ${MTRANK_TEST_EMPTY:-full}\n")).name, "full");
  const std::string empty = "data: {train: \"a.csv${MTRANK_TEST_EMPTY}\"}\nlabels: {y: }\nfeatures: {u: id}\n";
  EXPECT_EQ(load_ok(empty).data.train[0], "a.csv");
  EXPECT_THAT(complaints(small("name: \"${MTRANK_TEST\"\n")), HasSubstr("`${` without `}`"));
  EXPECT_EQ(load_ok(resolved_yaml(load_ok(small("name: a$${b}\n")))).name, "a${b}");
}

TEST(LoadConfig, checks_what_can_be_known_without_data) {
  const auto one = [](const std::string& rest) { return complaints("data: {train: a.csv, valid: b.csv}\n" + rest); };
  const std::string y = "labels: {y: }\n", spend = "labels: {spend: {type: regression}}\n", u = "features: {u: id}\n";
  EXPECT_THAT(one(spend + u + "tasks: {spend: {loss: focal}}\n"), HasSubstr("the loss focal needs a 0/1 label"));
  EXPECT_THAT(one("labels: {s: {type: regression, positive: [a]}}\n" + u), HasSubstr("does not apply to a regression"));
  EXPECT_THAT(one(y + "features: {u: id, w: id}\ntables: {u: {vocab_from: [w]}}\n"),
              HasSubstr("feature `w` fills the vocabulary of `u` but uses table `w`"));
  EXPECT_THAT(one(y + "features: {u: id}\ntables: {u: {vocab_from: [x]}}\n"), HasSubstr("there is no feature `x`"));
  EXPECT_THAT(
      one(y + "features: {b: {type: bucket, boundaries: [1, 2], table: t}}\ntables: {t: {ids: int, rows: 3}}\n"),
      HasSubstr("need a table with ids: int and at least 4 rows"));
  EXPECT_THAT(one(y + "features: {b: {type: bucket, boundaries: [2, 2]}}\n"), HasSubstr("`boundaries` must ascend"));
  EXPECT_THAT(one(y + "features: {n: {type: dense, clip: [3, 1]}}\n"), HasSubstr("low below high"));
  EXPECT_THAT(one(y + "features: {n: {type: dense, train_only: {serve_as: x}}}\n"),
              HasSubstr("the feature takes numbers"));
  EXPECT_THAT(one(y + "features: {p: {type: id, train_only: {serve_as: 7}}}\ntables: {p: {ids: int, rows: 7}}\n"),
              HasSubstr("the ids of table `p` are in [0, 7)"));
  EXPECT_THAT(one(y + "features: {g: {type: id, columns: [a, b]}, a: id}\n"),
              HasSubstr("feature `a` is defined twice"));
  EXPECT_THAT(one(y + "features: {g: {type: id, columns: [a], column: b}}\n"), HasSubstr("exclude each other"));
  EXPECT_THAT(one(y + "features: {g: {type: id, columns: [\"a{3..1}\"]}}\n"), HasSubstr("first number below the last"));
  EXPECT_THAT(one(y + u + "model: {u: {type: mlp}}\n"), HasSubstr("`u` is a feature and a layer"));
  EXPECT_THAT(one(y + u + "model: {m: {from: u}}\n"), HasSubstr("layer `m` has no `type`"));
  EXPECT_THAT(one(y + u + "model: {m: {type: mlp, from: [u, u]}}\n"), HasSubstr("listed twice"));
  EXPECT_THAT(one("labels: {1y: }\n" + u), HasSubstr("`1y` cannot name a label"));
  EXPECT_THAT(one(y + u + "eval: {best: mean.calibration}\n"), HasSubstr("does not say which checkpoint is better"));
  EXPECT_THAT(one(y + u + "eval: {best: z.auc}\n"), HasSubstr("there is no task `z`"));
  EXPECT_THAT(one(y + u + "eval: {metrics: [auc, auc]}\n"), HasSubstr("metric `auc` is listed twice"));
  EXPECT_THAT(one(y + u + "eval: {best: last, patience: 1}\n"), HasSubstr("`patience` needs a metric to wait for"));
  EXPECT_THAT(one(y + u + "eval: {patience: 0}\n"), HasSubstr("`patience` is 0, it must be at least 1"));
  EXPECT_THAT(one(y + u + "train: {logical_shards: 6}\n"), HasSubstr("must be a power of two"));
  EXPECT_THAT(one(y + u + "train: {precision: bf16, device: cpu}\n"), HasSubstr("needs `device: cuda`"));
  EXPECT_THAT(one(y + u + "train: {dense_optimizer: {type: sgd, nesterov: true}}\n"), HasSubstr("needs a `momentum`"));
  EXPECT_THAT(one(y + "features: {n: {type: dense, columns: [a]}, g: {type: id, columns: [b]}}\n"
                      "model: {m: {type: mlp, from: zzzzzz}}\n"),
              HasSubstr("there are: `n`, `b`, `g`, `features`\n"));
  EXPECT_THAT(one("labels: {y: , z: }\n" + u + "tasks: {y: {trained_as: y + z}, z: {}}\n"),
              HasSubstr("write it like z * y\n"));
  EXPECT_THAT(one("features: {u: id}\n"), HasSubstr("`labels` is missing"));
  EXPECT_THAT(complaints("labels: {y: }\nfeatures: {u: id}\ndata: {trim: true}\n"), HasSubstr("no training data"));
  EXPECT_THAT(complaints("labels: {y: }\nfeatures: {u: id}\ndata: {train: a, header: false}\n"),
              HasSubstr("needs `columns`"));
  EXPECT_THAT(complaints(small("eval: {patience: 1}\n")), HasSubstr("no effect without validation data"));
}

class Extends : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) { return dir_.write(name, text); }
  TempDir dir_;
};

TEST_F(Extends, merges_and_keeps_positions) {
  write("base.yaml", small("train: {batch_size: 5, dense_optimizer: {type: sgd, momentum: 0.9}, epochs: 3}\n"));
  const std::string top =
      write("top.yaml",
            "extends: base.yaml\ntrain: {epochs: 4, dense_optimizer: {type: adam, lr: 1}}\nfeatures: {w: null}\n");
  Diagnostics d;
  const Config c = load_config(top, {}, d);
  EXPECT_EQ(d.render(), "");
  EXPECT_EQ(c.train.batch_size, 5);
  EXPECT_EQ(c.train.epochs, 4);
  EXPECT_EQ(c.train.dense_optimizer.type, "adam");
  EXPECT_EQ(c.features.size(), 1u);
  write("base.yaml", small("train: {batch_size: 0}\n"));
  Diagnostics e;
  load_config(top, {}, e);
  EXPECT_THAT(e.render(), HasSubstr("base.yaml:4:21"));
  write("base.yaml", small("train: {batchsize: 1, epochs: 1}\ntables: {u: {ids: int}}\n"));
  Diagnostics f;
  load_config(write("top.yaml", "extends: base.yaml\ntrain: {epochs: 2, batchsize: 2}\ntables:\n  u: {dim: 3}\n"), {},
              f);
  EXPECT_THAT(f.render(), HasSubstr("top.yaml:2:20"));  // the key
  EXPECT_THAT(f.render(), HasSubstr("top.yaml:4:6"));   // the map that lacks `rows`
}

TEST_F(Extends, refuses_cycles_and_missing_files) {
  write("a.yaml", "extends: b.yaml\n");
  const std::string b = write("b.yaml", "extends: a.yaml\n");
  Diagnostics d;
  load_config(b, {}, d);
  EXPECT_THAT(d.render(), HasSubstr("extends itself"));
  for (const auto& [text, message] :
       {std::pair("extends: [a.yaml]\n", "`extends` takes the path of one file, found a list"),
        {"extends: self.yaml\n", "`self.yaml` extends itself"},
        {"", "the config is empty"},
        {"- a\n", "a config is a map of sections, found a list"}}) {
    Diagnostics one;
    load_config(write("self.yaml", text), {}, one);
    EXPECT_THAT(one.render(), HasSubstr(message));
    EXPECT_THAT(one.render(), HasSubstr("\n1 error"));
  }
  Diagnostics e;
  load_config(write("c.yaml", "extends: nowhere.yaml\n"), {}, e);
  EXPECT_THAT(e.render(), HasSubstr("error[E001]: cannot read"));
  EXPECT_THAT(e.render(), HasSubstr("c.yaml:1:10"));
  Diagnostics f;
  load_config(dir_ / "none.yaml", {}, f);
  EXPECT_THAT(f.render(), HasSubstr("there is no such file"));
  Diagnostics g;
  load_config(dir_.path(), {}, g);
  EXPECT_THAT(g.render(), HasSubstr("it is a directory"));
}

}  // namespace
}  // namespace mtrank
