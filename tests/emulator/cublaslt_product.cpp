#include <algorithm>
#include <string>
#include <vector>

#include "tests/emulator/cublaslt.h"
#include "tests/emulator/runtime_state.h"

namespace mtrank::emulator {
namespace {

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

}  // namespace

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

}  // namespace mtrank::emulator
