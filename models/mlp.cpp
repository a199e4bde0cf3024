#include "framework/ops/linear.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct Mlp {
  static constexpr const char* name = "mlp";
  static constexpr const char* doc =
      "Multi-layer perceptron.   x_{i+1} = f(x_i W_i + b_i)\n"
      "x [B, K]; W_i [K_i, H_i]; b_i [H_i]; out [B, H_last].";
  static constexpr const char* examples[] = {"{hidden: [7, 5]}", "{hidden: [6], activation: gelu}"};

  struct Config {
    std::vector<int64_t> hidden;
    std::string activation = "relu";
    void fields(Fields& f) {
      f("hidden", hidden, "sizes of the hidden layers").min(1).at_least(1).required();
      f("activation", activation, "after every layer").one_of({"relu", "gelu", "silu", "tanh", "sigmoid", "none"});
    }
  };

  static LayerOutput build(LayerContext& context, const Config& config) {
    ValueId x = context.input();
    for (size_t i = 0; i < config.hidden.size(); ++i)
      x = dense(context.builder, std::to_string(i), x, config.hidden[i], config.activation);
    return x;
  }
};

}  // namespace

const LayerInfo layers::mlp = layer_info<Mlp>();

}  // namespace mtrank
