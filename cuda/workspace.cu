#include "cuda/workspace.h"

#include <algorithm>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

int64_t pooled_ld(const Value& value, DType dtype) {
  return round_up(value.cols, 16 / static_cast<int64_t>(dtype_size(dtype)));
}

}  // namespace

Workspace::Workspace(const JobPlan& plan)
    : training_layout(plan.training, plan.job.shards, plan.training_room,
                      StepControl::bytes(plan.model.tables().size(), static_cast<size_t>(plan.job.shards))),
      scoring_layout(plan.scoring, 1, plan.scoring_room, sizeof(DeviceStep)),
      slots{{plan.training, training_layout}, {plan.training, training_layout}},
      scoring_slot(plan.scoring, scoring_layout) {
  for (Slot& slot : slots) slot.reserve(memory);
  scoring_slot.reserve(memory);
  arena_at_ = memory.reserve("activations", std::max(plan.training.arena_bytes, plan.scoring.arena_bytes));
  for (const ReluFusion& relu : plan.fusions.relus)
    signs_at_.push_back(memory.reserve("signs of ReLUs", relu.bytes(plan.training.capacity)));
  const Graph& graph = plan.training.graph;
  for (size_t f = 0; f < graph.sparse_gradients.size(); ++f) {
    const ValueId id = graph.sparse_gradients[f].gradient;
    const DType dtype = plan.training.place(id).dtype;
    const int64_t ld = pooled_ld(graph.value(id), dtype);
    const bool copied = plan.same_as[f] == kNoValue;
    const size_t bytes = static_cast<size_t>(training_layout.rows() * ld) * dtype_size(dtype);
    pooled_at_.push_back(copied ? memory.reserve("gradients of pooled embeddings", bytes) : 0);
    const StagedLayout::Ids& ids = training_layout.ids()[static_cast<size_t>(plan.ids_of[f])];
    features.push_back({plan.table_of[f], ids.list, ids.weighted, ids.capacity});
  }
  if (!features.empty())
    sparse_at_ = memory.reserve(
        "sorted ids", SparseUpdate::bytes(plan.model.tables(), features, training_layout.rows(), plan.job.shards));
  for (size_t s = 0; s < 2; ++s) {
    scratch_at_[s] = memory.reserve("working memory of kernels", Context::kScratch);
    blas_at_[s] = memory.reserve("working memory of matrix products", Context::kWorkspace);
  }
  norms_at_ = memory.reserve("the rest", kNormBlocks * sizeof(double));
  outcome_at_ = memory.reserve("the rest", plan.result_bytes(plan.job.shards));
  scores_at_ = memory.reserve("scores", plan.scores_bytes());
}

void Workspace::allocate(const JobPlan& plan, cudaStream_t stream) {
  memory.allocate();
  for (Slot& slot : slots) slot.bind(memory);
  scoring_slot.bind(memory);
  arena = memory.at<std::byte>(arena_at_);
  scratch = memory.at<std::byte>(scratch_at_[0]);
  workspace = memory.at<std::byte>(blas_at_[0]);
  products.emplace(plan.job.launch.epilogues);
  side.emplace();
  side->scratch = memory.at<std::byte>(scratch_at_[1]);
  side->workspace = memory.at<std::byte>(blas_at_[1]);
  norms = memory.at<double>(norms_at_);
  outcome = memory.at<Outcome>(outcome_at_);
  losses = {.at = reinterpret_cast<double*>(outcome + 1),
            .count = static_cast<int>(plan.training.graph.losses.size()),
            .shards = plan.job.shards};
  scores = memory.at<float>(scores_at_);
  if (!features.empty())
    sparse.emplace(plan.model.tables(), features, training_layout.rows(), plan.job.shards, memory.at<void>(sparse_at_),
                   stream);

  const Graph &training = plan.training.graph, &scoring = plan.scoring.graph;
  for (size_t f = 0; f < features.size(); ++f) {
    const ValueId id = training.sparse_gradients[f].gradient;
    const DType dtype = plan.training.place(id).dtype;
    if (plan.same_as[f] != kNoValue)
      pooled.push_back(in_arena(plan.training, plan.same_as[f], arena));
    else
      pooled.push_back({.data = memory.at<void>(pooled_at_[f]),
                        .rows = training_layout.rows(),
                        .cols = training.value(id).cols,
                        .ld = pooled_ld(training.value(id), dtype),
                        .dtype = dtype});
    pooled.back().largest = sparse->largest(static_cast<int>(f));
  }
  DeviceBindings bindings{.arena = arena,
                          .params = plan.model.params_of(training),
                          .tables = plan.model.tables_of(training),
                          .relus = plan.fusions.relus,
                          .biases = plan.fusions.biases};
  for (const size_t at : signs_at_) bindings.signs.push_back(memory.at<void>(at));
  const int64_t rows = plan.training.capacity;
  for (int s = 0; s < Accelerator::kDepth; ++s) {
    bindings.scalars = slots[s].scalars();
    for (int shard = 0; shard < plan.job.shards; ++shard) {
      const int64_t first = shard * training_layout.shard_rows();
      bindings.param_gradients = plan.model.gradients_of(training, gradient_of(shard));
      bindings.losses = losses.at + shard * losses.count;
      bindings.inputs = slots[s].inputs();
      for (DeviceView& view : bindings.inputs) view = rows_of(view, first, rows);
      bindings.ids = slots[s].ids();
      for (DeviceIds& ids : bindings.ids) ids = rows_of(ids, first);
      bindings.sparse_gradients = pooled;
      for (DeviceView& view : bindings.sparse_gradients) view = rows_of(view, first, rows);
      runners[s].push_back(std::make_unique<Runner>(plan.training, bindings, plan.job.seed));
    }
  }
  scorer.emplace(plan.scoring,
                 DeviceBindings{.arena = arena,
                                .params = plan.model.params_of(scoring),
                                .inputs = scoring_slot.inputs(),
                                .tables = plan.model.tables_of(scoring),
                                .ids = scoring_slot.ids()},
                 plan.job.seed);
}

std::vector<DeviceIds> Workspace::looked_up(const JobPlan& plan, int slot) const {
  std::vector<DeviceIds> ids;
  for (const int at : plan.ids_of) ids.push_back(slots[slot].ids()[static_cast<size_t>(at)]);
  return ids;
}

}  // namespace mtrank::cuda
