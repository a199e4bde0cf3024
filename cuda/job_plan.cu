#include "cuda/job_plan.h"

#include <algorithm>
#include <bit>

#include "cuda/launch.h"
#include "framework/core/error.h"
#include "framework/ops/lookup.h"

namespace mtrank::cuda {
namespace {

std::vector<IdsRoom> room_of(const AcceleratorJob& job, const Plan& plan) {
  std::vector<IdsRoom> room;
  for (ValueId id : plan.ids) {
    const std::string& name = plan.graph.value(id).name;
    const auto found = std::find_if(job.ids.begin(), job.ids.end(), [&](const IdsRoom& r) { return r.name == name; });
    MTRANK_ASSERT(found != job.ids.end());
    room.push_back(*found);
  }
  return room;
}

Plan fused_plan(const AcceleratorJob& job, Fusions& fusions) {
  Graph graph = job.training;
  if (job.launch.fuse) fusions = fuse(graph);
  if (job.launch.epilogues == BackwardEpilogues::always) fusions.biases.clear();  // the library is to sum them
  return make_plan(std::move(graph), ceil_div(job.batch, job.shards), job.dtype, fusions.together);
}

/// Kernels count the numbers of a value in 31 bits. A batch has `shards` times the plan's rows.
void require_countable(const Plan& plan, const char* key, int shards = 1) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  const std::vector<Value>& values = plan.graph.values;
  const auto widest = std::max_element(values.begin(), values.end(), [](const Value& a, const Value& b) {
    return (a.batch ? a.cols : 0) < (b.batch ? b.cols : 0);
  });
  if (widest == values.end() || !widest->batch || widest->cols <= kMost / plan.capacity) return;
  throw ResourceError(
      (shards > 1 ? "a logical shard of " : "a batch of ") + std::to_string(plan.capacity) + " rows has more than " +
      std::to_string(kMost) + " numbers in the " + std::to_string(widest->cols) + " columns of `" + widest->name +
      "`, which a GPU does not take: " + key + " may be " + std::to_string(kMost / widest->cols * shards) + " at most");
}

}  // namespace

JobPlan::JobPlan(const AcceleratorJob& j)
    : job(j),
      training(fused_plan(j, fusions)),
      scoring(make_plan(j.scoring, j.eval_batch, j.dtype)),
      model(j.model, *j.dense_optimizer, j.dtype == DType::bf16, std::bit_width(static_cast<unsigned>(j.shards))),
      training_room(room_of(j, training)),
      scoring_room(room_of(j, scoring)) {
  require_countable(training, "train.batch_size", j.shards);
  require_countable(scoring, "eval.batch_size");
  model.reserve(lasting);
  stopped_at = lasting.reserve("the mark of a failed step", sizeof(uint32_t));
  const Graph& graph = training.graph;
  for (const SparseGradient& sparse : graph.sparse_gradients) {
    const auto table = std::find_if(graph.tables.begin(), graph.tables.end(),
                                    [&](const TableWeight& t) { return t.value == sparse.table; });
    table_of.push_back(static_cast<int>(table - graph.tables.begin()));
    const auto ids = std::find(training.ids.begin(), training.ids.end(), sparse.ids);
    ids_of.push_back(static_cast<int>(ids - training.ids.begin()));
  }
  same_as.resize(graph.sparse_gradients.size(), kNoValue);
  if (j.launch.fuse && j.shards == 1) keep_gradients_in_place();
}

void JobPlan::keep_gradients_in_place() {
  const Graph& graph = training.graph;
  const OpNode& last = graph.nodes.back();
  if (last.op != &ops::lookup_gradient) return;
  const auto& pools = last.attributes.integers("pool");
  for (size_t out = 0; out < last.outputs.size(); ++out) {
    const ValueId dy = last.inputs[2 * out];
    const Place &from = training.place(dy), &to = training.place(last.outputs[out]);
    const auto f = static_cast<size_t>(to.at);
    const IdsRoom& room = training_room[static_cast<size_t>(ids_of[f])];
    const bool same = static_cast<Pooling>(pools[out]) == Pooling::sum || (!room.list && !room.weighted);
    const auto size = static_cast<int64_t>(dtype_size(from.dtype));
    const auto aligned = [&](int64_t n) { return n * size % 16 == 0; };
    if (same && from.region == Region::arena && from.dtype == to.dtype && aligned(from.ld) && aligned(from.column) &&
        aligned(graph.value(dy).cols))
      same_as[f] = dy;
  }
}

size_t JobPlan::result_bytes(int shards) const {
  return sizeof(Outcome) + static_cast<size_t>(shards) * training.graph.losses.size() * sizeof(double);
}

size_t JobPlan::scores_bytes() const {
  return scoring.graph.outputs.size() * static_cast<size_t>(job.eval_batch) * sizeof(float);
}

}  // namespace mtrank::cuda
