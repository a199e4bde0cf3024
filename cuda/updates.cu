#include "cuda/updates.h"

#include <algorithm>

#include "cuda/columns.h"
#include "cuda/launch.h"
#include "cuda/put.h"

#define MTRANK_OPTIMIZER_HEADERS
#include "framework/embedding/optimizers.def"
#undef MTRANK_OPTIMIZER_HEADERS

namespace mtrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 4096;
constexpr float kLargestSum = 1e18f;  // its square fits a float

/// The sum over the block's kThreads threads, by a tree; in thread 0.
__device__ double block_sum(double x) {
  __shared__ double warp_sum[kThreads / 32];
  for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
  if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x != 0) return 0;
  for (int apart = kThreads / 64; apart > 0; apart /= 2)
    for (int w = 0; w < apart; ++w) warp_sum[w] += warp_sum[w + apart];
  return warp_sum[0];
}

__global__ void __launch_bounds__(kThreads) squared_norm_kernel(const float* x, int64_t n, double* partial) {
  double sum = 0;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 4; i < n;
       i += int64_t{kNormBlocks} * kThreads * 4) {
    const Columns<float, 4> v = load_columns<4>(x + i);
    for (int l = 0; l < 4; ++l) sum = math::fma(static_cast<double>(v.at[l]), static_cast<double>(v.at[l]), sum);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) add_gradient_kernel(float* to, const float* from, int64_t n) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (i >= n) return;
  Columns<float, 4> sum = load_columns<4>(to + i);
  const Columns<float, 4> x = load_columns<4>(from + i);
  MTRANK_UNROLL
  for (int l = 0; l < 4; ++l) sum.at[l] += x.at[l];
  store_columns<4>(to + i, sum);
}

struct Verdict {
  const double* partial;
  ShardLosses losses;
  SparseLimits limits;
  double clip_norm;
  uint32_t* stopped;
  Outcome* outcome;
};

/// Whether feature f's gradients are finite and so small that no sum of them, nor the square of a sum, overflows.
__device__ bool fine(const SparseLimits& limits, uint32_t f) {
  const uint32_t t = limits.table_of[f];
  const float largest = math::detail::from_bits(limits.largest[f]);
  const float heaviest = math::detail::from_bits(limits.heaviest[t]);
  return largest <= kLargestSum / (static_cast<float>(limits.lookups[t] + 1) * (1.0f + heaviest));
}

__global__ void __launch_bounds__(kThreads) verdict_kernel(Verdict v) {
  bool all_fine = true;
  for (int i = static_cast<int>(threadIdx.x); i < v.losses.count; i += kThreads) {
    const auto of_shard = [&](int64_t s) -> double& { return v.losses.at[s * v.losses.count + i]; };
    for (int64_t apart = 1; apart < v.losses.shards; apart *= 2)
      for (int64_t s = 0; s < v.losses.shards; s += 2 * apart) of_shard(s) += of_shard(s + apart);
    all_fine = all_fine && math::finite(of_shard(0));
  }
  for (uint32_t f = threadIdx.x; f < static_cast<uint32_t>(v.limits.features); f += kThreads)
    all_fine = all_fine && fine(v.limits, f);
  all_fine = __syncthreads_and(all_fine) != 0;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < kNormBlocks; i += kThreads) sum += v.partial[i];
  sum = block_sum(sum);
  if (threadIdx.x != 0) return;
  const bool finite = all_fine && math::finite(sum);
  if (!finite) *v.stopped = 1;
  const double factor = v.clip_norm / (math::sqrt(sum) + 1e-6);
  *v.outcome = {.norm_squared = sum,
                .finite = finite ? 1u : 0u,
                .proceed = *v.stopped == 0 ? 1u : 0u,
                .scale = static_cast<float>(factor < 1.0 ? factor : 1.0)};
}

constexpr int64_t kLowColumns = 8;  // of bf16: 16 bytes

/// The last of the copies for which `before` holds; it does for the first.
template <class F>
__device__ const LowCopies::Piece& last_piece(const LowCopies::Piece* pieces, int count, const F& before) {
  int begin = 0, end = count;
  while (end - begin > 1) {
    const int middle = (begin + end) / 2;
    (before(pieces[middle]) ? begin : end) = middle;
  }
  return pieces[begin];
}

/// Copies w, four weights that were at `from`, to where their copies are. What lies between weights has none.
__device__ void copy_low(const LowCopies::Piece* pieces, int count, const float* from, const Columns<float, 4>& w) {
  const LowCopy& copy =
      last_piece(pieces, count, [&](const LowCopies::Piece& piece) { return piece.copy.from <= from; }).copy;
  const auto size = static_cast<uint32_t>(copy.rows * copy.cols), cols = static_cast<uint32_t>(copy.cols);
  if (from < copy.from || from - copy.from >= size) return;
  const auto at = static_cast<uint32_t>(from - copy.from), row = at / cols;
  uint32_t column = at - row * cols;
  bf16* to = copy.to + row * copy.ld + column;
  if (cols % 4 == 0) return store_columns<4>(to, w);
  MTRANK_UNROLL
  for (int l = 0; l < 4; ++l) {
    if (at + l >= size) return;
    *to = to_bf16(w.at[l]);
    ++to, ++column;
    if (column == cols) column = 0, to += copy.ld - cols;
  }
}

template <class O>
__global__ void __launch_bounds__(kThreads)
    dense_update_kernel(float* weights, const float* gradient, float* a, float* b, int64_t n, const OptimizerStep* step,
                        const Outcome* outcome, const LowCopies::Piece* copies, int copy_count) {
  if (outcome->proceed == 0) return;
  const auto s = step->as<typename O::Step>();
  const float decay = step->decay, scale = outcome->scale;
  float* const slot[2] = {a, b};
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 4; i < n;
       i += static_cast<int64_t>(gridDim.x) * kThreads * 4) {
    Columns<float, 4> w = load_columns<4>(weights + i), state[kSlots<O>];
    const Columns<float, 4> g = load_columns<4>(gradient + i);
    MTRANK_UNROLL
    for (int k = 0; k < kSlots<O>; ++k) state[k] = slot[k] ? load_columns<4>(slot[k] + i) : Columns<float, 4>{};
    MTRANK_UNROLL
    for (int l = 0; l < 4; ++l) {
      float own[kSlots<O>];
      MTRANK_UNROLL
      for (int k = 0; k < kSlots<O>; ++k) own[k] = state[k].at[l];
      w.at[l] = O::update(s, w.at[l], math::fma(decay, w.at[l], scale * g.at[l]), own);
      MTRANK_UNROLL
      for (int k = 0; k < kSlots<O>; ++k) state[k].at[l] = own[k];
    }
    store_columns<4>(weights + i, w);
    if (copies) copy_low(copies, copy_count, weights + i, w);
    MTRANK_UNROLL
    for (int k = 0; k < kSlots<O>; ++k)
      if (slot[k]) store_columns<4>(slot[k] + i, state[k]);
  }
}

using DenseUpdateKernel = void (*)(float*, const float*, float*, float*, int64_t, const OptimizerStep*, const Outcome*,
                                   const LowCopies::Piece*, int);

template <class O>
constexpr DenseUpdateKernel dense_kernel_of() {
  if constexpr (serves(O::use, OptimizerUse::dense))
    return dense_update_kernel<O>;
  else
    return nullptr;
}

/// A thread makes 8 columns of a copy; a block's are all of one weight.
__global__ void __launch_bounds__(kThreads) low_copies_kernel(const LowCopies::Piece* pieces, int count) {
  const LowCopies::Piece piece =
      last_piece(pieces, count, [](const LowCopies::Piece& other) { return other.first_block <= blockIdx.x; });
  const LowCopy& copy = piece.copy;
  const int64_t in_row = copy.ld / kLowColumns;
  const int64_t i = static_cast<int64_t>(blockIdx.x - piece.first_block) * kThreads + threadIdx.x;
  if (i >= copy.rows * in_row) return;
  const int64_t row = i / in_row, column = (i - row * in_row) * kLowColumns;
  const float* from = copy.from + row * copy.cols + column;
  Columns<float, kLowColumns> x{};
  if (copy.cols % 4 == 0 && column + kLowColumns <= copy.cols) {
    MTRANK_UNROLL
    for (int half = 0; half < 2; ++half) {
      const Columns<float, 4> four = load_columns<4>(from + 4 * half);
      MTRANK_UNROLL
      for (int l = 0; l < 4; ++l) x.at[4 * half + l] = four.at[l];
    }
  } else {
    MTRANK_UNROLL
    for (int l = 0; l < kLowColumns; ++l)
      if (column + l < copy.cols) x.at[l] = from[l];
  }
  store_columns<kLowColumns>(copy.to + row * copy.ld + column, x);
}

}  // namespace

void set_table_steps(StepControl& control, size_t table, const OptimizerSettings& optimizer, double l2,
                     double lr_factor, int64_t step) {
  const double lr = optimizer.lr * lr_factor;
  control.tables()[2 * table] = optimizer.info().step(optimizer, lr, step, l2);
  control.tables()[2 * table + 1] = optimizer.info().step(optimizer, lr, step, 0);
}

void add_gradient(cudaStream_t stream, float* to, const float* from, int64_t n) {
  MTRANK_ASSERT(n % 4 == 0);
  if (n > 0) launch_flat(add_gradient_kernel, n / 4, stream, to, from, n);
}

void squared_norm(cudaStream_t stream, const float* x, int64_t n, double* partial) {
  launch(squared_norm_kernel, dim3(kNormBlocks), dim3(kThreads), stream, x, n, partial);
}

void verdict(cudaStream_t stream, const double* partial, const ShardLosses& losses, const SparseLimits& limits,
             double clip_norm, uint32_t* stopped, Outcome* outcome) {
  launch(verdict_kernel, dim3(1), dim3(kThreads), stream,
         Verdict{partial, losses, limits, clip_norm, stopped, outcome});
}

void dense_update(cudaStream_t stream, const OptimizerInfo& optimizer, float* weights, const float* gradient,
                  const SlotPointers& slots, int64_t n, const OptimizerStep* step, const Outcome* outcome,
                  const LowCopies* copies) {
  static constexpr DenseUpdateKernel kernels[] = {
#define OPTIMIZER(Type) dense_kernel_of<optimizers::Type>(),
#include "framework/embedding/optimizers.def"
#undef OPTIMIZER
  };
  const DenseUpdateKernel kernel = kernels[&optimizer - optimizer_registry().data()];
  MTRANK_ASSERT(kernel && n % 4 == 0);
  launch(kernel, dim3(static_cast<unsigned>(std::min(ceil_div(n, kThreads * 4), kMostBlocks))), dim3(kThreads), stream,
         weights, gradient, slots[0], slots[1], n, step, outcome, copies ? copies->pieces() : nullptr,
         copies ? copies->count() : 0);
}

size_t LowCopies::bytes(size_t copies) { return put_bytes<Piece>(copies); }

LowCopies::LowCopies(std::span<const LowCopy> copies, void* memory, cudaStream_t stream)
    : pieces_(static_cast<const Piece*>(memory)), count_(static_cast<int>(copies.size())) {
  std::vector<Piece> pieces;
  for (const LowCopy& copy : copies) {
    MTRANK_ASSERT(copy.ld % kLowColumns == 0 && copy.ld >= copy.cols && copy.rows > 0);
    MTRANK_ASSERT(copy.rows * copy.cols < int64_t{1} << 32);
    MTRANK_ASSERT(pieces.empty() || pieces.back().copy.from < copy.from);
    pieces.push_back({copy, blocks_});
    blocks_ += static_cast<uint32_t>(ceil_div(copy.rows * (copy.ld / kLowColumns), kThreads));
  }
  put(stream, std::span<const Piece>(pieces), static_cast<Piece*>(memory));
}

void LowCopies::refresh(cudaStream_t stream) const {
  launch(low_copies_kernel, dim3(blocks_), dim3(kThreads), stream, pieces_, count_);
}

}  // namespace mtrank::cuda
