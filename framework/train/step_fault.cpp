#include <algorithm>
#include <cmath>

#include "framework/core/error.h"
#include "framework/core/reduce.h"
#include "framework/train/step.h"

/// What a step says when it must not be taken. Runs only then, so it takes its time.
namespace mtrank {
namespace {

bool view_is_finite(const View& view) {
  for (int64_t r = 0; r < view.rows; ++r)
    if (!all_finite(view.row<const float>(r), view.cols)) return false;
  return true;
}

std::string feature_name(const Graph& graph, const SparseGradient& sparse) {
  const std::string& name = graph.value(sparse.ids).name;
  return name.substr(name.find(':') + 1);
}

std::string quoted(const std::string& name) { return "`" + name + "`"; }

}  // namespace

/// Runs shard after shard, node by node, until a node's output is not finite. Overwrites gradients.
TrainStep::Fault TrainStep::find_fault(const Batch& batch) {
  Worker& worker = *workers_.front();
  std::vector<double> losses(plan_.graph.losses.size());
  for (int64_t shard = 0; shard < shards_; ++shard) {
    const auto [begin, end] = shard_rows(batch.rows, shard);
    if (begin == end) continue;
    bind(worker, batch, begin, subtrees_.front().front().data());
    const Rows rows{end - begin, static_cast<uint64_t>(batch.first_sample + begin), false};
    const int64_t node = first_nonfinite(plan_, bindings(worker, losses.data()), rows, info_, worker.arena,
                                         worker.scratch, view_is_finite);
    if (node >= 0) return {node, rows.first_sample, rows.first_sample + static_cast<uint64_t>(rows.count) - 1};
  }
  return {};
}

/// Which tasks alone have a gradient that is not finite, where no loss tells.
std::vector<std::string> TrainStep::tasks_at_fault(const Batch& batch) {
  std::vector<double> scales;
  for (size_t t = 0; t < task_inputs_.size(); ++t) scales.push_back(task_inputs_.scale(t));
  std::vector<std::string> names;
  for (size_t t = 0; t < scales.size(); ++t) {
    for (size_t other = 0; other < scales.size(); ++other) task_inputs_.scale(other) = other == t ? scales[t] : 0;
    if (find_fault(batch).node >= 0) names.push_back(task_inputs_.task(t).name);
  }
  for (size_t t = 0; t < scales.size(); ++t) task_inputs_.scale(t) = scales[t];
  return names;
}

/// Nodes are all finite, their sums over the batch are not.
std::string TrainStep::sum_at_fault(const Batch& batch, const SparseCheck& sparse) const {
  if (!sparse.ok()) {
    const SparseGradient& at = plan_.graph.sparse_gradients[static_cast<size_t>(sparse.feature)];
    return "the gradient of the embeddings of feature " + quoted(feature_name(plan_.graph, at)) +
           " is too large to be summed, sample " + std::to_string(batch.first_sample + sparse.sample) + " of the run";
  }
  const std::string samples = ", samples " + std::to_string(batch.first_sample) + " to " +
                              std::to_string(batch.first_sample + batch.rows - 1) + " of the run";
  for (const ParameterLayout::Entry& entry : state_.layout().entries())
    if (!all_finite(gradient() + entry.offset, entry.size()))
      return "the gradient of " + quoted(entry.name) + " is too large to be summed" + samples;
  return "the sum of a loss is too large" + samples;
}

void TrainStep::explain(const Batch& batch, const std::vector<double>& losses, const SparseCheck& sparse) {
  std::string message = "step " + std::to_string(info_.step) + ": ";
  const std::string sum = sum_at_fault(batch, sparse);  // before gradients are overwritten
  bool loss_is_fine = true;
  for (size_t t = 0; t < losses.size(); ++t) {
    if (std::isfinite(losses[t])) continue;
    message += "the loss of task " + quoted(task_inputs_.task(t).name) + " is not finite; ";
    loss_is_fine = false;
  }
  const Fault fault = find_fault(batch);
  if (loss_is_fine && fault.node >= 0)
    for (const std::string& task : tasks_at_fault(batch))
      message += "the gradient of task " + quoted(task) + " is not finite; ";
  if (fault.node < 0) {
    message += sum;
  } else {
    const OpNode& node = plan_.graph.nodes[static_cast<size_t>(fault.node)];
    const bool forward = fault.node < static_cast<int64_t>(plan_.graph.forward_nodes);
    message += std::string("first seen in ") + (forward ? "" : "the gradient of ") +
               quoted(node.scope.empty() ? "embedding" : node.scope) + " (" + std::string(node.op->name) +
               "), samples " + std::to_string(fault.first_sample) + " to " + std::to_string(fault.last_sample) +
               " of the run";
  }
  throw NonFiniteError(message +
                       ". Nothing was changed by this step. Try a smaller learning rate or train.clip_norm, and look "
                       "at the inputs' range (normalize, clip)");
}

}  // namespace mtrank
