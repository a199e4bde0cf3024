#include "cuda/products.h"

#include <algorithm>
#include <sstream>
#include <type_traits>

#include "cuda/check.h"

namespace mtrank::cuda {
namespace {

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};
using Descriptor = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, Destroyer<cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, Destroyer<cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, Destroyer<cublasLtMatmulPreferenceDestroy>>;

cudaDataType_t type_of(DType dtype) {
  MTRANK_ASSERT(dtype == DType::f32 || dtype == DType::bf16);
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

cublasLtEpilogue_t library_epilogue(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none:
      break;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu:
      return CUBLASLT_EPILOGUE_RELU;
    case Epilogue::bias_relu:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::bias_gradient:
      return CUBLASLT_EPILOGUE_BGRADA;  // of the library's A, which is our B
    case Epilogue::relu_signs:
      return CUBLASLT_EPILOGUE_RELU_AUX;
    case Epilogue::bias_relu_signs:
      return CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
    case Epilogue::relu_gradient:
      return CUBLASLT_EPILOGUE_DRELU;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

const char* name_of(Epilogue epilogue) {
  const char* const names[] = {
      "none", "bias", "relu", "bias_relu", "bias_gradient", "relu_signs", "bias_relu_signs", "relu_gradient"};
  return names[static_cast<int>(epilogue)];
}

bool has_signs(Epilogue epilogue) { return epilogue >= Epilogue::relu_signs; }

/// Of the backward pass, or for it.
bool backward(Epilogue epilogue) { return epilogue == Epilogue::bias_gradient || has_signs(epilogue); }

/// What is left of an epilogue without what the backward pass needs.
Epilogue forward_part(Epilogue epilogue) {
  if (epilogue == Epilogue::relu_signs) return Epilogue::relu;
  if (epilogue == Epilogue::bias_relu_signs) return Epilogue::bias_relu;
  return backward(epilogue) ? Epilogue::none : epilogue;
}

bool has_vector(Epilogue epilogue) {
  return epilogue == Epilogue::bias || epilogue == Epilogue::bias_relu || epilogue == Epilogue::bias_gradient ||
         epilogue == Epilogue::bias_relu_signs;
}

/// The greatest power of 2 up to 256 that divides the address of every group. Rows are the layout's matter.
uint32_t alignment_of(const void* data, int64_t stride_bytes) {
  const auto bits = reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride_bytes) | 256u;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

template <class T>
void set(const Descriptor& descriptor, cublasLtMatmulDescAttributes_t attribute, T value) {
  MTRANK_CUDA(cublasLtMatmulDescSetAttribute(descriptor.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  MTRANK_CUDA(cublasLtMatrixLayoutSetAttribute(layout.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  MTRANK_CUDA(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}
template <class T>
T get(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
  T value{};
  size_t written = 0;
  MTRANK_CUDA(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written));
  return value;
}

int32_t algorithm_of(const cublasLtMatmulHeuristicResult_t& result) {
  return get<int32_t>(result.algo, CUBLASLT_ALGO_CONFIG_ID);
}

/// What the library says to a problem that it cannot do.
bool refuses(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
}

/// A row-major [rows, cols] matrix is a column-major [cols, rows] one in the same memory.
Layout layout_of(DType dtype, int64_t rows, int64_t cols, int64_t ld, int64_t groups, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  // The rows of a single-row matrix may be nearer to each other than their length; the library wants ld >= cols.
  MTRANK_CUDA(cublasLtMatrixLayoutCreate(&made, type_of(dtype), static_cast<uint64_t>(cols),
                                         static_cast<uint64_t>(rows), std::max(ld, cols)));
  Layout layout(made);
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(groups));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  return layout;
}

}  // namespace

struct Products::Chosen {
  Descriptor descriptor;
  Layout a, b, d;  // the library's names: a is our B
  cublasLtMatmulHeuristicResult_t result{};
  bool launched = false;
};

Products::Products(BackwardEpilogues epilogues) : epilogues_(epilogues) { MTRANK_CUDA(cublasLtCreate(&handle_)); }

Products::~Products() { cublasLtDestroy(handle_); }

Products::Key Products::key_of(const Product& p, bool tf32) {
  const auto side = [&](const Operand& operand) {
    const int64_t stride = p.groups > 1 ? operand.stride : 0;
    return Key::Side{operand.ld, stride, operand.dtype, operand.transposed,
                     alignment_of(operand.data, stride * static_cast<int64_t>(dtype_size(operand.dtype)))};
  };
  const int64_t vector_stride = p.groups > 1 ? p.n * static_cast<int64_t>(dtype_size(p.d.dtype)) : 0;
  return {p.m,
          p.n,
          p.k,
          p.groups,
          side(p.a),
          side(p.b),
          side(p.d),
          p.accumulate,
          tf32 && p.a.dtype == DType::f32,
          p.epilogue,
          has_vector(p.epilogue) ? alignment_of(p.vector, vector_stride) : 0,
          has_signs(p.epilogue) ? p.signs_ld : 0};
}

/// Our D = A B, row-major, is the library's Dᵀ = Bᵀ Aᵀ, column-major, in the same memory.
Products::Entry Products::choose(const Key& key, void* vector, void* signs) const {
  if (backward(key.epilogue) && epilogues_ == BackwardEpilogues::never) return {nullptr, "not asked for"};
  auto chosen = std::make_unique<Chosen>();
  cublasLtMatmulDesc_t made = nullptr;
  MTRANK_CUDA(
      cublasLtMatmulDescCreate(&made, key.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  chosen->descriptor.reset(made);
  const Descriptor& descriptor = chosen->descriptor;
  set(descriptor, CUBLASLT_MATMUL_DESC_TRANSA, key.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(descriptor, CUBLASLT_MATMUL_DESC_TRANSB, key.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(key.epilogue));
  if (has_vector(key.epilogue)) {
    set(descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);  // its alignment matters to the choice
    if (key.groups > 1) set(descriptor, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, key.n);
  }
  if (has_signs(key.epilogue)) {
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, signs);
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, key.signs_ld);
  }
  const auto layout = [&](const Key::Side& side, int64_t rows, int64_t cols) {
    if (side.transposed) std::swap(rows, cols);
    return layout_of(side.dtype, rows, cols, side.ld, key.groups, side.stride);
  };
  chosen->a = layout(key.b, key.k, key.n);
  chosen->b = layout(key.a, key.m, key.k);
  chosen->d = layout(key.d, key.m, key.n);

  cublasLtMatmulPreference_t preferred = nullptr;
  MTRANK_CUDA(cublasLtMatmulPreferenceCreate(&preferred));
  const Preference preference(preferred);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, Context::kWorkspace);
  // Of the ways to add up a split k, only the one that adds f32 in a second kernel, in order.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.d.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.d.alignment);
  /// The library's first suggestion; false where it has none.
  const auto suggest = [&](cublasLtMatmulHeuristicResult_t& result) {
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_, descriptor.get(), chosen->a.get(), chosen->b.get(), chosen->d.get(),
                                       chosen->d.get(), preference.get(), 1, &result, &found);
    if (refuses(status)) return false;
    MTRANK_CUDA(status);
    return found > 0 && result.state == CUBLAS_STATUS_SUCCESS;
  };
  if (!suggest(chosen->result)) return {nullptr, "the library has none"};
  if (backward(key.epilogue) && epilogues_ == BackwardEpilogues::same_kernel) {
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(forward_part(key.epilogue)));
    cublasLtMatmulHeuristicResult_t plain{};
    if (suggest(plain) && algorithm_of(plain) != algorithm_of(chosen->result))
      return {nullptr, "algorithm " + std::to_string(algorithm_of(chosen->result)) + " instead of " +
                           std::to_string(algorithm_of(plain))};
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(key.epilogue));
  }
  return {std::move(chosen), ""};
}

/// False where the library refuses after all what it has suggested.
bool Products::launch(const Product& p, Chosen& chosen, const Context& context) const {
  if (has_vector(p.epilogue)) set(chosen.descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.vector);
  if (has_signs(p.epilogue)) set(chosen.descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.signs);
  const float alpha = 1, beta = p.accumulate ? 1 : 0;
  const cublasStatus_t status =
      cublasLtMatmul(handle_, chosen.descriptor.get(), &alpha, p.b.data, chosen.a.get(), p.a.data, chosen.b.get(),
                     &beta, p.d.data, chosen.d.get(), p.d.data, chosen.d.get(), &chosen.result.algo, context.workspace,
                     Context::kWorkspace, context.stream);
  if (!chosen.launched && refuses(status)) return false;
  MTRANK_CUDA(status);
  chosen.launched = true;
  return true;
}

Products::Entry& Products::entry_of(const Product& p, const Context& context) {
  MTRANK_ASSERT(p.a.dtype == p.b.dtype && !p.d.transposed);
  MTRANK_ASSERT(!has_signs(p.epilogue) || (p.signs && reinterpret_cast<uintptr_t>(p.signs) % 256 == 0));
  MTRANK_ASSERT(!has_signs(p.epilogue) || p.groups == 1);
  const Key key = key_of(p, context.tf32);
  if (const auto at = chosen_.find(key); at != chosen_.end()) return at->second;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  MTRANK_CUDA(cudaStreamIsCapturing(context.stream, &capture));
  MTRANK_ASSERT(capture == cudaStreamCaptureStatusNone);
  return chosen_.emplace(key, choose(key, p.vector, p.signs)).first->second;
}

bool Products::offers(const Product& p, const Context& context) { return entry_of(p, context).chosen != nullptr; }

bool Products::run(const Product& p, const Context& context) {
  Entry& entry = entry_of(p, context);
  if (entry.chosen && launch(p, *entry.chosen, context)) return true;
  if (entry.chosen) entry = {nullptr, "the library suggests it and refuses it"};
  if (p.epilogue != Epilogue::none) return false;
  if (p.groups > 1) return run_each_group(p, context);
  throw ResourceError("cuBLASLt has no algorithm for the product " + text(key_of(p, context.tf32)));
}

bool Products::run_each_group(const Product& p, const Context& context) {
  Product one = p;
  one.groups = 1;
  const auto at = [](void* data, int64_t elements, DType dtype) {
    return static_cast<std::byte*>(data) + elements * static_cast<int64_t>(dtype_size(dtype));
  };
  for (int64_t g = 0; g < p.groups; ++g) {
    one.a.data = at(p.a.data, g * p.a.stride, p.a.dtype);
    one.b.data = at(p.b.data, g * p.b.stride, p.b.dtype);
    one.d.data = at(p.d.data, g * p.d.stride, p.d.dtype);
    run(one, context);
  }
  return true;
}

std::string Products::text(const Key& key) {
  std::ostringstream out;
  const auto side = [&](const char* name, const Key::Side& s) {
    out << ",\"" << name << "\":{\"dtype\":\"" << dtype_name(s.dtype) << "\",\"ld\":" << s.ld
        << ",\"stride\":" << s.stride << ",\"transposed\":" << (s.transposed ? "true" : "false")
        << ",\"alignment\":" << s.alignment << "}";
  };
  out << "{\"m\":" << key.m << ",\"n\":" << key.n << ",\"k\":" << key.k << ",\"groups\":" << key.groups;
  side("a", key.a), side("b", key.b), side("d", key.d);
  out << ",\"accumulate\":" << (key.accumulate ? "true" : "false") << ",\"tf32\":" << (key.tf32 ? "true" : "false")
      << ",\"epilogue\":\"" << name_of(key.epilogue) << "\"}";
  return out.str();
}

std::string Products::describe() const {
  std::ostringstream out;
  out << "[";
  for (const auto& [key, entry] : chosen_) {
    std::string product = text(key);
    product.pop_back();
    out << (out.tellp() > 1 ? "," : "") << product << ",\"algorithm\":";
    if (!entry.chosen) {
      out << "null,\"refused\":\"" << entry.refused << "\"}";
      continue;
    }
    const cublasLtMatmulAlgo_t& algorithm = entry.chosen->result.algo;
    out << algorithm_of(entry.chosen->result) << ",\"tile\":" << get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID)
        << ",\"stages\":" << get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID)
        << ",\"split_k\":" << get<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM)
        << ",\"reduction\":" << get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME)
        << ",\"workspace\":" << entry.chosen->result.workspaceSize << "}";
  }
  out << "]";
  return out.str();
}

}  // namespace mtrank::cuda
