#include "framework/data/from_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "framework/config/config.h"
#include "framework/data/dataset.h"

namespace mtrank {
namespace {

Config load(const std::string& text) {
  Diagnostics diagnostics;
  Config config = load_config_text(text, "config.yaml", {}, diagnostics);
  EXPECT_EQ(diagnostics.render(), "");
  return config;
}

constexpr const char* kConfig = R"(
seed: 9
data:
  files: [a.csv, b.csv]
  split: {by: user_id, folds: 5, valid: [3], test: [0]}
  delimiter: ";"
  trim: true
  missing: ["", "?"]
  weight: w
  sample: {when: click == 0, keep: 0.25, correct: logit}
  on_bad_row: {policy: skip, cap: 7}
  cache: somewhere
labels:
  click: {}
  rich: {column: c41, positive: ["50000+."]}
  long: {column: ms, positive: ">= 300"}
  spend: {type: regression}
tables:
  video: {ids: vocab, min_count: 2, vocab_from: [video_id]}
features:
  video_id: {type: id, table: video}
  watched: {type: ids, column: history, separator: " ", table: video, max_len: 5, keep: first, unseen: drop, weights: hw}
  cats: {type: id, columns: [user_id, "f{0..1}"]}
  nums: {type: dense, columns: [x, y], clip: [0, 10], transform: log1p, normalize: zscore, missing: 1}
  age: {type: bucket, column: days, boundaries: [30, 365]}
  position: {type: id, train_only: {serve_as: "1"}}
model:
  deep: {type: mlp, from: features, hidden: [4]}
tasks:
  click: {}
  rich: {only_when: click == 1}
  long: {only_when: click == 1 and spend > 2}
  spend: {loss: mse}
eval: {metrics: [auc, gauc(user_id)], segments: [tab], best: click.auc}
)";

TEST(FromConfig, EverySettingArrives) {
  const DatasetSpec spec = dataset_spec(load(kConfig));
  for (const auto& part : spec.parts) EXPECT_EQ(part.files, (std::vector<std::string>{"a.csv", "b.csv"}));
  EXPECT_EQ(spec.parts[0].split.take, (std::vector<uint8_t>{0, 1, 1, 0, 1}));
  EXPECT_EQ(spec.parts[1].split.take, (std::vector<uint8_t>{0, 0, 0, 1, 0}));
  EXPECT_EQ(spec.parts[2].split.take, (std::vector<uint8_t>{1, 0, 0, 0, 0}));
  EXPECT_EQ(spec.parts[2].split.by, "user_id");
  EXPECT_EQ(spec.read.delimiter, ';');
  EXPECT_TRUE(spec.read.trim);
  EXPECT_TRUE(spec.skip_bad_rows);
  EXPECT_EQ(spec.bad_row_cap, 7);
  EXPECT_EQ(spec.cache_folder, "somewhere");

  const RowSpec& rows = spec.rows;
  ASSERT_EQ(rows.labels.size(), 4u);
  EXPECT_EQ(rows.labels[1].positive, (std::vector<std::string>{"50000+."}));
  EXPECT_EQ(rows.labels[2].column, "ms");
  EXPECT_EQ(rows.labels[2].comparison, Comparison::greater_equal);
  EXPECT_EQ(rows.labels[2].threshold, 300);
  EXPECT_FALSE(rows.labels[3].binary);
  ASSERT_EQ(rows.conditions.size(), 2u);
  EXPECT_EQ(rows.conditions[1].clauses[1].label, 3);
  EXPECT_EQ(rows.conditions[1].clauses[1].op, Comparison::greater);
  EXPECT_EQ(rows.keys, (std::vector<std::string>{"user_id", "tab"}));
  EXPECT_EQ(rows.weight_column, "w");
  EXPECT_EQ(rows.sample->keep, 0.25);
  EXPECT_EQ(rows.sample->correct, SampleSpec::Correct::logit);
  EXPECT_EQ(rows.seed, 9u);
}

TEST(FromConfig, FeaturesAndTables) {
  const FeatureTransforms t = feature_transforms(load(kConfig));
  const InputSchema schema = t.schema();
  std::vector<std::string> names;
  for (const auto& f : schema.features) names.push_back(f.group + "/" + f.name);
  EXPECT_EQ(names, (std::vector<std::string>{"video_id/video_id", "watched/watched", "cats/user_id", "cats/f0",
                                             "cats/f1", "nums/nums", "age/age", "position/position"}));
  const auto& watched = t.features[1];
  EXPECT_EQ(watched.columns, (std::vector<std::string>{"history"}));
  EXPECT_EQ(watched.separator, ' ');
  EXPECT_EQ(watched.max_len, 5);
  EXPECT_FALSE(watched.keep_last);
  EXPECT_TRUE(watched.drop_unseen);
  EXPECT_EQ(watched.weights_column, "hw");
  EXPECT_EQ(t.features[0].table, watched.table);
  const auto& video = t.tables[static_cast<size_t>(watched.table)];
  EXPECT_EQ(video.ids, IdKind::vocab);
  EXPECT_EQ(video.min_count, 2);
  EXPECT_EQ(video.vocab_from, (std::vector<std::string>{"video_id"}));
  const auto& nums = t.features[5];
  ASSERT_EQ(nums.steps.size(), 3u);
  EXPECT_EQ(nums.steps[0].high, 10);
  EXPECT_EQ(nums.steps[1].kind, DenseStep::Kind::log1p);
  EXPECT_EQ(nums.missing, 1);
  const auto& age = t.tables[static_cast<size_t>(t.features[6].table)];
  EXPECT_EQ(age.ids, IdKind::bucket);
  EXPECT_EQ(age.rows, 4) << "three buckets and one for missing values";
  EXPECT_EQ(t.features[7].serve_as, "1");
  EXPECT_EQ(t.missing, (std::vector<std::string>{"", "?"}));
}

TEST(FromConfig, CensusIsSplitByRowAndTrimmed) {
  const char* data = std::getenv("MTRANK_DATA");
  if (!data) GTEST_SKIP() << "set MTRANK_DATA to the folder with census/ to run this";
  Diagnostics diagnostics;
  const Config config = load_config(MTRANK_SOURCE_DIR "/configs/census.yaml", {"data.cache=none"}, diagnostics);
  ASSERT_EQ(diagnostics.errors(), 0) << diagnostics.render();
  const Dataset set(dataset_spec(config), 2);
  const auto& labels = set.schema().labels;
  ASSERT_EQ(labels.size(), 2u);
  const int64_t expected[3][3] = {{59858, 3724, 25883}, {19952, 1210, 8611}, {19952, 1252, 8649}};
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const auto* e = expected[static_cast<size_t>(part)];
    EXPECT_EQ(set.summary(part).rows, e[0]);
    EXPECT_EQ(set.summary(part).labels[0].positives, e[1]) << labels[0].name;
    EXPECT_EQ(set.summary(part).labels[1].positives, e[2]) << labels[1].name;
  }
}

}  // namespace
}  // namespace mtrank
