#include "framework/data/transforms.h"

#include <algorithm>

#include "framework/data/number.h"

namespace mtrank {

bool FeatureTransforms::empties_ids() const {
  return std::any_of(missing.begin(), missing.end(), [](const std::string& m) { return !m.empty(); });
}

InputSchema FeatureTransforms::schema() const {
  InputSchema schema;
  for (const auto& t : tables) schema.tables.push_back({t.name, t.ids, t.vocab ? t.vocab->rows() : t.rows});
  int id_slot = 0, dense_slot = 0;
  for (const auto& f : features) {
    FeatureInfo info;
    info.name = f.name;
    info.group = f.group;
    info.kind = f.kind;
    if (f.table >= 0) info.table = tables[static_cast<size_t>(f.table)].name;
    info.slot = f.kind == FeatureKind::dense ? dense_slot++ : id_slot++;
    info.max_len = f.kind == FeatureKind::ids ? f.max_len : 1;
    info.weighted = !f.weights_column.empty();
    info.width = f.kind == FeatureKind::dense ? static_cast<int>(f.columns.size()) : 0;
    schema.features.push_back(info);
  }
  return schema;
}

double apply_steps(const FeatureTransform& feature, size_t column, double x) {
  for (const auto& step : feature.steps) {
    switch (step.kind) {
      case DenseStep::Kind::clip:
        x = std::clamp(x, step.low, step.high);
        break;
      case DenseStep::Kind::log1p:
        x = portable_log1p(std::max(x, 0.0));
        break;
      case DenseStep::Kind::zscore:
        if (!feature.mean.empty()) x = (x - feature.mean[column]) / feature.deviation[column];
        break;
    }
  }
  return x;
}

}  // namespace mtrank
