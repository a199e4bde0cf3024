#include "cuda/embedding/sparse_update.h"

#include "cuda/embedding/row_sums.h"
#include "cuda/embedding/update_rows.h"
#include "cuda/put.h"

namespace mtrank::cuda {

size_t SparseUpdate::bytes(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch,
                           int shards) {
  return place_index(plan_index(tables, features, batch, shards), nullptr, nullptr);
}

SparseUpdate::SparseUpdate(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch,
                           int shards, void* memory, cudaStream_t stream)
    : plan_(plan_index(tables, features, batch, shards)) {
  place_index(plan_, static_cast<std::byte*>(memory), &memory_);
  put(stream, std::span<const IndexTable>(plan_.tables), memory_.tables);
  put(stream, std::span<const uint32_t>(plan_.table_of), memory_.table_of);
}

void SparseUpdate::begin(cudaStream_t stream) const {
  MTRANK_CUDA(cudaMemsetAsync(memory_.largest, 0, plan_.table_of.size() * sizeof(uint32_t), stream));
}

void SparseUpdate::prepare(cudaStream_t stream, std::span<const DeviceIds> ids, const DeviceStep* step) {
  MTRANK_ASSERT(ids.size() == plan_.table_of.size());
  build_index(stream, plan_, memory_, ids, step);
}

SparseLimits SparseUpdate::limits() const {
  return {.largest = memory_.largest,
          .table_of = memory_.table_of,
          .lookups = memory_.lookups,
          .heaviest = memory_.heaviest,
          .features = static_cast<int>(plan_.table_of.size())};
}

void SparseUpdate::update(cudaStream_t stream, std::span<const DeviceView> gradients, const OptimizerStep* steps,
                          const uint32_t* proceed) {
  MTRANK_ASSERT(gradients.size() == plan_.table_of.size());
  std::vector<GradientRows> rows;
  for (const int f : plan_.feature_order) {
    const DeviceView& g = gradients[static_cast<size_t>(f)];
    rows.push_back({g.data, g.ld});
  }
  put(stream, std::span<const GradientRows>(rows), memory_.gradients);
  for (size_t c = 0; c < plan_.classes.size(); ++c) {
    const RowClass& own = plan_.classes[c];
    ClassIndex index{.keys = memory_.sorted_keys,
                     .values = memory_.sorted_values,
                     .begins = memory_.begins,
                     .table_segment = memory_.table_segment,
                     .source = plan_.weighted ? memory_.source : nullptr,
                     .weight = plan_.weighted ? memory_.weight : nullptr,
                     .gradients = memory_.gradients,
                     .tables = memory_.tables,
                     .hot_count = memory_.hot_count + c * kMaxLevels,
                     .first_sums = memory_.first_sums,
                     .partial = memory_.partial + own.partial,
                     .features = static_cast<uint32_t>(rows.size()),
                     .first_table = own.first_table,
                     .end_table = own.end_table,
                     .dim = own.dim,
                     .feature_bits = plan_.feature_bits,
                     .shard_bits = plan_.shard_bits,
                     .wide = own.aligned};
    DType dtype = DType::f32;
    for (uint32_t place = plan_.tables[own.first_table].first_feature;
         place < plan_.tables[own.end_table - 1].end_feature; ++place) {
      const DeviceView& g = gradients[static_cast<size_t>(plan_.feature_order[place])];
      MTRANK_ASSERT(g.rows >= plan_.batch && g.cols == own.dim);
      MTRANK_ASSERT(place == plan_.tables[own.first_table].first_feature || g.dtype == dtype);
      dtype = g.dtype;
      index.wide = index.wide && rows_aligned(g, 4);
    }
    for (int level = 0; level < own.levels; ++level) index.hot[level] = memory_.hot + own.hot[level];
    if (own.levels > 0) sum_hot_rows(stream, own, index, dtype, proceed);
    update_class(stream, own, index, dtype, steps, memory_.touched, proceed);
  }
}

}  // namespace mtrank::cuda
