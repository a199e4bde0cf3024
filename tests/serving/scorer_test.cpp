#include "framework/serving/scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "framework/data/raw_source.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace mtrank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ScorerTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(300, 1));
    model_ = std::make_unique<TinyModel>(path("train.csv"));
    write_bundle(path("model"), model_->bundle());
  }
  Bundle loaded() const { return read_bundle(path("model")); }

  /// Scores of a file, by output, in batches of a size.
  std::vector<std::vector<float>> scores_of(Scorer& scorer, const std::string& file, int64_t batch_size) const {
    RawSource source({path(file)}, scorer.read_options(), scorer.encoder(), {batch_size, 1, {}, false, 0});
    std::vector<std::vector<float>> all(scorer.outputs().size()), some;
    for (Batch batch; source.next(batch);) {
      scorer.score(batch, some);
      for (size_t o = 0; o < all.size(); ++o) all[o].insert(all[o].end(), some[o].begin(), some[o].end());
    }
    return all;
  }
  std::unique_ptr<TinyModel> model_;
};

TEST_F(ScorerTest, TheBundleKnowsItsColumnsAndOutputs) {
  const Scorer scorer(loaded());
  EXPECT_THAT(scorer.columns(), ::testing::UnorderedElementsAre("user", "items", "price", "day"));
  EXPECT_THAT(scorer.outputs(), ElementsAre("p_click", "p_buy"));
  EXPECT_EQ(scorer.bundle().golden.rows.size(), 5u);
  EXPECT_EQ(scorer.bundle().config.find(dir_), std::string::npos) << "no paths in a bundle";
}

TEST_F(ScorerTest, ScoresAreThoseOfTheModelInMemoryWhateverBatchThreadsAndInstructions) {
  // The oracle: the trainer's own rows and weights, one batch.
  const auto source = model_->data->eval(Part::train, 1000);
  std::vector<View> params, tables;
  size_t at = 0;
  for (const ParamWeight& p : model_->graph.params) {
    const Value& v = model_->graph.value(p.value);
    params.push_back({const_cast<void*>(model_->weights[at++].data), v.rows, v.cols, v.cols, nullptr});
  }
  for (const TableWeight& t : model_->graph.tables) {
    const Value& v = model_->graph.value(t.value);
    tables.push_back({const_cast<void*>(model_->weights[at++].data), v.rows, v.cols, v.cols, nullptr});
  }
  Forward forward(model_->graph, source->schema(), params, tables, 1);
  ThreadPool pool(1);
  forward.refresh(pool);
  Batch batch;
  std::vector<std::vector<float>> expected;
  source->seek(0, 0);
  ASSERT_TRUE(source->next(batch));
  ASSERT_EQ(batch.rows, 300);
  forward.run(pool, batch, expected);

  const Isa best = isa();
  for (int set = 0; set <= static_cast<int>(best); ++set) {
    set_isa(static_cast<Isa>(set));
    for (const int threads : {1, 3}) {
      Scorer scorer(loaded(), threads);
      for (const int64_t size : {1, 7, 300}) {
        const auto scores = scores_of(scorer, "train.csv", size);
        EXPECT_EQ(scores[0], expected[0]) << "batches of " << size;
        EXPECT_EQ(scores[1], expected[1]) << "batches of " << size;
      }
    }
  }
  set_isa(best);
  EXPECT_NE(expected[0][0], expected[0][1]);
}

TEST_F(ScorerTest, RowsGivenAsTextScoreLikeRowsOfAFile) {
  Scorer scorer(loaded(), 2);
  const auto file = scores_of(scorer, "train.csv", 64);
  const auto rows = first_rows({path("train.csv")}, scorer.read_options(), scorer.transforms(), 300);
  ASSERT_EQ(rows.size(), 300u);
  std::vector<std::string_view> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  const std::vector<float> scores = scorer.score_rows(values);
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(scores[2 * r], file[0][r]);
    EXPECT_EQ(scores[2 * r + 1], file[1][r]);
  }
}

TEST_F(ScorerTest, ThreadsMayScoreAtTheSameTime) {
  Scorer scorer(loaded(), 2);
  const auto& golden = scorer.bundle().golden;
  std::vector<std::string_view> values;
  for (const auto& row : golden.rows) values.insert(values.end(), row.begin(), row.end());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) EXPECT_EQ(scorer.score_rows(values), golden.scores);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ScorerTest, ABadValueNamesRowAndColumn) {
  Scorer scorer(loaded());
  std::vector<std::string_view> values(2 * scorer.columns().size(), "1");
  const size_t price = static_cast<size_t>(std::find(scorer.columns().begin(), scorer.columns().end(), "price") -
                                           scorer.columns().begin());
  values[scorer.columns().size() + price] = "cheap";
  try {
    scorer.score_rows(values);
    FAIL();
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("row 1, column 'price': found 'cheap'"));
  }
  EXPECT_TRUE(scorer.score_rows({}).empty());
}

TEST_F(ScorerTest, PartsThatDoNotFitAreRefused) {
  const auto refusal = [&](auto&& edit) -> std::string {
    Bundle bundle = loaded();
    edit(bundle);
    try {
      Scorer scorer(std::move(bundle));
    } catch (const FileError& e) {
      return e.what();
    }
    return "accepted";
  };
  const auto replace = [](std::string& text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  EXPECT_EQ(refusal([](Bundle&) {}), "accepted");
  EXPECT_THAT(refusal([](Bundle& b) { b.golden.scores[3] += 1e-6f; }), HasSubstr("golden row 1: output 'p_buy' is"));
  EXPECT_THAT(refusal([](Bundle& b) { b.golden.columns[0] = "x"; }), HasSubstr("golden rows have other columns"));
  EXPECT_THAT(refusal([](Bundle& b) { b.tensors.erase(b.tensors.begin()); }), HasSubstr("lacks the tensor"));
  EXPECT_THAT(refusal([](Bundle& b) { b.tensors[0].shape[0] += 1; }), HasSubstr("its graph expects f32"));
  EXPECT_THAT(refusal([](Bundle& b) { b.graph = "{}"; }), HasSubstr("graph: the whole has no 'values'"));
  EXPECT_THAT(refusal([](Bundle& b) { b.features = "{}"; }), HasSubstr("features: the entry has no"));
  EXPECT_THAT(refusal([](Bundle& b) { b.input = "{}"; }), HasSubstr("input: "));
  EXPECT_THAT(refusal([&](Bundle& b) { replace(b.graph, "\"ids:items\"", "\"ids:nothing\""); }),
              HasSubstr("graph reads 'ids:nothing', which is no feature"));
  const auto widen = [](Bundle& b) {  // a column that the graph does not know
    auto features = nlohmann::json::parse(b.features);
    for (auto& feature : features.at("features"))
      if (feature.at("name") == "price")
        for (const char* list : {"columns", "mean", "deviation"}) feature.at(list).push_back(feature.at(list)[0]);
    b.features = features.dump();
  };
  EXPECT_THAT(refusal(widen), HasSubstr("feature 'price' is not what its graph reads"));
  EXPECT_THAT(refusal([&](Bundle& b) { replace(b.features, "\"rows\":50", "\"rows\":51"); }),
              HasSubstr("table 'user' has 51 rows, its embedding 50"));
  const auto swap = [](Bundle& b) {  // ids of one table, looked up in another
    auto graph = nlohmann::json::parse(b.graph);
    for (auto& node : graph.at("nodes"))
      if (node.at("op") == "lookup") std::swap(node.at("in")[0], node.at("in")[2]);
    b.graph = graph.dump();
  };
  EXPECT_THAT(refusal(swap),
              HasSubstr("the bundle's graph looks 'ids:user' up in 'embedding/item', its table is 'user'"));
  const auto repeat = [](Bundle& b) {
    auto features = nlohmann::json::parse(b.features);
    for (const auto& table : nlohmann::json(features.at("tables"))) features.at("tables").push_back(table);
    b.features = features.dump();
  };
  EXPECT_THAT(refusal(repeat), HasSubstr("names a table that is there twice: user"));
}

}  // namespace
}  // namespace mtrank
