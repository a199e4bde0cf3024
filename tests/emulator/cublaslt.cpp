#include "tests/emulator/cublaslt.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/emulator/runtime_state.h"

struct cublasLtContext {};

namespace mtrank::emulator {
namespace {

constexpr uint64_t kWorkspace = 4096;  // of a product; any of the library's kernels may want some
uint64_t product = 0;                  // number of the last one

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
