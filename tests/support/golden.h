#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mtrank::testing {

struct GoldenTensor {
  std::vector<int64_t> shape;
  std::vector<double> values;  ///< row-major; what the file holds as f32, i32 or u8

  std::vector<float> f32() const { return {values.begin(), values.end()}; }
  std::vector<int32_t> i32() const { return {values.begin(), values.end()}; }
};

/// One case of a file in tests/golden: named tensors and attributes. tests/golden/README.md says what they mean.
class GoldenCase {
 public:
  GoldenCase(std::string name, std::string attributes) : name_(std::move(name)), attributes_(std::move(attributes)) {}

  const std::string& name() const { return name_; }
  const std::map<std::string, GoldenTensor>& tensors() const { return tensors_; }
  bool has(const std::string& tensor) const { return tensors_.count(tensor) != 0; }
  /// Throws std::out_of_range naming case and tensor.
  const GoldenTensor& at(const std::string& tensor) const;
  /// Tensors whose name begins with `prefix`, which is cut off: `group("weight.")`.
  std::map<std::string, GoldenTensor> group(const std::string& prefix) const;

  std::string text(const std::string& key, const std::string& otherwise = "") const;
  double number(const std::string& key, double otherwise = 0) const;
  bool flag(const std::string& key) const;
  std::vector<std::string> list(const std::string& key) const;
  std::map<std::string, std::string> object(const std::string& key) const;
  const std::string& attributes() const { return attributes_; }  ///< JSON

 private:
  friend std::vector<GoldenCase> golden_cases(const std::string& file);
  std::string name_;
  std::string attributes_;
  std::map<std::string, GoldenTensor> tensors_;
};

/// Every case of tests/golden/<file>.safetensors, or of a file given by its whole path, by name.
std::vector<GoldenCase> golden_cases(const std::string& file);
/// One of them.
GoldenCase golden_case(const std::string& file, const std::string& name);

/// ||got - want|| / ||want||, or ||got|| where want is all zeros. Infinite when the lengths differ.
double relative_difference(const std::vector<double>& got, const std::vector<double>& want);

}  // namespace mtrank::testing
