#include "framework/ops/linear.h"
#include "framework/ops/mixture.h"
#include "framework/ops/softmax.h"
#include "models/hidden.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct Mmoe {
  static constexpr const char* name = "mmoe";
  static constexpr const char* doc =
      "Multi-gate mixture of experts (Ma et al., KDD 2018), a gate a task.\n"
      "y_t = sum_e softmax(x G_t + c_t)_e * expert_e(x);  expert_e an MLP\n"
      "x [B, K]; G_t [K, E]; c_t [E]; out: for every task [B, H_last].";
  static constexpr const char* examples[] = {
      "{experts: 2, hidden: [5]}", "{experts: 3, hidden: [6, 4], activation: silu, layer_norm: true, dropout: 0.2}"};

  struct Config {
    int64_t experts = 4;
    std::vector<int64_t> hidden;
    HiddenConfig layer;
    void fields(Fields& f) {
      f("experts", experts, "number of experts").min(1).max(kMaxExperts);
      f("hidden", hidden, "sizes of each expert's layers").min(1).max(kMaxWidth).at_least(1).required();
      layer.fields(f);
    }
  };

  /// The first layer of all experts is one wide product, the later ones are grouped; so are the gates of all tasks.
  static LayerOutput build(LayerContext& context, const Config& config) {
    Builder& builder = context.builder;
    const ValueId x = context.input();
    ValueId h = x;
    for (size_t i = 0; i < config.hidden.size(); ++i)
      h = expert_layer(builder, "experts/" + std::to_string(i), h, config.hidden[i], config.experts, i > 0,
                       config.layer);
    const auto tasks = static_cast<int64_t>(context.tasks.size());
    const ValueId gates = softmax(builder, dense(builder, "gates", x, tasks * config.experts), config.experts);
    const ValueId mixed = mixture(builder, gates, h, config.experts);
    const int64_t width = config.hidden.back();
    std::vector<ValueId> outputs;
    for (int64_t t = 0; t < tasks; ++t) outputs.push_back(builder.slice(mixed, t * width, width));
    return LayerOutput::for_tasks(outputs);
  }
};

}  // namespace

const LayerInfo layers::mmoe = layer_info<Mmoe>();

}  // namespace mtrank
