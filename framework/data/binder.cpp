#include "framework/data/binder.h"

#include "framework/core/error.h"

namespace mtrank {
namespace {

int slot_of(const InputSchema& schema, const std::string& feature) {
  const int at = schema.feature(feature);
  if (at < 0) throw FileError("the model reads feature `" + feature + "`, which the data does not have");
  return schema.features[static_cast<size_t>(at)].slot;
}

}  // namespace

BatchBinder::BatchBinder(const Plan& plan, const InputSchema& schema) {
  const std::string dense = "dense:", ids = "ids:";
  for (ValueId id : plan.inputs) {
    const Value& value = plan.graph.value(id);
    const bool ours = value.name.starts_with(dense);
    dense_.push_back({ours ? slot_of(schema, value.name.substr(dense.size())) : -1, value.cols});
  }
  for (ValueId id : plan.ids) ids_.push_back(slot_of(schema, plan.graph.value(id).name.substr(ids.size())));
}

void BatchBinder::bind(const Batch& batch, int64_t first, std::vector<View>& inputs, std::vector<IdsView>& ids) const {
  inputs.resize(dense_.size());
  ids.clear();
  for (size_t i = 0; i < dense_.size(); ++i) {
    const auto [slot, width] = dense_[i];
    if (slot < 0) continue;
    const std::vector<float>& values = batch.dense[static_cast<size_t>(slot)];
    inputs[i] = {.data = const_cast<float*>(values.data()) + first * width,
                 .rows = batch.rows - first,
                 .cols = width,
                 .ld = width};
  }
  for (int slot : ids_) ids.push_back(batch.ids[static_cast<size_t>(slot)].view(first));
}

}  // namespace mtrank
