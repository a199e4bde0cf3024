#pragma once

#include <span>
#include <string>
#include <vector>

#include "framework/config/fields.h"
#include "framework/graph/builder.h"

namespace mtrank {

/// What a layer is built from.
struct LayerContext {
  Builder& builder;
  std::vector<ValueId> from;       ///< the values its `from` names, in order
  std::vector<std::string> tasks;  ///< names of the config's tasks, in order

  /// [x0 | x1 | …] of `from`.  [B, Σ columns]
  ValueId input() { return builder.concat(from, "input"); }
};

/// What a layer hands on: one value, or one a task, in the order of the tasks.
struct LayerOutput {
  std::vector<ValueId> values;
  bool per_task = false;

  LayerOutput(ValueId value) : values{value} {}  // NOLINT: a layer returns its value
  static LayerOutput for_tasks(std::vector<ValueId> values) {
    LayerOutput output(kNoValue);
    output.values = std::move(values);
    output.per_task = true;
    return output;
  }
};

/// A layer as the registry, the docs and the tests see it. Made by `layer_info` from a struct of one file:
///
///     struct Mlp {
///       static constexpr const char* name = "mlp";
///       static constexpr const char* doc = "formula, shapes, paper";
///       static constexpr const char* examples[] = {"{hidden: [8, 4]}", "{hidden: [6], activation: gelu}"};
///       struct Config { void fields(Fields& f); … };
///       static LayerOutput build(LayerContext& context, const Config& config);  // throws ShapeError
///     };
///     const LayerInfo layers::mlp = layer_info<Mlp>();
struct LayerInfo {
  const char* name;
  const char* doc;
  std::span<const char* const> examples;  ///< settings, as YAML; each must build on inputs of equal widths
  /// Reads settings strictly; every problem goes to `diagnostics`. Returns them with all defaults filled in.
  Node (*resolve)(const Node& settings, Diagnostics& diagnostics);
  LayerOutput (*build)(LayerContext& context, const Node& resolved);
  std::vector<FieldInfo> (*fields)();
};

template <class L>
constexpr LayerInfo layer_info() {
  using Config = typename L::Config;
  return {L::name,
          L::doc,
          L::examples,
          [](const Node& settings, Diagnostics& diagnostics) {
            Config config;
            parse_fields(settings, config, diagnostics);
            return to_node(config);
          },
          [](LayerContext& context, const Node& resolved) {
            Config config;
            Diagnostics none;
            parse_fields(resolved, config, none);
            return L::build(context, config);
          },
          [] { return describe_fields<Config>(); }};
}

namespace layers {
#define MTRANK_LAYER(name) extern const LayerInfo name;
#include "models/layers.def"
#undef MTRANK_LAYER
}  // namespace layers

/// Every layer of layers.def, in its order.
std::span<const LayerInfo* const> all_layers();
/// Null where there is none of that name.
const LayerInfo* find_layer(std::string_view name);

}  // namespace mtrank
