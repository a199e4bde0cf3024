#include "tests/emulator/on_device.h"

namespace mtrank::emulator {
namespace {

Settings with(Order order) {
  Settings s = settings();
  s.order = order;
  return s;
}
constexpr Order kOrders[] = {Order::forward, Order::reverse, Order::random};

__global__ void index_kernel(int* out) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
  out[i] = static_cast<int>(i);
}

TEST(Grid, EveryThreadRunsOnceWithItsIndex) {
  for (Order order : kOrders) {
    const WithSettings w(with(order));
    const OnDevice<int> out(std::vector<int>(2 * 3 * 4 * 5 * 6 * 7, -1));
    ASSERT_EQ(run(dim3(2, 3, 4), dim3(5, 6, 7), index_kernel, out.get()), cudaSuccess);
    const std::vector<int> got = out.values();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i));
  }
}

template <bool kBarriers>
__global__ void block_sum_kernel(const int* in, int* out) {
  __shared__ int sums[256];
  sums[threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (kBarriers) __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) out[blockIdx.x] = sums[0];
}

std::vector<int> block_sums(Order order, bool barriers) {
  const WithSettings w(with(order));
  std::vector<int> values(3 * 256);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  const OnDevice<int> in(values), out(std::vector<int>(3));
  EXPECT_EQ(run(3, 256, barriers ? block_sum_kernel<true> : block_sum_kernel<false>, in.get(), out.get()), cudaSuccess);
  return out.values();
}

TEST(Grid, BarriersSeparateWhatThreadsWriteAndRead) {
  for (Order order : kOrders)
    EXPECT_EQ(block_sums(order, true), (std::vector<int>{32640, 98176, 163712})) << static_cast<int>(order);
}

TEST(Grid, AMissingBarrierShowsInSomeOrder) {
  EXPECT_NE(block_sums(Order::forward, false), block_sums(Order::reverse, false));
}

__global__ void early_return_kernel(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  const int odd = __syncthreads_count(threadIdx.x % 2 == 1);
  out[threadIdx.x] = odd;
}

TEST(Grid, ABarrierDoesNotCountThreadsThatReturned) {
  const OnDevice<int> out(std::vector<int>(40));
  ASSERT_EQ(run(1, 64, early_return_kernel, out.get()), cudaSuccess);
  EXPECT_EQ(out.values(), std::vector<int>(40, 20));
}

__global__ void shuffle_kernel(int* idx, int* down, int* up, int* exchanged, unsigned* ballot, int* narrow) {
  const int lane = static_cast<int>(threadIdx.x) % warpSize, value = 100 + static_cast<int>(threadIdx.x);
  idx[threadIdx.x] = __shfl_sync(~0u, value, 3);
  down[threadIdx.x] = __shfl_down_sync(~0u, value, 4);
  up[threadIdx.x] = __shfl_up_sync(~0u, value, 4);
  exchanged[threadIdx.x] = __shfl_xor_sync(~0u, value, 1);
  ballot[threadIdx.x] = __ballot_sync(~0u, lane % 4 == 0);
  narrow[threadIdx.x] = __shfl_down_sync(~0u, value, 2, 8);
}

TEST(Grid, WarpOperationsExchangeValues) {
  for (Order order : kOrders) {
    const WithSettings w(with(order));
    const std::vector<int> zeros(64);
    const OnDevice<int> idx(zeros), down(zeros), up(zeros), exchanged(zeros), narrow(zeros);
    const OnDevice<unsigned> ballot(std::vector<unsigned>(64));
    ASSERT_EQ(run(1, 64, shuffle_kernel, idx.get(), down.get(), up.get(), exchanged.get(), ballot.get(), narrow.get()),
              cudaSuccess);
    for (size_t t = 0; t < 64; ++t) {
      const int v = 100 + static_cast<int>(t);
      EXPECT_EQ(idx.values()[t], t < 32 ? 103 : 135);
      EXPECT_EQ(down.values()[t], t % 32 < 28 ? v + 4 : v);
      EXPECT_EQ(up.values()[t], t % 32 >= 4 ? v - 4 : v);
      EXPECT_EQ(exchanged.values()[t], t % 2 == 0 ? v + 1 : v - 1);
      EXPECT_EQ(ballot.values()[t], 0x11111111u);
      EXPECT_EQ(narrow.values()[t], t % 8 < 6 ? v + 2 : v);
    }
  }
}

__global__ void part_of_warp_kernel(float* out) {
  if (threadIdx.x >= 8) return;
  out[threadIdx.x] = __shfl_sync(0xffu, static_cast<float>(threadIdx.x), threadIdx.x < 4 ? 7 : 8);
}

TEST(Grid, AShuffleFromALaneThatTakesNoPartGivesGarbage) {
  const OnDevice<float> out(std::vector<float>(8));
  ASSERT_EQ(run(1, 32, part_of_warp_kernel, out.get()), cudaSuccess);
  for (size_t t = 0; t < 8; ++t)
    EXPECT_EQ(__float_as_uint(out.values()[t]), t < 4 ? __float_as_uint(7.0f) : 0x01010101u * settings().poison);
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x == 33) __syncwarp(0b110u);  // lane 2 is at the barrier
  __syncthreads();
}

TEST(GridDeathTest, ADeadlockNamesTheKernelAndWhoWaits) {
  EXPECT_DEATH(run(1, 64, divergent_barrier_kernel),
               "emulated GPU: kernel .*divergent_barrier_kernel.*, grid \\(1, 1, 1\\), block \\(64, 1, 1\\), in block "
               "\\(0, 0, 0\\): deadlock: 63 threads \\(the first is 0\\) wait in __syncthreads; "
               "1 threads \\(the first is 33\\) wait in __syncwarp");
}

__global__ void misaligned_kernel(float* at) { __stwb(reinterpret_cast<float2*>(at), float2{1, 2}); }

TEST(GridDeathTest, AMisalignedVectorIsRefused) {
  const OnDevice<float> at({0, 0, 0, 0});
  ASSERT_EQ(run(1, 1, misaligned_kernel, at.get() + 2), cudaSuccess);
  EXPECT_EQ(at.values(), (std::vector<float>{0, 0, 1, 2}));
  EXPECT_DEATH(run(1, 1, misaligned_kernel, at.get() + 1),
               "misaligned_kernel.*: thread 0 calls __stwb for 8 bytes at an address that is no multiple of them");
}

__global__ void left_out_kernel() { __syncwarp(1u); }

TEST(GridDeathTest, AMaskWithoutTheCallingLaneIsRefused) {
  EXPECT_DEATH(run(1, 2, left_out_kernel), "thread 1 calls a warp operation whose mask leaves it out");
}

__global__ void nothing_kernel() {}

TEST(Grid, LaunchLimits) {
  EXPECT_EQ(run(1, 1024, nothing_kernel), cudaSuccess);
  for (const auto& [grid, block] : std::vector<std::pair<dim3, dim3>>{{dim3(0), dim3(32)},
                                                                      {dim3(1), dim3(0)},
                                                                      {dim3(1), dim3(1025)},
                                                                      {dim3(1), dim3(64, 32)},
                                                                      {dim3(1), dim3(1, 1, 65)},
                                                                      {dim3(1, 65536), dim3(1)},
                                                                      {dim3(1, 1, 65536), dim3(1)}})
    EXPECT_EQ(run(grid, block, nothing_kernel), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

__global__ void count_kernel(unsigned* counter, unsigned long long* largest, int* tickets) {
  tickets[atomicAdd(counter, 1u)] = 1;
  atomicMax(largest, static_cast<unsigned long long>(blockIdx.x * blockDim.x + threadIdx.x));
}

TEST(Grid, Atomics) {
  const OnDevice<unsigned> counter({0u});
  const OnDevice<unsigned long long> largest({0ull});
  const OnDevice<int> tickets(std::vector<int>(300));
  ASSERT_EQ(run(3, 100, count_kernel, counter.get(), largest.get(), tickets.get()), cudaSuccess);
  EXPECT_EQ(counter.values()[0], 300u);
  EXPECT_EQ(largest.values()[0], 299u);
  EXPECT_EQ(tickets.values(), std::vector<int>(300, 1));
}

}  // namespace
}  // namespace mtrank::emulator
