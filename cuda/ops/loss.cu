#include "framework/ops/loss.h"

#include <algorithm>

#include "cuda/losses.h"
#include "cuda/rows.cuh"
#include "framework/ops/losses/losses.h"

namespace mtrank::cuda {
namespace {

/// Rows of a block, which become one partial sum. Fixed, so that the order of the sum is too.
constexpr int64_t kRows = 4 * kBlock;

enum class LossKind : uint32_t {
#define MTRANK_LOSS(row, Struct) row,
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS
};

/// One task.
struct LossArguments {
  Argument z, y, w, dz;
  const double* scale = nullptr;
  double* loss = nullptr;
  std::array<float, kMaxLossParameters> parameters{};
  LossKind kind{};
};

/// Tasks of a launch: more would not fit what a launch can take along.
constexpr size_t kTasks = 32;
struct LossTasks {
  std::array<LossArguments, kTasks> of{};
  uint32_t rows = 0;
};
static_assert(sizeof(LossTasks) + 2 * sizeof(void*) <= 4096);

/// Σ w l over the rows of this thread, and their dz. Padding weighs 0, whatever its numbers are.
template <class Loss>
__device__ double loss_of_rows(const LossArguments& a, uint32_t capacity, const DeviceStep* step) {
  const auto rows = static_cast<uint32_t>(step->rows);
  const auto c = static_cast<float>(*a.scale);
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < kRows; i += kBlock) {
    const uint32_t row = blockIdx.x * static_cast<uint32_t>(kRows) + i;
    if (row >= capacity) break;
    const float weight = row < rows ? a.w.get(row, 0) : 0.0f, z = a.z.get(row, 0);
    const float y = weight > 0.0f ? a.y.get(row, 0) : 0.0f;
    const float value = weight * Loss::value(z, y, a.parameters.data());
    const float slope = c * weight * Loss::derivative(z, y, a.parameters.data());
    sum += weight > 0.0f ? static_cast<double>(value) : 0.0;
    if (a.dz.data) a.dz.put(row, 0, weight > 0.0f ? slope : 0.0f);
  }
  return sum;
}

/// partials [tasks, blocks]: Σ w l over a block's rows.
__global__ void __launch_bounds__(kBlock)
    loss_forward_kernel(const LossTasks tasks, const DeviceStep* step, double* partials) {
  const LossArguments& a = tasks.of[blockIdx.y];
  double sum = 0;
  switch (a.kind) {
#define MTRANK_LOSS(row, Struct)                     \
  case LossKind::row:                                \
    sum = loss_of_rows<Struct>(a, tasks.rows, step); \
    break;
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS
  }
  sum = sum_over<kBlock>(sum);
  if (threadIdx.x == 0) partials[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlock)
    loss_finish_kernel(const LossTasks tasks, const double* partials, uint32_t count) {
  const LossArguments& a = tasks.of[blockIdx.x];
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < count; i += kBlock) sum += partials[blockIdx.x * count + i];
  sum = sum_over<kBlock>(sum);
  if (threadIdx.x == 0) *a.loss = *a.scale * sum;
}

LossKind kind_of(const std::string& type) {
#define MTRANK_LOSS(row, Struct) \
  if (type == #row) return LossKind::row;
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS
  MTRANK_ASSERT(!"a known loss");
  return {};
}

LossArguments arguments_of(const Call& call) {
  LossArguments a;
  a.z = Argument(call.in[0]), a.y = Argument(call.in[1]), a.w = Argument(call.in[2]), a.dz = Argument(call.out[1]);
  a.scale = call.in[3].as<const double>();
  a.loss = call.out[0].as<double>();
  const std::string type = call.node.attributes.text("type");
  a.kind = kind_of(type);
  with_loss(type, [&](auto loss) { a.parameters = loss_parameters<decltype(loss), float>(call.node.attributes); });
  return a;
}

/// At most kTasks.
void launch_tasks(std::span<const Call> calls) {
  const Context& context = calls[0].context;
  const int64_t rows = calls[0].in[0].rows, blocks = ceil_div(rows, kRows);
  LossTasks tasks;
  tasks.rows = static_cast<uint32_t>(rows);
  for (size_t t = 0; t < calls.size(); ++t) {
    MTRANK_ASSERT(calls[t].in[0].rows == rows);
    tasks.of[t] = arguments_of(calls[t]);
  }
  double* partials = context.scratch_of<double>(calls.size() * static_cast<size_t>(blocks));
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(calls.size()));
  launch(loss_forward_kernel, grid, dim3(kBlock), context.stream, tasks, context.step, partials);
  launch(loss_finish_kernel, dim3(grid.y), dim3(kBlock), context.stream, tasks, partials, grid.x);
}

}  // namespace

/// Losses and gradients in one pass; moves 4 numbers a row and task.
void launch_losses(std::span<const Call> calls) {
  for (size_t t = 0; t < calls.size(); t += kTasks) launch_tasks(calls.subspan(t, std::min(kTasks, calls.size() - t)));
}

void launches::loss(const Call& call) { launch_losses({&call, 1}); }

}  // namespace mtrank::cuda
