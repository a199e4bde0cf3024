#include "framework/graph/parameters.h"

namespace mtrank {

ParameterLayout::ParameterLayout(const Graph& graph) {
  for (const ParamWeight& param : graph.params) {
    const Value& value = graph.value(param.value);
    entries_.push_back({value.name, param.shape, param.init, value.rows, value.cols, elements_});
    elements_ += (value.rows * value.cols + 15) / 16 * 16;
  }
}

const ParameterLayout::Entry* ParameterLayout::find(const std::string& name) const {
  for (const Entry& entry : entries_)
    if (entry.name == name) return &entry;
  return nullptr;
}

std::vector<View> ParameterLayout::views(float* buffer) const {
  std::vector<View> views;
  for (const Entry& entry : entries_)
    views.push_back({.data = buffer + entry.offset, .rows = entry.rows, .cols = entry.cols, .ld = entry.cols});
  return views;
}

}  // namespace mtrank
