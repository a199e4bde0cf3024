#include "framework/graph/runner.h"

#include <chrono>
#include <cstdlib>
#include <new>

#include "framework/core/error.h"

namespace mtrank {

Scratch::~Scratch() { std::free(data_); }

void* Scratch::bytes(size_t size) {
  if (size <= size_) return data_;
  std::free(data_);
  size_ = (size + 63) / 64 * 64;
  data_ = std::aligned_alloc(64, size_);
  if (!data_) {
    size_ = 0;
    throw std::bad_alloc();
  }
  return data_;
}

namespace {

class Resolver {
 public:
  Resolver(const Plan& plan, const Bindings& bindings, const Rows& rows, std::byte* arena)
      : plan_(plan), bindings_(bindings), rows_(rows), arena_(arena) {}

  View operator()(ValueId id) const {
    if (id == kNoValue) return {};
    const Place& place = plan_.place(id);
    const Value& value = plan_.graph.value(id);
    const auto at = static_cast<size_t>(place.at);
    View view = bound(place, at);
    if (place.region == Region::ids) view.data = const_cast<IdsView*>(&bindings_.ids[at]);
    view.rows = value.batch ? rows_.count : value.rows;
    view.cols = value.cols;
    if (place.column)
      view.data = static_cast<std::byte*>(view.data) + static_cast<size_t>(place.column) * dtype_size(place.dtype);
    return view;
  }

 private:
  View bound(const Place& place, size_t at) const {
    switch (place.region) {
      case Region::arena:
        return {.data = arena_ + at, .ld = place.ld};
      case Region::param:
        return bindings_.params[at];
      case Region::param_gradient:
        return bindings_.param_gradients[at];
      case Region::input:
        return bindings_.inputs[at];
      case Region::scalar:
        return bindings_.scalars[at];
      case Region::table:
        return bindings_.tables[at];
      case Region::sparse_gradient:
        return bindings_.sparse_gradients[at];
      case Region::loss:
        return {.data = &bindings_.losses[at], .ld = 1};
      case Region::ids:
      case Region::none:
        return {};
    }
    return {};
  }

  const Plan& plan_;
  const Bindings& bindings_;
  const Rows& rows_;
  std::byte* arena_;
};

}  // namespace

void run_nodes(const Plan& plan, size_t begin, size_t end, const Bindings& bindings, const Rows& rows,
               const StepInfo& step, std::byte* arena, Scratch& scratch) {
  MTRANK_ASSERT(rows.count <= plan.capacity && (!rows.add_gradients || plan.single_writers));
  const Resolver resolve(plan, bindings, rows, arena);
  std::vector<View> in, out;
  std::vector<uint8_t> accumulate;
  for (size_t n = begin; n < end; ++n) {
    const OpNode& node = plan.graph.nodes[n];
    in.clear();
    out.clear();
    for (ValueId id : node.inputs) in.push_back(resolve(id));
    accumulate = node.accumulate;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      out.push_back(resolve(id));
      if (rows.add_gradients && id != kNoValue && plan.place(id).region == Region::param_gradient) accumulate[i] = 1;
    }
    if (const int packed = plan.node_packed[n]; packed >= 0) {
      const PackedWeight& weight = plan.packed[static_cast<size_t>(packed)];
      in[static_cast<size_t>(weight.packing->input)].packed = bindings.packed + weight.offset;
    }
    const Kernel kernel = plan.dtype == DType::f64 ? node.op->cpu_f64 : node.op->cpu_f32;
    const OpCall call{node, in, out, accumulate, rows.count, rows.first_sample, step, scratch};
    if (!bindings.node_seconds) {
      kernel(call);
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    kernel(call);
    bindings.node_seconds[n] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

int64_t first_nonfinite(const Plan& plan, const Bindings& bindings, const Rows& rows, const StepInfo& step,
                        std::byte* arena, Scratch& scratch, bool (*is_finite)(const View&)) {
  const Resolver resolve(plan, bindings, rows, arena);
  for (size_t n = 0; n < plan.graph.nodes.size(); ++n) {
    run_nodes(plan, n, n + 1, bindings, rows, step, arena, scratch);
    for (ValueId id : plan.graph.nodes[n].outputs) {
      if (id == kNoValue || plan.place(id).region == Region::loss) continue;
      if (!is_finite(resolve(id))) return static_cast<int64_t>(n);
    }
  }
  return -1;
}

void pack_weight(const Plan& plan, size_t part, std::span<const View> params, std::byte* packed) {
  const PackedWeight& weight = plan.packed[part];
  const Value& value = plan.graph.value(weight.value);
  const View& view = params[static_cast<size_t>(plan.place(weight.value).at)];
  const int64_t rows = value.rows / weight.groups;
  for (int64_t g = 0; g < weight.groups; ++g)
    weight.packing->pack(view.row<const float>(g * rows), rows, value.cols,
                         packed + weight.offset + static_cast<size_t>(g) * weight.group_bytes);
}

}  // namespace mtrank
