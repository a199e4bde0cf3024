#include "framework/serving/mtrank_c.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "framework/serving/scorer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

class CApiTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(100, 1));
    write_bundle(path("model"), TinyModel(path("train.csv")).bundle());
    ASSERT_EQ(mtrank_load(path("model").c_str(), 2, &model_), 0) << mtrank_last_error();
    golden_ = read_bundle(path("model")).golden;
  }
  void TearDown() override {
    mtrank_free(model_);
    TempDirTest::TearDown();
  }
  /// Scores of CSV text; `code_` is what the call returned.
  std::vector<float> score_csv(const std::string& text) {
    float* scores = nullptr;
    size_t rows = 0;
    code_ = mtrank_score_csv(model_, text.data(), text.size(), &scores, &rows);
    std::vector<float> result(scores, scores + rows * mtrank_outputs(model_));
    mtrank_free_scores(scores);
    return result;
  }
  mtrank_model* model_ = nullptr;
  GoldenRows golden_;
  int code_ = 0;
};

TEST_F(CApiTest, NamesItsColumnsAndOutputs) {
  ASSERT_EQ(mtrank_columns(model_), golden_.columns.size());
  for (size_t c = 0; c < golden_.columns.size(); ++c) EXPECT_EQ(mtrank_column(model_, c), golden_.columns[c]);
  EXPECT_EQ(mtrank_column(model_, golden_.columns.size()), nullptr);
  ASSERT_EQ(mtrank_outputs(model_), 2u);
  EXPECT_STREQ(mtrank_output(model_, 1), "p_buy");
  EXPECT_EQ(mtrank_output(model_, 2), nullptr);
}

TEST_F(CApiTest, ScoresRowsWithAndWithoutSizes) {
  std::string text;  // of all values, with nothing between them
  std::vector<const char*> values, places;
  std::vector<size_t> sizes;
  for (const auto& row : golden_.rows) {
    for (const std::string& value : row) values.push_back(value.c_str()), sizes.push_back(value.size()), text += value;
  }
  const char* place = text.data();
  for (const size_t size : sizes) places.push_back(place), place += size;
  std::vector<float> scores(golden_.scores.size(), -1);
  ASSERT_EQ(mtrank_score(model_, places.data(), sizes.data(), golden_.rows.size(), scores.data()), 0)
      << mtrank_last_error();
  EXPECT_EQ(scores, golden_.scores);
  scores.assign(scores.size(), -1);
  ASSERT_EQ(mtrank_score(model_, values.data(), nullptr, golden_.rows.size(), scores.data()), 0);
  EXPECT_EQ(scores, golden_.scores);
}

TEST_F(CApiTest, NullIsAnEmptyField) {
  std::vector<const char*> values(mtrank_columns(model_), "");
  float scores[2][2];
  ASSERT_EQ(mtrank_score(model_, values.data(), nullptr, 1, scores[0]), 0);
  values.assign(values.size(), nullptr);
  ASSERT_EQ(mtrank_score(model_, values.data(), nullptr, 1, scores[1]), 0);
  EXPECT_EQ(scores[0][0], scores[1][0]);
  EXPECT_EQ(scores[0][1], scores[1][1]);
}

TEST_F(CApiTest, ScoresCsvText) {
  const std::string log = contents("train.csv");
  const std::vector<float> scores = score_csv(log);
  ASSERT_EQ(code_, 0) << mtrank_last_error();
  ASSERT_EQ(scores.size(), 200u);
  EXPECT_TRUE(std::equal(golden_.scores.begin(), golden_.scores.end(), scores.begin()));
  std::string crlf;
  for (const char c : log) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(score_csv("\xef\xbb\xbf" + crlf), scores);
}

TEST_F(CApiTest, QuotesAndCarriageReturnsInsideFieldsAreTheirs) {
  const auto score = [&](const char* user) {
    std::vector<const char*> values;
    for (size_t c = 0; c < mtrank_columns(model_); ++c) {
      const std::string name = mtrank_column(model_, c);
      values.push_back(name == "user" ? user : name == "day" ? "3" : name == "price" ? "1" : "");
    }
    std::vector<float> scores(2);
    EXPECT_EQ(mtrank_score(model_, values.data(), nullptr, 1, scores.data()), 0) << mtrank_last_error();
    return scores;
  };
  const std::string head = "user,items,day,price\n";
  EXPECT_EQ(score_csv(head + "\"u\"\"1\",,3,1\n"), score("u\"1"));
  EXPECT_EQ(score_csv(head + "u1\r,,3,1\n"), score("u1\r"));
  EXPECT_NE(score("u\"1"), score("u"));
  EXPECT_NE(score("u1\r"), score("u1"));
}

TEST_F(CApiTest, ErrorsAreCodesAndTexts) {
  mtrank_model* none = nullptr;
  EXPECT_EQ(mtrank_load(path("missing").c_str(), 1, &none), 4);
  EXPECT_THAT(mtrank_last_error(), HasSubstr("cannot read " + path("missing")));
  EXPECT_EQ(none, nullptr);
  for (const int threads : {-1, 0, 1025, 1 << 30}) {
    EXPECT_EQ(mtrank_load(path("model").c_str(), threads, &none), 2);
    EXPECT_THAT(mtrank_last_error(), HasSubstr("threads is " + std::to_string(threads) + ", expected 1 to 1024"));
  }
  EXPECT_EQ(mtrank_load(nullptr, 1, &none), 2);
  EXPECT_THAT(mtrank_last_error(), HasSubstr("path is NULL"));
  float score = 0;
  EXPECT_EQ(mtrank_score(model_, nullptr, nullptr, SIZE_MAX / 2, &score), 5);
  EXPECT_THAT(mtrank_last_error(), HasSubstr("out of memory"));
  const std::pair<const char*, const char*> cases[] = {
      {"", "the text is empty"},
      {"user,items,day\n", "no column 'price'"},
      {"user,items,day,price,user\nu1,,3,1,u2\n", "has the column 'user' twice"},
      {"user,items,day,price\nu1,,3\n", "row 0: found 3 fields, expected 4"},
      {"user,items,day,price\nu1,,3,1,5\n", "row 0: found 5 fields, expected 4"},
      {"user,items,day,price\nu1,,3,cheap\n", "column 'price': found 'cheap'"},
      {"user,items,day,price\n\"u1", "inside quotes"},
      {"user,items,day,price\n\"u1\"x,,3,1\n", "goes on after its closing quote"},
      {"user,items,day,price\n\"u1\"xy,,3,1\n", "goes on after its closing quote"}};
  for (const auto& [text, message] : cases) {
    EXPECT_TRUE(score_csv(text).empty());
    EXPECT_EQ(code_, 3) << text;
    EXPECT_THAT(mtrank_last_error(), HasSubstr(message));
  }
  std::thread([] { EXPECT_STREQ(mtrank_last_error(), ""); }).join();
}

TEST_F(CApiTest, ManyThreadsAtOnce) {
  const std::string log = contents("train.csv");
  const std::vector<float> expected = score_csv(log);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        float* scores = nullptr;
        size_t rows = 0;
        EXPECT_EQ(mtrank_score_csv(model_, log.data(), log.size(), &scores, &rows), 0);
        EXPECT_TRUE(rows == 100 && std::equal(expected.begin(), expected.end(), scores));
        mtrank_free_scores(scores);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mtrank
