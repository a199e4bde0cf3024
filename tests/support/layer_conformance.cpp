#include "tests/support/layer_conformance.h"

#include <stdexcept>

#include "framework/config/diagnostics.h"

namespace mtrank::testing {
namespace {

Node resolved(const LayerInfo& layer, const std::string& settings) {
  Diagnostics diagnostics;
  Node node = layer.resolve(parse_yaml(settings, layer.name, diagnostics), diagnostics);
  if (!diagnostics.ok()) throw std::runtime_error(diagnostics.render());
  return node;
}

std::vector<std::string> check_settings(const LayerInfo& layer, const std::string& settings) {
  const Node once = resolved(layer, settings);
  const Node twice = resolved(layer, write_yaml(once));
  if (once.same_value(twice)) return {};
  return {"its resolved settings read back as others:\n" + write_yaml(once) + write_yaml(twice)};
}

void collect(std::vector<std::string>& problems, const std::string& where, const std::vector<std::string>& more) {
  for (const std::string& problem : more) problems.push_back(where + ": " + problem);
}

}  // namespace

ConformanceCase layer_case(const LayerInfo& layer, const std::string& settings, const std::vector<int64_t>& widths,
                           bool dropout) {
  Node node = resolved(layer, settings);
  if (!dropout && node.find("dropout")) node.set("dropout", Node::number(0));
  return {.name = layer.name, .covers = {}, .widths = widths, .build = [&layer, node](Builder& b, const auto& inputs) {
            LayerContext context{b, inputs, {"click", "cart"}};
            return layer.build(context, node).values;
          }};
}

std::vector<std::string> check_layer(const LayerInfo& layer) {
  std::vector<std::string> problems;
  if (layer.examples.size() < 2) problems.push_back("a layer carries two examples");
  for (const char* example : layer.examples) {
    const std::string where = std::string(layer.name) + " " + example;
    collect(problems, where, check_settings(layer, example));
    for (const std::vector<int64_t>& widths : {std::vector<int64_t>{4, 4}, std::vector<int64_t>{5}}) {
      collect(problems, where, check_case(layer_case(layer, example, widths)));
      collect(problems, where, check_scoring(layer_case(layer, example, widths, false)));
      collect(problems, where, check_saved_weights(layer_case(layer, example, widths)));
    }
  }
  return problems;
}

}  // namespace mtrank::testing
