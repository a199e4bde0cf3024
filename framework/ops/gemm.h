#pragma once

#include <cstddef>
#include <cstdint>

/// Matrix products of the CPU. Row-major float32, leading dimensions in elements, any sizes (0 and 1 too), no alignment
/// asked of A and C. Every output is one chain of fused multiply-adds, in ascending order of the summed index, that
/// starts from +0. So its bits depend on its row of A and its column of B alone: not on M, nor on how rows or columns
/// are split over calls and threads, nor on the instruction set. A call runs on the calling thread.
namespace mtrank::gemm {

/// B is packed into panels of this many columns: panel p holds, for ascending k, B[k][32 p .. 32 p + 31], zero beyond
/// N.
constexpr int64_t panel_columns = 32;
constexpr int64_t panels(int64_t n) { return (n + panel_columns - 1) / panel_columns; }
/// Floats of a packed B [K, N]. Align the memory to 64 bytes for speed. The layout is the same for every
/// instruction set.
constexpr size_t packed_floats(int64_t k, int64_t n) { return static_cast<size_t>(panels(n) * panel_columns * k); }

/// Packs panels [first, last) of B = W, where w is [K, N] with leading dimension ld.
/// Different panels may be packed by different threads.
void pack(int64_t k, int64_t n, const float* w, int64_t ld, float* packed, int64_t first, int64_t last);
/// Packs panels [first, last) of B = Wᵀ [K, N], where w is [N, K] with leading dimension ld: for dX = dY Wᵀ.
void pack_transposed(int64_t k, int64_t n, const float* w, int64_t ld, float* packed, int64_t first, int64_t last);
/// All panels.
inline void pack(int64_t k, int64_t n, const float* w, int64_t ld, float* packed) {
  pack(k, n, w, ld, packed, 0, panels(n));
}
inline void pack_transposed(int64_t k, int64_t n, const float* w, int64_t ld, float* packed) {
  pack_transposed(k, n, w, ld, packed, 0, panels(n));
}

/// What happens to a finished chain: v = chain; v = v + bias; v = C + v; v = max(v, 0); C = v; then `after`.
struct Epilogue {
  const float* bias = nullptr;  ///< [N], or null
  bool accumulate = false;      ///< add to what C holds; otherwise C is only written
  bool relu = false;            ///< a NaN stays one
  /// Called when C[row .. row + rows)[column .. column + columns) is stored and still in cache: the place for other
  /// activations, for a second output or for a saved copy. Every element is handed over once.
  void (*after)(void* context, int64_t row, int64_t rows, int64_t column, int64_t columns) = nullptr;
  void* context = nullptr;
};

/// C [M, N] = A [M, K] B, B [K, N] packed. Forward: B = W. Input gradient: A = dY, B = Wᵀ.
/// A and C must not overlap.
void multiply(int64_t m, int64_t k, int64_t n, const float* a, int64_t lda, const float* packed, float* c, int64_t ldc,
              const Epilogue& epilogue = {});

/// dW [K, N] = A [M, K]ᵀ dY [M, N], chains over ascending rows m; with `accumulate` the finished chain is added to
/// what dw holds.
void weight_gradient(int64_t m, int64_t k, int64_t n, const float* a, int64_t lda, const float* dy, int64_t lddy,
                     float* dw, int64_t lddw, bool accumulate);

/// db [N] = sums of the columns of dY [M, N], rows ascending from +0; with `accumulate` the finished sum is added.
void bias_gradient(int64_t m, int64_t n, const float* dy, int64_t lddy, float* db, bool accumulate);

/// Working memory that a thread keeps after such a call, in floats: an upper bound.
size_t multiply_floats(int64_t m, int64_t k, int64_t n);
size_t weight_gradient_floats(int64_t m, int64_t k, int64_t n);
/// What the calling thread holds now.
size_t thread_floats();

}  // namespace mtrank::gemm
