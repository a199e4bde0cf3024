#include "framework/train/dense_optimizer.h"

#include <algorithm>

#include "framework/core/error.h"
#include "framework/core/reduce.h"

namespace mtrank {
namespace {

constexpr int64_t kChunk = 1 << 14;

int chunks_of(int64_t n) { return static_cast<int>((n + kChunk - 1) / kChunk); }

}  // namespace

DenseUpdate::DenseUpdate(OptimizerSettings settings, int64_t n) : settings_(std::move(settings)), n_(n) {
  MTRANK_ASSERT(settings_.use() == OptimizerUse::dense && settings_.info().update_flat);
  for (const int slot : needed_slots(settings_)) {
    const StateSlot& s = settings_.info().slots[static_cast<size_t>(slot)];
    state_.push_back({s.name, FloatBuffer(n, "optimizer state of the dense weights")});
    slots_[static_cast<size_t>(slot)] = state_.back().values.data();
    const double start = s.initial.empty() ? 0 : settings_.get(s.initial);
    if (start != 0) std::fill_n(state_.back().values.data(), n, static_cast<float>(start));
  }
}

void DenseUpdate::apply(ThreadPool& pool, float* weights, const float* gradient, double lr_factor, int64_t step,
                        double scale) {
  const OptimizerStep scalars = settings_.info().step(settings_, settings_.lr * lr_factor, step, 0);
  pool.run(chunks_of(n_), [&](int chunk, int) {
    const int64_t begin = chunk * kChunk;
    FlatUpdate update{.weights = weights + begin,
                      .gradient = gradient + begin,
                      .slots = {},
                      .n = std::min(kChunk, n_ - begin),
                      .scale = static_cast<float>(scale)};
    for (size_t s = 0; s < slots_.size(); ++s) update.slots[s] = slots_[s] ? slots_[s] + begin : nullptr;
    settings_.info().update_flat(scalars, update);
  });
}

double squared_norm(ThreadPool& pool, const float* x, int64_t n) {
  std::vector<double> part(static_cast<size_t>(std::max(1, chunks_of(n))));
  pool.run(chunks_of(n), [&](int chunk, int) {
    const int64_t begin = chunk * kChunk;
    part[static_cast<size_t>(chunk)] = sum_squares(x + begin, std::min(kChunk, n - begin));
  });
  for (size_t width = 1; width < part.size(); width *= 2)
    for (size_t i = 0; i + width < part.size(); i += 2 * width) part[i] += part[i + width];
  return part[0];
}

double clip_factor(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

}  // namespace mtrank
