#include "cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kAsItCame = SIZE_MAX;
constexpr int64_t kChunk = int64_t{1} << 18;  // bytes of a copying task

/// Elements from row to row where rows begin at multiples of 64 bytes.
int64_t padded(int64_t cols, DType dtype) { return round_up(cols, 64 / static_cast<int64_t>(dtype_size(dtype))); }

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

StagedLayout::StagedLayout(const Plan& plan, std::vector<IdsRoom> room, size_t extra) : rows_(plan.capacity) {
  MTRANK_ASSERT(room.size() == plan.ids.size());
  take(extra);
  scalar_count_ = plan.scalars.size();
  scalars_ = take(scalar_count_ * sizeof(double));
  for (ValueId id : plan.inputs) {
    const int64_t cols = plan.graph.value(id).cols;
    inputs_.push_back({cols, take(static_cast<size_t>(rows_ * cols) * sizeof(float))});
  }
  const auto words = [&](int64_t count) { return take(static_cast<size_t>(count) * 4); };
  for (const IdsRoom& r : room) {
    Ids ids{r.list, r.weighted, rows_, 0, 0, 0};
    if (r.list) ids.capacity = round_up(static_cast<int64_t>(r.per_row * static_cast<double>(rows_)) + 1, 16);
    if (r.list) ids.offsets = words(rows_ + 1);
    ids.ids = words(ids.capacity);
    if (r.weighted) ids.weights = words(ids.capacity);
    ids_.push_back(ids);
  }
}

size_t StagedLayout::take(size_t bytes) {
  const size_t at = bytes_;
  bytes_ += (bytes + kAlign - 1) / kAlign * kAlign;
  return at;
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
    if (!as_it_came) unpacked_bytes_ += static_cast<size_t>(layout.rows() * padded(cols, dtype)) * dtype_size(dtype);
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
  const int64_t rows = batch.rows, rest = layout_.rows() - rows;
  MTRANK_ASSERT(rest >= 0 && layout_.holds(batch));
  auto* base = pinned_.at<std::byte>();
  std::vector<Piece> pieces;
  for (size_t s = 0; s < layout_.scalar_count(); ++s)
    std::memcpy(base + layout_.scalars() + s * sizeof(double), batch.scalars[s].data, sizeof(double));
  for (size_t i = 0; i < layout_.inputs().size(); ++i) {
    const auto [cols, offset] = layout_.inputs()[i];
    const View& view = batch.inputs[i];
    MTRANK_ASSERT(view.ld == cols);
    const size_t bytes = static_cast<size_t>(rows * cols) * sizeof(float);
    add(pieces, base + offset, view.data, bytes);
    add(pieces, base + offset + bytes, nullptr, static_cast<size_t>(rest * cols) * sizeof(float));
  }
  for (size_t f = 0; f < layout_.ids().size(); ++f) {
    const StagedLayout::Ids& to = layout_.ids()[f];
    const IdsView& from = batch.ids[f];
    MTRANK_ASSERT(to.list == (from.offsets != nullptr));
    int64_t first = 0, count = rows;
    if (to.list) {
      first = from.offsets[0];
      count = from.offsets[rows] - first;
      auto* offsets = reinterpret_cast<int32_t*>(base + to.offsets);
      for (int64_t r = 0; r <= rows; ++r) offsets[r] = from.offsets[r] - static_cast<int32_t>(first);
      std::fill_n(offsets + rows + 1, rest, static_cast<int32_t>(count));
    } else {
      add(pieces, base + to.ids + static_cast<size_t>(rows) * 4, nullptr, static_cast<size_t>(rest) * 4, 0xff);
    }
    add(pieces, base + to.ids, from.ids + first, static_cast<size_t>(count) * 4);
    MTRANK_ASSERT(to.weighted ? from.weights || count == 0 : !from.weights);
    if (to.weighted) add(pieces, base + to.weights, from.weights + first, static_cast<size_t>(count) * 4);
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
    const int64_t count = to.rows * to.cols;
    with_type(to.dtype,
              [&]<class T>(T) { launch_flat(unpack_rows<T>, count, stream, from, to.cols, to.as<T>(), to.ld, count); });
  }
}

}  // namespace mtrank::cuda
