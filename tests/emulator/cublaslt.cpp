#include <cublasLt.h>

#include <algorithm>

#include "tests/emulator/runtime_state.h"

struct cublasLtContext {};
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
namespace {

constexpr uint64_t kWorkspace = 4096;  // of a product; any of the library's kernels may want some
uint64_t product = 0;                  // number of the last one

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

/// Storage and size of an attribute; nullptr where it is not known.
struct Field {
  void* at;
  size_t bytes;
};
template <class T>
Field field(T& value) {
  return {&value, sizeof value};
}

Field field_of(Desc& d, cublasLtMatmulDescAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
      return field(d.compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
      return field(d.scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return field(d.pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return field(d.trans_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return field(d.trans_b);
    case CUBLASLT_MATMUL_DESC_TRANSC:
      return field(d.trans_c);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return field(d.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return field(d.bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
      return field(d.bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return field(d.bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return field(d.aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return field(d.aux_ld);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
      return field(d.aux_stride);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return field(d.aux_type);
  }
  return {nullptr, 0};
}

Field field_of(Layout& l, cublasLtMatrixLayoutAttribute_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return field(l.type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return field(l.order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return field(l.rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return field(l.cols);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return field(l.ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return field(l.batches);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return field(l.stride);
  }
  return {nullptr, 0};
}

Field field_of(Preference& p, cublasLtMatmulPreferenceAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
      return field(p.search);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return field(p.workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return field(p.reduction);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return field(p.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]);
  }
  return {nullptr, 0};
}

cublasStatus_t set(Field f, const void* value, size_t bytes) {
  if (f.at == nullptr || value == nullptr || bytes != f.bytes) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(f.at, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get(Field f, void* value, size_t bytes, size_t* written) {
  if (f.at == nullptr || (bytes == 0 && written == nullptr)) return CUBLAS_STATUS_INVALID_VALUE;
  if (written != nullptr) *written = f.bytes;
  if (bytes == 0) return CUBLAS_STATUS_SUCCESS;
  if (value == nullptr || bytes != f.bytes) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(value, f.at, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

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

size_t bytes_of(uint32_t type) { return type == CUDA_R_16BF ? 2 : 4; }

bool known_epilogue(uint32_t e) {
  for (uint32_t known :
       {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_AUX, CUBLASLT_EPILOGUE_BIAS,
        CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_DRELU,
        CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB})
    if (e == known) return true;
  return false;
}

bool layout_fits(const Layout& l) {
  constexpr uint64_t limit = 2147483647;
  return l.rows > 0 && l.cols > 0 && l.rows <= limit && l.cols <= limit && l.ld >= static_cast<int64_t>(l.rows) &&
         l.batches > 0;
}

/// Batches that are written must not lie over one another: they follow each other, or lie side by side in the columns.
bool outputs_apart(const Layout& l) {
  const auto rows = static_cast<int64_t>(l.rows);
  return l.batches == 1 || l.stride >= l.ld * static_cast<int64_t>(l.cols - 1) + rows ||
         (l.stride >= rows && (l.batches - 1) * l.stride + rows <= l.ld);
}

bool types_supported(const Problem& p) {
  if (p.desc.scale != CUDA_R_32F || p.a.type != p.b.type || p.c.type != p.d.type) return false;
  const bool f32 = p.a.type == CUDA_R_32F && p.d.type == CUDA_R_32F;
  const bool bf16 = p.a.type == CUDA_R_16BF && (p.d.type == CUDA_R_16BF || p.d.type == CUDA_R_32F);
  if (p.desc.compute == CUBLAS_COMPUTE_32F) return f32 || bf16;
  return p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && f32;
}

cublasStatus_t check(Problem& p) {
  if (!layout_fits(p.a) || !layout_fits(p.b) || !layout_fits(p.c) || !layout_fits(p.d))
    return CUBLAS_STATUS_INVALID_VALUE;
  p.m = p.desc.trans_a == CUBLAS_OP_N ? p.a.rows : p.a.cols;
  p.k = p.desc.trans_a == CUBLAS_OP_N ? p.a.cols : p.a.rows;
  p.n = p.desc.trans_b == CUBLAS_OP_N ? p.b.cols : p.b.rows;
  if ((p.desc.trans_b == CUBLAS_OP_N ? p.b.rows : p.b.cols) != p.k) return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* l : {&p.c, &p.d})
    if (l->rows != p.m || l->cols != p.n || !outputs_apart(*l)) return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* l : {&p.a, &p.b, &p.c})
    if (l->batches != p.d.batches) return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* l : {&p.a, &p.b, &p.c, &p.d})
    if (l->order != CUBLASLT_ORDER_COL) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Desc& d = p.desc;
  if (!types_supported(p) || d.trans_c != CUBLAS_OP_N || d.pointer_mode != CUBLASLT_POINTER_MODE_HOST ||
      !known_epilogue(d.epilogue))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  // A bias, and a bias gradient, has the type of the output.
  if (p.bias_pointer() && d.bias_type != -1 && d.bias_type != static_cast<int32_t>(p.d.type))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  // Nor may the bits of batches lie among each other, as those of side by side batches would.
  const bool bits_apart = p.d.batches == 1 || d.aux_stride >= static_cast<int64_t>(p.n) * d.aux_ld;
  if (p.aux() && (d.aux_ld % 128 != 0 || d.aux_ld < static_cast<int64_t>(p.m) || d.aux_stride % 128 != 0 ||
                  !bits_apart || reinterpret_cast<uintptr_t>(d.aux) % 16 != 0))
    return CUBLAS_STATUS_INVALID_VALUE;
  return CUBLAS_STATUS_SUCCESS;
}

float read(const void* at, uint64_t i, uint32_t type) {
  if (type == CUDA_R_32F) return static_cast<const float*>(at)[i];
  return __uint_as_float(uint32_t{static_cast<const uint16_t*>(at)[i]} << 16);
}

void write(void* at, uint64_t i, uint32_t type, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(at)[i] = value;
    return;
  }
  const uint32_t bits = __float_as_uint(value);  // to nearest, ties to even
  const uint32_t rounded = value != value ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
  static_cast<uint16_t*>(at)[i] = static_cast<uint16_t>(rounded >> 16);
}

float to_tf32(float value) {
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7f800000) == 0x7f800000) return value;
  return __uint_as_float((bits + 0xfff + (bits >> 13 & 1)) & ~uint32_t{0x1fff});
}

/// op(X) of one batch as floats, column by column.
std::vector<float> unpack(const void* at, const Layout& l, uint64_t batch, bool transposed, bool tf32) {
  const uint64_t rows = transposed ? l.cols : l.rows, cols = transposed ? l.rows : l.cols;
  const uint64_t ld = static_cast<uint64_t>(l.ld), start = batch * static_cast<uint64_t>(l.stride);
  std::vector<float> out(rows * cols);
  for (uint64_t j = 0; j < cols; ++j)
    for (uint64_t i = 0; i < rows; ++i) {
      const float value = read(at, start + (transposed ? i * ld + j : j * ld + i), l.type);
      out[j * rows + i] = tf32 ? to_tf32(value) : value;
    }
  return out;
}

bool aux_bit(const Problem& p, uint64_t batch, uint64_t i, uint64_t j) {
  const uint64_t bit = batch * static_cast<uint64_t>(p.desc.aux_stride) + j * static_cast<uint64_t>(p.desc.aux_ld) + i;
  return (static_cast<const uint8_t*>(p.desc.aux)[bit / 8] >> bit % 8 & 1) != 0;
}

void set_aux_bit(const Problem& p, uint64_t batch, uint64_t i, uint64_t j, bool value) {
  const uint64_t bit = batch * static_cast<uint64_t>(p.desc.aux_stride) + j * static_cast<uint64_t>(p.desc.aux_ld) + i;
  uint8_t& byte = static_cast<uint8_t*>(p.desc.aux)[bit / 8];
  byte = static_cast<uint8_t>((byte & ~(1 << bit % 8)) | value << bit % 8);
}

void require_matrix(const void* at, const Layout& l, const char* name) {
  const int64_t elements =
      (l.batches - 1) * l.stride + static_cast<int64_t>(l.cols - 1) * l.ld + static_cast<int64_t>(l.rows);
  require_device(at, static_cast<size_t>(elements) * bytes_of(l.type), std::string("cublasLtMatmul, ") + name);
}

void require_memory(const Problem& p, const void* a, const void* b, const void* c, const void* d, float beta) {
  require_matrix(a, p.a, "A");
  require_matrix(b, p.b, "B");
  if (beta != 0) require_matrix(c, p.c, "C");
  require_matrix(d, p.d, "D");
  const int64_t last = p.d.batches - 1;
  if (p.bias_pointer())
    require_device(p.desc.bias,
                   (static_cast<uint64_t>(last * p.desc.bias_stride) + p.bias_length()) * bytes_of(p.d.type),
                   "cublasLtMatmul, the bias");
  if (p.aux()) {
    const int64_t row = (static_cast<int64_t>(p.m) + 127) / 128 * 128;  // whole units of 128 bits
    const int64_t bits = last * p.desc.aux_stride + static_cast<int64_t>(p.n - 1) * p.desc.aux_ld + row;
    require_device(p.desc.aux, static_cast<size_t>(bits) / 8, "cublasLtMatmul, the epilogue's auxiliary buffer");
  }
}

/// What the epilogue makes of one element of the product; `gradient` sums for the bias.
float epilogue(const Problem& p, uint64_t batch, uint64_t i, uint64_t j, float x, std::vector<float>& gradient) {
  if (p.adds_bias()) x += read(p.desc.bias, batch * static_cast<uint64_t>(p.desc.bias_stride) + i, p.d.type);
  if (p.relu()) {
    if (p.aux()) set_aux_bit(p, batch, i, j, x > 0);
    x = x > 0 ? x : 0;  // the library's makes 0 of a NaN
  }
  if (p.relu_gradient() && !aux_bit(p, batch, i, j)) x = 0;
  if (p.bias_gradient()) gradient[i] += x;
  return x;
}

void multiply(const Problem& p, const void* a, const void* b, const void* c, void* d, float alpha, float beta) {
  const bool tf32 = p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  std::vector<float> sum(p.m);
  for (uint64_t batch = 0; batch < static_cast<uint64_t>(p.d.batches); ++batch) {
    const std::vector<float> left = unpack(a, p.a, batch, p.desc.trans_a != CUBLAS_OP_N, tf32);   // m x k
    const std::vector<float> right = unpack(b, p.b, batch, p.desc.trans_b != CUBLAS_OP_N, tf32);  // k x n
    std::vector<float> gradient(p.bias_length(), 0.0f);
    const uint64_t c_start = batch * static_cast<uint64_t>(p.c.stride),
                   d_start = batch * static_cast<uint64_t>(p.d.stride);
    for (uint64_t j = 0; j < p.n; ++j) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (uint64_t q = 0; q < p.k; ++q)
        for (uint64_t i = 0; i < p.m; ++i) sum[i] += left[q * p.m + i] * right[j * p.k + q];
      for (uint64_t i = 0; i < p.m; ++i) {
        float x = alpha * sum[i];
        if (beta != 0) x += beta * read(c, c_start + j * static_cast<uint64_t>(p.c.ld) + i, p.c.type);
        write(d, d_start + j * static_cast<uint64_t>(p.d.ld) + i, p.d.type, epilogue(p, batch, i, j, x, gradient));
      }
    }
    for (uint64_t q = 0; q < p.k && p.desc.epilogue == CUBLASLT_EPILOGUE_BGRADA; ++q)
      for (uint64_t i = 0; i < p.m; ++i) gradient[i] += left[q * p.m + i];
    for (uint64_t j = 0; j < p.n && p.desc.epilogue == CUBLASLT_EPILOGUE_BGRADB; ++j)
      for (uint64_t q = 0; q < p.k; ++q) gradient[j] += right[j * p.k + q];
    if (p.bias_pointer() && !p.adds_bias())
      for (uint64_t i = 0; i < gradient.size(); ++i)
        write(p.desc.bias, batch * static_cast<uint64_t>(p.desc.bias_stride) + i, p.d.type, gradient[i]);
  }
}

bool has(const std::vector<uint32_t>& epilogues, uint32_t epilogue) {
  return std::find(epilogues.begin(), epilogues.end(), epilogue) != epilogues.end();
}

bool aligned(const void* at, uint32_t bytes) { return reinterpret_cast<uintptr_t>(at) % bytes == 0; }

}  // namespace
}  // namespace mtrank::emulator

using namespace mtrank::emulator;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (device_error() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (refuse_in_capture() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion() { return CUBLAS_VER_MAJOR * 10000 + CUBLAS_VER_MINOR * 100 + CUBLAS_VER_PATCH; }
size_t cublasLtGetCudartVersion() { return CUDART_VERSION; }

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown cuBLAS status";
}

const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  *desc = new Desc;
  (*desc)->compute = compute;
  (*desc)->scale = scale;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  return set(field_of(*desc, attribute), value, bytes);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              void* value, size_t bytes, size_t* written) {
  return get(field_of(*desc, attribute), value, bytes, written);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  *layout = new Layout;
  (*layout)->type = type;
  (*layout)->rows = rows;
  (*layout)->cols = cols;
  (*layout)->ld = ld;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return set(field_of(*layout, attribute), value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, void* value, size_t bytes,
                                                size_t* written) {
  return get(field_of(*layout, attribute), value, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new Preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  return set(field_of(*preference, attribute), value, bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  *returned = 0;
  if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  // The library of CUDA 13.3 looks at the context here, which a capture forbids.
  if (refuse_in_capture() != cudaSuccess) return CUBLAS_STATUS_INTERNAL_ERROR;
  Problem p{*desc, *a, *b, *c, *d};
  if (const cublasStatus_t status = check(p)) return status;
  if (has(settings().refused, desc->epilogue)) return CUBLAS_STATUS_NOT_SUPPORTED;
  Algo algo;
  algo.id = has(settings().other_kernel, desc->epilogue) ? 21 : desc->compute == CUBLAS_COMPUTE_32F ? 66 : 67;
  std::copy_n(preference->alignment, 4, algo.alignment);
  algo.workspace = std::min<uint64_t>(preference->workspace, kWorkspace);
  // Whoever does not forbid it gets sums in any order.
  const uint32_t inplace = preference->reduction & CUBLASLT_REDUCTION_SCHEME_INPLACE;
  const uint32_t scheme = inplace != 0 ? inplace : preference->reduction & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  if (scheme != CUBLASLT_REDUCTION_SCHEME_NONE && p.k >= 1024 && preference->workspace >= 4096) {
    algo.split_k = 4;
    algo.reduction = scheme;
    algo.workspace = std::min<uint64_t>(preference->workspace, 16 * kWorkspace);
  }
  results[0] = {};
  std::memcpy(&results[0].algo, &algo, sizeof algo);
  results[0].workspaceSize = algo.workspace;
  results[0].wavesCount = 1;
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    size_t bytes, size_t* written) {
  Algo known;
  std::memcpy(static_cast<void*>(&known), algo, sizeof known);
  uint32_t none = 0;
  uint16_t short_none = 0;
  switch (attribute) {
    case CUBLASLT_ALGO_CONFIG_ID:
      return get(field(known.id), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_TILE_ID:
      return get(field(known.tile), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
      return get(field(known.split_k), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
      return get(field(known.reduction), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_STAGES_ID:
      return get(field(known.stages), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
    case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
      return get(field(none), value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
    case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
      return get(field(short_none), value, bytes, written);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const auto lock = api_lock();
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  Problem p{*desc, *a_layout, *b_layout, *c_layout, *d_layout};
  if (const cublasStatus_t status = check(p)) return status;
  if (has(settings().fails, desc->epilogue)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const float scale = *static_cast<const float*>(alpha), old = *static_cast<const float*>(beta);
  if (p.bias_pointer() && p.desc.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (p.aux() && p.desc.aux == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (a == nullptr || b == nullptr || d == nullptr || (old != 0 && c == nullptr)) return CUBLAS_STATUS_INVALID_VALUE;
  if (c == d && (p.c.ld != p.d.ld || p.c.stride != p.d.stride)) return CUBLAS_STATUS_INVALID_VALUE;
  Algo chosen;
  if (algo != nullptr) std::memcpy(static_cast<void*>(&chosen), algo, sizeof chosen);
  if (workspace_bytes < chosen.workspace || !aligned(workspace, 256)) return CUBLAS_STATUS_INVALID_VALUE;
  const void* matrices[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    if (!aligned(matrices[i], algo != nullptr ? chosen.alignment[i] : 2)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const uint64_t scratch = chosen.workspace;
  cudaError_t e = cudaSuccess;
  // Two kernels, so that a product beside it that has the same workspace comes between them.
  if (scratch >= sizeof product)
    e = enqueue(stream, "cublasLtMatmul", [=, number = ++product] {
      require_device(workspace, scratch, "cublasLtMatmul, the workspace");
      std::memset(workspace, settings().poison, scratch);
      std::memcpy(workspace, &number, sizeof number);
    });
  if (e == cudaSuccess)
    e = enqueue(stream, "cublasLtMatmul", [=, number = product] {
      require_memory(p, a, b, c, d, old);
      if (scratch >= sizeof number && std::memcmp(workspace, &number, sizeof number) != 0)
        refuse("cublasLtMatmul: its workspace was written to while it ran");
      multiply(p, a, b, c, d, scale, old);
    });
  return e == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
