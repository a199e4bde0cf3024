#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

/// A call of the CUDA runtime or of cuBLASLt that must succeed. Throws ResourceError (out of memory) or a bug's Error
/// with the call, the library's text, file and line.
#define MTRANK_CUDA(call) ::mtrank::cuda::check((call), #call, __FILE__, __LINE__)

namespace mtrank::cuda {

[[noreturn]] void fail(cudaError_t error, const char* call, const char* file, int line);
[[noreturn]] void fail(cublasStatus_t status, const char* call, const char* file, int line);
inline void check(cudaError_t error, const char* call, const char* file, int line) {
  if (error != cudaSuccess) fail(error, call, file, line);
}
inline void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(status, call, file, line);
}

}  // namespace mtrank::cuda
