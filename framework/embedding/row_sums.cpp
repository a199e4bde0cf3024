#include "framework/embedding/row_sums.h"

#include "framework/core/math.h"
#include "framework/embedding/shard_tree.h"

namespace mtrank {
namespace {

constexpr int64_t kAhead = 6;

MTRANK_INLINE const float* gradient_of(const RowLookups& in, int64_t i) {
  const uint32_t source = in.source[i];
  const View& g = in.gradients[source & ((uint32_t{1} << in.feature_bits) - 1)];
  return g.row<const float>(source >> in.feature_bits);
}
MTRANK_INLINE uint32_t shard_of(const RowLookups& in, int64_t i) { return in.shard[in.source[i] >> in.feature_bits]; }

MTRANK_INLINE void prefetch(const float* p, int64_t n) {
  for (int64_t d = 0; d < n; d += 16) __builtin_prefetch(p + d);
}

/// Columns [column, column + N) of lookups [begin, end), added in order.
template <int N>
MTRANK_INLINE void sum_block(const RowLookups& in, int64_t begin, int64_t end, int64_t column, float* __restrict out) {
  float sum[N];
  const float* first = gradient_of(in, begin) + column;
  if (in.weight) {
    for (int l = 0; l < N; ++l) sum[l] = in.weight[begin] * first[l];
    for (int64_t i = begin + 1; i < end; ++i) {
      const float* g = gradient_of(in, i) + column;
      const float w = in.weight[i];
      for (int l = 0; l < N; ++l) sum[l] = math::fma(w, g[l], sum[l]);
    }
  } else {
    for (int l = 0; l < N; ++l) sum[l] = first[l];
    for (int64_t i = begin + 1; i < end; ++i) {
      const float* g = gradient_of(in, i) + column;
      for (int l = 0; l < N; ++l) sum[l] += g[l];
    }
  }
  for (int l = 0; l < N; ++l) out[l] = sum[l];
}

template <int N>
MTRANK_INLINE void sum_leaf(const RowLookups& in, int64_t begin, int64_t end, int64_t column, float* __restrict out) {
  const int64_t first_end = begin + kRowBlock < end ? begin + kRowBlock : end;
  sum_block<N>(in, begin, first_end, column, out);
  for (int64_t i = first_end; i < end; i += kRowBlock) {
    float block[N];
    sum_block<N>(in, i, i + kRowBlock < end ? i + kRowBlock : end, column, block);
    for (int l = 0; l < N; ++l) out[l] += block[l];
  }
}

template <int N>
MTRANK_INLINE void sum_columns(const RowLookups& in, int64_t begin, int64_t end, int64_t column, float* out) {
  ShardTree<N> tree;
  for (int64_t i = begin; i < end;) {
    const uint32_t shard = shard_of(in, i);
    int64_t stop = i + 1;
    while (stop < end && shard_of(in, stop) == shard) ++stop;
    sum_leaf<N>(in, i, stop, column, tree.next(shard));
    i = stop;
  }
  tree.finish(out);
}

/// Calls f.template operator()<N>(column) over blocks of columns that cover a row.
template <class F>
MTRANK_INLINE void for_columns(int64_t dim, const F& f) {
  int64_t d = 0;
  for (; d + 64 <= dim; d += 64) f.template operator()<64>(d);
  for (; d + 16 <= dim; d += 16) f.template operator()<16>(d);
  for (; d + 4 <= dim; d += 4) f.template operator()<4>(d);
  for (; d < dim; ++d) f.template operator()<1>(d);
}

MTRANK_INLINE void prefetch_row(const RowPrefetch& p, int64_t row, int64_t dim) {
  prefetch(p.weights + row * dim, dim);
  for (const float* slot : p.slots)
    if (slot) p.row_wise ? prefetch(slot + row, 1) : prefetch(slot + row * dim, dim);
}

}  // namespace

void sum_rows(const RowLookups& in, const int64_t* begin, const int32_t* rows, int64_t count, const RowPrefetch& near,
              float* scratch, const float** gradients) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    const int64_t last = begin[count];
    int64_t fetched = begin[0];
    for (int64_t r = 0; r < count; ++r) {
      prefetch_row(near, rows[r], in.dim);
      if (gradients[r]) continue;
      for (; fetched < begin[r + 1] + kAhead && fetched < last; ++fetched) prefetch(gradient_of(in, fetched), in.dim);
      float* out = scratch + r * in.dim;
      gradients[r] = out;
      if (begin[r + 1] - begin[r] == 1 && !in.weight)
        gradients[r] = gradient_of(in, begin[r]);
      else
        for_columns(in.dim, [=]<int N>(int64_t d)
                                MTRANK_INLINE_LAMBDA { sum_columns<N>(in, begin[r], begin[r + 1], d, out + d); });
    }
  });
}

void sum_shard(const RowLookups& in, int64_t begin, int64_t end, float* out) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for_columns(in.dim, [=]<int N>(int64_t d) MTRANK_INLINE_LAMBDA { sum_leaf<N>(in, begin, end, d, out + d); });
  });
}

void fold_shards(const float* parts, const int* shards, int count, int64_t dim, float* out) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for_columns(dim, [=]<int N>(int64_t d) MTRANK_INLINE_LAMBDA {
      ShardTree<N> tree;
      for (int i = 0; i < count; ++i) {
        float* leaf = tree.next(static_cast<uint32_t>(shards[i]));
        for (int l = 0; l < N; ++l) leaf[l] = parts[i * dim + d + l];
      }
      tree.finish(out + d);
    });
  });
}

}  // namespace mtrank
