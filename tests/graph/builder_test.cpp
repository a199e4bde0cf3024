#include "framework/graph/builder.h"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "framework/ops/linear.h"

namespace mtrank {
namespace {

/// A part that a concat may be given, and whether it must be copied.
struct ConcatCase {
  const char* name;
  std::function<ValueId(Builder& b, ValueId layer)> part;  ///< of a layer's output of width 4
  int copies;
};
void PrintTo(const ConcatCase& concat, std::ostream* out) { *out << concat.name; }

const ConcatCase kConcats[] = {
    {"an_output", [](Builder&, ValueId layer) { return layer; }, 0},
    {"an_input", [](Builder& b, ValueId) { return b.input("in", 4); }, 1},
    {"a_slice", [](Builder& b, ValueId layer) { return b.slice(layer, 1, 2); }, 1},
    {"an_output_that_is_read_in_slices",
     [](Builder& b, ValueId layer) {
       b.slice(layer, 1, 2);
       return layer;
     },
     1},
    {"an_output_that_lies_in_another_concat",
     [](Builder& b, ValueId layer) {
       b.concat({layer, dense(b, "beside", layer, 1)}, "first");
       return layer;
     },
     1},
    {"a_whole_concat",
     [](Builder& b, ValueId layer) {
       return b.concat({layer, dense(b, "beside", layer, 1)}, "first");
     },
     1},
};

class Concat : public ::testing::TestWithParam<ConcatCase> {};

TEST_P(Concat, CopiesWhatItsProducerCannotWriteIntoPlace) {
  Graph graph;
  Builder b(graph, false);
  const ValueId layer = dense(b, "layer", b.input("x", 3), 4), part = GetParam().part(b, layer);
  const size_t before = graph.nodes.size();
  const ValueId both = b.concat({part, dense(b, "last", layer, 2)}, "both");
  int copies = 0;
  for (size_t n = before; n < graph.nodes.size(); ++n) copies += std::string_view(graph.nodes[n].op->name) == "copy";
  EXPECT_EQ(copies, GetParam().copies);
  EXPECT_EQ(graph.value(part).base == both, GetParam().copies == 0);
}

INSTANTIATE_TEST_SUITE_P(All, Concat, ::testing::ValuesIn(kConcats),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mtrank
