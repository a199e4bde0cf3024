#include "framework/ops/dropout.h"

#include "cuda/access.cuh"
#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr int kGroup = DropoutMask::kGroup;

struct DropoutArguments {
  Argument x, y;
  DropoutMask mask;  ///< its step is not known yet
  float scale = 0;
  bool add = false;
  uint32_t columns = 0;
  uint32_t groups = 0;  ///< of all rows
  Divider row_groups;
};

/// 16 threads a group of 128 columns. Each draws one block; what its 8 half-words keep goes to the threads that own the
/// columns as bits.
template <class Access>
__global__ void __launch_bounds__(256) dropout_kernel(const DropoutArguments a, const DeviceStep* step) {
  constexpr int V = Access::V, kVectors = 8 / V;
  const uint32_t own = (blockIdx.x * 256 + threadIdx.x) / 16, group = min(own, a.groups - 1);
  const uint32_t row = a.row_groups.quotient(group), part = group - row * a.row_groups.divisor;
  const uint32_t lane = threadIdx.x % 16, side = threadIdx.x % 32 / 16 * 16;
  typename Access::Vector x[kVectors], old[kVectors];
  MTRANK_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    const uint32_t column = part * kGroup + (lane + 16 * i) * V;
    if (own >= a.groups || column >= a.columns) continue;
    x[i] = Access::load(a.x, row, column, a.columns - column);
    if (a.add) old[i] = Access::load(a.y, row, column, a.columns - column);
  }
  const PhiloxBlock block = a.mask.random(
      step->step, DropoutMask::index(step->first_sample + row, a.row_groups.divisor, part, static_cast<int64_t>(lane)));
  uint32_t kept[8];  // bit l: column 16 h + l of the group
  MTRANK_UNROLL
  for (int h = 0; h < 8; ++h) {
    const uint32_t half = h % 2 ? block[h / 2] >> 16 : block[h / 2] & 0xffff;
    kept[h] = __ballot_sync(0xffffffffu, a.mask.keeps(half)) >> side & 0xffff;
  }
  MTRANK_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    const uint32_t first = (lane + 16 * i) * V, column = part * kGroup + first;
    if (own >= a.groups || column >= a.columns) continue;
    uint32_t bits = 0;
    MTRANK_UNROLL
    for (uint32_t h = 0; h < 8; ++h) bits = first / 16 == h ? kept[h] >> first % 16 : bits;
    float y[V];
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j) {
      const float value = bits >> j & 1 ? x[i][j] * a.scale : 0.0f;
      y[j] = a.add ? old[i][j] + value : value;
    }
    Access::store(a.y, row, column, a.columns - column, y);
  }
}

}  // namespace

/// Its own gradient. Moves 2 H numbers a row, 3 H where it adds.
void launches::dropout(const Call& call) {
  const DeviceView &x = call.in[0], &y = call.out[0];
  const int64_t row_groups = ceil_div(y.cols, kGroup), groups = y.rows * row_groups;
  MTRANK_ASSERT(groups < int64_t{1} << 27);  // times 16 threads
  DropoutArguments a{.x = Argument(x), .y = Argument(y), .mask = {}, .row_groups = Divider(row_groups)};
  const Attributes& attributes = call.node.attributes;
  a.mask.random = Philox(call.seed, "dropout", attributes.text("name"));
  a.mask.threshold = DropoutMask::threshold_of(attributes.number("p"));
  a.scale = static_cast<float>(a.mask.scale());
  a.add = call.accumulate[0];
  a.columns = static_cast<uint32_t>(y.cols);
  a.groups = static_cast<uint32_t>(groups);
  with_access({x, y}, 0, [&](auto access) {
    launch_flat(dropout_kernel<decltype(access)>, groups * 16, call.context.stream, a, call.context.step);
  });
}

}  // namespace mtrank::cuda
