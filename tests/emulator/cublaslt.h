#pragma once

#include <cublasLt.h>

/// What the parts of the emulated library share: cublaslt_arguments.cpp (descriptions and their attributes),
/// cublaslt_product.cpp (what a product is, and its numbers), cublaslt.cpp (the choice of an algorithm, and the call).
struct cublasLtMatmulDescOpaque_t {
  int32_t compute = CUBLAS_COMPUTE_32F, scale = CUDA_R_32F, pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int32_t trans_a = CUBLAS_OP_N, trans_b = CUBLAS_OP_N, trans_c = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  int64_t bias_stride = 0;
  int32_t bias_type = -1;
  void* aux = nullptr;
  int64_t aux_ld = 0, aux_stride = 0;
  int32_t aux_type = -1;
};
struct cublasLtMatrixLayoutOpaque_t {
  uint32_t type = CUDA_R_32F;
  int32_t order = CUBLASLT_ORDER_COL;
  uint64_t rows = 0, cols = 0;
  int64_t ld = 0;
  int32_t batches = 1;
  int64_t stride = 0;
};
struct cublasLtMatmulPreferenceOpaque_t {
  uint32_t search = 0, reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint64_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  ///< of A, B, C, D
};

namespace mtrank::emulator {

using Desc = cublasLtMatmulDescOpaque_t;
using Layout = cublasLtMatrixLayoutOpaque_t;
using Preference = cublasLtMatmulPreferenceOpaque_t;

/// What the heuristic chose, in the bytes of cublasLtMatmulAlgo_t.
struct Algo {
  int32_t id = 0, split_k = 1;
  uint32_t reduction = 0, tile = 20, stages = 15;
  uint32_t alignment[4] = {16, 16, 16, 16};
  uint64_t workspace = 0;
};
static_assert(sizeof(Algo) <= sizeof(cublasLtMatmulAlgo_t));

/// A problem, checked, by value.
struct Problem {
  Desc desc;
  Layout a, b, c, d;
  uint64_t m = 0, n = 0, k = 0;

  bool has(uint32_t epilogue_bit) const { return (desc.epilogue & epilogue_bit) != 0; }
  bool adds_bias() const { return has(CUBLASLT_EPILOGUE_BIAS); }
  bool relu() const { return has(CUBLASLT_EPILOGUE_RELU); }
  bool relu_gradient() const { return has(8); }
  bool bias_gradient() const { return has(16); }
  bool aux() const { return has(128); }
  bool bias_pointer() const {
    return has(CUBLASLT_EPILOGUE_BIAS | 16 | CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB);
  }
  uint64_t bias_length() const { return desc.epilogue == CUBLASLT_EPILOGUE_BGRADB ? n : m; }
};

/// Sets m, n and k. What the library says of a problem.
cublasStatus_t check(Problem& p);
/// Refuses memory that is not the device's, or too little.
void require_memory(const Problem& p, const void* a, const void* b, const void* c, const void* d, float beta);
void multiply(const Problem& p, const void* a, const void* b, const void* c, void* d, float alpha, float beta);

}  // namespace mtrank::emulator
