#pragma once

#include <cstdint>

#include "framework/core/host_device.h"

namespace mtrank {

constexpr int kMaxShardLevels = 16;  // 2^16 logical shards

/// The first row of logical shard `s` of `shards`; the end of the shard before it. Their sizes differ by one at most.
constexpr int64_t shard_begin(int64_t batch, int64_t s, int64_t shards) { return batch * s / shards; }

/// A sum over logical shards by the binary tree over all of them, as N columns of each part arrive in ascending order:
/// a stack of finished nodes, of which the two on top become one as soon as the next part lies outside their common
/// parent. A shard without a part is left out.
template <int N>
struct ShardTree {
  alignas(64) float node[kMaxShardLevels + 2][N];
  uint32_t shard[kMaxShardLevels + 2];
  int depth = 0;

  /// Where the part of shard `s` goes.
  MTRANK_HD float* next(uint32_t s) {
    // a ^ b has as many bits as the level of the common parent; of three ascending numbers no two have the same.
    while (depth > 1 && (shard[depth - 2] ^ shard[depth - 1]) < (shard[depth - 1] ^ s)) merge();
    shard[depth] = s;
    return node[depth++];
  }
  MTRANK_HD void finish(float* out) {
    while (depth > 1) merge();
    for (int l = 0; l < N; ++l) out[l] = node[0][l];
  }

 private:
  MTRANK_HD void merge() {
    --depth;
    for (int l = 0; l < N; ++l) node[depth - 1][l] += node[depth][l];
  }
};

}  // namespace mtrank
