#include "framework/train/weight_layout.h"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "framework/graph/builder.h"
#include "framework/ops/add.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/mixture.h"
#include "framework/ops/softmax.h"

namespace mtrank {
namespace {

/// Two prices, cut to a range, then as their logarithms, then normalised.
FeatureTransforms prices() {
  using Kind = DenseStep::Kind;
  FeatureTransforms transforms;
  FeatureTransform& prices = transforms.features.emplace_back();
  prices.name = "price";
  prices.kind = FeatureKind::dense;
  prices.columns = {"usd", "eur"};
  prices.steps = {{Kind::clip, 0, 9}, {Kind::log1p, 0, 0}, {Kind::zscore, 0, 0}};
  return transforms;
}

/// Two experts of width 3, and gates of `tasks` tasks.
ValueId mixed(Builder& b, int64_t tasks) {
  const ValueId x = b.input("x", 2);
  const ValueId gates = softmax(b, dense(b, "gates", x, 2 * tasks), 2);
  return mixture(b, gates, dense(b, "experts", x, 6), 2);
}

struct LayoutCase {
  const char* name;
  std::function<void(Builder&)> build;
  const char *weight, *rows, *columns;
};
void PrintTo(const LayoutCase& layout, std::ostream* out) { *out << layout.name; }

const LayoutCase kCases[] = {
    {"a_number_has_its_steps", [](Builder& b) { dense(b, "deep", b.input("dense:price", 2), 3); }, "deep/weight",
     "usd, clip, log1p, zscore; eur, clip, log1p, zscore", "deep/linear [3]"},
    {"readers_of_a_part_make_no_part",
     [](Builder& b) {
       const ValueId both = b.concat({b.input("x", 2), b.input("y", 3)}, "both");
       dense(b, "part", b.slice(both, 0, 1), 1);
       dense(b, "whole", both, 1);
     },
     "whole/weight", "x [2]; y [3]", "whole/linear"},
    {"a_part_of_an_output_is_not_the_output",
     [](Builder& b) { dense(b, "top", b.slice(dense(b, "deep", b.input("x", 2), 4), 1, 2), 1); }, "top/weight",
     "deep/linear[1:3] [2]", "top/linear"},
    {"a_share_of_a_mixture_is_the_mixture", [](Builder& b) { dense(b, "click/0", b.slice(mixed(b, 2), 0, 3), 1); },
     "click/0/weight", "mixture [3]", "click/0/linear"},
    {"gates_are_for_the_tasks_in_their_columns_order",
     [](Builder& b) {
       const ValueId y = mixed(b, 2);
       dense(b, "buy/0", b.slice(y, 3, 3), 1);
       dense(b, "click/0", b.slice(y, 0, 3), 1);
     },
     "gates/weight", "x [2]", "for click [2]; for buy [2]"},
    {"gates_of_one_task", [](Builder& b) { dense(b, "click/0", mixed(b, 1), 1); }, "gates/weight", "x [2]",
     "for click [2]"},
    {"a_layer_that_keeps_columns_in_their_places_twice_is_named_once",
     [](Builder& b) {
       ValueId x = b.input("x", 2);
       for (const char* name : {"deep/0", "deep/1"}) {
         Builder::Scope scope(b, name);
         x = add(b, {x, dense(b, "w", x, 2)});
       }
       dense(b, "top", x, 1);
     },
     "top/weight", "x in deep [2]", "top/linear"},
    {"a_scale_multiplies_no_rows", [](Builder& b) { layer_norm(b, "norm", b.input("x", 2)); }, "norm/scale", "",
     "x [2]"},
};

class WeightLayouts : public ::testing::TestWithParam<LayoutCase> {};

TEST_P(WeightLayouts, SayWhatRowsAndColumnsStandFor) {
  Graph graph;
  Builder b(graph, false);
  GetParam().build(b);
  graph.forward_nodes = graph.nodes.size();
  const WeightLayout layout = weight_layouts(graph, prices()).at(GetParam().weight);
  const auto text = [](const std::vector<LayoutBlock>& blocks) {
    std::string out;
    for (const LayoutBlock& block : blocks) out += (out.empty() ? "" : "; ") + block.text();
    return out;
  };
  EXPECT_EQ(text(layout.rows), GetParam().rows);
  EXPECT_EQ(text(layout.columns), GetParam().columns);
}

INSTANTIATE_TEST_SUITE_P(All, WeightLayouts, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mtrank
