#include "framework/serving/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/core/error.h"
#include "framework/serving/safetensors_header.h"

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is written as memory is");

namespace mtrank {
namespace {

constexpr uint64_t alignment = 64;
constexpr size_t piece_bytes = size_t{4} << 20;

uint64_t gap_after(uint64_t bytes) { return (alignment - bytes % alignment) % alignment; }

uint64_t source_bytes(const TensorSource& tensor) {
  uint64_t bytes = dtype_size(tensor.dtype);
  for (const int64_t extent : tensor.shape) bytes *= static_cast<uint64_t>(extent);
  return bytes;
}

nlohmann::ordered_json entry_json(std::string_view dtype, const std::vector<int64_t>& shape, uint64_t begin,
                                  uint64_t end) {
  nlohmann::ordered_json entry;
  entry["dtype"] = dtype;
  entry["shape"] = shape;
  entry["data_offsets"] = {begin, end};
  return entry;
}

/// How a tensor's bytes lie in memory: `rows` runs of `row_bytes`, `step` bytes apart.
struct Rows {
  uint64_t rows, row_bytes, step;
};
Rows rows_of(const std::vector<int64_t>& shape, DType dtype, uint64_t bytes, int64_t stride) {
  if (bytes == 0) return {0, 0, 0};
  if (stride == 0 || shape.empty()) return {1, bytes, bytes};
  const uint64_t rows = static_cast<uint64_t>(shape[0]);
  const uint64_t step = static_cast<uint64_t>(stride) * dtype_size(dtype);
  MTRANK_ASSERT(step >= bytes / rows || rows == 1);
  return step == bytes / rows ? Rows{1, bytes, bytes} : Rows{rows, bytes / rows, step};
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string safetensors_header(const std::vector<TensorSource>& tensors, const Metadata& metadata) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) {
    auto& entries = header["__metadata__"];
    for (const auto& [name, text] : metadata) {
      MTRANK_ASSERT(!entries.contains(name));
      entries[name] = text;
    }
  }
  std::set<std::string_view> names;
  uint64_t at = 0;
  int pads = 0;
  std::string entries;  // ordered_json looks every key up from the front: quadratic in the number of tensors
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSource& tensor = tensors[i];
    MTRANK_ASSERT(!tensor.name.empty() && tensor.name[0] != '_' && names.insert(tensor.name).second);
    const uint64_t end = at + source_bytes(tensor);
    entries += "," + nlohmann::json(tensor.name).dump() + ":" +
               entry_json(safetensors_dtype(tensor.dtype), tensor.shape, at, end).dump();
    at = end;
    const uint64_t gap = i + 1 < tensors.size() ? gap_after(end) : 0;
    if (gap == 0) continue;
    entries += ",\"_pad." + std::to_string(pads++) +
               "\":" + entry_json("U8", {static_cast<int64_t>(gap)}, at, at + gap).dump();
    at += gap;
  }
  std::string text = header.is_null() ? "{" : header.dump();
  if (!header.is_null()) text.pop_back();
  text += header.is_null() && !entries.empty() ? entries.substr(1) : entries;
  text += "}";
  text.append(gap_after(8 + text.size()), ' ');
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + text;
}

void write_tensor(const TensorSource& tensor, const ByteSink& sink) {
  const auto [rows, row_bytes, step] = rows_of(tensor.shape, tensor.dtype, source_bytes(tensor), tensor.stride);
  const char* data = static_cast<const char*>(tensor.data);
  if (rows <= 1 || row_bytes >= piece_bytes) {
    for (uint64_t row = 0; row < rows; ++row) {
      for (uint64_t at = 0; at < row_bytes; at += piece_bytes) {
        sink(data + row * step + at, std::min<uint64_t>(piece_bytes, row_bytes - at));
      }
    }
    return;
  }
  std::vector<char> buffer(std::min<uint64_t>(rows, piece_bytes / row_bytes) * row_bytes);
  for (uint64_t row = 0; row < rows;) {
    size_t filled = 0;
    for (; row < rows && filled < buffer.size(); ++row, filled += row_bytes) {
      std::memcpy(buffer.data() + filled, data + row * step, row_bytes);
    }
    sink(buffer.data(), filled);
  }
}

void write_tensors(const std::vector<TensorSource>& tensors, const ByteSink& sink) {
  static constexpr char zeros[alignment] = {};
  for (size_t i = 0; i < tensors.size(); ++i) {
    write_tensor(tensors[i], sink);
    const uint64_t gap = i + 1 < tensors.size() ? gap_after(source_bytes(tensors[i])) : 0;
    if (gap > 0) sink(zeros, gap);
  }
}

uint64_t tensors_size(const std::vector<TensorSource>& tensors) {
  uint64_t size = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    size += source_bytes(tensors[i]);
    if (i + 1 < tensors.size()) size += gap_after(size);
  }
  return size;
}

SafetensorsReader::SafetensorsReader(const std::string& path) : file_(path) {
  uint64_t header_size = 0;
  if (file_.size() < 8)
    refuse("is not a safetensors file, such as a run's model.safetensors: it has only " + std::to_string(file_.size()) +
           " bytes");
  file_.read(0, &header_size, 8);
  if (header_size < 2 || header_size > max_safetensors_header) {
    refuse("is not a safetensors file, such as a run's model.safetensors: its header would have " +
           std::to_string(header_size) + " bytes");
  }
  if (header_size > file_.size() - 8) {
    refuse("is cut short: its header has " + std::to_string(header_size) + " bytes, the whole file " +
           std::to_string(file_.size()));
  }
  header_.resize(header_size);
  file_.read(8, header_.data(), header_size);
  SafetensorsHeader parsed = parse_safetensors_header(path, header_, file_.size() - 8 - header_size);
  metadata_ = std::move(parsed.metadata);
  for (TensorEntry& tensor : parsed.tensors) {
    (tensor.name.rfind("_pad.", 0) == 0 ? padding_ : tensors_).push_back(std::move(tensor));
  }
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

void SafetensorsReader::refuse(const std::string& problem) const { throw FileError(path() + " " + problem); }

const TensorEntry* SafetensorsReader::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const TensorEntry& SafetensorsReader::require(std::string_view name, DType dtype,
                                              const std::vector<int64_t>& shape) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr) refuse("has no tensor '" + std::string(name) + "'");
  const bool fits = std::equal(shape.begin(), shape.end(), entry->shape.begin(), entry->shape.end(),
                               [](int64_t wanted, int64_t found) { return wanted < 0 || wanted == found; });
  if (!fits || entry->dtype != dtype) {
    refuse("holds tensor '" + entry->name + "' as " + std::string(dtype_name(entry->dtype)) + " " +
           shape_text(entry->shape) + "; expected " + std::string(dtype_name(dtype)) + " " + shape_text(shape));
  }
  return *entry;
}

void SafetensorsReader::read(const TensorEntry& tensor, void* to, int64_t stride) const {
  const auto [rows, row_bytes, step] = rows_of(tensor.shape, tensor.dtype, tensor.bytes(), stride);
  const uint64_t start = 8 + header_.size() + tensor.begin;
  char* out = static_cast<char*>(to);
  if (rows <= 1) {
    if (rows == 1) file_.read(start, out, row_bytes);
    return;
  }
  const uint64_t at_once = std::max<uint64_t>(1, piece_bytes / row_bytes);
  std::vector<char> buffer(std::min(rows, at_once) * row_bytes);
  for (uint64_t row = 0; row < rows; row += at_once) {
    const uint64_t n = std::min(at_once, rows - row);
    file_.read(start + row * row_bytes, buffer.data(), n * row_bytes);
    for (uint64_t i = 0; i < n; ++i) std::memcpy(out + (row + i) * step, buffer.data() + i * row_bytes, row_bytes);
  }
}

bool is_safetensors(const std::string& path) {
  try {
    const disk::Input file(path);
    if (file.size() < 10) return false;
    uint64_t header_size = 0;
    char first = 0;
    file.read(0, &header_size, 8);
    file.read(8, &first, 1);
    return header_size >= 2 && header_size <= max_safetensors_header && first == '{';
  } catch (const Error&) {
    return false;
  }
}

}  // namespace mtrank
