#include "framework/ops/linear.h"

#include "cuda/elementwise.cuh"
#include "cuda/fusion.h"
#include "cuda/narrow.h"
#include "cuda/products.h"
#include "framework/ops/activation.h"

namespace mtrank::cuda {
namespace {

/// K and N of one of the groups.
struct Shape {
  int64_t rows, groups, k, n;

  bool narrow() const { return k <= kNarrow || n <= kNarrow; }
};

/// `w`: the node's weights or their gradient, [G K, N].
Shape shape_of(const Call& call, const DeviceView& w) {
  const int64_t groups = call.node.attributes.integer("groups", 1);
  return {call.rows, groups, w.rows / groups, w.cols};
}

Operand operand(const DeviceView& view, int64_t group_step, bool transposed = false) {
  return {view.data, view.ld, view.dtype, group_step, transposed};
}

/// The weights in the type of what they are multiplied with; a group is K rows.
Operand weights(const DeviceView& w, DType dtype, int64_t k, bool transposed = false) {
  if (dtype == DType::f32) return {w.data, w.ld, DType::f32, k * w.ld, transposed};
  MTRANK_ASSERT(w.low);
  return {const_cast<void*>(w.low), w.low_ld, DType::bf16, k * w.low_ld, transposed};
}

/// z += b; y = f(z). The product is in z, which is y itself where it is not kept.
struct FinishArguments {
  Argument z, y;
  uint32_t rows, columns;
  const float* bias;
  Activation activation;
};

constexpr int kFinishRows = 8;  // of a block, a warp each

template <class Access>
__global__ void __launch_bounds__(32 * kFinishRows) finish_kernel(const FinishArguments a) {
  constexpr int V = Access::V;
  const uint32_t row = blockIdx.x * kFinishRows + threadIdx.x / 32;
  const uint32_t column = (blockIdx.y * 32 + threadIdx.x % 32) * V;
  if (row >= a.rows || column >= a.columns) return;
  const uint32_t left = a.columns - column;
  auto z = Access::load(a.z, row, column, left);
  float x[V];
  if (a.bias) {
    MTRANK_UNROLL
    for (int v = 0; v < V; ++v) x[v] = z[v] + (static_cast<uint32_t>(v) < left ? a.bias[column + v] : 0.0f);
    Access::store(a.z, row, column, left, x);
    z = Access::load(a.z, row, column, left);  // f is of what is kept
  }
  MTRANK_UNROLL
  for (int v = 0; v < V; ++v) x[v] = activation_value(a.activation, z[v]);
  Access::store(a.y, row, column, left, x);
}

void finish(const DeviceView& z, const DeviceView& y, int64_t rows, const float* bias, Activation activation,
            const Context& context) {
  const FinishArguments a{Argument(z), Argument(y), static_cast<uint32_t>(rows), static_cast<uint32_t>(y.cols),
                          bias,        activation};
  with_access({z, y}, 0, [&](auto access) {
    const dim3 grid(static_cast<unsigned>(ceil_div(rows, kFinishRows)),
                    static_cast<unsigned>(ceil_div(y.cols, 32 * decltype(access)::V)));
    launch(finish_kernel<decltype(access)>, grid, dim3(32 * kFinishRows), context.stream, a);
  });
}

/// The product with bias, ReLU and the signs that its gradient needs fused where the library can; the rest by a kernel
/// behind it.
void wide_forward(const Call& call, const Shape& s, Activation activation) {
  const DeviceView &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0];
  const DeviceView& z = call.out[1] ? call.out[1] : y;
  MTRANK_ASSERT(z.dtype == y.dtype);
  Product product{s.rows, s.n, s.k, s.groups, operand(x, s.k), weights(w, x.dtype, s.k), operand(z, s.n)};
  product.vector = z.dtype == DType::bf16 ? const_cast<void*>(b.low) : b.data;
  const auto run = [&](Epilogue epilogue) {
    product.epilogue = epilogue;
    return call.context.products->run(product, call.context);
  };
  const bool can_bias = !b || product.vector;
  if (ReluSigns* signs = y.signs) {
    product.signs = signs->bits, product.signs_ld = signs->ld;
    signs->kept = signs->wanted && can_bias && run(b ? Epilogue::bias_relu_signs : Epilogue::relu_signs);
    if (signs->kept) return;
  }
  if (activation == Activation::relu && z.data == y.data && can_bias && run(b ? Epilogue::bias_relu : Epilogue::relu))
    return;
  const bool biased = b && can_bias && run(Epilogue::bias);
  if (!biased) run(Epilogue::none);
  const float* bias = biased ? nullptr : b.as<const float>();
  if (!bias && activation == Activation::none && z.data == y.data) return;
  finish(z, y, s.rows, bias, activation, call.context);
}

struct Same {
  static constexpr int kIn = 1, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[1], float (&y)[1]) const { y[0] = x[0]; }
};

/// Where dW is made. The library's fastest kernels write rows that start at multiples of 16 bytes: where those of dW
/// do not, it is made in scratch memory with longer rows, if it fits, and moved from there.
DeviceView aligned_gradient(const DeviceView& dw, const Context& context) {
  DeviceView padded = dw;
  padded.ld = round_up(dw.cols, 16 / static_cast<int64_t>(sizeof(float)));
  const auto count = static_cast<size_t>(padded.rows * padded.ld);
  if (aligned(dw) || count * sizeof(float) > Context::kScratch) return dw;
  padded.data = context.scratch_of<float>(count);
  return padded;
}

/// db is a by-product of the kernel that wrote dz, or of the library's where it can make it, which only overwrites;
/// else a sum of our own.
void wide_gradient(const Call& call, const Shape& s, bool add_weights, bool add_bias) {
  const DeviceView &x = call.in[0], &dz = call.in[1], &dw = call.out[0], &db = call.out[1];
  bool summed = db && dz.sums && dz.sums->made;
  // First, as the sums are in the scratch memory.
  if (summed) finish_column_sums(dz.sums->partial, s.rows, dz.cols, db.as<float>(), add_bias, call.context);
  const DeviceView made = aligned_gradient(dw, call.context);
  const bool moved = made.data != dw.data;
  Product product{s.k, s.n, s.rows, s.groups, operand(x, s.k, true), operand(dz, s.n), operand(made, s.k * made.ld)};
  product.accumulate = add_weights && !moved;
  product.vector = db.data;
  product.epilogue = Epilogue::bias_gradient;
  const bool both = db && !summed && !add_bias && call.context.products->run(product, call.context);
  product.epilogue = Epilogue::none;
  if (!both) call.context.products->run(product, call.context);
  summed = summed || both;
  if (moved) map(call, Same{}, {made}, {dw}, {add_weights});
  if (db && !summed) column_sums(dz, s.rows, db.as<float>(), add_bias, call.context);
}

/// dx = dz Wᵀ, of a linear_input_gradient node.
Product input_product(const Call& call) {
  const DeviceView &dz = call.in[0], &w = call.in[1], &dx = call.out[0];
  const Shape s = shape_of(call, w);
  Product product{s.rows, s.k, s.n, s.groups, operand(dz, s.n), weights(w, dz.dtype, s.k, true), operand(dx, s.k)};
  product.accumulate = call.accumulate[0] != 0;
  return product;
}

/// The same where the product masks dx.
Product masked_product(const Call& call) {
  Product product = input_product(call);
  product.signs = call.out[0].signs->bits, product.signs_ld = call.out[0].signs->ld;
  product.epilogue = Epilogue::relu_gradient;
  return product;
}

}  // namespace

bool can_mask(const Call& call) { return call.context.products->offers(masked_product(call), call.context); }

/// x [B, G K], W [G K, N], b [1, G N] or absent -> y [B, G N], z or absent.
void launches::linear(const Call& call) {
  const DeviceView &x = call.in[0], &w = call.in[1], &b = call.in[2];
  const Shape s = shape_of(call, w);
  const Activation activation = parse_activation(call.node.attributes.text("activation"));
  if (s.rows == 0) return;
  if (!s.narrow()) return wide_forward(call, s, activation);
  narrow_product({.rows = s.rows,
                  .groups = s.groups,
                  .inner = s.k,
                  .outer = s.n,
                  .in = x,
                  .out = call.out[0],
                  .weights = w.as<const float>(),
                  .inner_step = w.ld,
                  .outer_step = 1,
                  .group_step = s.k * w.ld,
                  .bias = b.as<const float>(),
                  .activation = activation,
                  .before = call.out[1]},
                 call.context);
}

/// dz [B, G N], W [G K, N] -> dx [B, G K], or what lies behind dx's ReLU.
void launches::linear_input_gradient(const Call& call) {
  const DeviceView &dz = call.in[0], &w = call.in[1], &dx = call.out[0];
  const Shape s = shape_of(call, w);
  if (!dx || s.rows == 0) return;
  if (!s.narrow()) {
    if (ReluSigns* signs = dx.signs) {
      signs->applied = signs->kept && call.context.products->run(masked_product(call), call.context);
      if (signs->applied) return;
    }
    call.context.products->run(input_product(call), call.context);
    return;
  }
  narrow_product({.rows = s.rows,
                  .groups = s.groups,
                  .inner = s.n,
                  .outer = s.k,
                  .in = dz,
                  .out = dx,
                  .weights = w.as<const float>(),
                  .inner_step = 1,
                  .outer_step = w.ld,
                  .group_step = s.k * w.ld,
                  .accumulate = call.accumulate[0] != 0},
                 call.context);
}

/// x [B, G K], dz [B, G N] -> dW [G K, N] and db [1, G N], which may be absent, f32.
void launches::linear_weight_gradient(const Call& call) {
  const DeviceView &x = call.in[0], &dz = call.in[1], &dw = call.out[0], &db = call.out[1];
  const Shape s = shape_of(call, dw);
  const bool add_weights = call.accumulate[0], add_bias = db && call.accumulate[1];
  MTRANK_ASSERT(dw.dtype == DType::f32 && (!db || db.dtype == DType::f32));
  if (!s.narrow()) return wide_gradient(call, s, add_weights, add_bias);
  narrow_gradient({.rows = s.rows,
                   .groups = s.groups,
                   .k = s.k,
                   .n = s.n,
                   .x = x,
                   .dz = dz,
                   .weights = dw.as<float>(),
                   .weights_ld = dw.ld,
                   .bias = db.as<float>(),
                   .add_weights = add_weights,
                   .add_bias = add_bias},
                  call.context);
}

}  // namespace mtrank::cuda
