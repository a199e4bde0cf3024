#include "models/layer.h"

namespace mtrank {
namespace {

constexpr const LayerInfo* kLayers[] = {
#define MTRANK_LAYER(name) &layers::name,
#include "models/layers.def"
#undef MTRANK_LAYER
};

}  // namespace

std::span<const LayerInfo* const> all_layers() { return kLayers; }

const LayerInfo* find_layer(std::string_view name) {
  for (const LayerInfo* layer : kLayers)
    if (name == layer->name) return layer;
  return nullptr;
}

}  // namespace mtrank
