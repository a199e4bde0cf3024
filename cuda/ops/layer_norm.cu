#include "framework/ops/layer_norm.h"

#include "cuda/rows.cuh"

namespace mtrank::cuda {
namespace {

struct NormArguments {
  Argument x, y, mean, rstd;
  const float *gamma = nullptr, *beta = nullptr;
  uint32_t rows = 0, width = 0;
  uint32_t block_rows = 0;  ///< rows of a block
  float epsilon = 0;
};

/// V weights from `from`, which is aligned where V > 1. Beyond `left` they are 0.
template <int V>
__device__ void load_weights(const float* from, uint32_t left, float (&w)[V]) {
  if constexpr (V > 1) {
    if (left >= V) {
      MTRANK_UNROLL
      for (int j = 0; j < V; j += 4) {
        const float4 four = *reinterpret_cast<const float4*>(from + j);
        w[j] = four.x, w[j + 1] = four.y, w[j + 2] = four.z, w[j + 3] = four.w;
      }
      return;
    }
  }
  MTRANK_UNROLL
  for (int j = 0; j < V; ++j) w[j] = static_cast<uint32_t>(j) < left ? from[j] : 0.0f;
}

/// Block (b, g): group g of rows [b, b + 1) * block_rows, W threads a row.
template <class Access, class S>
__global__ void __launch_bounds__(kBlock) layer_norm_forward_kernel(const NormArguments a) {
  constexpr int V = Access::V;
  const uint32_t begin = blockIdx.y * a.width;
  for (uint32_t i = threadIdx.x / S::W; i < a.block_rows; i += kBlock / S::W) {
    const uint32_t own = blockIdx.x * a.block_rows + i, row = min(own, a.rows - 1);
    OwnColumns<Access, S> x;
    x.open(a.x, row, begin, a.width);
    float sum = 0, square = 0;
    each_vector<Access, S>(a.width, [&](int k) {
      const auto v = x(k);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) sum += v[j];
    });
    const float mean = sum_over<S::W>(sum) / static_cast<float>(a.width);
    each_vector<Access, S>(a.width, [&](int k) {
      const auto v = x(k);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) {
        const float d = x.at(k) + j < a.width ? v[j] - mean : 0.0f;
        square = math::fma(d, d, square);
      }
    });
    const float rstd = math::rsqrt(sum_over<S::W>(square) / static_cast<float>(a.width) + a.epsilon);
    if (own >= a.rows) continue;
    each_vector<Access, S>(a.width, [&](int k) {
      const auto v = x(k);
      const uint32_t at = x.at(k), left = a.width - at;
      float gamma[V], beta[V], y[V];
      load_weights(a.gamma + begin + at, left, gamma);
      load_weights(a.beta + begin + at, left, beta);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) y[j] = math::fma((v[j] - mean) * rstd, gamma[j], beta[j]);
      Access::store(a.y, row, begin + at, left, y);
    });
    if (threadIdx.x % S::W) continue;
    if (a.mean.data) a.mean.put(row, blockIdx.y, mean);
    if (a.rstd.data) a.rstd.put(row, blockIdx.y, rstd);
  }
}

struct NormGradientArguments {
  Argument dy, x, mean, rstd, dx;
  const float* gamma = nullptr;
  float* partials = nullptr;  ///< [blocks, 2, columns]: Σ dy x̂, then Σ dy, over a block's rows; null: not wanted
  const DeviceStep* step = nullptr;
  uint32_t rows = 0, width = 0, block_rows = 0, columns = 0;
  bool add = false;
};

/// What a thread sums over the rows of its own columns: in registers where it holds its columns, else in its place of
/// the partials.
template <class Access, class S>
class WeightSums {
 public:
  static constexpr int V = Access::V;
  __device__ void clear(float* gamma, float* beta, uint32_t width) {
    if constexpr (S::K > 0) return;
    gamma_ = gamma, beta_ = beta;
    each_vector<Access, S>(width, [&](int k) {
      for (uint32_t c = OwnColumns<Access, S>::at(k); c < min(OwnColumns<Access, S>::at(k) + V, width); ++c)
        gamma_[c] = beta_[c] = 0;
    });
  }
  __device__ void add(int k, int j, uint32_t width, float d, float normal) {
    if constexpr (S::K > 0) {
      sums_[0][k][j] = math::fma(d, normal, sums_[0][k][j]);
      sums_[1][k][j] += d;
    } else if (const uint32_t c = OwnColumns<Access, S>::at(k) + j; c < width) {
      gamma_[c] = math::fma(d, normal, gamma_[c]);
      beta_[c] += d;
    }
  }
  /// Adds what the block's threads hold, the ones of the first row first.
  __device__ void finish(float* gamma, float* beta, uint32_t width) const {
    if constexpr (S::K > 0) {
      __shared__ float total[2][S::W * S::K * V];
      for (uint32_t i = threadIdx.x; i < S::W * S::K * V; i += kBlock) total[0][i] = total[1][i] = 0;
      for (uint32_t turn = 0; turn < kBlock / S::W; ++turn) {
        __syncthreads();
        if (threadIdx.x / S::W != turn) continue;
        MTRANK_UNROLL
        for (int k = 0; k < S::K; ++k)
          for (int j = 0; j < V; ++j) {
            total[0][OwnColumns<Access, S>::at(k) + j] += sums_[0][k][j];
            total[1][OwnColumns<Access, S>::at(k) + j] += sums_[1][k][j];
          }
      }
      __syncthreads();
      for (uint32_t c = threadIdx.x; c < width; c += kBlock) gamma[c] = total[0][c], beta[c] = total[1][c];
    }
  }

 private:
  float sums_[2][S::K > 0 ? S::K : 1][V] = {};
  float *gamma_ = nullptr, *beta_ = nullptr;
};

/// Blocks as in the forward kernel. Padding adds nothing to the weights' gradients.
template <class Access, class S>
__global__ void __launch_bounds__(kBlock) layer_norm_gradient_kernel(const NormGradientArguments a) {
  constexpr int V = Access::V;
  const uint32_t begin = blockIdx.y * a.width;
  float* const gamma_sums = a.partials + uint64_t{blockIdx.x} * 2 * a.columns + begin;
  float* const beta_sums = gamma_sums + a.columns;
  const uint32_t rows = a.partials ? min(a.rows, static_cast<uint32_t>(a.step->rows)) : 0;
  WeightSums<Access, S> sums;
  if (a.partials) sums.clear(gamma_sums, beta_sums, a.width);
  for (uint32_t i = threadIdx.x / S::W; i < a.block_rows; i += kBlock / S::W) {
    const uint32_t own = blockIdx.x * a.block_rows + i, row = min(own, a.rows - 1);
    OwnColumns<Access, S> dy, x;
    dy.open(a.dy, row, begin, a.width);
    x.open(a.x, row, begin, a.width);
    const float mean = a.mean.get(row, blockIdx.y), rstd = a.rstd.get(row, blockIdx.y);
    float sum = 0, dot = 0;
    each_vector<Access, S>(a.width, [&](int k) {
      const auto d = dy(k), v = x(k);
      float gamma[V];
      load_weights(a.gamma + begin + x.at(k), a.width - x.at(k), gamma);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) {
        const float normal = (v[j] - mean) * rstd;
        sum = math::fma(d[j], gamma[j], sum);
        dot = math::fma(d[j] * gamma[j], normal, dot);
        if (own < rows) sums.add(k, j, a.width, d[j], normal);
      }
    });
    if (!a.dx.data) continue;
    const float from_mean = sum_over<S::W>(sum) / static_cast<float>(a.width);
    const float from_rstd = sum_over<S::W>(dot) / static_cast<float>(a.width);
    if (own >= a.rows) continue;
    each_vector<Access, S>(a.width, [&](int k) {
      const auto d = dy(k), v = x(k);
      const uint32_t at = x.at(k), left = a.width - at;
      typename Access::Vector old;
      if (a.add) old = Access::load(a.dx, row, begin + at, left);
      float gamma[V], dx[V];
      load_weights(a.gamma + begin + at, left, gamma);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) {
        const float value = (d[j] * gamma[j] - from_mean - (v[j] - mean) * rstd * from_rstd) * rstd;
        dx[j] = a.add ? old[j] + value : value;
      }
      Access::store(a.dx, row, begin + at, left, dx);
    });
  }
  if (a.partials) sums.finish(gamma_sums, beta_sums, a.width);
}

/// A block's 32 columns: 8 threads a column take an eighth of the partials each, in their order.
__global__ void __launch_bounds__(kBlock)
    layer_norm_finish_kernel(const float* partials, uint32_t count, uint32_t columns, float* dgamma, float* dbeta,
                             bool add_gamma, bool add_beta) {
  __shared__ float sums[8][32];
  const uint32_t lane = threadIdx.x % 32, part = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  const uint32_t each = (count + 7) / 8, end = min(count, (part + 1) * each);
  float sum = 0;
  if (column < 2 * columns)
    for (uint32_t i = part * each; i < end; ++i) sum += partials[uint64_t{i} * 2 * columns + column];
  sums[part][lane] = sum;
  __syncthreads();
  if (part || column >= 2 * columns) return;
  for (int p = 1; p < 8; ++p) sum += sums[p][lane];
  float* to = column < columns ? dgamma : dbeta;
  const uint32_t at = column < columns ? column : column - columns;
  if (to) to[at] = (column < columns ? add_gamma : add_beta) ? to[at] + sum : sum;
}

/// Calls f with the access for views whose rows are cut into groups of `width`, and for f32 weights.
template <class F>
void with_weights(std::initializer_list<DeviceView> views, std::initializer_list<const float*> weights, int64_t groups,
                  int64_t width, const F& f) {
  bool wide = groups == 1 || width % 4 == 0;
  for (const float* w : weights) wide = wide && reinterpret_cast<uintptr_t>(w) % 16 == 0;
  if (wide)
    with_access(views, groups > 1 ? width : 0, f);
  else
    f(PlainAccess{});
}

dim3 grid_of(int64_t rows, int64_t block_rows, int64_t groups) {
  return dim3(static_cast<unsigned>(ceil_div(rows, block_rows)), static_cast<unsigned>(groups));
}

}  // namespace

/// Moves 2 G H numbers a row.
void launches::layer_norm(const Call& call) {
  const DeviceView &x = call.in[0], &y = call.out[0];
  const Attributes& attributes = call.node.attributes;
  const int64_t groups = attributes.integer("groups", 1), width = x.cols / groups;
  NormArguments a;
  a.x = Argument(x), a.y = Argument(y), a.mean = Argument(call.out[1]), a.rstd = Argument(call.out[2]);
  a.gamma = call.in[1].as<const float>(), a.beta = call.in[2].as<const float>();
  a.rows = static_cast<uint32_t>(x.rows), a.width = static_cast<uint32_t>(width);
  a.epsilon = static_cast<float>(attributes.number("epsilon"));
  with_weights({x, y}, {a.gamma, a.beta}, groups, width, [&](auto access) {
    with_spread<decltype(access)::V>(width, [&](auto spread) {
      NormArguments b = a;
      b.block_rows = kBlock / spread.W;
      launch(layer_norm_forward_kernel<decltype(access), decltype(spread)>, grid_of(x.rows, b.block_rows, groups),
             dim3(kBlock), call.context.stream, b);
    });
  });
}

/// in: dy, x, gamma, mean, rstd; out: dx, dgamma, dbeta. Moves 3 G H numbers a row.
void launches::layer_norm_gradient(const Call& call) {
  const DeviceView &dy = call.in[0], &x = call.in[1], &dx = call.out[0];
  const DeviceView &dgamma = call.out[1], &dbeta = call.out[2];
  const int64_t groups = call.node.attributes.integer("groups", 1), width = x.cols / groups;
  NormGradientArguments a;
  a.dy = Argument(dy), a.x = Argument(x), a.mean = Argument(call.in[3]), a.rstd = Argument(call.in[4]);
  a.dx = Argument(dx), a.gamma = call.in[2].as<const float>(), a.step = call.context.step;
  a.rows = static_cast<uint32_t>(x.rows), a.width = static_cast<uint32_t>(width);
  a.columns = static_cast<uint32_t>(x.cols), a.add = call.accumulate[0];
  // At most 512 partial sums, and as many as the scratch memory holds. The rows alone decide, so the order is fixed.
  const int64_t row_floats = 2 * x.cols;
  const int64_t most = std::min<int64_t>(512, static_cast<int64_t>(Context::kScratch / sizeof(float)) / row_floats);
  with_weights({dy, x, dx}, {a.gamma}, groups, width, [&](auto access) {
    with_spread<decltype(access)::V>(width, [&](auto spread) {
      NormGradientArguments b = a;
      const int64_t block_rows = round_up(ceil_div(x.rows, most), kBlock / spread.W);
      const int64_t blocks = ceil_div(x.rows, block_rows);
      b.block_rows = static_cast<uint32_t>(block_rows);
      if (dgamma || dbeta) b.partials = call.context.scratch_of<float>(static_cast<size_t>(blocks * row_floats));
      launch(layer_norm_gradient_kernel<decltype(access), decltype(spread)>, grid_of(x.rows, block_rows, groups),
             dim3(kBlock), call.context.stream, b);
      if (!b.partials) return;
      launch(layer_norm_finish_kernel, dim3(static_cast<unsigned>(ceil_div(row_floats, 32))), dim3(kBlock),
             call.context.stream, static_cast<const float*>(b.partials), static_cast<uint32_t>(blocks), a.columns,
             dgamma.as<float>(), dbeta.as<float>(), call.accumulate[1] != 0, call.accumulate[2] != 0);
    });
  });
}

}  // namespace mtrank::cuda
