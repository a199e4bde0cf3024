#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "cuda/check.h"

namespace mtrank::cuda {

/// What was captured of a stream, ready to be replayed.
class Captured {
 public:
  Captured() = default;
  ~Captured() { reset(); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  explicit operator bool() const { return exec_ != nullptr; }
  /// Captures what `f` launches on `stream` and on streams that join it.
  template <class F>
  void capture(cudaStream_t stream, const F& f) {
    reset();
    MTRANK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      f();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
    MTRANK_CUDA(cudaStreamEndCapture(stream, &graph));
    const cudaError_t made = cudaGraphInstantiate(&exec_, graph, 0);
    cudaGraphDestroy(graph);
    MTRANK_CUDA(made);
  }
  void replay(cudaStream_t stream) const { MTRANK_CUDA(cudaGraphLaunch(exec_, stream)); }

 private:
  void reset() {
    if (exec_) cudaGraphExecDestroy(std::exchange(exec_, nullptr));
  }
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace mtrank::cuda
