#include "framework/core/json.h"

#include <gtest/gtest.h>

namespace mtrank {
namespace {

std::string nested(int deep) { return std::string(deep, '[') + std::string(deep, ']'); }

TEST(Json, DepthIsOfListsAndObjectsOutsideOfStrings) {
  EXPECT_EQ(json_depth(""), 0);
  EXPECT_EQ(json_depth("7"), 0);
  EXPECT_EQ(json_depth("[[],{},[[]]]"), 3);
  EXPECT_EQ(json_depth(R"({"[[[[":"{\"[[[[\\"})"), 1);
  EXPECT_EQ(json_depth(R"(["a\\",["b\""]])"), 2);
  EXPECT_EQ(json_depth("]]]][["), 0);
}

TEST(Json, WhatIsNoneOrNestedTooDeepIsDiscarded) {
  using Any = nlohmann::json;
  EXPECT_EQ(parse_json<Any>(R"({"a":[1,2]})").dump(), R"({"a":[1,2]})");
  EXPECT_FALSE(parse_json<Any>(nested(100)).is_discarded());
  EXPECT_TRUE(parse_json<Any>(nested(101)).is_discarded());
  EXPECT_TRUE(parse_json<Any>(nested(1000000)).is_discarded());
  EXPECT_TRUE(parse_json<Any>("[1,").is_discarded());
  EXPECT_TRUE(parse_json<nlohmann::ordered_json>("").is_discarded());
}

}  // namespace
}  // namespace mtrank
