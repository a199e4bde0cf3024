#include "framework/serving/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "framework/core/error.h"

namespace mtrank {
namespace {

using nlohmann::json;

constexpr std::pair<DType, std::string_view> dtypes[] = {{DType::f32, "F32"},   {DType::f64, "F64"},
                                                         {DType::bf16, "BF16"}, {DType::i32, "I32"},
                                                         {DType::i64, "I64"},   {DType::u8, "U8"}};
constexpr size_t max_dimensions = 8;

/// Takes the header event by event, so that nothing is built that the format has no place for: depth 1 is the names,
/// depth 2 an entry or the metadata, depth 3 a list of numbers.
class HeaderEvents : public nlohmann::json_sax<json> {
 public:
  explicit HeaderEvents(const std::string& path) : path_(path) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ != 3) return unexpected("a number");
    if (value > uint64_t{1} << 62) refuse("the number " + std::to_string(value) + " is too large");
    if (numbers_.size() >= max_dimensions) refuse("has more than " + std::to_string(max_dimensions) + " numbers");
    numbers_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      header_.metadata.emplace(key_, std::move(value));
      return true;
    }
    if (depth_ != 2 || key_ != "dtype") return unexpected("a string");
    const auto* found = std::find_if(std::begin(dtypes), std::end(dtypes), [&](auto& d) { return d.second == value; });
    if (found == std::end(dtypes)) refuse("the type '" + value.substr(0, 16) + "' is not one that mtrank reads");
    dtype_ = found->first;
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ >= 2) return unexpected("an object");
    if (++depth_ == 2) {
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
      keys_.clear();
      key_.clear();
    }
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      name_ = std::move(name);
      key_.clear();
      in_metadata_ = name_ == "__metadata__";
      if (!names_.insert(name_).second) refuse("stands there twice");
      return true;
    }
    key_ = std::move(name);
    if (!in_metadata_ && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") refuse("is not known");
    if (!keys_.insert(key_).second) refuse("stands there twice");
    return true;
  }

  bool end_object() override {
    if (depth_-- == 2 && !in_metadata_) finish_tensor();
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || key_ == "dtype") return unexpected("a list");
    depth_ = 3;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    depth_ = 2;
    (key_ == "shape" ? shape_ : offsets_) = numbers_;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw FileError(path_ + ": the header is not valid JSON at its byte " + std::to_string(position));
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw FileError(path_ + ": header field '" + name_.substr(0, 200) +
                    (key_.empty() ? "" : "." + key_.substr(0, 200)) + "': " + problem);
  }

  bool unexpected(const char* what) const {
    if (depth_ == 0) throw FileError(path_ + ": the header is " + what + ", not an object");
    refuse(std::string("found ") + what);
  }

  void finish_tensor() {
    key_.clear();
    if (!dtype_ || !shape_ || !offsets_) refuse("dtype, shape or data_offsets is missing");
    key_ = "data_offsets";
    if (offsets_->size() != 2 || (*offsets_)[0] > (*offsets_)[1]) refuse("expected a start and an end");
    TensorEntry entry{name_, *dtype_, *shape_, static_cast<uint64_t>((*offsets_)[0]),
                      static_cast<uint64_t>((*offsets_)[1])};
    uint64_t bytes = dtype_size(*dtype_);
    for (const int64_t extent : *shape_) {
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) bytes = ~uint64_t{0};
    }
    if (bytes != entry.bytes()) {
      refuse("has " + std::to_string(entry.bytes()) + " bytes, but shape " + shape_text(*shape_) + " of " +
             std::string(dtype_name(*dtype_)) + " takes " + std::to_string(bytes));
    }
    header_.tensors.push_back(std::move(entry));
  }

  const std::string& path_;
  SafetensorsHeader header_;
  int depth_ = 0;
  bool in_metadata_ = false;
  std::string name_, key_;
  std::set<std::string> names_, keys_;
  std::vector<int64_t> numbers_;
  std::optional<DType> dtype_;
  std::optional<std::vector<int64_t>> shape_, offsets_;
};

void check_layout(const std::string& path, std::vector<TensorEntry>& tensors, uint64_t data_size) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t at = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.begin != at) {
      throw FileError(path + ": header field '" + tensor.name + ".data_offsets': starts at byte " +
                      std::to_string(tensor.begin) + ", but the tensors before it end at " + std::to_string(at));
    }
    at = tensor.end;
  }
  if (at == data_size) return;
  throw FileError(path + (at > data_size ? " is cut short: " : " has bytes that belong to nothing: ") +
                  "the header promises " + std::to_string(at) + " bytes of tensors, the file has " +
                  std::to_string(data_size));
}

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  for (const auto& [known, name] : dtypes) {
    if (known == dtype) return name;
  }
  MTRANK_ASSERT(false);
  return {};
}

SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text, uint64_t data_size) {
  HeaderEvents events(path);
  json::sax_parse(text.begin(), text.end(), &events);
  SafetensorsHeader header = events.take();
  check_layout(path, header.tensors, data_size);
  return header;
}

}  // namespace mtrank
