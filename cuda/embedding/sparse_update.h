#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/call.h"
#include "cuda/embedding/row_index.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::cuda {

/// A table on the device: weights [rows, dim] and what its optimiser remembers.
struct DeviceTable {
  float* weights = nullptr;
  SlotPointers slots{};
  int64_t rows = 0, dim = 0;
  const OptimizerInfo* optimizer = nullptr;
  bool moves_every_row = false;  ///< Adam that is not lazy
};

/// A looked-up feature whose pooled gradient moves a table.
struct DeviceFeature {
  int table = 0;
  bool list = false;      ///< with offsets
  bool weighted = false;  ///< with a weight an id
  int64_t capacity = 0;   ///< most ids of a batch; the batch's capacity where it is no list
};

/// What the verdict on a step needs to know of the tables' gradients, all in device memory.
struct SparseLimits {
  const uint32_t* largest = nullptr;   ///< by feature: bits of the greatest |gradient|
  const uint32_t* table_of = nullptr;  ///< by feature
  const uint32_t* lookups = nullptr;   ///< by table
  const uint32_t* heaviest = nullptr;  ///< by table: bits of the greatest |weight|, 1 where none are given
  int features = 0;
};

/// The update of all tables in a step, as mtrank::SparseUpdate defines it.   g_row = Σ weight * (gradient of the pooled
/// embedding) over the row's lookups; then the table's optimiser. A touched row and its state are read once and written
/// once.
///
/// Order of the sums. A row's lookups within a logical shard are ordered by sample, feature and position. 64 or fewer
/// are added in that order, beginning with the first. More are cut into blocks of 64 counted from the first; each block
/// is such a sum, and the same rule adds the sums of the blocks. The shards are added by the binary tree over all of
/// them; one without lookups of the row is left out. So the bits depend on the batch and the shards alone; up to 4,096
/// lookups of a row in a shard they are those of the CPU. Row-wise optimisers take the mean of squares by a tree over
/// the row's columns that depends on the width alone.
///
/// Nothing here waits, allocates or reads device memory on the host: `begin`, `prepare` and `update` may be captured.
/// A feature's batch may not hold more ids than its capacity: the caller sees to it.
///
///     update.begin(stream);                                // before the backward pass
///     update.prepare(side_stream, ids, step);              // needs the ids alone
///     update.update(stream, gradients, steps, proceed);    // once the verdict is known
class SparseUpdate {
 public:
  /// Bytes of device memory that an update takes, without a device. Each of `shards`, a power of two, owns as many of
  /// the batch's samples, some of which may be padding.
  static size_t bytes(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch,
                      int shards);

  /// `memory` holds `bytes(...)` bytes on a multiple of 256, and is written to on `stream`. Throws ResourceError where
  /// the tables have 2^32 / shards rows or more, a batch 2^31 ids or more, or more samples than its numbers leave room
  /// for.
  SparseUpdate(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch, int shards,
               void* memory, cudaStream_t stream);

  /// Where the kernel that writes feature f's pooled gradient notes the bits of its greatest magnitude.
  uint32_t* largest(int feature) const { return memory_.largest + feature; }
  /// Sets them to 0.
  void begin(cudaStream_t stream) const;

  /// Sorts the batch's lookups by row. ids[f] belongs to feature f; rows from step->rows on have none. Must have ended
  /// before the verdict, which reads `limits()`, and may not begin before the last `update` has ended.
  ///
  /// DLRM-DCNv2 at batch 65,536, 14.0 M lookups, 26 bits: reads 4 and writes 8 bytes a lookup to expand; sorts in 4
  /// passes that read and write 8; reads 4 twice to find 2.37 M segments and writes 4 each: 1.2 GB, 0.4 ms at 3 TB/s.
  void prepare(cudaStream_t stream, std::span<const DeviceIds> ids, const DeviceStep* step);

  SparseLimits limits() const;

  /// Moves the tables where *proceed is not 0. gradients[f]: [batch, dim] of f's pooled embedding, f32 or bf16 (those
  /// of a width all of a kind); steps, in device memory: of table t's touched rows at 2 t, of the untouched at 2 t + 1.
  void update(cudaStream_t stream, std::span<const DeviceView> gradients, const OptimizerStep* steps,
              const uint32_t* proceed);

 private:
  IndexPlan plan_;
  IndexMemory memory_{};
};

}  // namespace mtrank::cuda
