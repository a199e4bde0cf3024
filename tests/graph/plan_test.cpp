#include "framework/graph/plan.h"

#include <gtest/gtest.h>

#include "framework/graph/builder.h"
#include "framework/ops/layer_norm.h"

namespace mtrank {
namespace {

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
}

}  // namespace
}  // namespace mtrank
