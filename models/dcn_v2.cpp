#include "framework/ops/activation.h"
#include "framework/ops/cross.h"
#include "framework/ops/gate.h"
#include "framework/ops/linear.h"
#include "framework/ops/softmax.h"
#include "models/hidden.h"
#include "models/layer.h"

namespace mtrank {
namespace {

struct DcnV2 {
  static constexpr const char* name = "dcn_v2";
  static constexpr const char* doc =
      "Deep & Cross Network V2 (Wang et al., WWW 2021).   x_{l+1} = x_0 * u_l(x_l) + x_l\n"
      "full:     u(x) = x W + b\n"
      "low rank: u(x) = x V U + b\n"
      "mixture:  u(x) = sum_e softmax(x G)_e * f(f(x V_e) C_e) U_e + b\n"
      "x [B, H]; W [H, H]; V [H, R]; U [R, H]; C [R, R]; G [H, E]; b [H]; out [B, H].";
  static constexpr const char* examples[] = {"{layers: 2}", "{layers: 2, rank: 3, experts: 2, activation: gelu}"};

  struct Config {
    int64_t layers = 3;
    std::optional<int64_t> rank;
    int64_t experts = 1;
    std::string activation = "tanh";
    void fields(Fields& f) {
      f("layers", layers, "number of cross layers").min(1).max(256);
      f("rank", rank, "rank of the weights").min(1).max(kMaxWidth).unset("full");
      f("experts", experts, "number of low-rank experts; more than one needs `rank`").min(1).max(kMaxExperts);
      f("activation", activation, "inside each expert, where there are several").one_of(activation_names());
    }
    void check(const Node& node, Diagnostics& diagnostics) const {
      if (experts > 1 && !rank)
        diagnostics.error(Code::conflict, node.find("experts")->at, "several experts need a `rank`",
                          "write `rank: 32`, or leave `experts` out");
    }
  };

  static LayerOutput build(LayerContext& context, const Config& config) {
    Builder& builder = context.builder;
    const ValueId x0 = context.input();
    ValueId x = x0;
    for (int64_t l = 0; l < config.layers; ++l) {
      Builder::Scope scope(builder, std::to_string(l));
      x = cross(builder, x0, transformed(builder, x, config), x);
    }
    return x;
  }

  /// u(x). The gates sum to 1, so b may stand outside of their sum; and they scale the narrow side of U, whose experts
  /// are then one product.
  static ValueId transformed(Builder& builder, ValueId x, const Config& config) {
    const int64_t width = builder.cols(x), experts = config.experts;
    if (!config.rank) return dense(builder, "w", x, width);
    if (experts == 1) return dense(builder, "u", dense(builder, "v", x, *config.rank, "none", 1, false), width);
    ValueId h = dense(builder, "v", x, experts * *config.rank, config.activation, 1, false);
    h = dense(builder, "c", h, *config.rank, config.activation, experts, false);
    const ValueId gates = softmax(builder, dense(builder, "gate", x, experts, "none", 1, false), experts);
    return dense(builder, "u", gate(builder, gates, h), width);
  }
};

}  // namespace

const LayerInfo layers::dcn_v2 = layer_info<DcnV2>();

}  // namespace mtrank
