#include "cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/launch.h"
#include "framework/embedding/shard_tree.h"

namespace mtrank::cuda {
namespace {

constexpr size_t kAlign = 256;  // as much as products ask about: a shard's rows begin like those of a whole batch
constexpr size_t kAsItCame = SIZE_MAX;
constexpr int64_t kShardAlign = 16;           // rows: those of one column begin at multiples of 64 bytes too
constexpr int64_t kChunk = int64_t{1} << 18;  // bytes of a copying task

/// Elements from row to row where rows begin at multiples of 64 bytes.
int64_t padded(int64_t cols, DType dtype) { return round_up(cols, 64 / static_cast<int64_t>(dtype_size(dtype))); }

size_t aligned(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

template <class T>
__global__ void unpack_rows(const float* __restrict__ in, int64_t cols, T* __restrict__ out, int64_t ld,
                            int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / cols, col = i - row * cols;
  out[row * ld + col] = from_float<T>(in[i]);
}

struct Piece {
  std::byte* to;
  const void* from;  // null: `fill` bytes
  size_t bytes;
  int fill;
};

void add(std::vector<Piece>& pieces, std::byte* to, const void* from, size_t bytes, int fill = 0) {
  for (size_t at = 0; at < bytes; at += kChunk)
    pieces.push_back({to + at, from ? static_cast<const std::byte*>(from) + at : nullptr,
                      std::min(bytes - at, static_cast<size_t>(kChunk)), fill});
}

}  // namespace

StagedLayout::StagedLayout(const Plan& plan, int shards, std::vector<IdsRoom> room, size_t extra)
    : shards_(shards), shard_rows_(shards > 1 ? round_up(plan.capacity, kShardAlign) : plan.capacity) {
  MTRANK_ASSERT(room.size() == plan.ids.size());
  take(extra);
  scalar_count_ = plan.scalars.size();
  scalars_ = take(scalar_count_ * sizeof(double));
  for (ValueId id : plan.inputs) {
    const int64_t cols = plan.graph.value(id).cols;
    inputs_.push_back({cols, take(static_cast<size_t>(rows() * cols) * sizeof(float))});
  }
  const auto words = [&](int64_t count) { return take(static_cast<size_t>(count) * 4); };
  for (const IdsRoom& r : room) {
    Ids ids{r.list, r.weighted, rows(), 0, 0, 0};
    if (r.list) ids.capacity = round_up(static_cast<int64_t>(r.per_row * static_cast<double>(rows())) + 1, 16);
    if (r.list) ids.offsets = words(rows() + 1);
    ids.ids = words(ids.capacity);
    if (r.weighted) ids.weights = words(ids.capacity);
    ids_.push_back(ids);
  }
}

size_t StagedLayout::take(size_t bytes) {
  const size_t at = bytes_;
  bytes_ += aligned(bytes);
  return at;
}

StagedLayout::Shard StagedLayout::shard(int64_t batch, int64_t s) const {
  const int64_t from = shard_begin(batch, s, shards_);
  return {from, s * shard_rows_, shard_begin(batch, s + 1, shards_) - from};
}

bool StagedLayout::holds(const HostBatch& batch) const {
  for (size_t f = 0; f < ids_.size(); ++f) {
    const IdsView& ids = batch.ids[f];
    if (ids_[f].list && ids.offsets[batch.rows] - ids.offsets[0] > ids_[f].capacity) return false;
  }
  return true;
}

Slot::Slot(const Plan& plan, const StagedLayout& layout) : plan_(plan), layout_(layout) {
  for (ValueId id : plan.inputs) {
    const DType dtype = plan.place(id).dtype;
    const int64_t cols = plan.graph.value(id).cols;
    const bool as_it_came = cols == 1 || (dtype == DType::f32 && padded(cols, dtype) == cols);
    unpacked_.push_back(as_it_came ? kAsItCame : unpacked_bytes_);
    if (!as_it_came)
      unpacked_bytes_ += aligned(static_cast<size_t>(layout.rows() * padded(cols, dtype)) * dtype_size(dtype));
  }
}

void Slot::reserve(DeviceMemory& memory) {
  offset_ = memory.reserve("batches", layout_.bytes());
  unpacked_offset_ = memory.reserve("batches", unpacked_bytes_);
}

void Slot::bind(const DeviceMemory& memory) {
  pinned_ = PinnedMemory(layout_.bytes());
  device_ = memory.at<std::byte>(offset_);
  auto* unpacked = memory.at<std::byte>(unpacked_offset_);
  const auto at = [&](size_t offset) { return device_ + offset; };
  for (size_t s = 0; s < layout_.scalar_count(); ++s)
    scalars_.push_back(
        {.data = at(layout_.scalars() + s * sizeof(double)), .rows = 1, .cols = 1, .ld = 1, .dtype = DType::f64});
  for (size_t i = 0; i < layout_.inputs().size(); ++i) {
    const auto [cols, offset] = layout_.inputs()[i];
    const DType dtype = plan_.place(plan_.inputs[i]).dtype;
    if (unpacked_[i] == kAsItCame)
      inputs_.push_back({.data = at(offset), .rows = layout_.rows(), .cols = cols, .ld = cols});
    else
      inputs_.push_back({.data = unpacked + unpacked_[i],
                         .rows = layout_.rows(),
                         .cols = cols,
                         .ld = padded(cols, dtype),
                         .dtype = dtype});
  }
  for (const StagedLayout::Ids& ids : layout_.ids())
    ids_.push_back({reinterpret_cast<const int32_t*>(at(ids.ids)),
                    ids.list ? reinterpret_cast<const int32_t*>(at(ids.offsets)) : nullptr,
                    ids.weighted ? reinterpret_cast<const float*>(at(ids.weights)) : nullptr});
}

void Slot::fill(const HostBatch& batch, ThreadPool& pool) {
  MTRANK_ASSERT(batch.rows <= layout_.rows() && layout_.holds(batch));
  auto* base = pinned_.at<std::byte>();
  std::vector<Piece> pieces;
  // The batch's rows by shard, and behind them `padding`, a byte over and over, up to the next shard.
  const auto add_rows = [&](size_t offset, const void* from, size_t row_bytes, int padding) {
    for (int64_t s = 0; s < layout_.shards(); ++s) {
      const StagedLayout::Shard shard = layout_.shard(batch.rows, s);
      const auto rows = static_cast<size_t>(shard.rows), all = static_cast<size_t>(layout_.shard_rows());
      std::byte* to = base + offset + static_cast<size_t>(shard.to) * row_bytes;
      add(pieces, to, static_cast<const std::byte*>(from) + static_cast<size_t>(shard.from) * row_bytes,
          rows * row_bytes);
      add(pieces, to + rows * row_bytes, nullptr, (all - rows) * row_bytes, padding);
    }
  };
  for (size_t s = 0; s < layout_.scalar_count(); ++s)
    std::memcpy(base + layout_.scalars() + s * sizeof(double), batch.scalars[s].data, sizeof(double));
  for (size_t i = 0; i < layout_.inputs().size(); ++i) {
    const auto [cols, offset] = layout_.inputs()[i];
    const View& view = batch.inputs[i];
    MTRANK_ASSERT(view.ld == cols);
    add_rows(offset, view.data, static_cast<size_t>(cols) * sizeof(float), 0);
  }
  for (size_t f = 0; f < layout_.ids().size(); ++f) {
    const StagedLayout::Ids& to = layout_.ids()[f];
    const IdsView& from = batch.ids[f];
    MTRANK_ASSERT(to.list == (from.offsets != nullptr));
    if (!to.list) {
      MTRANK_ASSERT(!to.weighted && !from.weights);
      add_rows(to.ids, from.ids, 4, 0xff);
      continue;
    }
    const int32_t first = from.offsets[0];
    const auto count = static_cast<size_t>(from.offsets[batch.rows] - first);
    auto* offsets = reinterpret_cast<int32_t*>(base + to.offsets);
    for (int64_t s = 0; s < layout_.shards(); ++s) {
      const StagedLayout::Shard shard = layout_.shard(batch.rows, s);
      for (int64_t r = 0; r <= layout_.shard_rows(); ++r)
        offsets[shard.to + r] = from.offsets[shard.from + std::min(r, shard.rows)] - first;
    }
    add(pieces, base + to.ids, from.ids + first, count * 4);
    MTRANK_ASSERT(to.weighted ? from.weights || count == 0 : !from.weights);
    if (to.weighted) add(pieces, base + to.weights, from.weights + first, count * 4);
  }
  pool.run(static_cast<int>(pieces.size()), [&](int task, int) {
    const Piece& piece = pieces[static_cast<size_t>(task)];
    piece.from ? std::memcpy(piece.to, piece.from, piece.bytes) : std::memset(piece.to, piece.fill, piece.bytes);
  });
}

void Slot::copy(cudaStream_t stream, size_t bytes) const {
  MTRANK_CUDA(cudaMemcpyAsync(device_, pinned_.at<std::byte>(), bytes, cudaMemcpyHostToDevice, stream));
}

void Slot::unpack(cudaStream_t stream) const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (unpacked_[i] == kAsItCame) continue;
    const auto* from = reinterpret_cast<const float*>(device_ + layout_.inputs()[i].at);
    const DeviceView& to = inputs_[i];
    const int64_t count = plan_.capacity * to.cols;
    for (int64_t s = 0; s < layout_.shards(); ++s) {
      const int64_t first = s * layout_.shard_rows();
      with_type(to.dtype, [&]<class T>(T) {
        launch_flat(unpack_rows<T>, count, stream, from + first * to.cols, to.cols, to.as<T>() + first * to.ld, to.ld,
                    count);
      });
    }
  }
}

}  // namespace mtrank::cuda
