#include "tests/support/golden.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "framework/serving/safetensors.h"

namespace mtrank::testing {
namespace {

template <class T>
std::vector<double> values_as(const SafetensorsReader& reader, const TensorEntry& entry) {
  std::vector<T> raw(entry.elements());
  reader.read(entry, raw.data());
  return {raw.begin(), raw.end()};
}

GoldenTensor read_tensor(const SafetensorsReader& reader, const TensorEntry& entry) {
  switch (entry.dtype) {
    case DType::f32:
      return {entry.shape, values_as<float>(reader, entry)};
    case DType::i32:
      return {entry.shape, values_as<int32_t>(reader, entry)};
    case DType::u8:
      return {entry.shape, values_as<uint8_t>(reader, entry)};
    default:
      throw std::runtime_error(entry.name + ": golden tensors are f32, i32 or u8");
  }
}

}  // namespace

const GoldenTensor& GoldenCase::at(const std::string& tensor) const {
  const auto it = tensors_.find(tensor);
  if (it == tensors_.end()) throw std::out_of_range("golden case " + name_ + " has no tensor " + tensor);
  return it->second;
}

std::map<std::string, GoldenTensor> GoldenCase::group(const std::string& prefix) const {
  std::map<std::string, GoldenTensor> out;
  for (const auto& [name, tensor] : tensors_)
    if (name.compare(0, prefix.size(), prefix) == 0) out[name.substr(prefix.size())] = tensor;
  return out;
}

std::string GoldenCase::text(const std::string& key, const std::string& otherwise) const {
  return nlohmann::json::parse(attributes_).value(key, otherwise);
}
double GoldenCase::number(const std::string& key, double otherwise) const {
  return nlohmann::json::parse(attributes_).value(key, otherwise);
}
bool GoldenCase::flag(const std::string& key) const { return nlohmann::json::parse(attributes_).value(key, false); }
std::vector<std::string> GoldenCase::list(const std::string& key) const {
  return nlohmann::json::parse(attributes_).at(key).get<std::vector<std::string>>();
}

std::map<std::string, std::string> GoldenCase::object(const std::string& key) const {
  return nlohmann::json::parse(attributes_).at(key).get<std::map<std::string, std::string>>();
}

std::vector<GoldenCase> golden_cases(const std::string& file) {
  const SafetensorsReader reader(file[0] == '/' ? file : MTRANK_SOURCE_DIR "/tests/golden/" + file + ".safetensors");
  std::vector<GoldenCase> cases;
  for (const auto& [name, attributes] : reader.metadata()) cases.emplace_back(name, attributes);
  for (const TensorEntry& entry : reader.tensors()) {
    const size_t slash = entry.name.find('/');
    for (GoldenCase& c : cases)
      if (entry.name.compare(0, slash, c.name()) == 0)
        c.tensors_[entry.name.substr(slash + 1)] = read_tensor(reader, entry);
  }
  return cases;
}

GoldenCase golden_case(const std::string& file, const std::string& name) {
  for (const GoldenCase& c : golden_cases(file))
    if (c.name() == name) return c;
  throw std::out_of_range(file + " has no case " + name);
}

double relative_difference(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

}  // namespace mtrank::testing
