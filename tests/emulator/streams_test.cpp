#include <thread>

#include "tests/emulator/on_device.h"

namespace mtrank::emulator {
namespace {

Settings with(Timing timing, Order order = Order::forward) {
  Settings s = settings();
  s.timing = timing;
  s.order = order;
  return s;
}

class Stream {
 public:
  explicit Stream(unsigned flags = cudaStreamNonBlocking) {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, flags), cudaSuccess);
  }
  ~Stream() { EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { EXPECT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess); }
  ~Event() { EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

__global__ void add_kernel(int* to, const int* from, int value) { *to = *from + value; }
__global__ void double_kernel(int* at) { *at *= 2; }

cudaError_t add(cudaStream_t stream, int* to, const int* from, int value) {
  return run_on(stream, 1, 1, add_kernel, to, from, value);
}

/// from + 1 on one stream, doubled on another.
int add_then_double(Timing timing, bool wait) {
  const WithSettings w(with(timing));
  const OnDevice<int> at({20});
  const Stream first, second;
  const Event added;
  EXPECT_EQ(add(first, at.get(), at.get(), 1), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(added, first), cudaSuccess);
  if (wait) {
    EXPECT_EQ(cudaStreamWaitEvent(second, added), cudaSuccess);
  }
  EXPECT_EQ(run_on(second, 1, 1, double_kernel, at.get()), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
  return at.values()[0];
}

TEST(Streams, EventsOrderThem) {
  EXPECT_EQ(add_then_double(Timing::eager, true), 42);
  EXPECT_EQ(add_then_double(Timing::deferred, true), 42);
}

TEST(Streams, AMissingEventShowsWhereWorkIsDeferred) {
  EXPECT_EQ(add_then_double(Timing::eager, false), 42);
  EXPECT_EQ(add_then_double(Timing::deferred, false), 41);
}

TEST(Streams, WithoutSynchronisationTheHostSeesWhatWasThere) {
  const WithSettings w(with(Timing::deferred));
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  *pinned = 1;
  const OnDevice<int> at({7});
  const Stream stream;
  ASSERT_EQ(cudaMemcpyAsync(pinned, at.get(), sizeof(int), cudaMemcpyDeviceToHost, stream), cudaSuccess);
  EXPECT_EQ(*pinned, 1);
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
  EXPECT_EQ(*pinned, 7);
  ASSERT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST(Streams, PageableMemoryIsCopiedAtOnce) {
  const WithSettings w(with(Timing::deferred));
  const OnDevice<int> at({7});
  const Stream stream;
  int host = 0;
  ASSERT_EQ(add(stream, at.get(), at.get(), 1), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(&host, at.get(), sizeof host, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  EXPECT_EQ(host, 8);
}

TEST(Streams, StreamZeroWaitsForBlockingStreamsAlone) {
  const WithSettings w(with(Timing::deferred));
  const OnDevice<int> at({0, 0});
  const Stream blocking(cudaStreamDefault), free;
  ASSERT_EQ(add(blocking, at.get(), at.get(), 1), cudaSuccess);
  ASSERT_EQ(add(free, at.get() + 1, at.get() + 1, 1), cudaSuccess);
  int host[2];
  ASSERT_EQ(cudaMemcpy(host, at.get(), sizeof host, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(host[0], 1);
  EXPECT_EQ(host[1], 0);
}

/// Two branches that meet: at = (10 + 1) * 2, then + 5 on the other.
cudaError_t capture_fork(cudaStream_t main, cudaStream_t side, int* at, bool join, cudaGraph_t* graph) {
  const Event fork, joined;
  EXPECT_EQ(cudaStreamBeginCapture(main, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(add(main, at, at, 1), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(fork, main), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(side, fork), cudaSuccess);
  EXPECT_EQ(run_on(side, 1, 1, double_kernel, at), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(joined, side), cudaSuccess);
  if (join) {
    EXPECT_EQ(cudaStreamWaitEvent(main, joined), cudaSuccess);
  }
  EXPECT_EQ(add(main, at + 1, at, 5), cudaSuccess);
  return cudaStreamEndCapture(main, graph);
}

class Graphs : public ::testing::Test {
 protected:
  void SetUp() override {  // loads the kernels, so that they may be captured
    const OnDevice<int> at({0});
    ASSERT_EQ(add(nullptr, at.get(), at.get(), 0), cudaSuccess);
    ASSERT_EQ(run(1, 1, double_kernel, at.get()), cudaSuccess);
  }
};

TEST_F(Graphs, ReplayDoesWhatWasCapturedAndCaptureNothing) {
  for (Timing timing : {Timing::eager, Timing::deferred}) {
    const WithSettings w(with(timing));
    const OnDevice<int> at({10, 0});
    const Stream main, side;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    ASSERT_EQ(capture_fork(main, side, at.get(), true, &graph), cudaSuccess);
    EXPECT_EQ(at.values(), (std::vector<int>{10, 0}));
    size_t nodes = 0;
    ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 3u);
    ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(exec, main), cudaSuccess);
    EXPECT_EQ(at.values(), (std::vector<int>{22, 27}));
    ASSERT_EQ(cudaGraphLaunch(exec, main), cudaSuccess);
    EXPECT_EQ(at.values(), (std::vector<int>{46, 51}));
    ASSERT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  }
}

TEST_F(Graphs, AForkThatDoesNotJoinIsRefused) {
  const OnDevice<int> at({10, 0});
  const Stream main, side;
  cudaGraph_t graph;
  EXPECT_EQ(capture_fork(main, side, at.get(), false, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(add(main, at.get(), at.get(), 1), cudaSuccess);  // as if nothing had been
  EXPECT_EQ(at.values(), (std::vector<int>{11, 0}));
}

TEST_F(Graphs, NodesThatNothingOrdersRunInAnyOrder) {
  const OnDevice<int> at({10});
  const Stream main, side;
  const Event fork, joined;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  ASSERT_EQ(cudaStreamBeginCapture(main, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(fork, main), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(side, fork), cudaSuccess);
  ASSERT_EQ(add(main, at.get(), at.get(), 1), cudaSuccess);
  ASSERT_EQ(run_on(side, 1, 1, double_kernel, at.get()), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(joined, side), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(main, joined), cudaSuccess);
  ASSERT_EQ(cudaStreamEndCapture(main, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
  {
    const WithSettings w(with(Timing::eager));
    ASSERT_EQ(cudaGraphLaunch(exec, main), cudaSuccess);
    EXPECT_EQ(at.values()[0], 22);
  }
  const WithSettings w(with(Timing::deferred));
  ASSERT_EQ(cudaGraphLaunch(exec, main), cudaSuccess);
  EXPECT_EQ(at.values()[0], 45);
  ASSERT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(Graphs, WhatACaptureForbidsSpoilsIt) {
  const OnDevice<int> at({10});
  const Stream stream;
  const Event event;
  int host = 0;
  void* memory = nullptr;
  const std::vector<std::function<cudaError_t()>> forbidden = {
      [&] { return cudaMalloc(&memory, 8); },
      [&] { return cudaFree(at.get()); },
      [&] { return cudaMallocHost(&memory, 8); },
      [&] { return cudaStreamSynchronize(stream); },
      [&] { return cudaStreamQuery(stream); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaEventSynchronize(event); },
      [&] { return cudaEventQuery(event); },
      [&] { return cudaMemcpy(&host, at.get(), sizeof host, cudaMemcpyDeviceToHost); },
      [&] { return cudaMemcpyAsync(&host, at.get(), sizeof host, cudaMemcpyDeviceToHost, stream); },
  };
  for (size_t i = 0; i < forbidden.size(); ++i) {
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    EXPECT_EQ(forbidden[i](), cudaErrorStreamCaptureUnsupported) << i;
    cudaStreamCaptureStatus status;
    ASSERT_EQ(cudaStreamIsCapturing(stream, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated) << i;
    EXPECT_EQ(add(stream, at.get(), at.get(), 1), cudaErrorStreamCaptureInvalidated) << i;
    cudaGraph_t graph;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated) << i;
    EXPECT_EQ(graph, nullptr);
  }
  EXPECT_EQ(at.values()[0], 10);
}

TEST_F(Graphs, OtherThreadsDisturbAGlobalCaptureOnly) {
  const Stream stream;
  cudaGraph_t graph;
  for (const auto& [mode, want] : {std::pair{cudaStreamCaptureModeGlobal, cudaErrorStreamCaptureUnsupported},
                                   std::pair{cudaStreamCaptureModeThreadLocal, cudaSuccess}}) {
    ASSERT_EQ(cudaStreamBeginCapture(stream, mode), cudaSuccess);
    cudaError_t got = cudaErrorUnknown;
    std::thread([&] {
      void* memory = nullptr;
      got = cudaMalloc(&memory, 8);
      if (got == cudaSuccess) got = cudaFree(memory);
    }).join();
    EXPECT_EQ(got, want);
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph),
              want == cudaSuccess ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
    if (graph != nullptr) {
      EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    }
  }
}

TEST_F(Graphs, StreamsOfDifferentCapturesAndOutsideEventsDoNotMix) {
  const Stream one, two;
  const Event event, outside;
  cudaGraph_t graph;
  ASSERT_EQ(cudaEventRecord(outside, two), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(two, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event, one), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(two, event), cudaErrorStreamCaptureMerge);
  EXPECT_EQ(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(two, &graph), cudaErrorStreamCaptureInvalidated);
  ASSERT_EQ(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(one, outside), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
}

__global__ void first_kernel() {}

TEST_F(Graphs, AKernelIsLaunchedOnceBeforeItIsCaptured) {
  const Stream stream;
  cudaGraph_t graph;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(run_on(stream, 1, 1, first_kernel), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  ASSERT_EQ(run_on(stream, 1, 1, first_kernel), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(run_on(stream, 1, 1, first_kernel), cudaSuccess);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST(Memory, IsPoisonedCountedAndLimited) {
  Settings s = settings();
  const size_t before = allocated_bytes();
  s.memory = before + 1000;
  const WithSettings w(s);
  unsigned char* at = nullptr;
  void* more = nullptr;
  ASSERT_EQ(cudaMalloc(&at, 600), cudaSuccess);
  EXPECT_EQ(at[0], s.poison);
  EXPECT_EQ(at[599], s.poison);
  size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(free, 400u);
  EXPECT_EQ(total, before + 1000);
  EXPECT_EQ(cudaMalloc(&more, 401), cudaErrorMemoryAllocation);
  ASSERT_EQ(cudaFree(at), cudaSuccess);
  EXPECT_EQ(cudaFree(at), cudaErrorInvalidValue);
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Memory, CopiesMustFitTheirDirectionAndTheirAllocations) {
  const OnDevice<int> at({1, 2});
  int host[3] = {0, 0, 0};
  EXPECT_EQ(cudaMemcpy(host, at.get(), 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, at.get(), 8, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, at.get(), 12, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, at.get() + 1, 4, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(host[0], 2);
}

TEST(Memory, PitchedCopiesMoveRows) {
  const OnDevice<int> at({1, 2, 3, 4, 5, 6});
  int host[4] = {0, 0, 0, 0};
  ASSERT_EQ(cudaMemcpy2DAsync(host, 8, at.get(), 12, 8, 2, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ((std::vector<int>(host, host + 4)), (std::vector<int>{1, 2, 4, 5}));
  EXPECT_EQ(cudaMemcpy2DAsync(host, 4, at.get(), 12, 8, 2, cudaMemcpyDeviceToHost), cudaErrorInvalidPitchValue);
}

__global__ void overrun_kernel(int* at) { at[2] = 1; }

TEST(MemoryDeathTest, AWritePastTheEndIsSeen) {
  EXPECT_DEATH(
      {
        const OnDevice<int> at({1, 2});
        run(1, 1, overrun_kernel, at.get());
      },
      "past the end of an allocation of 8 bytes|AddressSanitizer");
}

TEST(Device, NoneOrAnOldDriver) {
  Settings s = settings();
  s.devices = 0;
  int count = 7;
  void* at = nullptr;
  {
    const WithSettings w(s);
    EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(cudaMalloc(&at, 8), cudaErrorNoDevice);
  }
  s.devices = 1;
  s.driver_version = 12080;
  const WithSettings w(s);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
}

}  // namespace
}  // namespace mtrank::emulator
