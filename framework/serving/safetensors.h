#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/core/fs.h"
#include "framework/core/tensor.h"

/// The safetensors file format: 8 bytes length, a JSON header, the tensors' bytes. Everything is little-endian.
/// What is written here also keeps every tensor's start at a multiple of 64 bytes: the header is padded with spaces,
/// and a gap is a U8 tensor named `_pad.N`, because the format allows neither holes nor trailing bytes.
namespace mtrank {

/// A tensor to be written. It stays where it is and is never copied as a whole.
struct TensorSource {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  /// Elements from one index of the first dimension to the next, where that is not the size of the other dimensions:
  /// padded rows, or rows with the optimiser's state beside them. 0 = dense.
  int64_t stride = 0;
};

/// A tensor in a file.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< from the end of the header
  uint64_t end = 0;

  uint64_t bytes() const { return end - begin; }
  int64_t elements() const { return static_cast<int64_t>(bytes() / dtype_size(dtype)); }
};

/// `[3, 4]`
std::string shape_text(const std::vector<int64_t>& shape);

using ByteSink = std::function<void(const void* data, size_t size)>;
/// Names and values, in the order they are written.
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// The first bytes of the file, up to the first tensor. Equal input gives equal bytes.
/// Names must be unique and not start with `_`; texts must be UTF-8.
std::string safetensors_header(const std::vector<TensorSource>& tensors, const Metadata& metadata);
/// Hands over the rest of the file in order, in pieces of at most a few MiB.
void write_tensors(const std::vector<TensorSource>& tensors, const ByteSink& sink);
/// The bytes of one tensor, dense, in pieces of at most a few MiB.
void write_tensor(const TensorSource& tensor, const ByteSink& sink);
/// How many bytes the tensors take, with their padding and without the header.
uint64_t tensors_size(const std::vector<TensorSource>& tensors);

/// A file open for reading. The constructor checks every field of the header against the others and against the size of
/// the file before anything is allocated for it, and throws FileError naming the file and the field. Tensors' bytes are
/// read when asked for. Reading is thread-safe.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// In the order of the file, without padding.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// The `_pad.N` tensors.
  const std::vector<TensorEntry>& padding() const { return padding_; }
  /// Null when there is none.
  const TensorEntry* find(std::string_view name) const;
  /// Throws FileError naming what is missing or differs. An extent of -1 in `shape` fits any.
  const TensorEntry& require(std::string_view name, DType dtype, const std::vector<int64_t>& shape) const;
  /// `stride` as in TensorSource; the bytes in between are left alone.
  void read(const TensorEntry& tensor, void* to, int64_t stride = 0) const;
  /// The header's JSON, as it stands in the file.
  const std::string& header() const { return header_; }

  [[noreturn]] void refuse(const std::string& problem) const;

 private:
  disk::Input file_;
  std::string header_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorEntry> tensors_, padding_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

/// By content: does the file begin as a safetensors file does? False as well for what cannot be read.
bool is_safetensors(const std::string& path);

}  // namespace mtrank
