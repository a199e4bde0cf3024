#include "framework/graph/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/graph/builder.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

TEST(Plan, KeepsStatisticsOfRowsWholeInBf16) {
  Graph graph;
  Builder b(graph, true);
  layer_norm(b, "norm", b.input("x", 12), 3);
  const std::vector<ValueId> outputs = graph.nodes.back().outputs;
  const Plan plan = make_plan(graph, 8, DType::bf16);
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(plan.place(outputs[0]).dtype, DType::bf16);
  for (const size_t statistic : {1, 2}) {
    EXPECT_EQ(graph.value(outputs[statistic]).cols, 3);
    EXPECT_EQ(plan.place(outputs[statistic]).dtype, DType::f32);
  }
  EXPECT_THAT(to_text(plan), ::testing::AllOf(HasSubstr("8 rows of bfloat16"), HasSubstr("+ 512, ld 16,")));
}

TEST(Plan, PacksAWeightOnceForAllWhoReadItAlike) {
  Graph graph;
  Builder b(graph, false);
  const ValueId x = b.input("x", 6), w = b.param("w", 6, 2, {});
  for (const int64_t groups : {1, 3, 1}) linear(b, x, w, kNoValue, "none", groups);
  const Plan plan = make_plan(graph, 8, DType::f32);
  EXPECT_EQ(plan.node_packed, (std::vector<int>{0, 1, 0}));
  ASSERT_EQ(plan.packed.size(), 2u);
  EXPECT_EQ(plan.packed[0].groups, 1);
  EXPECT_EQ(plan.packed[1].groups, 3);
  EXPECT_EQ(plan.packed_bytes, plan.packed[0].group_bytes + 3 * plan.packed[1].group_bytes);
  for (const DType other : {DType::f64, DType::bf16}) EXPECT_EQ(make_plan(graph, 8, other).packed_bytes, 0u);
}

}  // namespace
}  // namespace mtrank
