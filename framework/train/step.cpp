#include "framework/train/step.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "framework/core/reduce.h"
#include "framework/embedding/shard_tree.h"

namespace mtrank {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t level_count(int64_t leaves) { return std::bit_width(static_cast<uint64_t>(leaves)); }

/// The table of every looked-up feature, in the order of the graph's sparse gradients.
std::vector<int> tables_of_features(const Graph& graph) {
  std::vector<int> tables;
  for (const SparseGradient& sparse : graph.sparse_gradients)
    for (size_t t = 0; t < graph.tables.size(); ++t)
      if (graph.tables[t].value == sparse.table) tables.push_back(static_cast<int>(t));
  return tables;
}

std::vector<EmbeddingTable*> pointers(const ModelState& state) {
  std::vector<EmbeddingTable*> tables;
  for (const auto& table : state.tables()) tables.push_back(table.get());
  return tables;
}

void add_into(float* to, const float* from, int64_t n) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t i = 0; i < n; ++i) to[i] += from[i];
  });
}

}  // namespace

GradientBuffers gradient_buffers(int64_t logical_shards, int threads, bool single_writers) {
  const auto wanted = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(threads)));
  const int64_t subtrees = std::min(logical_shards, wanted);
  return {subtrees, std::max<int64_t>(1, level_count(logical_shards / subtrees) - (single_writers ? 1 : 0))};
}

Plan shard_plan(Graph training, const Config& config, int64_t logical_shards) {
  return make_plan(std::move(training), ceil_div(config.train.batch_size, logical_shards));
}

TrainStep::TrainStep(const Config& config, Graph graph, const InputSchema& schema, ModelState& state, ThreadPool& pool,
                     int logical_shards)
    : config_(config),
      plan_(shard_plan(std::move(graph), config, logical_shards)),
      state_(state),
      pool_(pool),
      shards_(logical_shards),
      binder_(plan_, schema),
      task_inputs_(config, plan_, schema),
      sparse_(pointers(state), tables_of_features(plan_.graph), logical_shards),
      params_(state.params_of(plan_.graph)),
      tables_(state.tables_of(plan_.graph)) {
  const Graph& g = plan_.graph;
  for (const SparseGradient& sparse : g.sparse_gradients) {
    const int64_t dim = g.value(sparse.gradient).cols;
    sparse_memory_.emplace_back(config.train.batch_size * dim, "gradients of embeddings");
    sparse_views_.push_back(
        {.data = sparse_memory_.back().data(), .rows = config.train.batch_size, .cols = dim, .ld = dim});
    const auto at = std::find(plan_.ids.begin(), plan_.ids.end(), sparse.ids);
    sparse_feature_ids_.push_back(static_cast<int>(at - plan_.ids.begin()));
  }
  packed_ = packed_memory_.get<std::byte>(plan_.packed_bytes + 64);
  for (int t = 0; t < pool.threads(); ++t) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->arena = workers_.back()->arena_memory.get<std::byte>(plan_.arena_bytes + 64);
  }
  const GradientBuffers copies = gradient_buffers(shards_, pool.threads(), plan_.single_writers);
  subtree_count_ = copies.subtrees;
  for (int64_t s = 0; s < subtree_count_; ++s) {
    std::vector<FloatBuffer> buffers;
    for (int64_t level = 0; level < copies.levels; ++level)
      buffers.emplace_back(state.layout().elements(), "gradients of the dense weights");
    subtrees_.push_back(std::move(buffers));
  }
  subtree_used_.resize(static_cast<size_t>(subtree_count_));
  shard_losses_.resize(static_cast<size_t>(shards_) * g.losses.size());
  shard_used_.resize(static_cast<size_t>(shards_));
  info_.seed = static_cast<uint64_t>(config.seed);
}

void TrainStep::bind(Worker& worker, const Batch& batch, int64_t first, float* gradient) {
  binder_.bind(batch, first, worker.inputs, worker.ids);
  task_inputs_.bind(first, worker.inputs);
  worker.sparse = sparse_views_;
  for (View& view : worker.sparse) view.data = view.row<float>(first);
  worker.gradients = state_.layout().views(gradient);
}

Bindings TrainStep::bindings(const Worker& worker, double* losses, int thread) const {
  return {.params = params_,
          .param_gradients = worker.gradients,
          .inputs = worker.inputs,
          .ids = worker.ids,
          .scalars = task_inputs_.scalars(),
          .tables = tables_,
          .sparse_gradients = worker.sparse,
          .losses = {losses, plan_.graph.losses.size()},
          .packed = packed_,
          .node_seconds = profile_ ? profile_->node_seconds[static_cast<size_t>(thread)].data() : nullptr};
}

void TrainStep::set_profile(StepProfile* profile) {
  profile_ = profile;
  if (profile) profile->node_seconds.assign(workers_.size(), std::vector<double>(plan_.graph.nodes.size()));
}

std::pair<int64_t, int64_t> TrainStep::shard_rows(int64_t batch, int64_t shard) const {
  return {shard_begin(batch, shard, shards_), shard_begin(batch, shard + 1, shards_)};
}

bool TrainStep::run_shard(const Batch& batch, int64_t shard, int thread, float* gradient, bool add) {
  const auto [begin, end] = shard_rows(batch.rows, shard);
  shard_used_[static_cast<size_t>(shard)] = end > begin;
  if (end == begin) return false;
  Worker& worker = *workers_[static_cast<size_t>(thread)];
  bind(worker, batch, begin, gradient);
  double* losses = &shard_losses_[static_cast<size_t>(shard) * plan_.graph.losses.size()];
  run_nodes(plan_, 0, plan_.graph.nodes.size(), bindings(worker, losses, thread),
            {end - begin, static_cast<uint64_t>(batch.first_sample + begin), add}, info_, worker.arena, worker.scratch);
  return true;
}

/// Folds `count` leaves from `first` on into buffers[depth]; false when all of them are empty. Two leaves share a
/// buffer where every gradient has one writer: that writer adds the finished sum of the second shard to the first.
bool TrainStep::fold(const Batch& batch, int64_t first, int64_t count, size_t depth, std::vector<FloatBuffer>& buffers,
                     int thread) {
  float* into = buffers[depth].data();
  if (count == 1) return run_shard(batch, first, thread, into, false);
  if (count == 2 && plan_.single_writers) {
    const bool left = run_shard(batch, first, thread, into, false);
    return run_shard(batch, first + 1, thread, into, left) || left;
  }
  const bool left = fold(batch, first, count / 2, depth, buffers, thread);
  if (!left) return fold(batch, first + count / 2, count / 2, depth, buffers, thread);
  const bool right = fold(batch, first + count / 2, count / 2, depth + 1, buffers, thread);
  if (right) add_into(into, buffers[depth + 1].data(), state_.layout().elements());
  return true;
}

/// The upper levels of the tree, in slices of the weights, into the first subtree's buffer.
void TrainStep::fold_subtrees() {
  const int64_t n = state_.layout().elements(), slice = 1 << 16;
  pool_.run(static_cast<int>(ceil_div(n, slice)), [&](int task, int) {
    const int64_t begin = task * slice, size = std::min(slice, n - begin);
    std::vector<uint8_t> used = subtree_used_;
    for (size_t width = 1; width < used.size(); width *= 2) {
      for (size_t i = 0; i < used.size(); i += 2 * width) {
        float* left = subtrees_[i].front().data() + begin;
        const float* right = subtrees_[i + width].front().data() + begin;
        if (!used[i + width]) continue;
        if (used[i])
          add_into(left, right, size);
        else
          std::copy_n(right, size, left);
        used[i] = 1;
      }
    }
  });
}

/// By task: the shards' losses, folded by the same tree.
std::vector<double> TrainStep::total_losses() const {
  const size_t count = plan_.graph.losses.size();
  std::vector<double> sums = shard_losses_, totals(count);
  std::vector<uint8_t> used = shard_used_;
  for (size_t width = 1; width < used.size(); width *= 2) {
    for (size_t s = 0; s < used.size(); s += 2 * width) {
      if (!used[s + width]) continue;
      for (size_t t = 0; t < count; ++t)
        sums[s * count + t] =
            used[s] ? sums[s * count + t] + sums[(s + width) * count + t] : sums[(s + width) * count + t];
      used[s] = 1;
    }
  }
  for (size_t t = 0; t < count; ++t) totals[t] = used[0] ? sums[t] : 0;
  return totals;
}

StepResult TrainStep::run(const Batch& batch, int64_t step, double lr_factor) {
  MTRANK_ASSERT(batch.rows > 0 && batch.rows <= config_.train.batch_size);
  info_.step = static_cast<uint64_t>(step);
  PhaseClock clock(profile_);
  task_inputs_.prepare(batch);
  clock.charge("labels");
  pool_.run(static_cast<int>(plan_.packed.size()),
            [&](int part, int) { pack_weight(plan_, static_cast<size_t>(part), params_, packed_); });
  clock.charge("pack weights");

  std::vector<View> inputs;
  std::vector<IdsView> ids, looked_up;
  binder_.bind(batch, 0, inputs, ids);
  for (int at : sparse_feature_ids_) looked_up.push_back(ids[static_cast<size_t>(at)]);
  sparse_.prepare(pool_, batch.rows, looked_up);
  clock.charge("sort ids");

  const int64_t per_subtree = shards_ / subtree_count_;
  pool_.run(static_cast<int>(subtree_count_), [&](int s, int thread) {
    subtree_used_[static_cast<size_t>(s)] =
        fold(batch, s * per_subtree, per_subtree, 0, subtrees_[static_cast<size_t>(s)], thread);
  });
  clock.charge("shards");
  fold_subtrees();
  clock.charge("fold gradients");

  const std::vector<double> losses = total_losses();
  const int64_t n = state_.layout().elements();
  const double norm_squared = squared_norm(pool_, gradient(), n);
  check_finite(batch, losses, norm_squared);
  clock.charge("norm and finite check");

  StepResult result;
  result.gradient_norm = std::sqrt(norm_squared);
  const double scale = config_.train.clip_norm ? clip_factor(result.gradient_norm, *config_.train.clip_norm) : 1;
  state_.dense().apply(pool_, state_.weights(), gradient(), lr_factor, step, scale);
  clock.charge("dense update");
  sparse_.apply(pool_, sparse_views_, lr_factor, step);
  clock.charge("table update");
  for (size_t t = 0; t < losses.size(); ++t)
    result.loss.push_back(task_inputs_.task(t).weight > 0 ? losses[t] / task_inputs_.task(t).weight : 0);
  return result;
}

void TrainStep::check_finite(const Batch& batch, const std::vector<double>& losses, double norm_squared) {
  const bool dense_fine = std::isfinite(norm_squared) &&
                          std::all_of(losses.begin(), losses.end(), [](double l) { return std::isfinite(l); });
  const SparseCheck sparse = sparse_.check(pool_, sparse_views_);
  if (!dense_fine || !sparse.ok()) explain(batch, losses, sparse);
}

}  // namespace mtrank
