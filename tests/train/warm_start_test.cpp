#include "framework/train/warm_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "framework/core/error.h"
#include "framework/serving/scorer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace mtrank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::shared_ptr<const Vocabulary> vocabulary(const std::vector<std::string_view>& values) {
  return std::make_shared<Vocabulary>(values);
}

FeatureTransforms one_table(TableTransform table) {
  FeatureTransforms transforms;
  transforms.tables = {std::move(table)};
  return transforms;
}

FeatureTransforms words(const std::vector<std::string_view>& values) {
  return one_table({"word", IdKind::vocab, static_cast<int64_t>(values.size()) + 1, 1, {}, vocabulary(values)});
}

/// Weights [rows, 2] whose row r holds r + first.
std::vector<float> numbered(size_t rows, float first) {
  std::vector<float> out;
  for (size_t r = 0; r < rows; ++r) out.insert(out.end(), 2, first + static_cast<float>(r));
  return out;
}

TensorSource tensor(const std::string& name, const std::vector<float>& values, std::vector<int64_t> shape) {
  return {name, DType::f32, std::move(shape), values.data(), 0};
}

TEST(WarmStart, RowsOfAVocabularyGoByValue) {
  const std::vector<float> old_rows = numbered(5, 100);
  std::vector<float> rows = numbered(4, 0);
  const WarmSource source{
      "old", words({"ant", "bee", "cat", "dog"}), {tensor("embedding/word", old_rows, {5, 2})}, {}, {}};
  const WarmReport report =
      warm_start(source, words({"bee", "cow", "dog"}), {}, {tensor("embedding/word", rows, {4, 2})});
  EXPECT_THAT(rows, ElementsAre(100, 100, 102, 102, 2, 2, 104, 104));
  ASSERT_EQ(report.rows.size(), 1u);
  EXPECT_EQ(report.rows[0].taken, 3);  // the unseen row, bee, dog
  EXPECT_EQ(report.rows[0].fresh, 1);
  EXPECT_EQ(report.rows[0].dropped, 2);
  EXPECT_THAT(report.text(), HasSubstr("table word: 3 rows taken by value, 1 new, 2 dropped"));
}

TEST(WarmStart, VocabulariesThatShareNothingStillShareTheRowOfUnseenValues) {
  const std::vector<float> old_rows = numbered(2, 100);
  std::vector<float> rows = numbered(2, 0);
  const WarmSource source{"old", words({"zoo"}), {tensor("embedding/word", old_rows, {2, 2})}, {}, {}};
  warm_start(source, words({""}), {}, {tensor("embedding/word", rows, {2, 2})});
  EXPECT_THAT(rows, ElementsAre(100, 100, 1, 1));
}

TEST(WarmStart, AnotherWidthOrAnotherKindOfIdsIsNotTaken) {
  const std::vector<float> old_rows = numbered(2, 100);
  std::vector<float> rows = numbered(2, 0), wide(6, 7);
  const WarmSource source{"old", words({"a"}), {tensor("embedding/word", old_rows, {2, 2})}, {}, {}};
  EXPECT_THAT(warm_start(source, words({"a"}), {}, {tensor("embedding/word", wide, {2, 3})}).dropped,
              ElementsAre("embedding/word ([2, 2] there, [2, 3] here)"));
  EXPECT_THAT(
      warm_start(source, one_table({"word", IdKind::hash, 2, 1, {}, {}}), {}, {tensor("embedding/word", rows, {2, 2})})
          .dropped,
      ElementsAre("embedding/word (its ids are made another way)"));
  EXPECT_THAT(rows, ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(wide, ::testing::Each(7));
}

TEST(WarmStart, BucketsMeanTheirBoundaries) {
  const auto buckets = [](std::vector<double> boundaries) {
    FeatureTransforms transforms = one_table({"age", IdKind::bucket, 3, 1, {}, {}});
    FeatureTransform feature;
    feature.kind = FeatureKind::bucket;
    feature.table = 0;
    feature.boundaries = std::move(boundaries);
    transforms.features = {feature};
    return transforms;
  };
  const auto beside = [&](std::vector<double> others) {
    FeatureTransforms transforms = buckets({18});
    transforms.tables.push_back({"height", IdKind::bucket, 3, 1, {}, {}});
    transforms.features.push_back(transforms.features[0]);
    transforms.features[1].table = 1;
    transforms.features[1].boundaries = std::move(others);
    return transforms;
  };
  const std::vector<float> old_rows = numbered(3, 100);
  std::vector<float> rows = numbered(3, 0);
  const WarmSource source{"old", buckets({18}), {tensor("embedding/age", old_rows, {3, 2})}, {}, {}};
  EXPECT_THAT(warm_start(source, buckets({21}), {}, {tensor("embedding/age", rows, {3, 2})}).dropped,
              ElementsAre("embedding/age (other boundaries)"));
  EXPECT_THAT(warm_start(source, buckets({18}), {}, {tensor("embedding/age", rows, {3, 2})}).taken,
              ElementsAre("embedding/age"));
  const WarmSource two{"old", beside({150}), {tensor("embedding/age", old_rows, {3, 2})}, {}, {}};
  EXPECT_THAT(warm_start(two, beside({160}), {}, {tensor("embedding/age", rows, {3, 2})}).taken,
              ElementsAre("embedding/age"));
  EXPECT_EQ(rows, old_rows);
}

TEST(WarmStart, DenseWeightsGoByNameAndShape) {
  const std::vector<float> a = {1, 2}, b = {3, 4, 5}, gone = {6};
  std::vector<float> now_a = {0, 0}, now_b = {0, 0}, fresh = {9};
  const WarmSource source{"old", {}, {tensor("a", a, {2}), tensor("b", b, {3}), tensor("gone", gone, {1})}, {}, {}};
  const WarmReport report =
      warm_start(source, {}, {}, {tensor("a", now_a, {2}), tensor("b", now_b, {2}), tensor("fresh", fresh, {1})});
  EXPECT_THAT(now_a, ElementsAre(1, 2));
  EXPECT_THAT(now_b, ElementsAre(0, 0));
  EXPECT_THAT(report.taken, ElementsAre("a"));
  EXPECT_THAT(report.fresh, ElementsAre("b ([3] there, [2] here)", "fresh (not there)"));
  EXPECT_THAT(report.dropped, ElementsAre("b ([3] there, [2] here)", "gone (not in this model)"));
  EXPECT_THAT(
      report.text(),
      HasSubstr("taken by name: 1\n  new here: 2: b ([3] there, [2] here), fresh (not there)\n  dropped: 2: b"));
  EXPECT_THAT(report.json(),
              HasSubstr(R"#("taken":["a"],"partly":[],"new":["b ([3] there, [2] here)","fresh (not there)"],)#"
                        R"#("dropped":["b ([3])#"));
}

TEST(WarmStart, OfDenseWeightsWithOtherInputsTheSharedBlocksAreTaken) {
  const std::vector<float> old_values = {1, 2, 3, 4, 5, 6};
  std::vector<float> values(8, 0);
  const WeightLayout before{{{"user", 2}, {"day", 1}}, {{"for a", 1}, {"for b", 1}}};
  const WeightLayout now{{{"price", 1}, {"day", 1}, {"user", 2}}, {{"for b", 1}, {"for c", 1}}};
  const WarmSource source{"old", {}, {tensor("w", old_values, {3, 2})}, {{"w", before}}, {}};
  const WarmReport report = warm_start(source, {}, {{"w", now}}, {tensor("w", values, {4, 2})});
  EXPECT_THAT(values, ElementsAre(0, 0, 6, 0, 2, 0, 4, 0));
  EXPECT_THAT(report.taken, IsEmpty());
  EXPECT_THAT(report.dropped, IsEmpty());
  EXPECT_THAT(report.partly, ElementsAre("w (new price; without for a; new for c)"));
  EXPECT_THAT(report.text(), HasSubstr("taken by name: 0\n  taken in part: 1: w (new price;"));
  EXPECT_THAT(report.json(), HasSubstr(R"("taken":[],"partly":["w (new price)"));
}

TEST(WarmStart, DenseWeightsThatShareNoInputsAreNotTakenWhateverTheirShape) {
  const std::vector<float> old_values = {1, 2};
  std::vector<float> values(2, 0);
  const WarmSource source{
      "old", {}, {tensor("w", old_values, {2, 1})}, {{"w", {{{"deep/0", 2}}, {{"click/0", 1}}}}}, {}};
  EXPECT_THAT(warm_start(source, {}, {{"w", {{{"deep/1", 2}}, {{"click/0", 1}}}}}, {tensor("w", values, {2, 1})}).fresh,
              ElementsAre("w (without deep/0 [2]; new deep/1 [2])"));
  EXPECT_THAT(values, ElementsAre(0, 0));
}

/// A weight "w" of ones, where there were zeros.
WarmReport take_weight(WeightLayout before, std::vector<int64_t> from, WeightLayout now, std::vector<int64_t> to,
                       std::vector<float>& values) {
  const std::vector<float> old_values(12, 1);
  values.assign(12, 0);
  const WarmSource source{"old", {}, {tensor("w", old_values, std::move(from))}, {{"w", std::move(before)}}, {}};
  return warm_start(source, {}, {{"w", std::move(now)}}, {tensor("w", values, std::move(to))});
}

TEST(WarmStart, WhatALayoutDoesNotDescribeIsNotCut) {
  const auto fresh = [](WeightLayout before, std::vector<int64_t> from, WeightLayout now, std::vector<int64_t> to) {
    std::vector<float> values;
    const WarmReport report = take_weight(before, from, now, to, values);
    EXPECT_THAT(values, ::testing::Each(0));
    return report.fresh;
  };
  const WeightLayout two{{{"a", 2}}, {{"x", 2}}}, three{{{"a", 2}, {"b", 1}}, {{"x", 2}}};
  EXPECT_THAT(fresh(two, {2, 2}, three, {3, 3}), ElementsAre("w ([2, 2] there, [3, 3] here)"));
  EXPECT_THAT(fresh(two, {3, 2}, three, {3, 2}), ElementsAre("w (new b)"));
  EXPECT_THAT(fresh({{{"a", 1}}, {{"x", 2}}}, {1, 2, 2}, {{{"b", 1}, {"a", 1}}, {{"x", 2}}}, {2, 2}),
              ElementsAre("w ([1, 2, 2] there, [2, 2] here)"));
  EXPECT_THAT(fresh({{{"a", 2}}, {{"x", 1}}}, {2, 1}, {{{"a", 2}}, {{"y", 1}}}, {2, 1}),
              ElementsAre("w (without x; new y)"));
}

TEST(WarmStart, ChangesAreToldOnceWithTheirWidths) {
  const auto partly = [](WeightLayout before, std::vector<int64_t> from, WeightLayout now, std::vector<int64_t> to) {
    std::vector<float> values;
    return take_weight(before, from, now, to, values).partly;
  };
  EXPECT_THAT(partly({{{"a", 2}, {"b", 1}}, {{"x", 1}}}, {3, 1}, {{{"a", 3}, {"b", 1}}, {{"x", 1}}}, {4, 1}),
              ElementsAre("w (without a [2]; new a [3])"));
  EXPECT_THAT(partly({{{"a", 2}, {"b", 1}}, {{"x", 1}}}, {3, 1}, {{{"b", 1}, {"a", 2}}, {{"x", 1}}}, {3, 1}),
              ElementsAre("w (in another order)"));
  EXPECT_THAT(partly({{{"a", 1}, {"b", 1}}, {{"a", 1}, {"b", 1}}}, {2, 2}, {{{"a", 1}}, {{"a", 1}}}, {1, 1}),
              ElementsAre("w (without b)"));
}

TEST(WarmStart, AForgedSourceIsNotTaken) {
  const std::vector<float> old_rows(28, 1);
  std::vector<float> rows(4, 0);
  const auto fresh = [&](FeatureTransforms transforms, TensorSource from) {
    const WarmSource source{"old", std::move(transforms), {std::move(from)}, {}, {}};
    return warm_start(source, words({"a"}), {}, {tensor("embedding/word", rows, {2, 2})}).fresh;
  };
  EXPECT_THAT(fresh(words({"a"}), tensor("embedding/word", old_rows, {3, 2})),
              ElementsAre("embedding/word ([3, 2] there, [2, 2] here)"));
  EXPECT_THAT(fresh(words({"a"}), tensor("embedding/word", old_rows, {2, 2, 7})),
              ElementsAre("embedding/word ([2, 2, 7] there, [2, 2] here)"));
  EXPECT_THAT(fresh({}, tensor("embedding/word", old_rows, {2, 2})),
              ElementsAre("embedding/word (no table of features)"));
  TensorSource bytes = tensor("embedding/word", old_rows, {2, 2});
  bytes.dtype = DType::u8;
  EXPECT_THAT(fresh(words({"a"}), bytes), ElementsAre(::testing::StartsWith("embedding/word (it is ")));
  EXPECT_THAT(rows, ::testing::Each(0));
}

TEST(WarmStart, OfManyNamesTwentyAreShown) {
  WarmReport report;
  report.fresh.assign(20, "w");
  EXPECT_THAT(report.text(), ::testing::Not(HasSubstr("more")));
  report.fresh.assign(23, "w");
  EXPECT_THAT(report.text(), HasSubstr("new here: 23: w, w"));
  EXPECT_THAT(report.text(), HasSubstr("w and 3 more"));
}

class WarmSourceTest : public TempDirTest {
 protected:
  std::string refusal(const std::string& from) const {
    try {
      open_warm_source(from, [](const std::string&) {});
    } catch (const Error& e) {
      return std::to_string(static_cast<int>(e.code())) + " " + e.what();
    }
    return "taken";
  }
};

TEST_F(WarmSourceTest, ABundleIsTakenWholeWithItsVocabularies) {
  disk::Output(path("train.csv")).write(tiny_log(200, 1));
  TinyModel model(path("train.csv"));
  write_bundle(path("some.file"), model.bundle());
  const WarmSource source = open_warm_source(path("some.file"), [](const std::string&) {});
  std::vector<std::vector<float>> memory;
  std::vector<TensorSource> weights = model.weights;
  for (TensorSource& weight : weights) {
    const int64_t size = std::accumulate(weight.shape.begin(), weight.shape.end(), int64_t{1}, std::multiplies<>());
    weight.data = memory.emplace_back(static_cast<size_t>(size)).data();
  }
  const WarmReport report =
      warm_start(source, model.data->transforms(), weight_layouts(model.graph, model.data->transforms()), weights);
  EXPECT_EQ(report.taken.size(), weights.size());
  EXPECT_THAT(report.fresh, IsEmpty());
  EXPECT_THAT(report.dropped, IsEmpty());
  for (size_t i = 0; i < weights.size(); ++i)
    EXPECT_EQ(memcmp(weights[i].data, model.weights[i].data, memory[i].size() * sizeof(float)), 0) << weights[i].name;
}

/// Scores of some rows by output and row, whatever the order of a model's columns and outputs.
std::map<std::string, std::vector<float>> scores(const TinyModel& model) {
  Scorer scorer(model.bundle(), 1);
  const std::vector<std::map<std::string, std::string>> rows = {
      {{"user", "u1"}, {"items", "i1|i7"}, {"price", "3.5"}, {"day", "9"}},
      {{"user", "u2"}, {"items", "i4"}, {"price", ""}, {"day", "31"}},
      {{"user", "u3"}, {"items", ""}, {"price", "70"}, {"day", "2"}}};
  std::vector<std::string_view> values;
  for (const auto& row : rows)
    for (const std::string& column : scorer.columns()) values.push_back(row.at(column));
  const std::vector<float> result = scorer.score_rows(values);
  std::map<std::string, std::vector<float>> by_output;
  for (size_t i = 0; i < result.size(); ++i)
    by_output[scorer.outputs()[i % scorer.outputs().size()]].push_back(result[i]);
  return by_output;
}

// Columns in another order, a feature that a layer has no more, one that is new to a layer, and tasks in another order.
// The feature that came and went has rows of zeros, so what it is multiplied with counts for nothing.
TEST_F(WarmSourceTest, AModelOfOtherInputsScoresAsTheOneItStartsFrom) {
  disk::Output(path("train.csv")).write(tiny_log(200, 1));
  TinyParts parts;
  const auto model_of = [](const std::string& cross, const std::string& experts) {
    return "{cross: {type: dcn_v2, from: " + cross + ", layers: 2}, low: {type: dcn_v2, from: cross, rank: 3}, " +
           "experts: {type: mmoe, from: " + experts + ", experts: 2, hidden: [6, 5]}}";
  };
  parts.model = model_of("[user, items]", "[low, price, day]");
  TinyModel before(path("train.csv"), "{metrics: [auc]}", parts);
  for (const TensorSource& weight : before.weights)
    if (weight.name == "embedding/day") {
      auto* rows = static_cast<float*>(const_cast<void*>(weight.data));
      std::fill_n(rows, weight.shape[0] * weight.shape[1], 0.f);
    }
  write_bundle(path("before"), before.bundle());
  parts.model = model_of("[day, items, user]", "[price, low]");
  parts.tasks = "{buy: {only_when: click == 1}, click: {}}";
  const TinyModel now(path("train.csv"), "{metrics: [auc]}", parts);
  const auto cold = scores(now);

  const auto layouts = weight_layouts(now.graph, now.data->transforms());
  const WarmReport report = warm_start(open_warm_source(path("before"), [](const std::string&) {}),
                                       now.data->transforms(), layouts, now.weights);
  EXPECT_THAT(report.fresh, IsEmpty());
  EXPECT_THAT(report.dropped, IsEmpty());
  EXPECT_THAT(report.partly, ::testing::Contains("cross/0/w/weight (new day [4]; new day in cross [4])"));
  EXPECT_THAT(report.partly,
              ::testing::Contains("experts/gates/weight (without day [4]; new day in cross in low [4])"));
  EXPECT_THAT(report.partly, ::testing::Contains("low/0/u/bias (new day in cross in low [4])"));
  EXPECT_THAT(report.taken, ::testing::Contains("experts/experts/1/weight"));
  for (const auto& [output, expected] : scores(before))
    for (size_t r = 0; r < expected.size(); ++r) {
      EXPECT_NEAR(scores(now).at(output)[r], expected[r], 1e-5) << output << " of row " << r;
      EXPECT_GT(std::abs(cold.at(output)[r] - expected[r]), 1e-4) << output << " of row " << r;
    }
}

TEST_F(WarmSourceTest, WhatIsNoRunAndNoBundleIsRefusedByName) {
  EXPECT_THAT(refusal(path("missing")), ::testing::StartsWith("2 train.init_from: there is no `" + path("missing")));
  disk::make_directory(path("empty"));
  EXPECT_THAT(refusal(path("empty")), HasSubstr("`" + path("empty") + "` holds neither"));
  disk::Output(path("notes.txt")).write("hello");
  EXPECT_THAT(refusal(path("notes.txt")), ::testing::StartsWith("4 "));
  EXPECT_THAT(refusal(path("notes.txt")), HasSubstr("notes.txt is not a safetensors file"));
}

}  // namespace
}  // namespace mtrank
