#include "framework/ops/arithmetic.h"

#include <cmath>
#include <string_view>

#include "framework/core/error.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId arithmetic(Builder& builder, char op, ValueId x, ValueId y) {
  return builder.apply1(ops::arithmetic, {x, y}, {{"op", std::string(1, op)}});
}

ValueId affine(Builder& builder, ValueId x, double scale, double shift) {
  return builder.apply1(ops::affine, {x}, {{"scale", scale}, {"shift", shift}});
}

namespace ops {
namespace {

std::vector<int64_t> arithmetic_shapes(const ShapeCall& call) {
  for (const Value& in : call.in)
    if (in.cols != call.in[0].cols)
      throw ShapeError("arithmetic on " + std::to_string(call.in[0].cols) + " and " + std::to_string(in.cols) +
                       " columns");
  const std::string& op = call.attributes.text("op");
  if (op.size() != 1 || std::string_view("+-*/").find(op) == std::string_view::npos)
    throw ShapeError("arithmetic by '" + op + "', which is none of + - * /");
  return {call.in[0].cols};
}

std::vector<int64_t> affine_shapes(const ShapeCall& call) {
  for (const char* name : {"scale", "shift"})
    if (!std::isfinite(call.attributes.number(name)))
      throw ShapeError("affine: its " + std::string(name) + " is not finite");
  return {call.in[0].cols};
}

template <class T, class F>
void each(const OpCall& call, const F& f) {
  const View x = call.in[0], y = call.in.back(), z = call.out[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < z.rows; ++r) {
      const T *a = x.row<const T>(r), *b = y.row<const T>(r);
      write_row(z.row<T>(r), z.cols, false, [=](int64_t i) MTRANK_INLINE_LAMBDA { return f(a[i], b[i]); });
    }
  });
}

template <class T>
void arithmetic_cpu(const OpCall& call) {
  switch (call.node.attributes.text("op").front()) {
    case '+':
      return each<T>(call, [](T a, T b) MTRANK_INLINE_LAMBDA { return a + b; });
    case '-':
      return each<T>(call, [](T a, T b) MTRANK_INLINE_LAMBDA { return a - b; });
    case '*':
      return each<T>(call, [](T a, T b) MTRANK_INLINE_LAMBDA { return a * b; });
    case '/':
      return each<T>(call, [](T a, T b) MTRANK_INLINE_LAMBDA { return a / b; });
  }
  MTRANK_ASSERT(!"one of + - * /");
}

template <class T>
void affine_cpu(const OpCall& call) {
  const T scale = static_cast<T>(call.node.attributes.number("scale")),
          shift = static_cast<T>(call.node.attributes.number("shift"));
  each<T>(call, [=](T a, T) MTRANK_INLINE_LAMBDA { return scale * a + shift; });
}

}  // namespace

const Op arithmetic{.name = "arithmetic",
                    .summary = "z = x op y",
                    .takes = "xx",
                    .shapes = arithmetic_shapes,
                    .cpu_f32 = arithmetic_cpu<float>,
                    .cpu_f64 = arithmetic_cpu<double>};

const Op affine{.name = "affine",
                .summary = "y = scale * x + shift",
                .takes = "x",
                .shapes = affine_shapes,
                .cpu_f32 = affine_cpu<float>,
                .cpu_f64 = affine_cpu<double>};

}  // namespace ops
}  // namespace mtrank
