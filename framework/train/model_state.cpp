#include "framework/train/model_state.h"

#include "framework/core/error.h"
#include "framework/embedding/init.h"
#include "framework/embedding/optimizer_config.h"

namespace mtrank {
namespace {

const std::string kTablePrefix = "embedding/";

TensorSource table_tensor(const EmbeddingTable& table) {
  return {kTablePrefix + table.name(), DType::f32, {table.rows(), table.dim()}, table.weights(), 0};
}

}  // namespace

ModelState::ModelState(const Config& config, const Graph& graph)
    : layout_(graph), weights_(layout_.elements(), "dense weights") {
  dense_ = std::make_unique<DenseUpdate>(optimizer_settings(config.train.dense_optimizer), layout_.elements());
  for (const TableWeight& weight : graph.tables) {
    const Value& value = graph.value(weight.value);
    const std::string name = value.name.substr(kTablePrefix.size());
    const Table* table = config.table(name);
    MTRANK_ASSERT(table && table->optimizer);
    tables_.push_back(std::make_unique<EmbeddingTable>(name, value.rows, value.cols,
                                                       optimizer_settings(*table->optimizer), table->l2));
    table_inits_.push_back(weight.init);
  }
}

void ModelState::initialize(ThreadPool& pool, uint64_t seed) {
  for (const ParameterLayout::Entry& entry : layout_.entries())
    mtrank::initialize(pool, entry.init, seed, entry.name, entry.size(), weights() + entry.offset);
  for (size_t t = 0; t < tables_.size(); ++t) tables_[t]->initialize(pool, table_inits_[t], seed);
}

std::vector<View> ModelState::params_of(const Graph& graph) const {
  std::vector<View> views;
  for (const ParamWeight& param : graph.params) {
    const ParameterLayout::Entry* entry = layout_.find(graph.value(param.value).name);
    MTRANK_ASSERT(entry);
    views.push_back({.data = weights() + entry->offset, .rows = entry->rows, .cols = entry->cols, .ld = entry->cols});
  }
  return views;
}

std::vector<View> ModelState::tables_of(const Graph& graph) const {
  std::vector<View> views;
  for (const TableWeight& weight : graph.tables)
    for (const auto& table : tables_)
      if (kTablePrefix + table->name() == graph.value(weight.value).name) views.push_back(table->view());
  MTRANK_ASSERT(views.size() == graph.tables.size());
  return views;
}

std::vector<TensorSource> ModelState::weights_of(const Graph& graph) const {
  std::vector<TensorSource> tensors;
  for (const ParamWeight& param : graph.params) {
    const ParameterLayout::Entry& entry = *layout_.find(graph.value(param.value).name);
    tensors.push_back({entry.name, DType::f32, entry.shape, weights() + entry.offset, 0});
  }
  for (const TableWeight& weight : graph.tables)
    for (const auto& table : tables_)
      if (kTablePrefix + table->name() == graph.value(weight.value).name) tensors.push_back(table_tensor(*table));
  return tensors;
}

std::vector<TensorSource> ModelState::everything() const {
  std::vector<TensorSource> tensors;
  // No weight's name begins with a #, whatever features and layers are called.
  const auto prefix = [](std::string_view slot) { return "#" + std::string(slot) + "/"; };
  auto add_dense = [&](const float* flat, const std::string& before) {
    for (const ParameterLayout::Entry& entry : layout_.entries())
      tensors.push_back({before + entry.name, DType::f32, entry.shape, flat + entry.offset, 0});
  };
  add_dense(weights(), "");
  for (const DenseState& slot : dense_->state()) add_dense(slot.values.data(), prefix(slot.name));
  for (const auto& table : tables_) {
    tensors.push_back(table_tensor(*table));
    for (const TableState& slot : table->state()) {
      std::vector<int64_t> shape{table->rows()};
      if (slot.shape == SlotShape::element) shape.push_back(table->dim());
      tensors.push_back({prefix(slot.name) + kTablePrefix + table->name(), DType::f32, shape, slot.values.data(), 0});
    }
  }
  return tensors;
}

}  // namespace mtrank
