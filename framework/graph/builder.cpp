#include "framework/graph/builder.h"

#include <algorithm>

#include "framework/core/error.h"

namespace mtrank {

std::string Builder::scoped(const std::string& name) const { return scope_.empty() ? name : scope_ + "/" + name; }

ValueId Builder::add_value(Value value) {
  value.name = scoped(value.name);
  graph_.values.push_back(std::move(value));
  graph_.gradient_of.push_back(kNoValue);
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::input(const std::string& name, int64_t cols) {
  return add_value({.name = name, .kind = ValueKind::input, .cols = cols});
}

ValueId Builder::ids(const std::string& name) { return add_value({.name = name, .kind = ValueKind::ids, .cols = 1}); }

ValueId Builder::scalar(const std::string& name) {
  return add_value({.name = name, .kind = ValueKind::scalar, .batch = false, .cols = 1});
}

ValueId Builder::param(const std::string& name, int64_t rows, int64_t cols, WeightInit init,
                       std::vector<int64_t> shape) {
  MTRANK_ASSERT(graph_.find(scoped(name)) == kNoValue);
  const ValueId id = add_value({.name = name, .kind = ValueKind::param, .batch = false, .rows = rows, .cols = cols});
  if (shape.empty()) shape = {rows, cols};
  graph_.params.push_back({id, std::move(shape), init});
  return id;
}

ValueId Builder::table(const std::string& name, int64_t rows, int64_t dim, WeightInit init) {
  const ValueId id = add_value({.name = name, .kind = ValueKind::table, .batch = false, .rows = rows, .cols = dim});
  graph_.tables.push_back({id, init});
  return id;
}

std::vector<ValueId> Builder::apply(const Op& op, std::vector<ValueId> inputs, Attributes attributes,
                                    const std::string& name) {
  std::vector<Value> shapes;
  for (ValueId id : inputs) shapes.push_back(id == kNoValue ? Value{} : graph_.value(id));
  const std::vector<int64_t> cols = op.shapes({shapes, attributes});
  std::vector<ValueId> outputs;
  for (size_t i = 0; i < cols.size(); ++i) {
    std::string own = name.empty() ? op.name : name;
    if (i > 0) own += "." + std::to_string(i);
    outputs.push_back(add_value({.name = own, .cols = cols[i]}));
  }
  emit(op, std::move(inputs), outputs, std::vector<uint8_t>(outputs.size(), 0), std::move(attributes));
  return outputs;
}

ValueId Builder::apply1(const Op& op, std::vector<ValueId> inputs, Attributes attributes, const std::string& name) {
  return apply(op, std::move(inputs), std::move(attributes), name).front();
}

void Builder::emit(const Op& op, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                   std::vector<uint8_t> accumulate, Attributes attributes) {
  graph_.nodes.push_back(
      {&op, scope_, std::move(inputs), std::move(outputs), std::move(accumulate), std::move(attributes)});
}

ValueId Builder::slice(ValueId x, int64_t begin, int64_t width) {
  const Value& of = graph_.value(x);
  MTRANK_ASSERT(begin >= 0 && begin + width <= of.cols);
  if (begin == 0 && width == of.cols) return x;
  Value view = of;
  view.base = graph_.root(x);
  view.column = of.column + begin;
  view.cols = width;
  view.name = of.name + "[" + std::to_string(begin) + ":" + std::to_string(begin + width) + "]";
  graph_.values.push_back(view);
  graph_.gradient_of.push_back(kNoValue);
  return static_cast<ValueId>(graph_.values.size() - 1);
}

bool Builder::can_move(ValueId id) const {
  const Value& value = graph_.value(id);
  if (value.kind != ValueKind::activation || value.base != kNoValue) return false;
  return std::none_of(graph_.values.begin(), graph_.values.end(), [id](const Value& v) { return v.base == id; });
}

ValueId Builder::concat(const std::vector<ValueId>& parts, const std::string& name) {
  if (parts.size() == 1) return parts.front();
  for (const Concat& made : concats_)
    if (made.parts == parts) return made.result;
  int64_t cols = 0;
  for (ValueId part : parts) cols += this->cols(part);
  if (cols > kMaxColumns)
    throw ShapeError("its inputs side by side are " + std::to_string(cols) + " wide, more than " +
                     std::to_string(kMaxColumns));
  const ValueId result = add_value({.name = name, .cols = cols});
  int64_t column = 0;
  for (ValueId part : parts) {
    const int64_t width = this->cols(part);
    if (can_move(part)) {
      graph_.value(part).base = result;
      graph_.value(part).column = column;
    } else {
      emit(*find_op("copy"), {part}, {slice(result, column, width)}, {0});
    }
    column += width;
  }
  concats_.push_back({parts, result});
  return result;
}

}  // namespace mtrank
