#include "cuda/model.h"

#include <string>

#include "cuda/initialize.h"
#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

const std::string kTablePrefix = "embedding/";

/// Floats of a table's slot.
int64_t slot_floats(const EmbeddingTable& table, size_t slot) {
  return table.optimizer().info().slots[slot].shape == SlotShape::row ? table.rows() : table.size();
}

double slot_start(const OptimizerSettings& optimizer, size_t slot) {
  const std::string_view initial = optimizer.info().slots[slot].initial;
  return initial.empty() ? 0 : optimizer.get(initial);
}

size_t float_bytes(int64_t n) { return static_cast<size_t>(n) * sizeof(float); }

}  // namespace

DeviceModel::DeviceModel(const HostModel& host, const OptimizerSettings& optimizer, bool low, int gradients)
    : host_(host), optimizer_(optimizer), low_(low), gradients_(gradients) {
  for (const ParameterLayout::Entry& entry : host.layout->entries()) {
    low_copies_.push_back({nullptr, nullptr, entry.rows, entry.cols, round_up(entry.cols, 8)});
    low_offsets_.push_back(low_elements_);
    low_elements_ += round_up(entry.rows * low_copies_.back().ld, 32);
  }
  for (const EmbeddingTable* table : host.tables)
    tables_.push_back({.rows = table->rows(),
                       .dim = table->dim(),
                       .optimizer = &table->optimizer().info(),
                       .moves_every_row = table->moves_every_row()});
}

void DeviceModel::reserve(DeviceMemory& memory) {
  const size_t dense = float_bytes(elements());
  dense_at_.weights = memory.reserve("dense weights", dense);
  for (size_t s = 0; s < kMaxSlots; ++s)
    if (host_.slots[s]) dense_at_.slots[s] = memory.reserve("optimizer state of the dense weights", dense);
  gradient_at_ = memory.reserve("gradients of the dense weights", float_bytes(gradient_stride() * gradients_));
  if (low_) {
    low_at_ = memory.reserve("dense weights in bf16", static_cast<size_t>(low_elements_) * sizeof(bf16));
    low_copies_at_ = memory.reserve("dense weights in bf16", LowCopies::bytes(low_copies_.size()));
  }
  for (const EmbeddingTable* table : host_.tables) {
    At at;
    at.weights = memory.reserve("tables", float_bytes(table->size()));
    const SlotPointers slots = table->slots();
    for (size_t s = 0; s < kMaxSlots; ++s)
      if (slots[s]) at.slots[s] = memory.reserve("optimizer state of the tables", float_bytes(slot_floats(*table, s)));
    tables_at_.push_back(at);
  }
}

void DeviceModel::bind(const DeviceMemory& memory, cudaStream_t stream) {
  weights_ = memory.at<float>(dense_at_.weights);
  gradient_ = memory.at<float>(gradient_at_);
  for (size_t s = 0; s < kMaxSlots; ++s)
    if (host_.slots[s]) slots_[s] = memory.at<float>(dense_at_.slots[s]);
  // What lies between the weights is never written: it stays 0.
  MTRANK_CUDA(cudaMemsetAsync(gradient_, 0, float_bytes(gradient_stride() * gradients_), stream));
  if (low_) {
    for (size_t i = 0; i < low_copies_.size(); ++i) {
      low_copies_[i].from = weights_ + host_.layout->entries()[i].offset;
      low_copies_[i].to = memory.at<bf16>(low_at_) + low_offsets_[i];
    }
    copier_.emplace(low_copies_, memory.at<void>(low_copies_at_), stream);
  }
  for (size_t t = 0; t < tables_.size(); ++t) {
    tables_[t].weights = memory.at<float>(tables_at_[t].weights);
    const SlotPointers slots = host_.tables[t]->slots();
    for (size_t s = 0; s < kMaxSlots; ++s)
      if (slots[s]) tables_[t].slots[s] = memory.at<float>(tables_at_[t].slots[s]);
  }
}

int64_t DeviceModel::gradient_stride() const { return round_up(elements(), 64); }

std::vector<DeviceModel::Copy> DeviceModel::copies() const {
  const size_t dense = float_bytes(elements());
  std::vector<Copy> list{{weights_, host_.weights, dense}};
  for (size_t s = 0; s < kMaxSlots; ++s)
    if (slots_[s]) list.push_back({slots_[s], host_.slots[s], dense});
  for (size_t t = 0; t < tables_.size(); ++t) {
    const EmbeddingTable& host = *host_.tables[t];
    list.push_back({tables_[t].weights, host.weights(), float_bytes(host.size())});
    const SlotPointers slots = host.slots();
    for (size_t s = 0; s < kMaxSlots; ++s)
      if (slots[s]) list.push_back({tables_[t].slots[s], slots[s], float_bytes(slot_floats(host, s))});
  }
  return list;
}

void DeviceModel::upload(cudaStream_t stream) {
  for (const Copy& copy : copies())
    MTRANK_CUDA(cudaMemcpyAsync(copy.device, copy.host, copy.bytes, cudaMemcpyHostToDevice, stream));
  if (copier_) copier_->refresh(stream);
  MTRANK_CUDA(cudaStreamSynchronize(stream));
}

void DeviceModel::download(cudaStream_t stream) {
  for (const Copy& copy : copies())
    MTRANK_CUDA(cudaMemcpyAsync(copy.host, copy.device, copy.bytes, cudaMemcpyDeviceToHost, stream));
  MTRANK_CUDA(cudaStreamSynchronize(stream));
}

void DeviceModel::initialize(const Graph& graph, uint64_t seed, cudaStream_t stream) {
  const auto fill = [&](const WeightInit& init, const std::string& name, int64_t n, float* out) {
    fill_weights(stream, init, Philox(seed, "init", name), n, out);
  };
  const auto constant = [&](double value, int64_t n, float* out) {
    fill({WeightInit::Kind::constant, value, 0}, "", n, out);
  };
  constant(0, elements(), weights_);
  for (const ParameterLayout::Entry& entry : host_.layout->entries())
    fill(entry.init, entry.name, entry.size(), weights_ + entry.offset);
  for (size_t s = 0; s < kMaxSlots; ++s)
    if (slots_[s]) constant(slot_start(optimizer_, s), elements(), slots_[s]);
  for (size_t t = 0; t < tables_.size(); ++t) {
    const EmbeddingTable& host = *host_.tables[t];
    fill(graph.tables[t].init, host.name(), host.size(), tables_[t].weights);
    for (size_t s = 0; s < kMaxSlots; ++s)
      if (tables_[t].slots[s]) constant(slot_start(host.optimizer(), s), slot_floats(host, s), tables_[t].slots[s]);
  }
  if (copier_) copier_->refresh(stream);
  MTRANK_CUDA(cudaStreamSynchronize(stream));
}

std::vector<DeviceView> DeviceModel::params_of(const Graph& graph) const {
  std::vector<DeviceView> views;
  const auto& entries = host_.layout->entries();
  for (const ParamWeight& param : graph.params) {
    const ParameterLayout::Entry* entry = host_.layout->find(graph.value(param.value).name);
    MTRANK_ASSERT(entry);
    const LowCopy& copy = low_copies_[static_cast<size_t>(entry - entries.data())];
    views.push_back({.data = weights_ + entry->offset,
                     .rows = entry->rows,
                     .cols = entry->cols,
                     .ld = entry->cols,
                     .low = copy.to,
                     .low_ld = low_ ? copy.ld : 0});
  }
  return views;
}

std::vector<DeviceView> DeviceModel::gradients_of(const Graph& graph, int i) const {
  std::vector<DeviceView> views = params_of(graph);
  for (DeviceView& view : views)
    view = {.data = gradient(i) + (view.as<float>() - weights_), .rows = view.rows, .cols = view.cols, .ld = view.ld};
  return views;
}

std::vector<DeviceView> DeviceModel::tables_of(const Graph& graph) const {
  std::vector<DeviceView> views;
  for (const TableWeight& weight : graph.tables)
    for (size_t t = 0; t < tables_.size(); ++t)
      if (kTablePrefix + host_.tables[t]->name() == graph.value(weight.value).name)
        views.push_back(
            {.data = tables_[t].weights, .rows = tables_[t].rows, .cols = tables_[t].dim, .ld = tables_[t].dim});
  MTRANK_ASSERT(views.size() == graph.tables.size());
  return views;
}

}  // namespace mtrank::cuda
