#include "framework/ops/cross.h"
#include "framework/ops/linear.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct DcnV2 {
  static constexpr const char* name = "dcn_v2";
  static constexpr const char* doc =
      "Deep & Cross Network V2 (Wang et al., WWW 2021).\n"
      "full:      x_{l+1} = x_0 * (x_l W_l + b_l) + x_l\n"
      "low rank:  x_{l+1} = x_0 * (x_l V_l U_l + b_l) + x_l\n"
      "x [B, H]; W [H, H]; V [H, R]; U [R, H]; b [H]; out [B, H].";
  static constexpr const char* examples[] = {"{layers: 2}", "{layers: 3, rank: 2}"};

  struct Config {
    int64_t layers = 3;
    std::optional<int64_t> rank;
    void fields(Fields& f) {
      f("layers", layers, "number of cross layers").min(1);
      f("rank", rank, "rank of the weights").min(1).unset("full");
    }
  };

  static LayerOutput build(LayerContext& context, const Config& config) {
    Builder& builder = context.builder;
    const ValueId x0 = context.input();
    const int64_t width = builder.cols(x0);
    ValueId x = x0;
    for (int64_t l = 0; l < config.layers; ++l) {
      Builder::Scope scope(builder, std::to_string(l));
      ValueId u = x;
      if (config.rank) u = dense(builder, "v", x, *config.rank, "none", 1, false);
      u = dense(builder, config.rank ? "u" : "w", u, width);
      x = cross(builder, x0, u, x);
    }
    return x;
  }
};

}  // namespace

const LayerInfo layers::dcn_v2 = layer_info<DcnV2>();

}  // namespace mtrank
