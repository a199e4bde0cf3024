#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mtrank {

enum class DType : uint8_t { f32, f64, bf16, i32, i64, u8 };

constexpr size_t dtype_size(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}
constexpr std::string_view dtype_name(DType t) {
  constexpr std::string_view names[] = {"f32", "f64", "bf16", "i32", "i64", "u8"};
  return names[static_cast<int>(t)];
}

/// The ids of one feature for a run of consecutive rows.
/// One id a row when `offsets` is null, else row r owns ids [offsets[r], offsets[r + 1]).
/// An id is a row of the feature's table, or -1 for one that is dropped.
struct IdsView {
  const int32_t* ids = nullptr;
  const int32_t* offsets = nullptr;
  const float* weights = nullptr;  ///< one a id, or null
};

/// A 2-D piece of memory: `rows` x `cols`, row r starts at r * ld elements. What an op's kernel sees.
struct View {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t ld = 0;
  const void* packed = nullptr;  ///< the same weights, packed for the matrix kernel, where the plan packed them

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  T* row(int64_t r) const {
    return static_cast<T*>(data) + r * ld;
  }
};

}  // namespace mtrank
