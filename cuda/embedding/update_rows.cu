#include "cuda/embedding/update_rows.h"

#include <algorithm>

#include "cuda/launch.h"
#include "framework/embedding/optimizer.h"
#include "framework/embedding/shard_tree.h"

#define MTRANK_OPTIMIZER_HEADERS
#include "framework/embedding/optimizers.def"
#undef MTRANK_OPTIMIZER_HEADERS

namespace mtrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 2048;

unsigned blocks_for(int64_t groups, int lane_bits) {
  return static_cast<unsigned>(std::clamp<int64_t>(ceil_div(groups << lane_bits, kThreads), 1, kMostBlocks));
}

/// The table of a group's present row, and its optimiser's step. Rows mostly come in ascending order.
template <class O>
struct CurrentTable {
  uint32_t first_row = 1, end_row = 0;  // none yet
  float* weights = nullptr;
  float* slot[2] = {};
  typename O::Step step = {};
  float decay = 0;

  __device__ __forceinline__ void find(const ClassIndex& index, uint32_t row, const OptimizerStep* steps, int which) {
    if (row >= first_row && row < end_row) return;
    uint32_t begin = index.first_table, end = index.end_table;
    while (end - begin > 1) {
      const uint32_t middle = begin + (end - begin) / 2;
      (index.tables[middle].first_row <= row ? begin : end) = middle;
    }
    const IndexTable& t = index.tables[begin];
    first_row = t.first_row;
    end_row = t.end_row;
    weights = t.weights;
    slot[0] = t.slots[0];
    slot[1] = t.slots[1];
    const OptimizerStep& s = steps[2 * t.table + static_cast<uint32_t>(which)];
    step = s.as<typename O::Step>();
    decay = s.decay;
  }
};

/// Columns of a row and of what is remembered of each.
template <class O, int N>
struct RowPiece {
  Columns<float, N> w, state[kSlots<O>];

  __device__ __forceinline__ void load(const CurrentTable<O>& t, int64_t at) {
    w = load_columns<N>(t.weights + at);
    if constexpr (!RowWise<O>) {
      MTRANK_UNROLL
      for (int s = 0; s < kSlots<O>; ++s) state[s] = t.slot[s] ? load_columns<N>(t.slot[s] + at) : Columns<float, N>{};
    }
  }
  __device__ __forceinline__ void store(const CurrentTable<O>& t, int64_t at) const {
    store_columns<N>(t.weights + at, w);
    if constexpr (!RowWise<O>) {
      MTRANK_UNROLL
      for (int s = 0; s < kSlots<O>; ++s)
        if (t.slot[s]) store_columns<N>(t.slot[s] + at, state[s]);
    }
  }
  __device__ __forceinline__ void update(const CurrentTable<O>& t, const Columns<float, N>& gradient) {
    if constexpr (!RowWise<O>) {
      MTRANK_UNROLL
      for (int l = 0; l < N; ++l) {
        float own[kSlots<O>];
        MTRANK_UNROLL
        for (int s = 0; s < kSlots<O>; ++s) own[s] = state[s].at[l];
        w.at[l] = O::update(t.step, w.at[l], gradient.at[l], own);
        MTRANK_UNROLL
        for (int s = 0; s < kSlots<O>; ++s) state[s].at[l] = own[s];
      }
    }
  }
};

template <int N>
__device__ __forceinline__ Columns<float, N> decayed(const Columns<float, N>& w, const Columns<float, N>& gradient,
                                                     float decay) {
  Columns<float, N> out;
  MTRANK_UNROLL
  for (int l = 0; l < N; ++l) out.at[l] = math::fma(decay, w.at[l], gradient.at[l]);
  return out;
}

/// A touched row of a batch in one shard: what its gradient is the sum of.
template <class Rows>
struct Touched {
  Rows rows;
  uint32_t segment = 0, begin = 0, count = 0;

  template <int N>
  __device__ __forceinline__ Columns<float, N> sum(int64_t column) const {
    return sum_rows<N>(rows, begin, count, column);
  }
};

/// The rows of a class with up to kSumBlock lookups, whose gradients are T: float or bf16.
template <class T>
struct FewLookups {
  static __device__ __forceinline__ int64_t count(const ClassIndex& index) {
    return int64_t{index.table_segment[index.end_table]} - index.table_segment[index.first_table];
  }
  static __device__ __forceinline__ Touched<LookupRows<T>> rows(const ClassIndex& index, GradientRows* shared) {
    return {lookup_rows<T>(index, shared)};
  }
  /// Row i; false where it has more.
  static __device__ __forceinline__ bool find(const ClassIndex& index, int64_t i, Touched<LookupRows<T>>& row) {
    row.segment = index.table_segment[index.first_table] + static_cast<uint32_t>(i);
    row.begin = index.begins[row.segment];
    row.count = index.begins[row.segment + 1] - row.begin;
    return row.count <= kSumBlock;
  }
};

/// The rows with more: what sum_hot_rows left of them.
struct ManyLookups {
  static __device__ __forceinline__ int64_t count(const ClassIndex& index) {
    return static_cast<int64_t>(index.hot_count[0] >> 32);
  }
  static __device__ __forceinline__ Touched<PartialRows> rows(const ClassIndex&, GradientRows*) { return {}; }
  static __device__ __forceinline__ bool find(const ClassIndex& index, int64_t i, Touched<PartialRows>& row) {
    const HotRow hot = index.hot[0][i];
    row.segment = hot.segment;
    row.rows = last_sums(index, hot.slot, index.begins[hot.segment + 1] - index.begins[hot.segment], &row.count);
    return true;
  }
};

/// A touched row of a batch in several shards, of which each has a segment of the row's or none.
template <class T>
struct TouchedInShards {
  const ClassIndex& index;
  LookupRows<T> lookups;
  uint32_t segment = 0, end = 0;  ///< the first and the one past the last

  template <int N>
  __device__ __forceinline__ Columns<float, N> part(uint32_t s, int64_t column) const {
    const uint32_t begin = index.begins[s], count = index.begins[s + 1] - begin;
    if (count <= kSumBlock) return sum_rows<N>(lookups, begin, count, column);
    uint32_t sums;
    const PartialRows rows = last_sums(index, index.first_sums[s], count, &sums);
    return sum_rows<N>(rows, 0, sums, column);
  }
  template <int N>
  __device__ __forceinline__ Columns<float, N> sum(int64_t column) const {
    if (end == segment + 1) return part<N>(segment, column);
    ShardTree<N> tree;
    for (uint32_t s = segment; s < end; ++s) {
      const Columns<float, N> x = part<N>(s, column);
      float* leaf = tree.next(index.keys[index.begins[s]] & ((1u << index.shard_bits) - 1u));
      for (int l = 0; l < N; ++l) leaf[l] = x.at[l];
    }
    Columns<float, N> out;
    tree.finish(out.at);
    return out;
  }
};

/// All rows of a class, whose gradients are T: float or bf16.
template <class T>
struct InShards {
  static __device__ __forceinline__ int64_t count(const ClassIndex& index) { return FewLookups<T>::count(index); }
  static __device__ __forceinline__ TouchedInShards<T> rows(const ClassIndex& index, GradientRows* shared) {
    return {index, lookup_rows<T>(index, shared)};
  }
  /// The row whose first segment is number i; false where it is a later one.
  static __device__ __forceinline__ bool find(const ClassIndex& index, int64_t i, TouchedInShards<T>& row) {
    const uint32_t first = index.table_segment[index.first_table], last = index.table_segment[index.end_table];
    row.segment = first + static_cast<uint32_t>(i);
    const uint32_t own = index.row_of(row.segment);
    if (i > 0 && index.row_of(row.segment - 1) == own) return false;
    for (row.end = row.segment + 1; row.end < last && index.row_of(row.end) == own;) ++row.end;
    return true;
  }
};

struct Update {
  const OptimizerStep* steps;
  const uint32_t* proceed;
  int lane_bits;
};

template <class O, int N, class Row>
__device__ __forceinline__ void update_elements(const CurrentTable<O>& table, const Row& row, int64_t at,
                                                const LaneGroup& group, int64_t dim) {
  for (int64_t c = group.lane() * N; c < dim; c += group.size() * N) {
    RowPiece<O, N> piece;
    piece.load(table, at + c);
    piece.update(table, decayed(piece.w, row.template sum<N>(c), table.decay));
    piece.store(table, at + c);
  }
}

/// The mean of squares comes first. Up to kKept pieces of a row a lane are held meanwhile; beyond, kKept is 0, they are
/// summed again.
template <class O, int N, int kKept, class Row>
__device__ __forceinline__ void update_row_wise(const CurrentTable<O>& table, const Row& row, int64_t row_number,
                                                const LaneGroup& group, int64_t dim, bool active) {
  const int64_t at = row_number * dim, step = group.size() * N;
  Columns<float, N> kept_w[kKept > 0 ? kKept : 1] = {}, kept_g[kKept > 0 ? kKept : 1] = {};
  float state[1] = {active ? table.slot[0][row_number] : 0.0f};
  float squares = 0;
  const auto add = [&](const Columns<float, N>& g) {
    MTRANK_UNROLL
    for (int l = 0; l < N; ++l) squares = math::fma(g.at[l], g.at[l], squares);
  };
  const auto gradient = [&](const Columns<float, N>& w, int64_t c) {
    return decayed(w, row.template sum<N>(c), table.decay);
  };
  if constexpr (kKept > 0) {
    MTRANK_UNROLL
    for (int k = 0; k < kKept; ++k) {
      const int64_t c = group.lane() * N + k * step;
      if (!active || c >= dim) continue;
      kept_w[k] = load_columns<N>(table.weights + at + c);
      kept_g[k] = gradient(kept_w[k], c);
      add(kept_g[k]);
    }
  } else {
    for (int64_t c = group.lane() * N; active && c < dim; c += step)
      add(gradient(load_columns<N>(table.weights + at + c), c));
  }
  squares = group.sum(squares);
  if (!active) return;
  const float factor = O::row(table.step, squares / static_cast<float>(dim), state);
  if (group.lane() == 0) table.slot[0][row_number] = state[0];
  const auto move = [&](Columns<float, N> w, const Columns<float, N>& g, int64_t c) {
    MTRANK_UNROLL
    for (int l = 0; l < N; ++l) w.at[l] = O::update(w.at[l], g.at[l], factor);
    store_columns<N>(table.weights + at + c, w);
  };
  if constexpr (kKept > 0) {
    MTRANK_UNROLL
    for (int k = 0; k < kKept; ++k) {
      const int64_t c = group.lane() * N + k * step;
      if (c < dim) move(kept_w[k], kept_g[k], c);
    }
  } else {
    for (int64_t c = group.lane() * N; c < dim; c += step) {
      const Columns<float, N> w = load_columns<N>(table.weights + at + c);
      move(w, gradient(w, c), c);
    }
  }
}

/// A group of lanes takes a row of those that From finds.
template <class O, class From, int N, int kKept>
__global__ void __launch_bounds__(kThreads) update_touched_kernel(ClassIndex index, Update u) {
  __shared__ GradientRows shared[kSharedFeatures];
  if (*u.proceed == 0) return;
  auto row = From::rows(index, shared);
  const LaneGroup group{u.lane_bits};
  const int64_t rows = From::count(index), in_warp = static_cast<int64_t>(threadIdx.x % 32) >> u.lane_bits;
  CurrentTable<O> table;
  for (int64_t i = group.number(); i - in_warp < rows; i += group.count()) {
    const bool active = i < rows && From::find(index, i, row);
    int64_t row_number = 0;
    if (active) {
      const uint32_t number = index.row_of(row.segment);
      table.find(index, number, u.steps, 0);
      row_number = number - table.first_row;
    }
    if constexpr (RowWise<O>)
      update_row_wise<O, N, kKept>(table, row, row_number, group, index.dim, active);
    else if (active)
      update_elements<O, N>(table, row, row_number * index.dim, group, index.dim);
  }
}

/// Rows of the class without a mark: their gradient is 0.
template <class O, int N>
__global__ void __launch_bounds__(kThreads)
    update_untouched_kernel(ClassIndex index, Update u, uint32_t first_row, uint32_t end_row, const uint32_t* touched) {
  if (*u.proceed == 0) return;
  const LaneGroup group{u.lane_bits};
  CurrentTable<O> table;
  const int64_t rows = int64_t{end_row} - first_row;
  for (int64_t r = group.number(); r < rows; r += group.count()) {
    if ((touched[r / 32] >> (r % 32) & 1u) != 0) continue;
    const uint32_t key = first_row + static_cast<uint32_t>(r);
    table.find(index, key, u.steps, 1);
    const int64_t at = (key - table.first_row) * index.dim;
    for (int64_t c = group.lane() * N; c < index.dim; c += group.size() * N) {
      RowPiece<O, N> piece;
      piece.load(table, at + c);
      Columns<float, N> gradient;
      MTRANK_UNROLL
      for (int l = 0; l < N; ++l) gradient.at[l] = table.decay * piece.w.at[l];
      piece.update(table, gradient);
      piece.store(table, at + c);
    }
  }
}

template <class O, class From, int N>
void update_touched(cudaStream_t stream, int64_t most, const RowClass& c, const ClassIndex& index, const Update& u) {
  const dim3 grid(blocks_for(most, u.lane_bits));
  const int64_t pieces = ceil_div(c.dim, int64_t{N} << u.lane_bits);
  if (!RowWise<O> || pieces == 1)
    launch(update_touched_kernel<O, From, N, 1>, grid, dim3(kThreads), stream, index, u);
  else if constexpr (RowWise<O>) {
    if (pieces <= 4)
      launch(update_touched_kernel<O, From, N, 4>, grid, dim3(kThreads), stream, index, u);
    else
      launch(update_touched_kernel<O, From, N, 0>, grid, dim3(kThreads), stream, index, u);
  }
}

template <class O, int N>
void update(cudaStream_t stream, const RowClass& c, const ClassIndex& index, DType dtype, const OptimizerStep* steps,
            const uint32_t* touched, const uint32_t* proceed) {
  const Update u{.steps = steps, .proceed = proceed, .lane_bits = lane_bits_of(c.dim, N)};
  const bool shards = index.shard_bits > 0;
  if (!shards && c.levels > 0) update_touched<O, ManyLookups, N>(stream, c.capacity / (kSumBlock + 1), c, index, u);
  if (c.capacity > 0)
    with_type(dtype, [&]<class T>(T) {
      shards ? update_touched<O, InShards<T>, N>(stream, c.capacity, c, index, u)
             : update_touched<O, FewLookups<T>, N>(stream, c.capacity, c, index, u);
    });
  if constexpr (!RowWise<O>) {
    if (!c.moves_every_row) return;
    launch(update_untouched_kernel<O, N>, dim3(blocks_for(int64_t{c.end_row} - c.first_row, u.lane_bits)),
           dim3(kThreads), stream, index, u, c.first_row, c.end_row, touched + c.touched_word);
  }
}

using UpdateClass = void (*)(cudaStream_t, const RowClass&, const ClassIndex&, DType, const OptimizerStep*,
                             const uint32_t*, const uint32_t*);

template <class O>
constexpr UpdateClass update_of(int64_t columns) {
  if constexpr (serves(O::use, OptimizerUse::tables))
    return columns == 4 ? update<O, 4> : update<O, 1>;
  else
    return nullptr;
}

/// In the order of optimizers.def.
constexpr UpdateClass kUpdates[][2] = {
#define OPTIMIZER(Type) {update_of<optimizers::Type>(1), update_of<optimizers::Type>(4)},
#include "framework/embedding/optimizers.def"
#undef OPTIMIZER
};

}  // namespace

void update_class(cudaStream_t stream, const RowClass& c, const ClassIndex& index, DType dtype,
                  const OptimizerStep* steps, const uint32_t* touched, const uint32_t* proceed) {
  const UpdateClass update = kUpdates[c.optimizer - optimizer_registry().data()][index.wide ? 1 : 0];
  MTRANK_ASSERT(update);
  update(stream, c, index, dtype, steps, touched, proceed);
}

}  // namespace mtrank::cuda
