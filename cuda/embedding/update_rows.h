#pragma once

#include <cuda_runtime.h>

#include "cuda/embedding/row_sums.h"

namespace mtrank::cuda {

/// Sums the gradients of a class's touched rows (those with many lookups from what sum_hot_rows left) and moves them;
/// then, where every row moves, the others with a gradient of 0. Gated on *proceed. `steps` by table, as the caller
/// counts: 2 t, 2 t + 1.
///
/// DLRM-DCNv2 at batch 65,536 (2.37 M of 14.0 M Zipf lookups are distinct rows, row-wise Adagrad): 512 bytes of weights
/// and 32 of state a row, read and written, 2.6 GB from memory: 0.9 ms; 256 bytes a lookup of bf16, mostly from the
/// second-level cache; 12 bytes a segment of the index, 0.03 GB.
void update_class(cudaStream_t stream, const RowClass& c, const ClassIndex& index, DType dtype,
                  const OptimizerStep* steps, const uint32_t* touched, const uint32_t* proceed);

}  // namespace mtrank::cuda
