#include "framework/serving/vocabulary_tensors.h"

#include "framework/core/error.h"

namespace mtrank {
namespace {

/// What the tensors point to.
struct Memory {
  std::vector<std::string> bytes;
  std::vector<std::vector<int64_t>> offsets;
};

const TensorSource& need(const FindTensor& find, const std::string& name, DType dtype, const std::string& file) {
  const TensorSource* tensor = find(name);
  if (!tensor) throw FileError(file + " lacks the tensor '" + name + "'");
  if (tensor->dtype != dtype || tensor->shape.size() != 1)
    throw FileError(file + ": its tensor '" + name + "' is " + std::string(dtype_name(tensor->dtype)) + " " +
                    shape_text(tensor->shape) + ", expected a list of " + std::string(dtype_name(dtype)));
  return *tensor;
}

}  // namespace

std::shared_ptr<const void> add_vocabularies(const FeatureTransforms& transforms, std::vector<TensorSource>& tensors) {
  const auto memory = std::make_shared<Memory>();
  std::vector<std::string> names;
  for (const TableTransform& table : transforms.tables) {
    if (!table.vocab) continue;
    names.push_back("vocab." + table.name);
    memory->bytes.push_back(table.vocab->bytes());
    memory->offsets.push_back(table.vocab->offsets());
  }
  const auto size = [](const auto& list) { return std::vector<int64_t>{static_cast<int64_t>(list.size())}; };
  for (size_t i = 0; i < names.size(); ++i) {
    tensors.push_back({names[i] + ".bytes", DType::u8, size(memory->bytes[i]), memory->bytes[i].data()});
    tensors.push_back({names[i] + ".offsets", DType::i64, size(memory->offsets[i]), memory->offsets[i].data()});
  }
  return memory;
}

void read_vocabularies(FeatureTransforms& transforms, const FindTensor& find, const std::string& file) {
  for (TableTransform& table : transforms.tables) {
    if (table.ids != IdKind::vocab) continue;
    const TensorSource bytes = need(find, "vocab." + table.name + ".bytes", DType::u8, file);
    const TensorSource offsets = need(find, "vocab." + table.name + ".offsets", DType::i64, file);
    const auto* first = static_cast<const int64_t*>(offsets.data);
    table.vocab = std::make_shared<Vocabulary>(
        std::string_view(static_cast<const char*>(bytes.data), static_cast<size_t>(bytes.shape[0])),
        std::vector<int64_t>(first, first + offsets.shape[0]));
    if (table.rows != table.vocab->rows())
      throw FileError(file + ": table '" + table.name + "' has " + std::to_string(table.rows) +
                      " rows, its vocabulary " + std::to_string(table.vocab->rows()));
  }
}

}  // namespace mtrank
