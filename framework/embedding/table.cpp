#include "framework/embedding/table.h"

#include <algorithm>

#include "framework/core/error.h"
#include "framework/embedding/init.h"

namespace mtrank {
namespace {

int64_t slot_size(SlotShape shape, int64_t rows, int64_t dim) { return shape == SlotShape::row ? rows : rows * dim; }

}  // namespace

EmbeddingTable::EmbeddingTable(std::string name, int64_t rows, int64_t dim, OptimizerSettings optimizer, double l2)
    : name_(std::move(name)),
      rows_(rows),
      dim_(dim),
      optimizer_(std::move(optimizer)),
      l2_(l2),
      weights_(rows * dim, "table " + name_),
      slot_of_state_(needed_slots(optimizer_)) {
  MTRANK_ASSERT(rows > 0 && rows <= INT32_MAX && dim > 0 && optimizer_.use() == OptimizerUse::tables);
  for (const int slot : slot_of_state_) {
    const StateSlot& s = optimizer_.info().slots[static_cast<size_t>(slot)];
    state_.push_back(
        {s.name, s.shape, FloatBuffer(slot_size(s.shape, rows, dim), "optimizer state of table " + name_)});
  }
}

void EmbeddingTable::initialize(ThreadPool& pool, const WeightInit& init, uint64_t seed) {
  mtrank::initialize(pool, init, seed, name_, size(), weights());
  for (size_t i = 0; i < state_.size(); ++i) {
    const StateSlot& slot = optimizer_.info().slots[static_cast<size_t>(slot_of_state_[i])];
    const double start = slot.initial.empty() ? 0 : optimizer_.get(slot.initial);
    const FloatBuffer& values = state_[i].values;
    mtrank::initialize(pool, {WeightInit::Kind::constant, start, 0}, seed, name_, values.size(), values.data());
  }
}

bool EmbeddingTable::moves_every_row() const {
  const auto& parameters = optimizer_.info().parameters;
  const bool may_be_lazy = std::any_of(parameters.begin(), parameters.end(), [](auto& p) { return p.name == "lazy"; });
  return may_be_lazy && optimizer_.get("lazy") == 0;
}

SlotPointers EmbeddingTable::slots(int64_t row) const {
  SlotPointers out{};
  for (size_t i = 0; i < state_.size(); ++i)
    out[static_cast<size_t>(slot_of_state_[i])] = state_[i].values.data() + slot_size(state_[i].shape, row, dim_);
  return out;
}

int64_t EmbeddingTable::bytes(int64_t rows, int64_t dim, const OptimizerSettings& optimizer) {
  int64_t floats = rows * dim;
  for (const int slot : needed_slots(optimizer))
    floats += slot_size(optimizer.info().slots[static_cast<size_t>(slot)].shape, rows, dim);
  return floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace mtrank
