#include "models/hidden.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct Mlp {
  static constexpr const char* name = "mlp";
  static constexpr const char* doc =
      "Multi-layer perceptron.   x_{i+1} = dropout(f(norm(x_i W_i + b_i)))\n"
      "x_0 [B, K]; W_i [H_{i-1}, H_i]; b_i [H_i]; out [B, H_last].\n"
      "norm is layer normalisation (Ba et al., 2016), where layer_norm asks for it.";
  static constexpr const char* examples[] = {"{hidden: [7, 5], layer_norm: true, dropout: 0.25}",
                                             "{hidden: [6], activation: gelu}"};

  struct Config {
    std::vector<int64_t> hidden;
    HiddenConfig layer;
    void fields(Fields& f) {
      f("hidden", hidden, "sizes of the hidden layers").min(1).max(kMaxWidth).at_least(1).required();
      layer.fields(f);
    }
  };

  static LayerOutput build(LayerContext& context, const Config& config) {
    ValueId x = context.input();
    for (size_t i = 0; i < config.hidden.size(); ++i)
      x = hidden_layer(context.builder, std::to_string(i), x, config.hidden[i], config.layer);
    return x;
  }
};

}  // namespace

const LayerInfo layers::mlp = layer_info<Mlp>();

}  // namespace mtrank
