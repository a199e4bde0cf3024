#include "framework/ops/add.h"

#include "models/layer.h"

namespace mtrank {
namespace {

struct AddLayer {
  static constexpr const char* name = "add";
  static constexpr const char* doc =
      "Sum of its inputs, which must have one width.   y = x_0 + x_1 + ...   out [B, H].";
  static constexpr const char* examples[] = {"{}", "{}"};
  struct Config {
    void fields(Fields&) {}
  };
  static LayerOutput build(LayerContext& context, const Config&) { return add(context.builder, context.from); }
};

}  // namespace

const LayerInfo layers::add = layer_info<AddLayer>();

}  // namespace mtrank
