#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace mtrank {

/// Zeroed floats in one allocation of their own, page-aligned, large ones on huge pages where the system has them:
/// rows are read at random. A page takes memory when it is first written.
class FloatBuffer {
 public:
  FloatBuffer() = default;
  /// Throws ResourceError that names `what` and the size.
  FloatBuffer(int64_t n, std::string_view what);
  ~FloatBuffer();
  FloatBuffer(FloatBuffer&& other) noexcept { *this = std::move(other); }
  FloatBuffer& operator=(FloatBuffer&& other) noexcept;

  float* data() const { return static_cast<float*>(data_); }
  int64_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  int64_t size_ = 0;
};

}  // namespace mtrank
