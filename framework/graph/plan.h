#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "framework/graph/op.h"

namespace mtrank {

/// Where a value's memory lives while a plan runs.
enum class Region : uint8_t {
  none,
  arena,            ///< at: byte offset into a shard's arena
  param,            ///< at: which of the graph's params
  param_gradient,   ///< at: the gradient of which of them
  input,            ///< at: which of the plan's inputs
  ids,              ///< at: which of the plan's id features
  scalar,           ///< at: which of the plan's scalars
  table,            ///< at: which of the graph's tables
  sparse_gradient,  ///< at: which of the graph's sparse gradients
  loss,             ///< at: which of the graph's losses
};

struct Place {
  Region region = Region::none;
  int64_t at = 0;
  int64_t ld = 0;      ///< elements from row to row
  int64_t column = 0;  ///< first column, for a view
  DType dtype = DType::f32;
};

/// The first and the last node that touch a value of the arena; outputs live until one past the last node.
struct Life {
  int first = -1;
  int last = -1;
};

/// Nodes [begin, end).
struct NodeRange {
  size_t begin = 0, end = 0;
};

/// A weight that the matrix kernel wants packed once a step.
struct PackedWeight {
  ValueId value = kNoValue;
  const Packing* packing = nullptr;
  int64_t groups = 1;
  size_t offset = 0;  ///< bytes into the packed buffer
  size_t group_bytes = 0;
};

/// What a value is stored as in a plan of `plan`: bf16 is for what has several columns. A single column is a logit, a
/// label or a weight, which stay f32; so do statistics, weights, tables and their gradients.
DType stored_as(const Value& value, DType plan);

/// A graph plus every decision about its memory, for shards of at most `capacity` rows. Made before anything is
/// allocated; `mtrank plan` prints it.
struct Plan {
  Graph graph;
  DType dtype = DType::f32;
  int64_t capacity = 0;
  std::vector<Place> places;     // by value
  std::vector<Life> lives;       // by value; none where the memory is another's or not of the arena
  std::vector<int> node_packed;  // by node: index into `packed`, or -1
  std::vector<PackedWeight> packed;
  std::vector<ValueId> inputs, ids, scalars;  // in the order of Place::at
  size_t arena_bytes = 0;
  size_t packed_bytes = 0;
  /// Every dense gradient has one writer, so adding one shard's to another's can happen in that writer.
  bool single_writers = true;
  std::vector<NodeRange> together;  ///< nodes of which none overwrites what another reads

  const Place& place(ValueId id) const { return places[static_cast<size_t>(id)]; }
};

/// `together`: neighbours that run at the same time, or as one: what they touch lives from the first to the last.
Plan make_plan(Graph graph, int64_t capacity, DType dtype = DType::f32, std::vector<NodeRange> together = {});

/// Every decision, one line a value, node and packed weight, in the order in which they run. Stable, for people and for
/// golden tests. Offsets and sizes are bytes, leading dimensions elements.
std::string to_text(const Plan& plan);

}  // namespace mtrank
