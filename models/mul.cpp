#include "framework/ops/mul.h"

#include "models/layer.h"

namespace mtrank {
namespace {

struct MulLayer {
  static constexpr const char* name = "mul";
  static constexpr const char* doc =
      "Element-wise product of its inputs, which must have one width.   y = x_0 * x_1 * ...   out [B, H].";
  static constexpr const char* examples[] = {"{}", "{}"};
  struct Config {
    void fields(Fields&) {}
  };
  static LayerOutput build(LayerContext& context, const Config&) { return mul(context.builder, context.from); }
};

}  // namespace

const LayerInfo layers::mul = layer_info<MulLayer>();

}  // namespace mtrank
