#include "framework/data/row_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "framework/core/error.h"
#include "framework/data/number.h"
#include "framework/data/tokens.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

std::shared_ptr<const Vocabulary> vocabulary(const std::vector<std::string_view>& values) {
  return std::make_shared<const Vocabulary>(values);
}

/// Encodes rows given by column name, and builds the batch.
struct Encoded {
  Batch batch;
  std::vector<BadRow> bad;
};
Encoded encode(const FeatureTransforms& transforms, const RowSpec& rows, EncodeFor purpose,
               const std::vector<std::map<std::string, std::string>>& data) {
  const RowEncoder encoder(transforms, rows, purpose);
  Encoded result;
  std::vector<uint32_t> words;
  std::vector<size_t> starts;
  for (size_t r = 0; r < data.size(); ++r) {
    std::vector<std::string> padded;
    std::vector<std::string_view> values;
    for (const auto& c : encoder.columns()) padded.push_back(data[r].at(c) + std::string(8, '|'));
    for (const auto& p : padded) values.push_back(std::string_view(p).substr(0, p.size() - 8));
    BadRow bad;
    const size_t start = words.size();
    const auto how = encoder.encode(values.data(), static_cast<int64_t>(r), words, bad);
    if (how == RowEncoder::Result::row) starts.push_back(start);
    if (how == RowEncoder::Result::bad) result.bad.push_back(bad);
    EXPECT_TRUE(how == RowEncoder::Result::row || words.size() == start);
  }
  std::vector<const uint32_t*> records;
  for (const size_t s : starts) records.push_back(words.data() + s);
  build_batch(encoder.layout(), encoder.correction(), records.data(), static_cast<int64_t>(records.size()),
              result.batch);
  return result;
}

std::vector<std::vector<int32_t>> lists(const IdColumn& column) {
  std::vector<std::vector<int32_t>> out;
  for (size_t r = 0; r + 1 < column.offsets.size(); ++r)
    out.emplace_back(column.ids.begin() + column.offsets[r], column.ids.begin() + column.offsets[r + 1]);
  return out;
}

TEST(ValueHash, IsXxh64OfEveryLength) {
  std::mt19937 random(1);
  std::string text(100 + kValuePadding, 'x');
  for (char& c : text) c = static_cast<char>(random());
  for (size_t n = 0; n <= 90; ++n)
    for (const uint64_t seed : {uint64_t{0}, uint64_t{0x123456789abcdef}}) {
      EXPECT_EQ(xxh64_value({text.data(), n}, seed), xxh64(text.data(), n, seed)) << n;
      if (n < 8) {
        EXPECT_EQ(xxh64_short(pack_short(text.data(), n), n, seed), xxh64(text.data(), n, seed)) << n;
      }
    }
}

TEST(ValueHash, FastModuloIsExact) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t n = 1 + (random() >> (random() % 64)), h = random() >> (i % 3 * 20);
    EXPECT_EQ(FastModulo(n)(h), h % n) << h << " mod " << n;
    EXPECT_EQ(FastModulo(n)(~uint64_t{0}), ~uint64_t{0} % n) << n;
  }
}

TEST(Tokens, AreWhatStandsBetweenSeparators) {
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = random() % 60; n > 0; --n) text += "ab|{}\x7c\xfc"[random() % 7];
    std::vector<std::string> expected{""}, found;
    for (const char c : text)
      if (c == '|')
        expected.emplace_back();
      else
        expected.back() += c;
    const std::string padded = text + "||||||||";
    const std::string_view view = std::string_view(padded).substr(0, text.size());
    for_each_token(view, '|', [&](std::string_view token) { found.emplace_back(token); });
    EXPECT_EQ(found, expected) << text;
    EXPECT_EQ(count_tokens(text, '|'), static_cast<int64_t>(expected.size()));
    const auto skip = random() % expected.size();
    found.clear();
    for_each_token(skip_tokens(view, '|', static_cast<int64_t>(skip)), '|',
                   [&](std::string_view token) { found.emplace_back(token); });
    EXPECT_EQ(found, std::vector<std::string>(expected.begin() + static_cast<ptrdiff_t>(skip), expected.end()));
  }
}

TEST(Number, ReadsDecimalsAndNothingElse) {
  const auto number = [](std::string_view text) {
    double x = -99;
    return parse_number(text, x) ? x : -99;
  };
  EXPECT_EQ(number("0"), 0);
  EXPECT_EQ(number("-12"), -12);
  EXPECT_EQ(number("+3.5"), 3.5);
  EXPECT_EQ(number("1e3"), 1000);
  EXPECT_EQ(number(".5"), 0.5);
  EXPECT_EQ(number("5."), 5);
  EXPECT_EQ(number("0.1"), 0.1);
  EXPECT_EQ(number("123456789012345678"), 123456789012345678.0);
  EXPECT_EQ(number("1e-400"), 0);
  EXPECT_EQ(number("0." + std::string(400, '0') + "1"), 0);
  EXPECT_TRUE(std::signbit(number("-0")));
  for (const char* bad :
       {"", "-", "+", "+-1", "abc", "1x", "1 ", " 1", "nan", "inf", "-inf", "0x10", "1e400", "1e", "1,5", "--1"})
    EXPECT_EQ(number(bad), -99) << bad;
  for (const double x : {0.0, 1e-20, 0.1, 1.0, 3.7, 1e5, 1e17})
    EXPECT_NEAR(portable_log1p(x), std::log1p(x), 4e-16 * std::max(std::log1p(x), 1e-30)) << x;
}

TEST(RowEncoder, HashedIdsAreXxh64SeededByTheTable) {
  FeatureTransforms t;
  t.tables = {hash_table("user", 1000003)};
  t.features = {id_feature("u", 0), list_feature("us", 0, 10)};
  const auto e = encode(t, {}, EncodeFor::scoring, {{{"u", "alice"}, {"us", "alice||bob"}}, {{"u", ""}, {"us", ""}}});
  const uint64_t seed = xxh64("user");
  const auto row = [&](std::string_view v) { return static_cast<int32_t>(xxh64(v, seed) % 1000003); };
  EXPECT_EQ(e.batch.ids[0].ids, (std::vector<int32_t>{row("alice"), row("")})) << "an empty id is a value of its own";
  EXPECT_EQ(lists(e.batch.ids[1]), (std::vector<std::vector<int32_t>>{{row("alice"), row("bob")}, {}}));
}

TEST(RowEncoder, ListsAreCutBeforeUnseenIdsAreDropped) {
  FeatureTransforms t;
  t.tables = {vocab_table("v")};
  t.tables[0].vocab = vocabulary({"a", "b", "long value"});
  t.features = {list_feature("last", 0, 2), list_feature("first", 0, 2), list_feature("shared", 0, 9)};
  t.features[0].drop_unseen = t.features[1].drop_unseen = true;
  t.features[1].keep_last = false;
  const auto run = [&](const std::string& text) {
    const auto e = encode(t, {}, EncodeFor::scoring, {{{"last", text}, {"first", text}, {"shared", text}}});
    return std::vector<std::vector<int32_t>>{lists(e.batch.ids[0])[0], lists(e.batch.ids[1])[0],
                                             lists(e.batch.ids[2])[0]};
  };
  using Lists = std::vector<std::vector<int32_t>>;
  EXPECT_EQ(run("a|b|a"), (Lists{{2, 1}, {1, 2}, {1, 2, 1}}));
  EXPECT_EQ(run("x|long value|y|a"), (Lists{{1}, {3}, {0, 3, 0, 1}}));
  EXPECT_EQ(run("x"), (Lists{{}, {}, {0}}));
  EXPECT_EQ(run(""), (Lists{{}, {}, {}}));
  EXPECT_EQ(run("a||b"), (Lists{{2}, {1}, {1, 2}})) << "an empty token takes a place, then is left out";
}

TEST(RowEncoder, WeightsFollowTheirIds) {
  FeatureTransforms t;
  t.tables = {vocab_table("v")};
  t.tables[0].vocab = vocabulary({"a", "b"});
  t.features = {list_feature("l", 0, 3), id_feature("i", 0)};
  t.features[0].drop_unseen = true;
  t.features[0].weights_column = "w";
  const auto e = encode(t, {}, EncodeFor::scoring,
                        {{{"l", "a|x|b|a"}, {"w", "1|2|3|4"}, {"i", "x"}},
                         {{"l", ""}, {"w", ""}, {"i", "b"}},
                         {{"l", "b"}, {"w", "0.5"}, {"i", ""}}});
  EXPECT_EQ(lists(e.batch.ids[0]), (std::vector<std::vector<int32_t>>{{2, 1}, {}, {2}}));
  EXPECT_EQ(e.batch.ids[0].weights, (std::vector<float>{3, 4, 0.5}));
  EXPECT_EQ(e.batch.ids[1].ids, (std::vector<int32_t>{0, 2, 0}));
  const auto bad = encode(t, {}, EncodeFor::scoring,
                          {{{"l", "a|b"}, {"w", "1"}, {"i", "x"}}, {{"l", "a|b"}, {"w", "1|?"}, {"i", "x"}}});
  ASSERT_EQ(bad.bad.size(), 2u);
  EXPECT_EQ(bad.bad[0].problem, "1 weights for the 2 ids of column 'l' (feature 'l')");
  EXPECT_EQ(bad.bad[1].value, "?");
}

TEST(RowEncoder, IntegersAreChecked) {
  FeatureTransforms t;
  t.tables = {hash_table("ad", 10)};
  t.tables[0].ids = IdKind::integer;
  t.features = {id_feature("ad_id", 0)};
  EXPECT_EQ(encode(t, {}, EncodeFor::scoring, {{{"ad_id", "0"}}, {{"ad_id", "9"}}}).batch.ids[0].ids,
            (std::vector<int32_t>{0, 9}));
  for (const char* value : {"10", "-1", "", "1.0", "x", "99999999999999999999"}) {
    const auto e = encode(t, {}, EncodeFor::scoring, {{{"ad_id", value}}});
    ASSERT_EQ(e.bad.size(), 1u) << value;
    EXPECT_EQ(e.bad[0].column, "ad_id");
    EXPECT_EQ(e.bad[0].value, value);
    EXPECT_EQ(e.bad[0].problem, "expected an integer from 0 to 9 (feature 'ad_id', table 'ad')");
  }
}

TEST(RowEncoder, BucketsAndNumbers) {
  FeatureTransforms t;
  t.missing = {"", "?"};
  t.tables = {hash_table("age", 5)};
  t.tables[0].ids = IdKind::bucket;
  t.features = {id_feature("age", 0), dense_feature("d", {"x", "y"},
                                                    {{DenseStep::Kind::clip, -1, 100},
                                                     {DenseStep::Kind::log1p, 0, 0},
                                                     {DenseStep::Kind::zscore, 0, 0}})};
  t.features[0].kind = FeatureKind::bucket;
  t.features[0].boundaries = {1, 10, 100};
  t.features[1].missing = 3;
  t.features[1].mean = {1, 2};
  t.features[1].deviation = {2, 4};
  const auto e = encode(t, {}, EncodeFor::scoring,
                        {{{"age", "0.5"}, {"x", "0"}, {"y", "-5"}},
                         {{"age", "10"}, {"x", "1e9"}, {"y", "?"}},
                         {{"age", "1000"}, {"x", ""}, {"y", "7"}},
                         {{"age", ""}, {"x", "1"}, {"y", "1"}}});
  EXPECT_EQ(e.batch.ids[0].ids, (std::vector<int32_t>{0, 2, 3, 4}));
  const auto z = [](double x, double mean, double sd) { return static_cast<float>((std::log1p(x) - mean) / sd); };
  const std::vector<float> expected = {z(0, 1, 2), z(0, 2, 4), z(100, 1, 2), z(3, 2, 4),
                                       z(3, 1, 2), z(7, 2, 4), z(1, 1, 2),   z(1, 2, 4)};
  for (size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(e.batch.dense[0][i], expected[i]) << i;
  EXPECT_EQ(encode(t, {}, EncodeFor::scoring, {{{"age", "old"}, {"x", "1"}, {"y", "1"}}}).bad[0].problem,
            "expected a number (feature 'age')");
  EXPECT_EQ(encode(t, {}, EncodeFor::scoring, {{{"age", "1"}, {"x", "1"}, {"y", "nan"}}}).bad[0].column, "y");
}

TEST(RowEncoder, LabelsConditionsAndKeys) {
  RowSpec rows;
  rows.labels = {binary_label("click"), binary_label("rich"), binary_label("long"), binary_label("spend")};
  rows.labels[1].positive = {"50000+."};
  rows.labels[2].column = "ms";
  rows.labels[2].comparison = Comparison::greater_equal;
  rows.labels[2].threshold = 300;
  rows.labels[3].binary = false;
  rows.conditions = {{"click == 1", {{0, Comparison::equal, 1}}},
                     {"click != 1 and spend > 2", {{0, Comparison::not_equal, 1}, {3, Comparison::greater, 2}}}};
  rows.keys = {"user"};
  rows.weight_column = "w";
  using Row = std::map<std::string, std::string>;
  const auto row = [](const char* click, const char* rich, const char* ms, const char* spend, const char* user,
                      const char* w) {
    return Row{{"click", click}, {"rich", rich}, {"ms", ms}, {"spend", spend}, {"user", user}, {"w", w}};
  };
  const auto e = encode({}, rows, EncodeFor::training,
                        {row("1", "50000+.", "300", "2.5", "u1", "1"), row("0", "- 50000.", "299", "3", "", "0.5"),
                         row("", "", "", "", "u1", "2"), row("1.0", "x", "1e3", "-1", "u2", "0")});
  const float nan = std::nanf("");
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))) return false;
    return a.size() == b.size();
  };
  EXPECT_TRUE(same(e.batch.labels[0], {1, 0, nan, 1}));
  EXPECT_TRUE(same(e.batch.labels[1], {1, 0, nan, 0}));
  EXPECT_TRUE(same(e.batch.labels[2], {1, 0, nan, 1}));
  EXPECT_TRUE(same(e.batch.labels[3], {2.5, 3, nan, -1}));
  EXPECT_EQ(e.batch.conditions[0], (std::vector<uint8_t>{1, 0, 0, 1}));
  EXPECT_EQ(e.batch.conditions[1], (std::vector<uint8_t>{0, 1, 0, 0}));
  EXPECT_EQ(e.batch.keys[0], (std::vector<uint64_t>{xxh64("u1"), xxh64(""), xxh64("u1"), xxh64("u2")}));
  EXPECT_EQ(e.batch.weight, (std::vector<float>{1, 0.5, 2, 0}));
  const auto bad = encode({}, rows, EncodeFor::training,
                          {row("yes", "x", "1", "1", "u", "1"), row("2", "x", "1", "1", "u", "1"),
                           row("1", "x", "long", "1", "u", "1"), row("1", "x", "1", "1", "u", "-1")});
  ASSERT_EQ(bad.bad.size(), 4u);
  EXPECT_EQ(bad.bad[0].problem, "expected 0 or 1 (label 'click'); `positive:` says which values are 1");
  EXPECT_EQ(bad.bad[2].column, "ms");
  EXPECT_EQ(bad.bad[3].column, "w");
}

TEST(RowEncoder, NumbersThatNoFloatHoldsAreBad) {
  RowSpec rows;
  rows.labels = {binary_label("spend")};
  rows.labels[0].binary = false;
  rows.weight_column = "w";
  FeatureTransforms transforms;
  transforms.features = {dense_feature("plain", {"x"}, {}),
                         dense_feature("clipped", {"y"}, {{DenseStep::Kind::clip, -1, 1}})};
  using Row = std::map<std::string, std::string>;
  const auto e = encode(transforms, rows, EncodeFor::training,
                        {Row{{"x", "3e38"}, {"y", "-1e300"}, {"spend", "1"}, {"w", "1"}},
                         Row{{"x", "-1e39"}, {"y", "1"}, {"spend", "1"}, {"w", "1"}},
                         Row{{"x", "1"}, {"y", "1"}, {"spend", "1e39"}, {"w", "1"}},
                         Row{{"x", "1"}, {"y", "1"}, {"spend", "1"}, {"w", "1e39"}}});
  EXPECT_EQ(e.batch.rows, 1);
  ASSERT_EQ(e.bad.size(), 3u);
  EXPECT_EQ(e.bad[0].problem, "expected a number that a float can hold (feature 'plain')");
  EXPECT_EQ(e.bad[1].problem, "expected a number that a float can hold (label 'spend')");
  EXPECT_EQ(e.bad[2].column, "w");
}

TEST(RowEncoder, SpacesAroundAValueAreTold) {
  RowSpec rows;
  rows.labels = {binary_label("click")};
  FeatureTransforms transforms;
  transforms.features = {dense_feature("x", {"x"}, {})};
  using Row = std::map<std::string, std::string>;
  const auto e = encode(transforms, rows, EncodeFor::training,
                        {Row{{"x", " 1"}, {"click", "1"}}, Row{{"x", "1"}, {"click", "1 "}}});
  ASSERT_EQ(e.bad.size(), 2u);
  EXPECT_EQ(e.bad[0].problem, "expected a number (feature 'x'); data.trim takes spaces off");
  EXPECT_EQ(e.bad[1].problem,
            "expected 0 or 1 (label 'click'); `positive:` says which values are 1; data.trim takes spaces off");
}

TEST(RowEncoder, MoreConditionsThanAWordHasBits) {
  RowSpec rows;
  rows.labels = {binary_label("y")};
  rows.labels[0].binary = false;
  for (int i = 0; i < 70; ++i)
    rows.conditions.push_back({"y == " + std::to_string(i), {{0, Comparison::equal, static_cast<double>(i)}}});
  const auto e = encode({}, rows, EncodeFor::training, {{{"y", "0"}}, {{"y", "31"}}, {{"y", "69"}}});
  for (size_t c = 0; c < 70; ++c)
    EXPECT_EQ(e.batch.conditions[c], (std::vector<uint8_t>{c == 0, c == 31, c == 69})) << c;
}

TEST(RowEncoder, SampleKeepsAShareAndIsCorrected) {
  RowSpec rows;
  rows.labels = {binary_label("click"), binary_label("buy")};
  rows.sample = SampleSpec{{"click == 0", {{0, Comparison::equal, 0}}}, 0.25, SampleSpec::Correct::weight};
  rows.seed = 5;
  std::vector<std::map<std::string, std::string>> data;
  for (int i = 0; i < 4000; ++i) data.push_back({{"click", i % 4 == 0 ? "1" : "0"}, {"buy", "0"}});
  const auto weighted = encode({}, rows, EncodeFor::training, data).batch;
  const auto clicks = std::count(weighted.labels[0].begin(), weighted.labels[0].end(), 1.0f);
  EXPECT_EQ(clicks, 1000);
  EXPECT_NEAR(static_cast<double>(weighted.rows - clicks), 750, 75);
  for (size_t r = 0; r < static_cast<size_t>(weighted.rows); ++r)
    EXPECT_EQ(weighted.sampling_weight[r], weighted.labels[0][r] == 1 ? 1 : 4);
  EXPECT_TRUE(weighted.logit_correction.empty());
  EXPECT_EQ(encode({}, rows, EncodeFor::training, data).batch.labels, weighted.labels) << "the same rows every time";
  EXPECT_EQ(encode({}, rows, EncodeFor::scoring, data).batch.rows, 4000) << "training only";

  rows.sample->correct = SampleSpec::Correct::logit;
  const auto shifted = encode({}, rows, EncodeFor::training, data).batch;
  const RowEncoder encoder({}, rows, EncodeFor::training);
  EXPECT_TRUE(encoder.schema().labels[0].logit_corrected);
  EXPECT_FALSE(encoder.schema().labels[1].logit_corrected);
  EXPECT_FLOAT_EQ(shifted.logit_correction[0], std::log(4.0f)) << "the sampled odds are 4 times the true ones";
  EXPECT_EQ(shifted.weights(encoder.schema().labels[0]), nullptr);
  EXPECT_EQ(shifted.weights(encoder.schema().labels[1]), shifted.sampling_weight.data());
}

TEST(RowEncoder, TrainOnlyFeaturesAreConstantWhenScoring) {
  FeatureTransforms t;
  t.tables = {hash_table("pos", 100)};
  t.features = {id_feature("pos", 0), dense_feature("x", {"x"}), list_feature("l", 0, 5)};
  for (auto& f : t.features) f.serve_as = "7";
  const auto trained = encode(t, {}, EncodeFor::training, {{{"pos", "3"}, {"x", "4"}, {"l", "1|2"}}}).batch;
  const RowEncoder scoring(t, {}, EncodeFor::scoring);
  EXPECT_TRUE(scoring.columns().empty());
  const auto scored = encode(t, {}, EncodeFor::scoring, {{}}).batch;
  const auto row = [&](std::string_view v) { return static_cast<int32_t>(xxh64(v, xxh64("pos")) % 100); };
  EXPECT_EQ(trained.ids[0].ids[0], row("3"));
  EXPECT_EQ(scored.ids[0].ids[0], row("7"));
  EXPECT_EQ(scored.dense[0][0], 7);
  EXPECT_EQ(lists(scored.ids[1])[0], (std::vector<int32_t>{row("7")}));
}

TEST(Transforms, SurviveJsonAndDamageIsRefused) {
  FeatureTransforms t;
  t.missing = {"", "?"};
  t.tables = {hash_table("user", 100), vocab_table("v", {"l"}), hash_table("age", 4)};
  t.tables[1].vocab = vocabulary({"a", "b"});
  t.tables[2].ids = IdKind::bucket;
  t.features = {id_feature("u", 0), list_feature("l", 1, 5), id_feature("age", 2),
                dense_feature("d", {"x", "y"}, {{DenseStep::Kind::clip, 0, 0.1}, {DenseStep::Kind::zscore, 0, 0}})};
  t.features[0].serve_as = "0";
  t.features[1].weights_column = "w";
  t.features[1].separator = '\x01';
  t.features[2].kind = FeatureKind::bucket;
  t.features[2].boundaries = {0.1, 2};
  t.features[3].mean = {0.1, 1.0 / 3};
  t.features[3].deviation = {1e-6, 2};
  const std::string json = transforms_to_json(t);
  const auto back = transforms_from_json(json);
  EXPECT_EQ(transforms_to_json(back), json);
  EXPECT_EQ(back.features[3].mean, t.features[3].mean);
  EXPECT_EQ(back.tables[1].rows, 3);

  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = json;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    try {
      transforms_from_json(text);
    } catch (const FileError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(broken("\"rows\":100", "\"rows\":0"), HasSubstr("table 0 has a 'rows' out of range: 0"));
  EXPECT_THAT(broken("\"rows\":100", "\"rows\":\"a\""), HasSubstr("'rows' that is no integer"));
  EXPECT_THAT(broken("\"table\":\"user\"", "\"table\":\"x\""), HasSubstr("names a table that is not there: x"));
  EXPECT_THAT(broken("[0.1,2.0]", "[3,2.0]"), HasSubstr("boundaries out of order"));
  EXPECT_THAT(broken("\"kind\":\"ids\"", "\"kind\":\"odd\""), HasSubstr("unknown 'kind': odd"));
  EXPECT_THAT(broken("\"deviation\":[1e-06,2.0]", "\"deviation\":[1]"), HasSubstr("one mean and deviation a column"));
  EXPECT_THAT(broken("\"max_len\":5", "\"max\":5"), HasSubstr("feature 1 has no 'max_len'"));
  EXPECT_THAT(broken("{\"hash\"", "[{\"hash\""), HasSubstr("not JSON"));
}

TEST(Vocabulary, RowsAreInOrderOfTheBytes) {
  const std::vector<std::string_view> values = {"", "10", "9", "a long value", "a long valuf", "b", "\xc3\xa9"};
  const Vocabulary v(values);
  EXPECT_EQ(v.rows(), 8);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string padded = std::string(values[i]) + "12345678";
    EXPECT_EQ(v.row(std::string_view(padded).substr(0, values[i].size())), static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(v.row(std::string_view("a long valug12345678", 12)), 0);
  EXPECT_EQ(v.row(std::string_view("1012345678", 3)), 0);
  const Vocabulary again(v.bytes(), v.offsets());
  EXPECT_EQ(again.offsets(), v.offsets());
  EXPECT_EQ(again.bytes(), v.bytes());
  EXPECT_THROW(Vocabulary({"b", "a"}), FileError);
  EXPECT_THROW(Vocabulary({"a", "a"}), FileError);
  EXPECT_THROW(Vocabulary("ab", {0, 1, 3}), FileError);
  EXPECT_THROW(Vocabulary("ab", {0, 5, 2}), FileError);
  EXPECT_THROW(Vocabulary("ab", {}), FileError);
}

TEST(ValueMap, HoldsManyValues) {
  ValueMap map;
  std::string padded;
  const auto value = [&](int i) {
    padded = (i % 2 ? "v" : "a longer value ") + std::to_string(i);
    const size_t n = padded.size();
    padded.append(8, '\0');
    return std::string_view(padded).substr(0, n);
  };
  for (int i = 0; i < 20000; ++i) EXPECT_EQ(map.insert(value(i)), static_cast<size_t>(i));
  for (int i = 0; i < 20000; ++i) EXPECT_EQ(map.find(value(i)), i);
  for (int i = 20000; i < 21000; ++i) EXPECT_EQ(map.find(value(i)), -1);
  EXPECT_EQ(map.insert(value(77)), 77u);
  EXPECT_EQ(map.size(), 20000u);
}

}  // namespace
}  // namespace mtrank
