#include "framework/data/synthetic_batches.h"

#include <algorithm>
#include <cmath>

#include "framework/config/config.h"
#include "framework/core/philox.h"
#include "framework/core/thread_pool.h"
#include "framework/data/from_config.h"

namespace mtrank {
namespace {

constexpr int64_t kUsualLength = 10;
constexpr float kPositives = 0.05f;

int64_t list_length(const Feature& feature) {
  if (feature.type != FeatureType::ids) return 1;
  return feature.length.value_or(std::min<int64_t>(feature.max_len.value_or(kUsualLength), 1000));
}

/// The inverse of the continuous Zipf distribution on [1, n + 1), then a multiplicative hash.
class Zipf {
 public:
  Zipf(int64_t n, double exponent)
      : n_(n), power_(exponent == 1 ? 1e-9 : 1 - exponent), scale_(std::pow(static_cast<double>(n + 1), power_) - 1) {}

  int32_t operator()(double u) const {
    const double x = std::pow(u * scale_ + 1, 1 / power_);
    const int64_t rank = std::clamp<int64_t>(static_cast<int64_t>(x) - 1, 0, n_ - 1);
    return static_cast<int32_t>(static_cast<uint64_t>(rank) * 2654435761u % static_cast<uint64_t>(n_));
  }

 private:
  int64_t n_;
  double power_, scale_;
};

}  // namespace

std::map<std::string, double> SyntheticBatches::list_lengths(const Config& config) {
  std::map<std::string, double> lengths;
  for (const Feature& feature : config.features)
    if (feature.has_table()) lengths[feature.name] = static_cast<double>(list_length(feature));
  return lengths;
}

SyntheticBatches::SyntheticBatches(const Config& config, const std::map<std::string, int64_t>& rows, int64_t batch_size,
                                   int count, const IdLaw& law, ThreadPool* pool)
    : schema_(feature_transforms(config).schema()) {
  row_spec(config).extend(schema_);
  for (TableInfo& table : schema_.tables) table.rows = rows.at(table.name);
  batches_.resize(static_cast<size_t>(count));
  const auto fill = [&](int b, int) {
    Batch& batch = batches_[static_cast<size_t>(b)];
    batch.rows = batch_size;
    batch.first_sample = b * batch_size;
    fill_synthetic(config, schema_, b, batch, law);
  };
  if (pool)
    pool->run(count, fill);
  else
    for (int b = 0; b < count; ++b) fill(b, 0);
}

void fill_synthetic(const Config& config, const InputSchema& schema, int64_t number, Batch& batch, const IdLaw& law) {
  const auto rows = static_cast<size_t>(batch.rows), step = static_cast<size_t>(number);
  const auto seed = static_cast<uint64_t>(config.seed);
  batch.ids.resize(static_cast<size_t>(schema.id_slots()));
  batch.dense.resize(static_cast<size_t>(schema.dense_slots()));
  for (const FeatureInfo& info : schema.features) {
    const Philox random(seed, "bench", info.name);
    const auto slot = static_cast<size_t>(info.slot);
    if (info.kind == FeatureKind::dense) {
      std::vector<float>& values = batch.dense[slot];
      values.resize(rows * static_cast<size_t>(info.width));
      for (size_t i = 0; i < values.size(); ++i) values[i] = uniform01(random(step, i)[0]);
      continue;
    }
    const int64_t table_rows = schema.tables[static_cast<size_t>(schema.table(info.table))].rows;
    const auto length = static_cast<size_t>(list_length(*config.feature(info.name)));
    IdColumn& column = batch.ids[slot];
    const Zipf zipf(table_rows, law.exponent);
    column.ids.resize(rows * length);
    for (size_t i = 0; i < column.ids.size(); ++i) {
      const PhiloxBlock draw = random(step, i);
      column.ids[i] = uniform01(draw[2]) < law.hot ? 0 : zipf(uniform_open(draw[0], draw[1]));
    }
    if (info.kind != FeatureKind::ids) continue;
    column.offsets.resize(rows + 1);
    for (size_t r = 0; r <= rows; ++r) column.offsets[r] = static_cast<int32_t>(r * length);
    if (info.weighted) column.weights.assign(column.ids.size(), 1.0f);
  }
  batch.labels.resize(schema.labels.size());
  for (size_t l = 0; l < schema.labels.size(); ++l) {
    const LabelInfo& label = schema.labels[l];
    const Philox random(seed, "bench label", label.name);
    std::vector<float>& values = batch.labels[l];
    values.resize(rows);
    for (size_t i = 0; i < rows; ++i) {
      const float u = uniform01(random(step, i)[0]);
      values[i] = !label.binary ? u : u < kPositives ? 1.0f : 0.0f;
    }
    if (label.logit_corrected) batch.logit_correction.assign(rows, 0.0f);
  }
  batch.conditions.assign(schema.conditions.size(), std::vector<uint8_t>(rows, 1));
  batch.keys.assign(schema.keys.size(), std::vector<uint64_t>(rows, 0));
}

}  // namespace mtrank
