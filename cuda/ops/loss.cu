#include "framework/ops/loss.h"

#include "cuda/rows.cuh"
#include "framework/ops/losses/losses.h"

namespace mtrank::cuda {
namespace {

/// Rows of a block, which become one partial sum. Fixed, so that the order of the sum is too.
constexpr int64_t kRows = 4 * kBlock;

struct LossArguments {
  Argument z, y, w, dz;
  const double* scale = nullptr;
  std::array<float, kMaxLossParameters> parameters{};
  uint32_t rows = 0;
};

/// partials [blocks]: Σ w l over a block's rows. Padding weighs 0, whatever its numbers are.
template <class Loss>
__global__ void __launch_bounds__(kBlock)
    loss_forward_kernel(const LossArguments a, const DeviceStep* step, double* partials) {
  const auto rows = static_cast<uint32_t>(step->rows);
  const auto c = static_cast<float>(*a.scale);
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < kRows; i += kBlock) {
    const uint32_t row = blockIdx.x * static_cast<uint32_t>(kRows) + i;
    if (row >= a.rows) break;
    const float weight = row < rows ? a.w.get(row, 0) : 0.0f, z = a.z.get(row, 0);
    const float y = weight > 0.0f ? a.y.get(row, 0) : 0.0f;
    const float value = weight * Loss::value(z, y, a.parameters.data());
    const float slope = c * weight * Loss::derivative(z, y, a.parameters.data());
    sum += weight > 0.0f ? static_cast<double>(value) : 0.0;
    if (a.dz.data) a.dz.put(row, 0, weight > 0.0f ? slope : 0.0f);
  }
  sum = sum_over<kBlock>(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlock)
    loss_finish_kernel(const double* partials, uint32_t count, const double* scale, double* loss) {
  double sum = 0;
  for (uint32_t i = threadIdx.x; i < count; i += kBlock) sum += partials[i];
  sum = sum_over<kBlock>(sum);
  if (threadIdx.x == 0) *loss = *scale * sum;
}

template <class Loss>
void launch_loss(const Call& call) {
  const DeviceView& z = call.in[0];
  LossArguments a;
  a.z = Argument(z), a.y = Argument(call.in[1]), a.w = Argument(call.in[2]), a.dz = Argument(call.out[1]);
  a.scale = call.in[3].as<const double>();
  a.parameters = loss_parameters<Loss, float>(call.node.attributes);
  a.rows = static_cast<uint32_t>(z.rows);
  const int64_t blocks = ceil_div(z.rows, kRows);
  double* partials = call.context.scratch_of<double>(static_cast<size_t>(blocks));
  launch(loss_forward_kernel<Loss>, dim3(static_cast<unsigned>(blocks)), dim3(kBlock), call.context.stream, a,
         call.context.step, partials);
  launch(loss_finish_kernel, dim3(1), dim3(kBlock), call.context.stream, partials, static_cast<uint32_t>(blocks),
         a.scale, call.out[0].as<double>());
}

}  // namespace

/// Loss and gradient in one pass; moves 4 numbers a row.
void launches::loss(const Call& call) {
  with_loss(call.node.attributes.text("type"), [&](auto loss) { launch_loss<decltype(loss)>(call); });
}

}  // namespace mtrank::cuda
