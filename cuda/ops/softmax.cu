#include "framework/ops/softmax.h"

#include "cuda/rows.cuh"

namespace mtrank::cuda {
namespace {

struct Groups {
  uint32_t count = 0;  ///< of all rows
  uint32_t size = 0;
  Divider in_row;
};

/// A group a W threads: threads beyond the last group work on it too, but do not write.
template <int W>
__global__ void __launch_bounds__(kBlock) softmax_forward_kernel(Argument x, Argument y, Groups groups) {
  const uint32_t own = (blockIdx.x * kBlock + threadIdx.x) / W, group = min(own, groups.count - 1);
  const uint32_t row = groups.in_row.quotient(group), begin = groups.in_row.remainder(group) * groups.size;
  const uint32_t lane = threadIdx.x % W;
  float top = x.get(row, begin);
  for (uint32_t e = lane; e < groups.size; e += W) top = math::max(x.get(row, begin + e), top);
  MTRANK_UNROLL
  for (int half = W / 2; half > 0; half /= 2) top = math::max(__shfl_xor_sync(0xffffffffu, top, half), top);
  float sum = 0;
  for (uint32_t e = lane; e < groups.size; e += W) sum += math::exp(x.get(row, begin + e) - top);
  sum = sum_over<W>(sum);
  if (own >= groups.count) return;
  for (uint32_t e = lane; e < groups.size; e += W) y.put(row, begin + e, math::exp(x.get(row, begin + e) - top) / sum);
}

template <int W>
__global__ void __launch_bounds__(kBlock)
    softmax_gradient_kernel(Argument dy, Argument y, Argument dx, Groups groups, bool add) {
  const uint32_t own = (blockIdx.x * kBlock + threadIdx.x) / W, group = min(own, groups.count - 1);
  const uint32_t row = groups.in_row.quotient(group), begin = groups.in_row.remainder(group) * groups.size;
  const uint32_t lane = threadIdx.x % W;
  float dot = 0;
  for (uint32_t e = lane; e < groups.size; e += W) dot += dy.get(row, begin + e) * y.get(row, begin + e);
  dot = sum_over<W>(dot);
  if (own >= groups.count) return;
  for (uint32_t e = lane; e < groups.size; e += W)
    dx.write(row, begin + e, y.get(row, begin + e) * (dy.get(row, begin + e) - dot), add);
}

/// Calls f with the threads a group, as many as its columns or 32.
template <class F>
void with_threads(int64_t size, const F& f) {
  if (size <= 2) return f(std::integral_constant<int, 2>{});
  if (size <= 4) return f(std::integral_constant<int, 4>{});
  if (size <= 8) return f(std::integral_constant<int, 8>{});
  if (size <= 16) return f(std::integral_constant<int, 16>{});
  f(std::integral_constant<int, 32>{});
}

Groups groups_of(const Call& call, const DeviceView& view) {
  const int64_t size = call.node.attributes.integer("size"), in_row = view.cols / size, count = view.rows * in_row;
  return {static_cast<uint32_t>(count), static_cast<uint32_t>(size), Divider(in_row)};
}

}  // namespace

/// Moves 2 G E numbers a row.
void launches::softmax(const Call& call) {
  const Groups groups = groups_of(call, call.out[0]);
  with_threads(groups.size, [&](auto w) {
    launch_flat(softmax_forward_kernel<w()>, int64_t{groups.count} * w(), call.context.stream, Argument(call.in[0]),
                Argument(call.out[0]), groups);
  });
}

/// Moves 3 G E numbers a row.
void launches::softmax_gradient(const Call& call) {
  const Groups groups = groups_of(call, call.out[0]);
  with_threads(groups.size, [&](auto w) {
    launch_flat(softmax_gradient_kernel<w()>, int64_t{groups.count} * w(), call.context.stream, Argument(call.in[0]),
                Argument(call.in[1]), Argument(call.out[0]), groups, call.accumulate[0] != 0);
  });
}

}  // namespace mtrank::cuda
