#include "cuda/memory.h"

#include <algorithm>
#include <cstdio>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr size_t kAlign = 256;

std::string where(const char* call, const char* file, int line) {
  return std::string(call) + " at " + file + ":" + std::to_string(line);
}

}  // namespace

void fail(cudaError_t error, const char* call, const char* file, int line) {
  const std::string message = "CUDA: " + std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) +
                              "), " + where(call, file, line);
  if (error == cudaErrorMemoryAllocation) throw ResourceError(message);
  throw Error(ExitCode::bug, message);
}

void fail(cublasStatus_t status, const char* call, const char* file, int line) {
  throw Error(ExitCode::bug,
              "cuBLASLt: " + std::string(cublasLtGetStatusString(status)) + ", " + where(call, file, line));
}

std::string gib(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

DeviceMemory::~DeviceMemory() {
  if (data_) cudaFree(data_);
}

size_t DeviceMemory::reserve(const std::string& what, size_t bytes) {
  const size_t offset = bytes_;
  const size_t rounded = static_cast<size_t>(round_up(static_cast<int64_t>(bytes), kAlign));
  bytes_ += rounded;
  const auto known = std::find_if(regions_.begin(), regions_.end(), [&](const auto& r) { return r.what == what; });
  if (known == regions_.end())
    regions_.push_back({what, static_cast<int64_t>(rounded)});
  else
    known->bytes += static_cast<int64_t>(rounded);
  return offset;
}

void DeviceMemory::allocate() {
  if (bytes_ == 0) return;
  void* data = nullptr;
  const cudaError_t taken = cudaMalloc(&data, bytes_);
  if (taken == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    MTRANK_CUDA(cudaMemGetInfo(&free, &total));
    throw ResourceError("the device has no " + gib(bytes_) + " in one piece: " + gib(free) + " of " + gib(total) +
                        " are free. Use smaller tables or a smaller train.batch_size");
  }
  check(taken, "cudaMalloc", __FILE__, __LINE__);
  data_ = static_cast<std::byte*>(data);
}

PinnedMemory::PinnedMemory(size_t bytes) {
  const cudaError_t taken = cudaMallocHost(&data_, std::max<size_t>(bytes, 1));
  if (taken == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw ResourceError("no " + gib(bytes) + " of page-locked host memory for staging batches");
  }
  check(taken, "cudaMallocHost", __FILE__, __LINE__);
}

PinnedMemory::~PinnedMemory() {
  if (data_) cudaFreeHost(data_);
}

Stream::Stream() { MTRANK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
Stream::~Stream() {
  if (stream_) cudaStreamDestroy(stream_);
}

Event::Event(bool timed) {
  MTRANK_CUDA(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming));
}
Event::~Event() {
  if (event_) cudaEventDestroy(event_);
}

double Event::seconds_since(const Event& earlier) const {
  float milliseconds = 0;
  MTRANK_CUDA(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
  return milliseconds * 1e-3;
}

}  // namespace mtrank::cuda
