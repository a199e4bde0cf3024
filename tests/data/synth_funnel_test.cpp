#include "framework/data/synth_funnel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/metrics/metric.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<FunnelRow> make_rows(int64_t count, uint64_t seed) {
  FunnelWorld world(count, seed);
  std::vector<FunnelRow> rows;
  while (std::ssize(rows) < count)
    for (FunnelRow& row : world.next_session()) rows.push_back(std::move(row));
  return rows;
}

TEST(FunnelWorld, TrueProbabilitiesAreCalibratedAndNested) {
  const std::vector<FunnelRow> rows = make_rows(100000, 3);
  for (int stage = 0; stage < 3; ++stage) {
    double expected = 0, variance = 0, happened = 0;
    for (const FunnelRow& row : rows) {
      const double p = row.probability[stage];
      ASSERT_TRUE(p > 0 && p < 1);
      if (stage > 0) {
        ASSERT_LT(p, row.probability[stage - 1]);
        ASSERT_LE(row.label[stage], row.label[stage - 1]);
      }
      expected += p, variance += p * (1 - p), happened += row.label[stage];
    }
    EXPECT_LT(std::abs(happened - expected), 4 * std::sqrt(variance)) << kFunnelStages[stage];
    EXPECT_GT(happened, 0.02 * static_cast<double>(rows.size()));
  }
}

TEST(SynthFunnelCommand, MakesItsOwnFilesAgainAndNoOthers) {
  TempDir dir;
  const auto synth = [&](const std::string& rows) {
    return testing::run_mtrank({"synth", "funnel", "--rows", rows, "--plain", "--out", dir / "log"});
  };
  ASSERT_EQ(synth("300").code, 0);
  ASSERT_EQ(synth("200").code, 0);
  disk::remove(dir / "log/truth.json");
  const std::string mine = testing::read_text(dir / "log/train.csv");
  const auto refused = synth("100");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("is not empty (it holds test.csv) and was not made by synth"));
  EXPECT_EQ(testing::read_text(dir / "log/train.csv"), mine);
}

TEST(FunnelWorld, HistoriesAreTheEarlierClicksOfTheUser) {
  std::map<int, std::deque<std::pair<int, int>>> clicks;  // by user: item, category
  FunnelWorld world(20000, 4);
  for (int session = 0; session < 2000; ++session) {
    const std::vector<FunnelRow> rows = world.next_session();
    auto& history = clicks[rows.front().user_id];
    for (const FunnelRow& row : rows) {
      ASSERT_EQ(row.clicked_items.size(), history.size());
      for (size_t i = 0; i < history.size(); ++i)
        ASSERT_EQ(std::pair(row.clicked_items[i], row.clicked_categories[i]), history[i]);
    }
    for (const FunnelRow& row : rows)
      if (row.label[kClick]) history.emplace_back(row.item_id, row.category_id);
    while (history.size() > 10) history.pop_front();
  }
}

TEST(FunnelWorld, TimeRunsForwardAndPositionsHurt) {
  const std::vector<FunnelRow> rows = make_rows(50000, 5);
  std::map<int, std::pair<double, double>> by_position;
  std::map<int, int> by_item;
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_GE(rows[i].time, i > 0 ? rows[i - 1].time : 0);
    by_position[rows[i].position].first += rows[i].label[kClick];
    by_position[rows[i].position].second += 1;
    ++by_item[rows[i].item_id];
  }
  const auto rate = [&](int p) { return by_position[p].first / by_position[p].second; };
  EXPECT_GT(rate(1), rate(4) + 0.05);
  EXPECT_GT(rate(4), rate(12) + 0.03);
  std::set<int> counts;
  for (const auto& [item, n] : by_item) counts.insert(n);
  EXPECT_GT(*counts.rbegin(), 5 * *counts.begin()) << "popularity is Zipf";
}

class SynthFunnel : public TempDirTest {
 protected:
  SynthFunnelOptions options(const std::string& out, uint64_t seed, bool gzip) const {
    return {3000, seed, path(out), gzip, 0.1, 0.1};
  }
  std::string gunzip(const std::string& name) const {
    gzFile file = gzopen(path(name).c_str(), "rb");
    std::string text(10 << 20, '\0');
    text.resize(gzread(file, text.data(), static_cast<unsigned>(text.size())));
    gzclose(file);
    return text;
  }
};

TEST_F(SynthFunnel, TextIsAFunctionOfRowsAndSeed) {
  synth_funnel(options("a", 1, false));
  synth_funnel(options("b", 1, false));
  synth_funnel(options("c", 2, false));
  for (const char* file : {"train.csv", "valid.csv", "test.csv"}) {
    EXPECT_EQ(contents(std::string("a/") + file), contents(std::string("b/") + file));
    EXPECT_NE(contents(std::string("a/") + file), contents(std::string("c/") + file));
  }
  // Pinned: every machine and every later version writes the same log.
  EXPECT_EQ(hex64(xxh64(contents("a/train.csv"))), "e9bb2b0fced7fda8");
}

TEST_F(SynthFunnel, GzipHoldsTheSameText) {
  synth_funnel(options("plain", 1, false));
  synth_funnel(options("gz", 1, true));
  EXPECT_EQ(gunzip("gz/train.csv.gz"), contents("plain/train.csv"));
  EXPECT_EQ(contents("gz/train.csv.gz").substr(4, 4), std::string(4, '\0')) << "no time in the gzip header";
}

TEST_F(SynthFunnel, SplitsAndTruth) {
  const auto splits = synth_funnel(options("a", 1, false));
  EXPECT_EQ(splits[0].rows, 2400);
  EXPECT_EQ(splits[1].rows, 300);
  EXPECT_EQ(splits[2].rows, 300);
  const std::string text = contents("a/test.csv");
  EXPECT_THAT(text, StartsWith("time,user_id,user_segment,item_id,category_id,hour,device,position,price,"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 301);
  EXPECT_EQ(splits[2].probability[kClick].size(), 300u);
  EXPECT_TRUE(splits[0].label[kClick].empty());
}

TEST_F(SynthFunnel, RefusesImpossibleOptions) {
  SynthFunnelOptions o = options("a", 1, false);
  o.rows = 0;
  EXPECT_THROW(synth_funnel(o), ConfigError);
  o.rows = 10, o.valid = 0.5, o.test = 0.5;
  EXPECT_THROW(synth_funnel(o), ConfigError);
  o.out = "/proc/nowhere", o.valid = 0.1;
  EXPECT_THROW(synth_funnel(o), ResourceError);
}

TEST_F(SynthFunnel, CommandPrintsTheBestReachableAuc) {
  const auto result = testing::run_mtrank({"synth", "funnel", "--rows", "20000", "--seed", "7", "--out", path("x")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("Best reachable AUC"));
  const auto truth = nlohmann::json::parse(contents("x/truth.json"));
  for (const char* stage : kFunnelStages) {
    const double auc = truth["splits"]["test"]["best_auc"][stage];
    EXPECT_GT(auc, 0.7) << stage;
    EXPECT_LT(auc, 0.95) << stage;
  }
  EXPECT_GT(truth["splits"]["test"]["best_auc_given_previous"]["cart"].get<double>(), 0.6);
  EXPECT_EQ(testing::run_mtrank({"synth", "funnel", "--rows", "0", "--out", path("y")}).code, 2);
  for (const char* seed : {"-1", "18446744073709551616", "1e3", "x"})
    EXPECT_EQ(testing::run_mtrank({"synth", "funnel", "--seed", seed, "--out", path("y")}).code, 2) << seed;
  EXPECT_FALSE(disk::is_directory(path("y")));
  EXPECT_EQ(testing::run_mtrank({"synth"}).code, 2);
}

}  // namespace
}  // namespace mtrank
