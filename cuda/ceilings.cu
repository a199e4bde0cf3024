#include "framework/embedding/ceilings.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/products.h"

namespace mtrank {
namespace cuda {
namespace {

constexpr int64_t kRowBytes[] = {64, 256, 512};
constexpr int kBag = 64;      // rows that a warp gathers and adds up
constexpr int kAhead = 8;     // of them at a time
constexpr int kCopied = 4;    // pieces of 16 bytes that a thread copies
constexpr int kTogether = 4;  // products between two marks

__device__ uint32_t mixed(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return static_cast<uint32_t>(x >> 32);
}

/// Uniform in [-1, 1): how much power a product takes, and so how fast it runs, depends on its bits.
template <class T>
__global__ void fill_kernel(T* __restrict__ out, int64_t n) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride)
    out[i] = from_float<T>(static_cast<float>(mixed(static_cast<uint64_t>(i))) * 0x1p-31f - 1.0f);
}

__global__ void copy_kernel(const float4* __restrict__ in, float4* __restrict__ out, int64_t n) {
  const int64_t first = int64_t{blockIdx.x} * blockDim.x * kCopied + threadIdx.x;
  float4 piece[kCopied];
  for (int i = 0; i < kCopied; ++i)
    if (first + i * int64_t{blockDim.x} < n) piece[i] = in[first + i * int64_t{blockDim.x}];
  for (int i = 0; i < kCopied; ++i)
    if (first + i * int64_t{blockDim.x} < n) out[first + i * int64_t{blockDim.x}] = piece[i];
}

/// out[bag] <- the sum of kBag random rows of `Lanes` pieces of 16 bytes. A warp a bag; out [bags, 32].
template <int Lanes>
__global__ void gather_kernel(const float4* __restrict__ table, uint32_t rows, uint64_t salt, float4* __restrict__ out,
                              int64_t bags) {
  constexpr int kAtOnce = 32 / Lanes, kTurns = kBag / kAtOnce;
  const int64_t bag = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (bag >= bags) return;
  float4 sum{};
  for (int turn = 0; turn < kTurns; turn += kAhead) {
    float4 piece[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const uint64_t lookup =
          static_cast<uint64_t>(bag) * kBag + static_cast<uint64_t>((turn + i) * kAtOnce + lane / Lanes);
      const uint32_t row = __umulhi(mixed(lookup + salt), rows);
      piece[i] = table[int64_t{row} * Lanes + lane % Lanes];
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      sum.x += piece[i].x;
      sum.y += piece[i].y;
      sum.z += piece[i].z;
      sum.w += piece[i].w;
    }
  }
  out[bag * 32 + lane] = sum;
}

template <class T>
void fill(cudaStream_t stream, T* out, int64_t n) {
  launch(fill_kernel<T>, dim3(static_cast<unsigned>(std::min<int64_t>(ceil_div(n, 256), 1 << 14))), dim3(256), stream,
         out, n);
}

class Meter {
 public:
  explicit Meter(const CeilingSizes& sizes) : sizes_(sizes) {}

  Ceilings run(std::span<const ProductShape> shapes, const std::string& precision) {
    Ceilings out;
    out.environment = device_.describe();
    out.copy = copy();
    for (const int64_t bytes : kRowBytes) out.gather.emplace_back(bytes, gather(bytes));
    for (const ProductShape& shape : shapes)
      for (const char* p : {"fp32", "tf32", "bf16"})
        if (precision.empty() || precision == p) out.products.push_back({shape, p, product(shape, p)});
    return out;
  }

 private:
  /// The median of the seconds that `f` takes on the stream.
  template <class F>
  double seconds(const F& f) {
    std::vector<double> times;
    for (int i = -2; i < sizes_.runs; ++i) {
      const Event begin(true), end(true);
      begin.record(stream_);
      f();
      end.record(stream_);
      end.synchronize();
      if (i >= 0) times.push_back(end.seconds_since(begin));
    }
    std::sort(times.begin(), times.end());
    return std::max(times[times.size() / 2], 1e-9);
  }

  double copy() {
    const int64_t n = sizes_.copy_bytes / 16;
    DeviceMemory memory;
    const size_t from = memory.reserve("copy", static_cast<size_t>(n) * 16);
    const size_t to = memory.reserve("copy", static_cast<size_t>(n) * 16);
    memory.allocate();
    fill(stream_, memory.at<float>(from), 4 * n);
    const double own = seconds([&] {
      launch(copy_kernel, dim3(static_cast<unsigned>(ceil_div(n, 256 * kCopied))), dim3(256), stream_,
             memory.at<const float4>(from), memory.at<float4>(to), n);
    });
    const double drivers = seconds([&] {
      MTRANK_CUDA(cudaMemcpyAsync(memory.at<void>(to), memory.at<void>(from), static_cast<size_t>(n) * 16,
                                  cudaMemcpyDeviceToDevice, stream_));
    });
    return 2 * 16 * static_cast<double>(n) / std::min(own, drivers);
  }

  double gather(int64_t row_bytes) {
    const int64_t free = static_cast<int64_t>(device_.free_bytes() / 4 * 3);
    const int64_t rows = std::min(sizes_.table_bytes, free) / row_bytes, bags = ceil_div(sizes_.gathers, kBag);
    DeviceMemory memory;
    const size_t table_at = memory.reserve("table", static_cast<size_t>(rows * row_bytes));
    const size_t out_at = memory.reserve("sums", static_cast<size_t>(bags) * 512);
    memory.allocate();
    const auto* table = memory.at<const float4>(table_at);
    auto* out = memory.at<float4>(out_at);
    fill(stream_, memory.at<float>(table_at), rows * row_bytes / 4);
    const auto kernel = row_bytes == 64 ? gather_kernel<4> : row_bytes == 256 ? gather_kernel<16> : gather_kernel<32>;
    uint64_t salt = 0;
    const double time = seconds([&] {
      launch(kernel, dim3(static_cast<unsigned>(ceil_div(bags, 8))), dim3(256), stream_, table,
             static_cast<uint32_t>(rows), salt += uint64_t{1} << 40, out, bags);
    });
    return static_cast<double>(bags * kBag * row_bytes) / time;
  }

  double product(const ProductShape& s, const std::string& precision) {
    const DType dtype = precision == "bf16" ? DType::bf16 : DType::f32;
    const auto operand = [&](int64_t rows, int64_t cols) {
      const int64_t ld = round_up(cols, 32);
      return Operand{.data = nullptr, .ld = ld, .dtype = dtype, .stride = rows * ld};
    };
    Product product{.m = s.m, .n = s.n, .k = s.k, .groups = s.groups};
    product.a = operand(s.m, s.k);
    product.b = operand(s.k, s.n);
    product.d = operand(s.m, s.n);
    DeviceMemory memory;
    std::vector<std::pair<Operand*, size_t>> places;
    for (Operand* o : {&product.a, &product.b, &product.d})
      places.emplace_back(o, memory.reserve("product", static_cast<size_t>(o->stride * s.groups) * dtype_size(dtype)));
    const size_t workspace = memory.reserve("workspace", Context::kWorkspace);
    memory.allocate();
    for (const auto& [o, at] : places) {
      o->data = memory.at<void>(at);
      with_type(dtype, [&]<class T>(T) { fill(stream_, memory.at<T>(at), o->stride * s.groups); });
    }
    Products products;
    const Context context{.stream = stream_,
                          .products = &products,
                          .tf32 = precision == "tf32",
                          .workspace = memory.at<std::byte>(workspace)};
    const double time = seconds([&] {
      for (int i = 0; i < kTogether; ++i) products.run(product, context);
    });
    stream_.synchronize();
    return 2.0 * static_cast<double>(s.m * s.n * s.k * s.groups) * kTogether / time;
  }

  CeilingSizes sizes_;
  Device device_;
  Stream stream_;
};

}  // namespace
}  // namespace cuda

Ceilings measure_ceilings(std::span<const ProductShape> shapes, const CeilingSizes& sizes,
                          const std::string& precision) {
  return cuda::Meter(sizes).run(shapes, precision);
}

}  // namespace mtrank
