#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "framework/core/error.h"
#include "framework/core/tensor.h"
#include "framework/graph/op.h"

namespace mtrank::cuda {

/// The signs of a ReLU's input, kept for its gradient: bit r * ld + c is set where number (r, c) is above 0. Both
/// launches of a step see whether the library has fused what they need, since a launch asks before it is captured.
struct ReluSigns {
  void* bits = nullptr;
  int64_t ld = 0;        ///< bits, a multiple of 128
  bool wanted = false;   ///< the library offers a product that masks by them
  bool kept = false;     ///< the forward product has written them
  bool applied = false;  ///< the product that makes the gradient has masked it
};

/// Sums of blocks of rows of a dz (cuda/block_sums.cuh), for the gradient of a bias: made by the kernel that writes dz.
struct BiasSums {
  float* partial = nullptr;
  bool made = false;
};

/// A 2-D piece of device memory: row r starts at r * ld elements. Rows of more than one column start at multiples of
/// 16 bytes, unless they are columns of a wider value that begin elsewhere.
struct DeviceView {
  void* data = nullptr;
  int64_t rows = 0, cols = 0, ld = 0;
  DType dtype = DType::f32;  ///< f32 or bf16; f64 for scalars and losses
  /// Weights of a bf16 plan: the same in bf16, [rows, low_ld], low_ld a multiple of 8, padded with zeros.
  const void* low = nullptr;
  int64_t low_ld = 0;
  /// Where the kernel that writes a pooled gradient notes the bits of its greatest magnitude (atomicMax).
  uint32_t* largest = nullptr;
  /// Where this output takes part in a ReLU's gradient that is fused (cuda/fusion.h).
  ReluSigns* signs = nullptr;
  /// Where the kernel that writes this dz may sum it, and its reader looks for the sums.
  BiasSums* sums = nullptr;

  explicit operator bool() const { return data != nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// The ids of one feature on the device, one a row, without weights, where `offsets` is null. Rows beyond the batch's
/// own have none: ids of -1, or an empty list.
struct DeviceIds {
  const int32_t* ids = nullptr;
  const int32_t* offsets = nullptr;  ///< [capacity + 1]
  const float* weights = nullptr;    ///< one an id, or null
};

/// `count` rows from `first` on.
inline DeviceView rows_of(DeviceView view, int64_t first, int64_t count) {
  view.data = view.as<std::byte>() + first * view.ld * static_cast<int64_t>(dtype_size(view.dtype));
  view.rows = count;
  return view;
}
inline DeviceIds rows_of(DeviceIds ids, int64_t first) {
  (ids.offsets ? ids.offsets : ids.ids) += first;
  return ids;
}

/// What changes from step to step, in device memory, so that captured arguments never change.
struct DeviceStep {
  uint64_t seed;
  uint64_t step;          ///< counts from 1
  uint64_t first_sample;  ///< number of the batch's first row among all samples
  int64_t rows;           ///< of the batch, or of a shard of it; the rest of its capacity is padding
};

class Products;
struct SideStream;

/// What kernels are launched with. One a stream.
struct Context {
  cudaStream_t stream = nullptr;
  const DeviceStep* step = nullptr;  ///< device memory
  Products* products = nullptr;      ///< matrix products by cuBLASLt
  bool tf32 = false;
  std::byte* scratch = nullptr;      ///< device memory that a kernel may use until the next one, kScratch bytes
  std::byte* workspace = nullptr;    ///< the same for the library's products, kWorkspace bytes
  const SideStream* side = nullptr;  ///< for what can run beside something else; null: one after the other
  static constexpr size_t kScratch = size_t{32} << 20, kWorkspace = size_t{32} << 20;

  /// `count` elements of it.
  template <class T>
  T* scratch_of(size_t count) const {
    MTRANK_ASSERT(count * sizeof(T) <= kScratch);
    return reinterpret_cast<T*>(scratch);
  }
};

/// One node to be launched. All `rows` rows of the plan's capacity are computed; padding weighs 0 in the losses.
struct Call {
  const OpNode& node;
  std::span<const DeviceView> in, out;  ///< data is null where absent or not wanted
  std::span<const uint8_t> accumulate;  ///< by output: 0 writes, 1 adds
  int64_t rows;
  uint64_t seed;  ///< of the job, which never changes
  const Context& context;

  /// An input that holds ids.
  const DeviceIds& ids(size_t i) const { return *in[i].as<const DeviceIds>(); }
};

/// Launches the kernels of a node. Never allocates, waits or reads device memory: it may be captured.
using Launch = void (*)(const Call&);

/// One for every row of ops.def, in cuda/ops/<op>.cu; one that is missing does not link.
namespace launches {
#define MTRANK_OP(name) void name(const Call& call);
#include "framework/ops/ops.def"
#undef MTRANK_OP
}  // namespace launches

}  // namespace mtrank::cuda
