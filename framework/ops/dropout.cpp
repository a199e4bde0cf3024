#include "framework/ops/dropout.h"

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId dropout(Builder& builder, ValueId x, double p) {
  if (!(p >= 0 && p < 1)) throw ShapeError("dropout of " + std::to_string(p) + " is not in [0, 1)");
  if (!builder.training() || p == 0) return x;
  const ValueId y = builder.apply1(ops::dropout, {x}, {{"p", p}});
  builder.graph().nodes.back().attributes.set("name", builder.graph().value(y).name);
  return y;
}

namespace ops {
namespace {

/// 16 blocks side by side; half-word h of block l goes to halves[16 h + l].
MTRANK_INLINE void draw(const Philox& random, uint64_t step, uint64_t first, uint32_t* halves) {
  uint32_t c0[16], c1[16], c2[16], c3[16];
  for (int l = 0; l < 16; ++l) {
    const uint64_t index = first + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(index), c1[l] = static_cast<uint32_t>(index >> 32);
    c2[l] = static_cast<uint32_t>(step), c3[l] = static_cast<uint32_t>(step >> 32);
  }
#pragma GCC unroll 1  // else it is unrolled into 16 scalars before the vectoriser sees it
  for (int l = 0; l < 16; ++l) {
    const PhiloxBlock block = philox4x32(random.key0, random.key1, PhiloxBlock{{c0[l], c1[l], c2[l], c3[l]}});
    c0[l] = block[0], c1[l] = block[1], c2[l] = block[2], c3[l] = block[3];
  }
  const auto split = [=](const uint32_t* word, uint32_t* to) MTRANK_INLINE_LAMBDA {
    for (int l = 0; l < 16; ++l) to[l] = word[l] & 0xffff, to[16 + l] = word[l] >> 16;
  };
  split(c0, halves), split(c1, halves + 32), split(c2, halves + 64), split(c3, halves + 96);
}

/// Its own gradient, with dy for x.
template <class T>
void dropout_cpu(const OpCall& call) {
  const View x = call.in[0], y = call.out[0];
  const double p = call.node.attributes.number("p");
  const DropoutMask mask{Philox(call.step.seed, "dropout", call.node.attributes.text("name")), call.step.step,
                         DropoutMask::threshold_of(p)};
  const T scale = static_cast<T>(mask.scale());
  const uint64_t sample = call.first_sample;
  const bool add = call.accumulate[0];
  const int64_t groups = (y.cols + DropoutMask::kGroup - 1) / DropoutMask::kGroup;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r)
      for (int64_t g = 0; g < groups; ++g) {
        uint32_t halves[DropoutMask::kGroup];
        draw(mask.random, mask.step, DropoutMask::index(sample + static_cast<uint64_t>(r), groups, g, 0), halves);
        const int64_t begin = g * DropoutMask::kGroup, n = math::min(y.cols - begin, DropoutMask::kGroup);
        const T* in = x.row<const T>(r) + begin;
        const uint32_t* half = halves;
        write_row(y.row<T>(r) + begin, n, add, [=](int64_t i) MTRANK_INLINE_LAMBDA {
          const T kept = in[i] * scale;
          return mask.keeps(half[i]) ? kept : T(0);
        });
      }
  });
}

void dropout_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy != kNoValue) grads.emit(dropout, {dy}, {node.inputs[0]}, node.attributes);
}

}  // namespace

const Op dropout{.name = "dropout",
                 .summary = "y = x * m / (1 - p), m ~ Bernoulli(1 - p)",
                 .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{call.in[0].cols}; },
                 .backward = dropout_backward,
                 .cpu_f32 = dropout_cpu<float>,
                 .cpu_f64 = dropout_cpu<double>,
                 .columns = ColumnMeaning::input};

}  // namespace ops
}  // namespace mtrank
