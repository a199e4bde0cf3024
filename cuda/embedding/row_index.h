#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/call.h"
#include "framework/embedding/optimizer.h"

/// The lookups of a batch sorted by row of all tables, on the device: what mtrank::RowIndex is on the host. Sizes are
/// fixed by capacities; how much of them a batch fills is known to the device alone.
namespace mtrank::cuda {

struct DeviceTable;
struct DeviceFeature;

/// Lookups of a block of a sum; the host's kRowBlock.
constexpr uint32_t kSumBlock = 64;
constexpr uint32_t kIndexTile = 2048;  ///< lookups of a block of the scan
constexpr int kMaxLevels = 5;          ///< 64^5 blocks of 64 are more than 2^32

/// Rows of all tables are numbered through, tables of a class side by side. A key is such a number << shard_bits | the
/// lookup's logical shard; what is no lookup has the key of the row past the last and shard 0. A segment is a run of
/// lookups of a key.
struct IndexTable {
  uint32_t first_row, end_row;
  uint32_t first_lookup, end_lookup;    ///< of the capacity, before the sort
  uint32_t first_feature, end_feature;  ///< of the features in the order of the index
  uint32_t lane_bits;                   ///< of the lanes that expand a sample's ids
  uint32_t table;                       ///< as the caller counts
  float* weights;
  float* slots[kMaxSlots];
  uint64_t weighted;
};

/// Where a feature's pooled gradient lies: row r at data + r * ld elements.
struct GradientRows {
  const void* data;
  int64_t ld;
};

/// A segment with more than kSumBlock lookups. At level 1 its lookups are summed block by block, at level l + 1 the
/// sums of level l, where there are more than kSumBlock of them.
struct HotRow {
  uint32_t segment;
  uint32_t item;  ///< number of its first block among those of its class and level
  uint32_t slot;  ///< of the sum of its first block, in the class's partial sums
  uint32_t pad;
};

/// Of a class and level, as one number so that both advance together: rows << 32 | blocks.
using HotCount = unsigned long long;

/// Tables that are updated together: the same width and optimiser. Momentum may be that of some of them alone.
struct RowClass {
  uint32_t first_table = 0, end_table = 0;  ///< in the order of the index
  uint32_t first_row = 0, end_row = 0;
  int64_t dim = 0;
  const OptimizerInfo* optimizer = nullptr;
  bool moves_every_row = false;
  bool aligned = true;  ///< weights and state can be moved four at a time
  int64_t capacity = 0;
  int levels = 0;                 ///< that can have rows
  uint32_t hot[kMaxLevels] = {};  ///< by level: the first of its list in IndexMemory::hot
  int64_t partial = 0;            ///< of its partial sums, in floats
  uint32_t touched_word = 0;      ///< of its marks in IndexMemory::touched, where every row moves
};

/// Everything about an index that is known before any batch.
struct IndexPlan {
  std::vector<RowClass> classes;
  std::vector<IndexTable> tables;  ///< in the order of the index
  std::vector<int> feature_order;  ///< by place: feature as the caller counts
  std::vector<uint32_t> table_of;  ///< by feature as the caller counts
  int64_t batch = 0;
  int64_t shard_rows = 0;  ///< samples of a logical shard
  int shard_bits = 0;
  uint32_t rows = 0;      ///< of all tables
  uint32_t capacity = 0;  ///< lookups
  int key_bits = 0, feature_bits = 0;
  bool weighted =
      false;  ///< some feature has weights: values are numbers of lookups, else sample << feature_bits | place
  int64_t hot_rows = 0, partials = 0, touched_words = 0;
  size_t sort_bytes = 0;

  uint32_t tiles() const { return capacity / kIndexTile + 1; }
  uint32_t no_lookup() const { return rows << shard_bits; }  ///< its key
};

/// Throws ResourceError.
IndexPlan plan_index(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch,
                     int shards);

/// The device memory of an index.
struct IndexMemory {
  // Written once.
  IndexTable* tables;
  uint32_t* table_of;
  // By step.
  DeviceIds* features;      ///< by place
  GradientRows* gradients;  ///< by place
  uint32_t* largest;        ///< by feature as the caller counts
  uint32_t *keys[2], *values[2];
  uint32_t* source;  ///< by number of the lookup: sample << feature_bits | place
  float* weight;     ///< by number of the lookup
  std::byte* sort;
  uint32_t* tiles;
  uint32_t* segments;       ///< their number
  uint32_t* lookups;        ///< by table as the caller counts
  uint32_t* heaviest;       ///< by table as the caller counts
  uint32_t* table_segment;  ///< by table in the order of the index, and the end of the last: its first segment
  HotCount* hot_count;      ///< by class and level
  uint32_t* touched;        ///< a bit a row, where every row moves
  HotRow* hot;
  float* partial;
  size_t cleared_bytes;  ///< from `heaviest` on: set to 0 by every step
  // After the sort: which of the buffers hold what.
  const uint32_t *sorted_keys, *sorted_values;
  uint32_t* begins;      ///< by segment: its first lookup; and the end of the last
  uint32_t* first_sums;  ///< by segment with more than kSumBlock lookups: its HotRow::slot
};

/// Lays the memory out from `base` on; returns its size. `base` may be null.
size_t place_index(const IndexPlan& plan, std::byte* base, IndexMemory* memory);

/// Sorts and cuts into segments.
void build_index(cudaStream_t stream, const IndexPlan& plan, IndexMemory& memory, std::span<const DeviceIds> ids,
                 const DeviceStep* step);

}  // namespace mtrank::cuda
