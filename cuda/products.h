#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cuda/call.h"
#include "framework/embedding/accelerator.h"

namespace mtrank::cuda {

/// A row-major operand of a product, one a group: element (r, c) of group g is data[g * stride + r * ld + c].
struct Operand {
  void* data = nullptr;
  int64_t ld = 0;
  DType dtype = DType::f32;  ///< f32 or bf16
  int64_t stride = 0;
  bool transposed = false;  ///< stored as its transpose
};

/// What is fused into a product.
enum class Epilogue : uint8_t {
  none,
  bias,             ///< d += v, in every row
  relu,             ///< d = max(d, 0)
  bias_relu,        ///< both, the bias first
  bias_gradient,    ///< v = column sums of b
  relu_signs,       ///< relu, and signs = [d > 0]
  bias_relu_signs,  ///< bias_relu, and signs = [d > 0]
  relu_gradient,    ///< d = 0 where the sign is not set
};

/// D_g = A_g B_g or D_g += A_g B_g, g < groups.   A_g [m, k]; B_g [k, n]; D_g [m, n]
/// Sums in f32; A and B have the same type.
struct Product {
  int64_t m = 0, n = 0, k = 0, groups = 1;
  Operand a = {}, b = {}, d = {};
  bool accumulate = false;
  Epilogue epilogue = Epilogue::none;
  void* vector = nullptr;  ///< v [groups, n], in D's type
  /// A bit a number of D, that of (r, c) at r * signs_ld + c, a multiple of 128; from an address at a multiple of 256
  /// bytes on. Of one group alone: the library does not take bits of groups that lie side by side.
  void* signs = nullptr;
  int64_t signs_ld = 0;
};

/// Matrix products by cuBLASLt. The algorithm of a product is the library's first suggestion for its shape, never a
/// matter of timing, and never one that adds in an order that varies: the same bits on every run with the same library
/// on the same GPU.
///
/// Not every kernel of the library has every epilogue: in bf16 its fastest ones for sm_90 have none of the backward
/// pass, so that to fuse is to multiply with older ones. An epilogue that would change the kernel counts as refused.
class Products {
 public:
  explicit Products(BackwardEpilogues epilogues = BackwardEpilogues::same_kernel);
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products();

  /// Launches a product. False, and nothing is launched, where the library cannot fuse its epilogue. The first use of a
  /// shape makes its descriptors, which is not allowed while the stream is captured. Throws ResourceError naming the
  /// shape where the library cannot multiply at all.
  bool run(const Product& product, const Context& context);

  /// Whether the library can fuse a product's epilogue, as far as it says before it does so. As `run`, not the first
  /// time in a capture.
  bool offers(const Product& product, const Context& context);

  /// JSON list of the products that were run, or asked for: their shapes and the algorithms chosen.
  std::string describe() const;

 private:
  /// All that the library's choice depends on.
  struct Key {
    int64_t m, n, k, groups;
    struct Side {
      int64_t ld, stride;
      DType dtype;
      bool transposed;
      uint32_t alignment;
      auto operator<=>(const Side&) const = default;
    } a, b, d;
    bool accumulate, tf32;
    Epilogue epilogue;
    uint32_t vector_alignment;
    int64_t signs_ld;
    auto operator<=>(const Key&) const = default;
  };
  struct Chosen;
  struct Entry {
    std::unique_ptr<Chosen> chosen;
    std::string refused;  ///< why there is none
  };

  static Key key_of(const Product& product, bool tf32);
  /// The first use of a shape asks the library.
  Entry& entry_of(const Product& product, const Context& context);
  static std::string text(const Key& key);
  /// Without an epilogue, for groups that the library cannot do at once.
  bool run_each_group(const Product& product, const Context& context);
  Entry choose(const Key& key, void* vector, void* signs) const;
  bool launch(const Product& product, Chosen& chosen, const Context& context) const;

  const BackwardEpilogues epilogues_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, Entry> chosen_;
};

}  // namespace mtrank::cuda
