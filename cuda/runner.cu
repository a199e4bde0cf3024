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

Runner::Runner(const Plan& plan, DeviceBindings bindings, uint64_t seed)
    : plan_(plan), bindings_(std::move(bindings)), seed_(seed) {
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
  signs_.resize(bindings_.relus.size());
  for (size_t f = 0; f < signs_.size(); ++f) {
    const ReluFusion& relu = bindings_.relus[f];
    signs_[f] = {.bits = bindings_.signs[f], .ld = relu.ld()};
    for (const size_t n : {relu.forward, relu.product, relu.gradient}) nodes_[n].out[0].signs = &signs_[f];
    nodes_[relu.forward].masked_by = relu.product;
  }
  sums_.resize(bindings_.biases.size());
  for (size_t f = 0; f < sums_.size(); ++f) {
    const BiasFusion& bias = bindings_.biases[f];
    Node &writer = nodes_[bias.writer], &reader = nodes_[bias.writer + 1];
    writer.sums = writer.out[bias.output].sums = reader.in[1].sums = &sums_[f];
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
      return in_arena(plan_, id, bindings_.arena);
    case Region::param:
      view = bindings_.params[at];
      break;
    case Region::param_gradient:
      view = bindings_.param_gradients[at];
      break;
    case Region::input:
      view = bindings_.inputs[at];
      break;
    case Region::scalar:
      return bindings_.scalars[at];
    case Region::table:
      view = bindings_.tables[at];
      break;
    case Region::sparse_gradient:
      view = bindings_.sparse_gradients[at];
      break;
    case Region::loss:
      return {.data = bindings_.losses + at, .rows = 1, .cols = 1, .ld = 1, .dtype = DType::f64};
    case Region::ids:
      return {.data = const_cast<DeviceIds*>(&bindings_.ids[at])};
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
