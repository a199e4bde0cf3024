#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/call.h"
#include "cuda/embedding/sparse_update.h"
#include "framework/core/bf16.h"
#include "framework/embedding/optimizer.h"

/// What ends a step: the norm of the gradient, the verdict on it, the update of the dense weights. (The tables' update
/// is cuda/embedding/sparse_update.h.) Nothing here waits, allocates or reads device memory on the host.
namespace mtrank::cuda {

/// What the host says of a step, copied to the device as it is. 2 OptimizerSteps a table follow it, of its touched rows
/// and of the untouched, and a DeviceStep a logical shard.
struct StepControl {
  DeviceStep step;  ///< of the whole batch: its rows end where those of the last shard do
  OptimizerStep dense;

  OptimizerStep* tables() { return reinterpret_cast<OptimizerStep*>(this + 1); }
  const OptimizerStep* tables() const { return reinterpret_cast<const OptimizerStep*>(this + 1); }
  DeviceStep* shards(size_t tables) { return reinterpret_cast<DeviceStep*>(this->tables() + 2 * tables); }
  const DeviceStep* shards(size_t tables) const {
    return reinterpret_cast<const DeviceStep*>(this->tables() + 2 * tables);
  }
  static size_t bytes(size_t tables, size_t shards) {
    return sizeof(StepControl) + 2 * tables * sizeof(OptimizerStep) + shards * sizeof(DeviceStep);
  }
};
static_assert(sizeof(StepControl) % alignof(OptimizerStep) == 0 && sizeof(OptimizerStep) % alignof(DeviceStep) == 0);

/// A table's part of the control: learning rates are multiplied by `lr_factor`; `step` counts from 1.
void set_table_steps(StepControl& control, size_t table, const OptimizerSettings& optimizer, double l2,
                     double lr_factor, int64_t step);

/// What a step came to. In device memory; the host copies it back.
struct Outcome {
  double norm_squared = 0;  ///< of the dense gradients, before clipping
  uint32_t finite = 0;      ///< 1: losses and gradients are finite, and no sum of a table's can overflow
  uint32_t proceed = 0;     ///< 1: finite, and so was every step before
  float scale = 1;          ///< of the dense gradients, so that their norm is at most what is asked for
};

/// to += from, n numbers, a multiple of 4, all on multiples of 16 bytes: how gradients of logical shards are added.
/// Moves 12 n bytes.
void add_gradient(cudaStream_t stream, float* to, const float* from, int64_t n);

constexpr int kNormBlocks = 1024;

/// partial[i] <- Σ x² over block i's elements, in double, for i < kNormBlocks; n is a multiple of 4. Which elements a
/// block has, and the order in it, depend on n alone. Reads 4 n bytes: DLRM-DCNv2 has about 15 M dense weights, 60 MB,
/// 0.02 ms at 3 TB/s.
void squared_norm(cudaStream_t stream, const float* x, int64_t n, double* partial);

/// Losses of a step, by logical shard: `count` doubles each.
struct ShardLosses {
  double* at = nullptr;
  int count = 0, shards = 1;
};

/// One block decides, when norm, losses, the tables' gradients and the sort of the ids are done. Leaves the sums of the
/// shards' losses, by the binary tree over them, where the first shard's were. `clip_norm`: infinite for none.
/// `stopped`, in device memory: 0 until a step was not finite, then 1, and no later step proceeds.
void verdict(cudaStream_t stream, const double* partial, const ShardLosses& losses, const SparseLimits& limits,
             double clip_norm, uint32_t* stopped, Outcome* outcome);

/// A dense weight [rows, cols] and its copy in bf16 [rows, ld], ld a multiple of 8, padded with zeros.
struct LowCopy {
  const float* from = nullptr;
  bf16* to = nullptr;
  int64_t rows = 0, cols = 0, ld = 0;
};

/// Copies in bf16 of many weights, which lie one behind the other at multiples of 16 bytes.
class LowCopies {
 public:
  static size_t bytes(size_t copies);
  /// `memory` holds `bytes(...)` bytes on a multiple of 16, and is written to on `stream`.
  LowCopies(std::span<const LowCopy> copies, void* memory, cudaStream_t stream);

  /// Makes all of them, in one launch. Reads 4 and writes 2 bytes a weight.
  void refresh(cudaStream_t stream) const;

  /// As the device holds them.
  struct Piece {
    LowCopy copy;
    uint32_t first_block;  ///< of the launch that is this copy's
    uint32_t pad = 0;
  };
  const Piece* pieces() const { return pieces_; }
  int count() const { return count_; }

 private:
  const Piece* pieces_ = nullptr;
  int count_ = 0;
  uint32_t blocks_ = 0;
};

/// weights <- optimiser(weights, outcome->scale * gradient) where outcome->proceed; n is a multiple of 4, all on
/// multiples of 16 bytes. A slot is null where the optimiser does not need it. `copies`: of the weights, moved along;
/// or null. Reads 4 n and writes 4 n bytes of weights and of each slot, reads 4 n of gradients: 28 n with Adam, 20 n
/// with Adagrad, and 2 n of copies (DLRM-DCNv2: 0.3 GB, 0.1 ms at 3 TB/s).
void dense_update(cudaStream_t stream, const OptimizerInfo& optimizer, float* weights, const float* gradient,
                  const SlotPointers& slots, int64_t n, const OptimizerStep* step, const Outcome* outcome,
                  const LowCopies* copies);

}  // namespace mtrank::cuda
