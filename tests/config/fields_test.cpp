#include "framework/config/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/core/error.h"

namespace mtrank {
namespace {

using testing::HasSubstr;

enum class Pool { sum, mean };
std::span<const char* const> enum_names(Pool) {
  static constexpr const char* names[] = {"sum", "mean"};
  return names;
}

struct Inner {
  std::string type = "adam";
  double lr = 1e-3, beta = 0.9, momentum = 0;
  void fields(Fields& f) {
    f("type", type, "kind").one_of({"sgd", "adam"}).selects();
    f("lr", lr, "learning rate").above(0);
    f("beta", beta, "decay").min(0).below(1).only_if(type == "adam");
    f("momentum", momentum, "momentum").min(0).only_if(type == "sgd");
  }
};

struct Everything {
  bool flag = false;
  int64_t count = 3;
  double rate = 0.5;
  std::string mode = "relu";
  Name from;
  Pool pool = Pool::mean;
  std::optional<int64_t> cap;
  std::vector<int64_t> hidden = {64};
  OrderedMap<Inner> by_name;
  Inner inner;
  template <class V>
  void fields(V& v) {
    v("flag", flag, "a switch");
    v("count", count, "how many").min(1).max(9);
    v("rate", rate, "share").min(0).below(1);
    v("mode", mode, "activation").one_of({"relu", "gelu"});
    v("from", from, "input").required();
    v("pool", pool, "how a list becomes one");
    v("cap", cap, "limit").min(1);
    v("hidden", hidden, "sizes").min(1).at_least(1);
    v("by_name", by_name, "named ones");
    v("inner", inner, "the optimizer");
  }
};

Everything parse(const std::string& text, Diagnostics& d) {
  Everything out;
  parse_fields(parse_yaml(text, "c.yaml", d), out, d);
  return out;
}

std::string errors_of(const std::string& text) {
  Diagnostics d;
  parse(text, d);
  return d.render();
}

TEST(Fields, reads_every_type) {
  Diagnostics d;
  const Everything e = parse(
      "{flag: true, count: 9, rate: 0, mode: gelu, from: x, pool: sum, cap: 7, hidden: [3, 4], "
      "by_name: {b: sgd, a: {lr: 1}}, inner: {type: sgd, momentum: 0.5}}",
      d);
  ASSERT_EQ(d.render(), "");
  EXPECT_TRUE(e.flag);
  EXPECT_EQ(e.count, 9);
  EXPECT_EQ(e.rate, 0);
  EXPECT_EQ(e.mode, "gelu");
  EXPECT_EQ(e.from, "x");
  EXPECT_EQ(e.from.at.column, 51);
  EXPECT_EQ(e.pool, Pool::sum);
  EXPECT_EQ(e.cap, 7);
  EXPECT_EQ(e.hidden, (std::vector<int64_t>{3, 4}));
  ASSERT_EQ(e.by_name.size(), 2u);
  EXPECT_EQ(e.by_name[0].first, "b");
  EXPECT_EQ(e.by_name[0].second.type, "sgd");
  EXPECT_EQ(e.by_name.get("a")->lr, 1);
  EXPECT_EQ(e.inner.momentum, 0.5);
}

TEST(Fields, one_value_stands_for_a_list_and_none_unsets) {
  Diagnostics d;
  const Everything e = parse("{from: x, hidden: 7, cap: none}", d);
  ASSERT_EQ(d.render(), "");
  EXPECT_EQ(e.hidden, (std::vector<int64_t>{7}));
  EXPECT_FALSE(e.cap);
}

TEST(Fields, every_problem_is_reported) {
  const std::string all = errors_of(
      "flag: yes\ncount: 10\nrate: 1\nmode: rel\npool: avg\ncap: 0\nhidden: [1, 0, x]\nhiden: 3\n"
      "inner: {type: sgd, beta: 0.5}\nby_name: [1]\n");
  EXPECT_THAT(all, HasSubstr("`flag` takes true or false, found the text `yes`"));
  EXPECT_THAT(all, HasSubstr("help: write true"));
  EXPECT_THAT(all, HasSubstr("`count` is 10, it must be in [1, 9]"));
  EXPECT_THAT(all, HasSubstr("`rate` is 1, it must be in [0, 1)"));
  EXPECT_THAT(all, HasSubstr("did you mean `relu`? expected one of: `relu`, "));
  EXPECT_THAT(all, HasSubstr("expected one of: `sum`, `mean`"));
  EXPECT_THAT(all, HasSubstr("`cap` is 0, it must be at least 1"));
  EXPECT_THAT(all, HasSubstr("c.yaml:7:13"));
  EXPECT_THAT(all, HasSubstr("`hidden` takes an integer, found the text `x`"));
  EXPECT_THAT(all, HasSubstr("unknown key `hiden`"));
  EXPECT_THAT(all, HasSubstr("did you mean `hidden`?"));
  EXPECT_THAT(all, HasSubstr("`beta` does not apply to `sgd`"));
  EXPECT_THAT(all, HasSubstr("it belongs to adam"));
  EXPECT_THAT(all, HasSubstr("`by_name` takes a map of names, found a list"));
  EXPECT_THAT(all, HasSubstr("`from` is missing"));
  EXPECT_THAT(all, HasSubstr("12 errors\n"));
}

TEST(Fields, an_unknown_type_hides_no_other_problem) {
  const std::string all = errors_of("{from: x, inner: {type: adan, lr: 0, betta: 1, momentum: 0.5}}");
  EXPECT_THAT(all, HasSubstr("did you mean `adam`?"));
  EXPECT_THAT(all, HasSubstr("`lr` is 0, it must be above 0"));
  EXPECT_THAT(all, HasSubstr("did you mean `beta`?"));
  EXPECT_THAT(all, HasSubstr("3 errors"));
}

TEST(Fields, numbers_that_are_none) {
  EXPECT_THAT(errors_of("{from: x, count: 1_0}"), HasSubstr("help: write 10"));
  EXPECT_THAT(errors_of("{from: x, count: 3.0}"), HasSubstr("`count` takes an integer, found the number 3.0"));
  EXPECT_THAT(errors_of("{from: x, count: \"3\"}"), HasSubstr("help: write 3, without quotes"));
  EXPECT_THAT(errors_of("{from: x, count: 1,0.5, rate: 1_0}"), Not(HasSubstr("without quotes")));
  EXPECT_THAT(errors_of("{from: x, rate: \"0.5\"}"), HasSubstr("help: remove the quotes"));
  EXPECT_THAT(errors_of("{from: x, rate: 0_0.5}"), Not(HasSubstr("quotes")));
  EXPECT_THAT(errors_of("{from: x, flag: off}"), HasSubstr("help: write false"));
  EXPECT_THAT(errors_of("{from: x, inner: {type: }}"), HasSubstr("`type` has no value"));
  EXPECT_THAT(errors_of("{from: x, hidden: {a: 1}}"), HasSubstr("`hidden` takes a list"));
  EXPECT_THAT(errors_of("{from: x, cap: \"none\"}"), HasSubstr("`cap` takes an integer, found the text"));
  EXPECT_THAT(errors_of("{from: x, inner: {betta: 1}}"), HasSubstr("did you mean `beta`?"));
  EXPECT_THAT(errors_of("{from: x, rate: .nan}"), HasSubstr("must be finite"));
  EXPECT_THAT(errors_of("{from: x, rate: }"), HasSubstr("`rate` has no value"));
}

TEST(Fields, resolved_form_reads_back) {
  Diagnostics d;
  const Everything e = parse("{from: x, by_name: {a: {lr: 0.25}}}", d);
  const Node resolved = to_node(e);
  EXPECT_EQ(write_json(resolved),
            R"({"flag":false,"count":3,"rate":0.5,"mode":"relu","from":"x","pool":"mean","cap":"none","hidden":[64],)"
            R"("by_name":{"a":{"type":"adam","lr":0.25,"beta":0.9}},"inner":{"type":"adam","lr":0.001,"beta":0.9}})");
  const Everything again = parse(write_yaml(resolved), d);
  ASSERT_EQ(d.render(), "");
  EXPECT_TRUE(resolved.same_value(to_node(again)));
}

TEST(Fields, describes_itself) {
  const std::string table = fields_markdown(describe_fields<Everything>());
  EXPECT_THAT(table, HasSubstr("| `count` | integer | `3` | how many; in [1, 9] |"));
  EXPECT_THAT(table, HasSubstr("| `mode` | relu \\| gelu | `relu` | activation |"));
  EXPECT_THAT(table, HasSubstr("| `from` | text | `required` | input |"));
  EXPECT_THAT(table, HasSubstr("| `cap` | integer or none | `none` | limit; at least 1 |"));
  EXPECT_THAT(table, HasSubstr("| `inner.momentum` | number | `0` | momentum; at least 0 (sgd) |"));
}

TEST(Diagnostics, renders_like_rustc) {
  Diagnostics d;
  Everything e;
  parse_fields(parse_yaml("from: x\nhiden: [64]\n", "c.yaml", d), e, d);
  EXPECT_EQ(d.render(),
            "error[E101]: unknown key `hiden`\n"
            " --> c.yaml:2:1\n"
            "  |\n"
            "2 | hiden: [64]\n"
            "  | ^^^^^\n"
            "  = help: did you mean `hidden`?\n"
            "\n"
            "1 error\n");
  EXPECT_THROW(d.throw_if_errors(), ConfigError);
}

TEST(Diagnostics, repeats_are_kept_once_and_warnings_do_not_throw) {
  Diagnostics d;
  d.warning(Code::no_effect, {}, "w");
  d.warning(Code::no_effect, {}, "w");
  EXPECT_EQ(d.warnings(), 1);
  d.throw_if_errors();
  EXPECT_THAT(d.render(), HasSubstr("1 warning\n"));
}

TEST(Diagnostics, nearest_name) {
  const std::vector<std::string> names = {"hidden", "activation", "from"};
  EXPECT_EQ(nearest("hiden", names), "hidden");
  EXPECT_EQ(nearest("form", names), "from");
  EXPECT_EQ(nearest("Activation", names), "activation");
  EXPECT_EQ(nearest("zebra", names), "");
}

}  // namespace
}  // namespace mtrank
