#include "framework/config/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "framework/config/diagnostics.h"

namespace mtrank {
namespace {

using testing::HasSubstr;

Node parse_ok(const std::string& text) {
  Diagnostics d;
  Node node = parse_yaml(text, "c.yaml", d);
  EXPECT_EQ(d.render(), "") << text;
  return node;
}

/// The only complaint about `text` as "E005 3:1".
std::string complaint(const std::string& text) {
  Diagnostics d;
  parse_yaml(text, "c.yaml", d);
  std::string out;
  for (const Diagnostic& one : d.sorted())
    out += (out.empty() ? "" : "; ") + std::string(code_id(one.code)) + " " + std::to_string(one.at.line) + ":" +
           std::to_string(one.at.column);
  return out;
}

TEST(Node, keeps_order_positions_and_kinds) {
  const Node node = parse_ok("b: 1\na: [x, 'y z', ~]\n\nc:\n  d: \"q\"\n");
  ASSERT_TRUE(node.is_map());
  ASSERT_EQ(node.entries.size(), 3u);
  EXPECT_EQ(node.entries[0].key, "b");
  EXPECT_EQ(node.entries[1].at.line, 2);
  const Node& a = node.entries[1].value;
  ASSERT_EQ(a.items.size(), 3u);
  EXPECT_EQ(a.items[1].text, "y z");
  EXPECT_TRUE(a.items[1].quoted);
  EXPECT_EQ(a.items[1].at.column, 8);
  EXPECT_EQ(a.items[1].at.length, 5);
  EXPECT_TRUE(a.items[2].is_null());
  const Node* d = node.find_path("c.d");
  ASSERT_TRUE(d);
  EXPECT_EQ(d->at.line, 5);
  EXPECT_EQ(d->at.column, 6);
}

TEST(Node, columns_count_code_points) {
  const Node node = parse_ok("{\"größe\": x, b: 2}");
  EXPECT_EQ(node.entries[1].at.column, 14);
}

TEST(Node, numbers_follow_yaml_1_2) {
  const auto integer = [](const char* text) { return Node::scalar(text).as_int(); };
  EXPECT_EQ(integer("010"), 10);
  EXPECT_EQ(integer("0o10"), 8);
  EXPECT_EQ(integer("0x1F"), 31);
  EXPECT_EQ(integer("-7"), -7);
  EXPECT_EQ(integer("+7"), 7);
  EXPECT_EQ(integer("9223372036854775807"), INT64_MAX);
  for (const char* text : {"9223372036854775808", "1_000", "1.0", "1e3", "", "-", "0b1", "--1", "+-1", "0o8", "1 "})
    EXPECT_FALSE(integer(text)) << text;
  const auto real = [](const std::string& text) { return Node::scalar(text).as_double(); };
  EXPECT_EQ(real("1e-3"), 1e-3);
  EXPECT_EQ(real(".5"), .5);
  EXPECT_EQ(real("5."), 5.);
  EXPECT_EQ(real("-.inf"), -INFINITY);
  EXPECT_EQ(real("1e999"), INFINITY);
  EXPECT_EQ(real("-1e999"), -INFINITY);
  EXPECT_EQ(real("1e-999"), 0.);
  for (const char* text : {"-0", "-0.0", "-1e-999"})
    EXPECT_EQ(Node::number(*real(text)).text, "0") << text << " is written in another way than it is read";
  EXPECT_EQ(real("0." + std::string(400, '0') + "1"), 0.);
  EXPECT_EQ(real(std::string(400, '9') + ".5"), INFINITY);
  EXPECT_TRUE(std::isnan(*real(".nan")));
  for (const char* text : {"inf", "nan", ".", "e3", "1e", "0x1p3", "1,5", "infinity"}) EXPECT_FALSE(real(text)) << text;
  EXPECT_EQ(Node::scalar("true").as_bool(), true);
  for (const char* text : {"yes", "no", "on", "off", "y", "tRue"}) EXPECT_FALSE(Node::scalar(text).as_bool()) << text;
  EXPECT_FALSE(Node::scalar("1", true).as_int());
}

TEST(Node, refuses_what_the_loader_would_let_pass) {
  EXPECT_EQ(complaint("a: 1\nb: 2\na: 3\n"), "E005 3:1");
  EXPECT_EQ(complaint("a: &x [1, *x]\n"), "E006 1:11");
  EXPECT_EQ(complaint("a: 1\n---\nb: 2\n"), "E008 2:1");
  EXPECT_EQ(complaint("a:\n\tb: 1\n"), "E004 2:1");
  EXPECT_EQ(complaint("a: !!int 3\n"), "E009 1:4");
  EXPECT_EQ(complaint("<<: {a: 1}\n"), "E009 1:1");
  EXPECT_EQ(complaint("[1]: 2\n"), "E009 1:1");
  EXPECT_EQ(complaint("a: \xff\n"), "E002 1:4");
  EXPECT_EQ(complaint("a: \xed\xa0\x80\n"), "E002 1:4");
  EXPECT_EQ(complaint(std::string("a: \0b\n", 6)), "E002 1:4");
  EXPECT_THAT(complaint("a: [1, 2\nb: 3\n"), HasSubstr("E003"));
  EXPECT_EQ(complaint("a: *nobody\n"), "E006 1:4");
  EXPECT_EQ(complaint("a: 1\na: 2\nb: 1\nb: 2\n"), "E005 2:1; E005 4:1");
}

TEST(Node, quotes_are_closed) {
  for (const char* text : {"a: 'it''s'\n", "a: \"x\\\"\"\n", "a: &x \"q\"\nb: *x\n", "a: \"two\n  lines\"\n",
                           "'a': |\n  it's\n", "a: &x\n  'q'\n", "a: ! 'q'\n", "a: it's\n"})
    EXPECT_EQ(complaint(text), "") << text;
  EXPECT_EQ(complaint("a: \"b\n"), "E003 1:4");
  EXPECT_EQ(complaint("a: 'b''\n"), "E003 1:4");
  EXPECT_EQ(complaint("a: \"b\\\"\n"), "E003 1:4");
  EXPECT_EQ(complaint("a: 1\nb: &x \"c\n\n"), "E003 2:4");
}

TEST(Node, reads_on_after_a_problem) {
  Diagnostics d;
  const Node node = parse_yaml("a:\n\tb: *.csv\n\tc: [*x, y]\n---\nd: 1\n", "t", d);
  EXPECT_EQ(d.errors(), 5) << d.render();  // two tabs, two aliases, a second document
  ASSERT_TRUE(node.find_path("a.c"));
  EXPECT_EQ(node.find_path("a.c")->items.size(), 2u);
  EXPECT_EQ(node.find("d"), nullptr);
}

TEST(Node, is_bounded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_THAT(complaint(bomb), HasSubstr("E007"));
  EXPECT_THAT(complaint("a: " + std::string(5000, '[')), HasSubstr("E007"));
  EXPECT_THAT(complaint(std::string(5000, '{')), HasSubstr("E007"));
  EXPECT_THAT(complaint(std::string(kMaxConfigBytes + 1, '#')), HasSubstr("E007"));
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_THAT(complaint(deep), HasSubstr("E007"));
  std::string text_bomb = "a: &a \"" + std::string(100'000, 'x') + "\"\nb: [*a";
  for (int i = 0; i < 1000; ++i) text_bomb += ", *a";
  EXPECT_THAT(complaint(text_bomb + "]\n"), HasSubstr("E007"));
}

TEST(Node, aliases_copy) {
  const Node node = parse_ok("a: &x {k: 1}\nb: *x\n");
  EXPECT_EQ(node.find_path("b.k")->as_int(), 1);
}

TEST(Node, byte_order_mark_and_crlf) {
  const Node node = parse_ok(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: x\r\n");
  EXPECT_EQ(node.find("a")->as_int(), 1);
  EXPECT_EQ(node.find("b")->text, "x");
  EXPECT_EQ(node.find("b")->at.line, 2);
}

TEST(Node, writes_what_it_reads) {
  const std::string text =
      "a: {b: [1, 2.5, \"3\", \"\", \"~\", \"a, b\", \"true\", true, null, \"> x\", \"- y\", \"a: b\", \"#c\"], c: "
      "{}}\n"
      "list: [{x: 1}, {x: [2, 3]}]\nq: \"tab\\t nl\\n quote\\\" back\\\\ ctl\\u0001 ümlaut\"\n\"010\": \"010\"\nz: "
      "010\n"
      "e: []\n\"\": {d: \"${X}\"}\n";
  const Node node = parse_ok(text);
  const Node again = parse_ok(write_yaml(node));
  EXPECT_TRUE(node.same_value(again)) << write_yaml(node);
  EXPECT_EQ(write_yaml(node), write_yaml(again));
  EXPECT_TRUE(again.find_path("010")->quoted);
  EXPECT_FALSE(again.find_path("z")->quoted);
}

TEST(Node, json) {
  EXPECT_EQ(write_json(parse_ok("a: [010, 1.50, x, '1', true, ~]\nb: {}\n")),
            R"({"a":[10,1.5,"x","1",true,null],"b":{}})");
}

}  // namespace
}  // namespace mtrank
