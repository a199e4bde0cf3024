#include "models/layer.h"

namespace mtrank {
namespace {

struct ConcatLayer {
  static constexpr const char* name = "concat";
  static constexpr const char* doc = "Its inputs side by side.   y = [x_0 | x_1 | …]   out [B, sum of the widths].";
  static constexpr const char* examples[] = {"{}", "{}"};
  struct Config {
    void fields(Fields&) {}
  };
  static LayerOutput build(LayerContext& context, const Config&) { return context.input(); }
};

}  // namespace

const LayerInfo layers::concat = layer_info<ConcatLayer>();

}  // namespace mtrank
