#include "framework/ops/lookup.h"

#include "framework/core/error.h"
#include "framework/core/math.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

std::vector<ValueId> lookup(Builder& builder, std::span<const LookupFeature> features) {
  std::vector<ValueId> inputs;
  std::vector<int64_t> pools;
  for (const LookupFeature& feature : features) {
    inputs.push_back(feature.table);
    inputs.push_back(feature.ids);
    pools.push_back(static_cast<int64_t>(feature.pool));
  }
  return builder.apply(ops::lookup, inputs, {{"pool", pools}}, "embedding");
}

namespace ops {
namespace {

std::vector<int64_t> lookup_shapes(const ShapeCall& call) {
  const std::vector<int64_t>& pools = call.attributes.integers("pool");
  if (pools.size() != call.in.size() / 2)
    throw ShapeError("a lookup of " + std::to_string(call.in.size() / 2) + " features pools " +
                     std::to_string(pools.size()));
  for (const int64_t pool : pools)
    if (pool < 0 || pool > static_cast<int64_t>(Pooling::sqrtn))
      throw ShapeError("a lookup pools by " + std::to_string(pool) + ", which is no way to");
  std::vector<int64_t> cols;
  for (size_t i = 0; i < call.in.size(); i += 2) cols.push_back(call.in[i].cols);
  return cols;
}

struct Bag {
  int64_t begin, end;
};

MTRANK_INLINE Bag bag_of(const IdsView& ids, int64_t row) {
  if (!ids.offsets) return {row, row + 1};
  return {ids.offsets[row], ids.offsets[row + 1]};
}

template <class T>
MTRANK_INLINE T pool_scale(const IdsView& ids, Bag bag, Pooling pool) {
  if (pool == Pooling::sum) return T(1);
  T sum = 0;
  for (int64_t i = bag.begin; i < bag.end; ++i) {
    if (ids.ids[i] < 0) continue;
    const T w = ids.weights ? static_cast<T>(ids.weights[i]) : T(1);
    sum += pool == Pooling::mean ? w : w * w;
  }
  if (!(sum > T(0))) return T(0);
  return T(1) / (pool == Pooling::mean ? sum : math::sqrt(sum));
}

/// Columns [d, d + N) of one bag, kept in registers.
template <class T, int N>
MTRANK_INLINE void pool_columns(const T* table, int64_t ld, const IdsView& ids, Bag bag, T scale, T* out) {
  T sum[N] = {};
  for (int64_t i = bag.begin; i < bag.end; ++i) {
    const int64_t id = ids.ids[i];
    if (id < 0) continue;
    const T w = ids.weights ? static_cast<T>(ids.weights[i]) : T(1);
    const T* row = table + id * ld;
    for (int l = 0; l < N; ++l) sum[l] = math::fma(w, row[l], sum[l]);
  }
  for (int l = 0; l < N; ++l) out[l] = sum[l] * scale;
}

template <class T>
MTRANK_INLINE void prefetch_row(const T* table, int64_t ld, int64_t dim, int64_t id) {
  if (id < 0) return;
  for (int64_t d = 0; d < dim; d += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(table + id * ld + d);
}

template <class T>
MTRANK_INLINE void lookup_feature(const View& table, const IdsView& ids, Pooling pool, const View& out) {
  constexpr int64_t ahead = 8;
  const T* rows = table.as<const T>();
  const int64_t last = ids.offsets ? ids.offsets[out.rows] : out.rows;
  for (int64_t r = 0; r < out.rows; ++r) {
    const Bag bag = bag_of(ids, r);
    for (int64_t i = bag.begin + ahead; i < bag.end + ahead && i < last; ++i)
      prefetch_row(rows, table.ld, out.cols, ids.ids[i]);
    const T scale = pool_scale<T>(ids, bag, pool);
    T* y = out.row<T>(r);
    int64_t d = 0;
    for (; d + 64 <= out.cols; d += 64) pool_columns<T, 64>(rows + d, table.ld, ids, bag, scale, y + d);
    for (; d + 16 <= out.cols; d += 16) pool_columns<T, 16>(rows + d, table.ld, ids, bag, scale, y + d);
    for (; d + 8 <= out.cols; d += 8) pool_columns<T, 8>(rows + d, table.ld, ids, bag, scale, y + d);
    for (; d + 4 <= out.cols; d += 4) pool_columns<T, 4>(rows + d, table.ld, ids, bag, scale, y + d);
    for (; d < out.cols; ++d) pool_columns<T, 1>(rows + d, table.ld, ids, bag, scale, y + d);
  }
}

Pooling pool_of(const OpCall& call, size_t feature) {
  return static_cast<Pooling>(call.node.attributes.integers("pool")[feature]);
}

template <class T>
void lookup_cpu(const OpCall& call) {
  for (size_t f = 0; f < call.out.size(); ++f) {
    const View table = call.in[2 * f], out = call.out[f];
    const IdsView ids = *call.in[2 * f + 1].as<const IdsView>();
    const Pooling pool = pool_of(call, f);
    if (!out.data) continue;
    for_isa([=]() MTRANK_INLINE_LAMBDA { lookup_feature<T>(table, ids, pool, out); });
  }
}

/// in: dy_f, ids_f for every feature; out: s_f dy_f.
template <class T>
void lookup_gradient_cpu(const OpCall& call) {
  for (size_t f = 0; f < call.out.size(); ++f) {
    const View dy = call.in[2 * f], out = call.out[f];
    const IdsView ids = *call.in[2 * f + 1].as<const IdsView>();
    const Pooling pool = pool_of(call, f);
    for_isa([=]() MTRANK_INLINE_LAMBDA {
      for (int64_t r = 0; r < out.rows; ++r) {
        const T scale = pool_scale<T>(ids, bag_of(ids, r), pool);
        const T* g = dy.row<const T>(r);
        write_row(out.row<T>(r), out.cols, false, [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * scale; });
      }
    });
  }
}

void lookup_backward(GradBuilder& grads, const OpNode& node) {
  std::vector<ValueId> inputs, outputs;
  std::vector<int64_t> pools;
  for (size_t f = 0; f < node.outputs.size(); ++f) {
    const ValueId dy = grads.gradient(node.outputs[f]);
    if (dy == kNoValue) continue;
    const auto [table, ids] = std::pair{node.inputs[2 * f], node.inputs[2 * f + 1]};
    const ValueId pooled = grads.temporary(node.outputs[f], "d(" + grads.graph().value(ids).name + ")");
    grads.graph().value(pooled).kind = ValueKind::sparse_gradient;
    grads.graph().sparse_gradients.push_back({pooled, table, ids});
    inputs.insert(inputs.end(), {dy, ids});
    outputs.push_back(pooled);
    pools.push_back(node.attributes.integers("pool")[f]);
  }
  if (!outputs.empty()) grads.emit_into(lookup_gradient, inputs, outputs, {{"pool", pools}});
}

}  // namespace

const Op lookup{.name = "lookup",
                .summary = "y_f = s_f * sum_i w_i E_f[id_i]",
                .takes = "ti*",
                .shapes = lookup_shapes,
                .backward = lookup_backward,
                .cpu_f32 = lookup_cpu<float>,
                .cpu_f64 = lookup_cpu<double>};

const Op lookup_gradient{.name = "lookup_gradient",
                         .summary = "dp_f = s_f * dy_f, kept for the table's optimiser",
                         .cpu_f32 = lookup_gradient_cpu<float>,
                         .cpu_f64 = lookup_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
