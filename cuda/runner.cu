#include "cuda/runner.h"

#include <nvtx3/nvToolsExt.h>

#include "cuda/gates.h"
#include "cuda/launch.h"
#include "cuda/losses.h"
#include "framework/ops/ops.h"

namespace mtrank::cuda {
namespace {

struct Row {
  const Op* op;
  Launch launch;
};

/// Every op of ops.def: one without a launch does not link.
constexpr Row kLaunches[] = {
#define MTRANK_OP(name) {&ops::name, launches::name},
#include "framework/ops/ops.def"
#undef MTRANK_OP
};

Launch launch_of(const Op* op) {
  for (const Row& row : kLaunches)
    if (row.op == op) return row.launch;
  MTRANK_ASSERT(!"an op of ops.def");
  return nullptr;
}

template <class T>
std::vector<T> copy(std::span<const T> list) {
  return {list.begin(), list.end()};
}

}  // namespace

DeviceView in_arena(const Plan& plan, ValueId id, std::byte* arena) {
  const Place& place = plan.place(id);
  MTRANK_ASSERT(place.region == Region::arena);
  const auto at = static_cast<size_t>(place.at) + static_cast<size_t>(place.column) * dtype_size(place.dtype);
  return {.data = arena + at,
          .rows = plan.capacity,
          .cols = plan.graph.value(id).cols,
          .ld = place.ld,
          .dtype = place.dtype};
}

Runner::Runner(const Plan& plan, const DeviceBindings& b, uint64_t seed)
    : plan_(plan),
      seed_(seed),
      params_(copy(b.params)),
      gradients_(copy(b.param_gradients)),
      inputs_(copy(b.inputs)),
      scalars_(copy(b.scalars)),
      tables_(copy(b.tables)),
      sparse_(copy(b.sparse_gradients)),
      ids_(copy(b.ids)),
      arena_(b.arena) {
  for (size_t l = 0; l < plan.graph.losses.size(); ++l)
    losses_.push_back({.data = b.losses + l, .rows = 1, .cols = 1, .ld = 1, .dtype = DType::f64});
  for (const OpNode& node : plan.graph.nodes) {
    Node bound{&node, launch_of(node.op), {}, {}};
    for (ValueId id : node.inputs) bound.in.push_back(view(id));
    for (ValueId id : node.outputs) bound.out.push_back(view(id));
    bound.launches = {nodes_.size(), nodes_.size() + 1};
    nodes_.push_back(std::move(bound));
  }
  for (const NodeRange& range : plan.together) {
    if (nodes_[range.begin].node->op == &ops::linear_weight_gradient) {
      MTRANK_ASSERT(range.end - range.begin == 2);
      nodes_[range.begin].forks = nodes_[range.begin + 1].joins = true;
      continue;
    }
    for (size_t n = range.begin; n < range.end; ++n) nodes_[n].launches = {};
    // A profile calls a gated mixture by its name.
    nodes_[nodes_[range.begin].node->op == &ops::softmax ? range.end - 1 : range.begin].launches = range;
  }
  signs_.resize(b.relus.size());
  for (size_t f = 0; f < b.relus.size(); ++f) {
    signs_[f] = {.bits = b.signs[f], .ld = b.relus[f].ld()};
    for (const size_t n : {b.relus[f].forward, b.relus[f].product, b.relus[f].gradient})
      nodes_[n].out[0].signs = &signs_[f];
    nodes_[b.relus[f].forward].masked_by = b.relus[f].product;
  }
  sums_.resize(b.biases.size());
  for (size_t f = 0; f < b.biases.size(); ++f) {
    Node &writer = nodes_[b.biases[f].writer], &reader = nodes_[b.biases[f].writer + 1];
    writer.sums = writer.out[b.biases[f].output].sums = reader.in[1].sums = &sums_[f];
  }
}

DeviceView Runner::view(ValueId id) const {
  if (id == kNoValue) return {};
  const Place& place = plan_.place(id);
  const Value& value = plan_.graph.value(id);
  const auto at = static_cast<size_t>(place.at);
  DeviceView view;
  switch (place.region) {
    case Region::arena:
      return in_arena(plan_, id, arena_);
    case Region::param:
      view = params_[at];
      break;
    case Region::param_gradient:
      view = gradients_[at];
      break;
    case Region::input:
      view = inputs_[at];
      break;
    case Region::scalar:
      return scalars_[at];
    case Region::table:
      view = tables_[at];
      break;
    case Region::sparse_gradient:
      view = sparse_[at];
      break;
    case Region::loss:
      return losses_[at];
    case Region::ids:
      return {.data = const_cast<DeviceIds*>(&ids_[at])};
    case Region::none:
      return {};
  }
  view.rows = value.batch ? plan_.capacity : value.rows;
  view.cols = value.cols;
  if (place.column) view.data = view.as<std::byte>() + static_cast<size_t>(place.column) * dtype_size(view.dtype);
  return view;
}

Call Runner::call(const Node& node, const Context& context) const {
  return {*node.node, node.in, node.out, node.node->accumulate, plan_.capacity, seed_, context};
}

bool Runner::fused(size_t n) const {
  const Node& node = nodes_[n];
  return node.node->op == &ops::activation_gradient && node.out[0].signs && node.out[0].signs->applied;
}

void Runner::launch(size_t n, const Context& context) const {
  const auto [begin, end] = nodes_[n].launches;
  if (end - begin == 1) return nodes_[n].launch(call(nodes_[n], context));
  std::vector<Call> calls;
  for (size_t i = begin; i < end; ++i) calls.push_back(call(nodes_[i], context));
  const Op* first = nodes_[begin].node->op;
  if (first == &ops::loss) return launch_losses(calls);
  MTRANK_ASSERT(calls.size() == 2 && (first == &ops::softmax || first == &ops::mixture_gradient));
  first == &ops::softmax ? launch_gated(calls[0], calls[1]) : launch_gated_gradient(calls[0], calls[1]);
}

void Runner::run(size_t begin, size_t end, const Context& context) const {
  for (size_t n = begin; n < end; ++n) {
    const Node& node = nodes_[n];
    const SideStream* side = context.side;
    // Signs that nobody can use are not kept: the forward product is as fast without.
    if (node.masked_by != 0) node.out[0].signs->wanted = can_mask(call(nodes_[node.masked_by], context));
    // In the scratch memory that the next node begins with.
    if (node.sums)
      *node.sums = {reinterpret_cast<float*>(side && nodes_[n + 1].forks ? side->scratch : context.scratch), false};
    if (node.launches.begin == node.launches.end || fused(n)) continue;
    nvtxRangePushA(node.node->op->name);
    if (side && node.forks) {
      Context aside = context;
      aside.stream = side->stream, aside.scratch = side->scratch, aside.workspace = side->workspace;
      side->forked.record(context.stream);
      side->forked.hold(aside.stream);
      launch(n, aside);
      side->done.record(aside.stream);
    } else {
      launch(n, context);
    }
    if (side && node.joins) side->done.hold(context.stream);
    nvtxRangePop();
  }
}

}  // namespace mtrank::cuda
