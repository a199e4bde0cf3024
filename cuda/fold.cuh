#pragma once

#include <vector>

#include "cuda/elementwise.cuh"

/// y = x_0 op x_1 op ... over any number of values, in their order.
namespace mtrank::cuda {

struct Plus {
  MTRANK_HD float operator()(float a, float b) const { return a + b; }
};
struct Times {
  MTRANK_HD float operator()(float a, float b) const { return a * b; }
};

/// The first `count` of N.
template <class Op, int N>
struct Fold {
  static constexpr int kIn = N, kOut = 1;
  int count;
  MTRANK_HD void operator()(const float (&x)[N], float (&y)[1]) const {
    float sum = x[0];
    MTRANK_UNROLL
    for (int i = 1; i < N; ++i)
      if (i < count) sum = Op{}(sum, x[i]);
    y[0] = sum;
  }
};

template <class Op, int N>
void fold_in_one(const Call& call, std::span<const DeviceView> terms, const DeviceView& out, bool add) {
  std::array<DeviceView, N> in;
  std::copy(terms.begin(), terms.end(), in.begin());
  map(call, Fold<Op, N>{static_cast<int>(terms.size())}, in, {out}, {add});
}

/// Launches y = terms folded by Op, or y += that. Moves every term once up to 8 of them; more go through scratch memory
/// in f32, so that nothing is rounded in between.
template <class Op>
void fold(const Call& call, std::span<const DeviceView> terms, const DeviceView& out, bool add) {
  constexpr size_t kMost = 8;
  if (terms.size() <= 2) return fold_in_one<Op, 2>(call, terms, out, add);
  if (terms.size() <= 4) return fold_in_one<Op, 4>(call, terms, out, add);
  if (terms.size() <= kMost) return fold_in_one<Op, kMost>(call, terms, out, add);
  const int64_t ld = round_up(out.cols, 4);
  const int64_t most_rows = static_cast<int64_t>(Context::kScratch / sizeof(float)) / ld;
  MTRANK_ASSERT(most_rows > 0);
  for (int64_t begin = 0; begin < out.rows; begin += most_rows) {
    const int64_t rows = std::min(most_rows, out.rows - begin);
    float* scratch = call.context.scratch_of<float>(static_cast<size_t>(rows * ld));
    const DeviceView partial{.data = scratch, .rows = rows, .cols = out.cols, .ld = ld};
    std::vector<DeviceView> next;
    for (const DeviceView& term : terms) {
      if (next.size() == kMost) {
        fold_in_one<Op, kMost>(call, next, partial, false);
        next.assign(1, partial);
      }
      next.push_back(rows_of(term, begin, rows));
    }
    fold_in_one<Op, kMost>(call, next, rows_of(out, begin, rows), add);
  }
}

}  // namespace mtrank::cuda
