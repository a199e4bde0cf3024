#include "framework/ops/linear.h"
#include "framework/ops/mul.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct Glu {
  static constexpr const char* name = "glu";
  static constexpr const char* doc =
      "Gated linear unit (Dauphin et al., ICML 2017).   y = (x W + b) * sigmoid(x V + c)\n"
      "x [B, K]; W, V [K, H]; b, c [H]; out [B, H].";
  static constexpr const char* examples[] = {"{width: 5}", "{width: 3, gate: tanh}"};

  struct Config {
    int64_t width = 0;
    std::string gate = "sigmoid";
    void fields(Fields& f) {
      f("width", width, "columns of the output").min(1).required();
      f("gate", gate, "activation of the gate").one_of({"sigmoid", "tanh"});
    }
  };

  static LayerOutput build(LayerContext& context, const Config& config) {
    const ValueId x = context.input();
    const ValueId value = dense(context.builder, "value", x, config.width);
    const ValueId gate = dense(context.builder, "gate", x, config.width, config.gate);
    return mul(context.builder, {value, gate});
  }
};

}  // namespace

const LayerInfo layers::glu = layer_info<Glu>();

}  // namespace mtrank
