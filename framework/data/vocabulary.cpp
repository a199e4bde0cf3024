#include "framework/data/vocabulary.h"

#include "framework/core/error.h"

namespace mtrank {

Vocabulary::Vocabulary(const std::vector<std::string_view>& values) {
  size_t bytes = 0;
  for (const auto value : values) bytes += value.size();
  map_.reserve(values.size(), bytes);
  for (const auto value : values) add_ascending(value);
}

Vocabulary::Vocabulary(std::string_view bytes, const std::vector<int64_t>& offsets) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != size)
    throw FileError("vocabulary: the offsets do not span its " + std::to_string(size) + " bytes");
  map_.reserve(offsets.size() - 1, bytes.size());
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    if (offsets[i + 1] < offsets[i] || offsets[i + 1] > size)
      throw FileError("vocabulary: offset " + std::to_string(i + 1) + " is out of order");
    add_ascending(bytes.substr(static_cast<size_t>(offsets[i]), static_cast<size_t>(offsets[i + 1] - offsets[i])));
  }
}

void Vocabulary::add_ascending(std::string_view value) {
  if (rows() > 1 && !(this->value(rows() - 1) < value))
    throw FileError("vocabulary: value " + std::to_string(rows()) + " is out of order");
  std::string padded(value);
  padded.append(kValuePadding, '\0');
  map_.insert({padded.data(), value.size()});
}

std::string Vocabulary::bytes() const {
  std::string all;
  all.reserve(map_.value_bytes());
  for (int64_t r = 1; r < rows(); ++r) all += value(r);
  return all;
}

std::vector<int64_t> Vocabulary::offsets() const {
  std::vector<int64_t> offsets;
  offsets.reserve(static_cast<size_t>(rows()));
  offsets.push_back(0);
  for (int64_t r = 1; r < rows(); ++r) offsets.push_back(offsets.back() + static_cast<int64_t>(value(r).size()));
  return offsets;
}

}  // namespace mtrank
