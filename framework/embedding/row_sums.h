#pragma once

#include <cstdint>

#include "framework/core/tensor.h"
#include "framework/embedding/optimizer.h"

/// Sums of the gradients of a table's rows, in an order that depends on the batch and its logical shards alone:
/// lookups of a row within a shard in blocks of kRowBlock, each added in order; the blocks in order; the shards by the
/// binary tree over all of them, where a shard without lookups of the row is left out. Nothing starts from zero: a
/// single lookup's gradient is the sum.
namespace mtrank {

constexpr int kRowBlock = 64;

/// One table's lookups, as RowIndex holds them, and what they are the gradients of.
struct RowLookups {
  int64_t dim = 0;
  const uint32_t* source = nullptr;  // by lookup: sample << feature_bits | feature
  const float* weight = nullptr;     // by lookup, or null
  int feature_bits = 0;
  const View* gradients = nullptr;  // by feature: [B, dim] of the pooled embedding
  const uint16_t* shard = nullptr;  // by sample
};

/// Weights and state to bring near while their gradient is summed.
struct RowPrefetch {
  const float* weights = nullptr;
  SlotPointers slots{};
  bool row_wise = false;
};

/// The gradients of `count` rows: row i owns lookups [begin[i], begin[i + 1]). gradients[i] is set to where its sum is:
/// the only lookup's own gradient, or row i of scratch [count, dim]. Rows with gradients[i] set already are left alone.
void sum_rows(const RowLookups& lookups, const int64_t* begin, const int32_t* rows, int64_t count,
              const RowPrefetch& prefetch, float* scratch, const float** gradients);

/// The sum of lookups [begin, end), all of one row and shard.
void sum_shard(const RowLookups& lookups, int64_t begin, int64_t end, float* out);

/// Folds sums of shards by the tree: part i, at parts + i * dim, is that of shard shards[i], ascending.
void fold_shards(const float* parts, const int* shards, int count, int64_t dim, float* out);

}  // namespace mtrank
