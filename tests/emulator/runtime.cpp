#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "tests/emulator/runtime_state.h"

#include <cuda_runtime.h>

namespace mtrank::emulator {
namespace {

constexpr size_t kAlignment = 256;  // what cudaMalloc promises
// A sanitizer sees the first byte past an allocation; without one a fence of known bytes is looked at when it is freed.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kFence = 0;
#else
constexpr size_t kFence = 64;
#endif
constexpr unsigned char kFenceByte = 0xFD;

struct Allocation {
  size_t bytes = 0;
  bool device = false;
};

/// By first byte.
std::map<const char*, Allocation>& allocations() {
  static std::map<const char*, Allocation> all;
  return all;
}
size_t allocated = 0;
uint64_t operations = 0;
thread_local cudaError_t last_error = cudaSuccess;

Settings from_environment() {
  Settings s;
  const char* order = std::getenv("MTRANK_EMULATOR_ORDER");
  const char* timing = std::getenv("MTRANK_EMULATOR_TIMING");
  const char* memory = std::getenv("MTRANK_EMULATOR_MEMORY");
  if (order != nullptr && std::string(order) == "reverse") s.order = Order::reverse;
  if (order != nullptr && std::string(order) == "random") s.order = Order::random;
  if (timing != nullptr && std::string(timing) == "deferred") s.timing = Timing::deferred;
  if (memory != nullptr && std::string(memory) == "nan") s.poison = 0xFF;
  return s;
}

/// The allocation that `at` lies in; end() when none.
auto find(const void* at) {
  const char* p = static_cast<const char*>(at);
  auto next = allocations().upper_bound(p);
  if (next == allocations().begin()) return allocations().end();
  --next;
  return p < next->first + std::max<size_t>(next->second.bytes, 1) ? next : allocations().end();
}

cudaError_t allocate(void** at, size_t bytes, bool device) {
  *at = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (device && bytes > settings().memory - std::min(settings().memory, allocated)) return cudaErrorMemoryAllocation;
  if (posix_memalign(at, kAlignment, bytes + kFence) != 0) return cudaErrorMemoryAllocation;
  std::memset(*at, settings().poison, bytes);
  std::memset(static_cast<char*>(*at) + bytes, kFenceByte, kFence);
  allocations()[static_cast<const char*>(*at)] = {bytes, device};
  if (device) allocated += bytes;
  return cudaSuccess;
}

cudaError_t release(void* at, bool device) {
  if (at == nullptr) return cudaSuccess;
  const auto found = allocations().find(static_cast<const char*>(at));
  if (found == allocations().end() || found->second.device != device) return cudaErrorInvalidValue;
  const size_t bytes = found->second.bytes;
  for (size_t i = 0; i < kFence; ++i)
    if (static_cast<unsigned char*>(at)[bytes + i] != kFenceByte)
      refuse("something wrote " + std::to_string(i) + " bytes past the end of an allocation of " +
             std::to_string(bytes) + " bytes");
  if (device) allocated -= bytes;
  allocations().erase(found);
  std::free(at);
  return cudaSuccess;
}

enum class Place { pageable, pinned, device, broken };

Place place_of(const void* at, size_t bytes) {
  const auto found = find(at);
  if (found == allocations().end()) return at == nullptr ? Place::broken : Place::pageable;
  if (static_cast<const char*>(at) + bytes > found->first + found->second.bytes) return Place::broken;
  return found->second.device ? Place::device : Place::pinned;
}

/// Where both ends lie, against what the caller said.
bool direction_fits(Place to, Place from, cudaMemcpyKind kind) {
  if (to == Place::broken || from == Place::broken) return false;
  const bool to_device = to == Place::device, from_device = from == Place::device;
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

/// A copy on a stream. Pageable memory makes it wait, as it does on a GPU, which a capture cannot hold.
cudaError_t copy(Place to, Place from, cudaMemcpyKind kind, cudaStream_t stream, std::function<void()> run) {
  if (!direction_fits(to, from, kind)) return cudaErrorInvalidValue;
  if (to != Place::pageable && from != Place::pageable) return enqueue(stream, "a copy", std::move(run));
  if (is_capturing(stream)) return spoil_capture(stream), cudaErrorStreamCaptureUnsupported;
  if (const cudaError_t e = enqueue(stream, "a copy", std::move(run))) return e;
  run_stream(stream);
  return cudaSuccess;
}

/// "a_kernel(float*)" where the program's symbols can be read, or its address.
std::string name_of(const void* kernel) {
  Dl_info info;
  if (dladdr(kernel, &info) == 0) return "?";
  char command[512];
  std::snprintf(command, sizeof command, "addr2line -f -C -e '%s' %#zx 2>/dev/null", info.dli_fname,
                static_cast<size_t>(static_cast<const char*>(kernel) - static_cast<const char*>(info.dli_fbase)));
  std::string name;
  if (FILE* pipe = popen(command, "r")) {
    for (int c; (c = std::fgetc(pipe)) != EOF && c != '\n';) name += static_cast<char>(c);
    pclose(pipe);
  }
  if (name.empty() || name == "??") std::snprintf(command, sizeof command, "%p", kernel), name = command;
  return name;
}

}  // namespace

Settings& settings() {
  static Settings s = from_environment();
  return s;
}

size_t allocated_bytes() { return allocated; }
uint64_t operations_run() { return operations; }

void run_operation(const std::function<void()>& run) {
  ++operations;
  run();
}

void refuse(const std::string& message) {
  std::fprintf(stderr, "emulated GPU: %s\n", message.c_str());
  std::fflush(stderr);
  std::abort();
}

void require_device(const void* at, size_t bytes, const std::string& what) {
  if (bytes > 0 && place_of(at, bytes) != Place::device)
    refuse(what + ": its " + std::to_string(bytes) + " bytes do not lie in one allocation on the device");
}

std::unique_lock<std::recursive_mutex> api_lock() {
  static std::recursive_mutex mutex;
  return std::unique_lock(mutex);
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

cudaError_t device_error() {
  if (settings().driver_version < CUDART_VERSION / 1000 * 1000) return cudaErrorInsufficientDriver;
  return settings().devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  const dim3 g = config.gridDim, b = config.blockDim;
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 2147483647u || g.y > 65535 || g.z > 65535)
    return remember(cudaErrorInvalidConfiguration);
  if (b.x == 0 || b.y == 0 || b.z == 0 || b.x > 1024 || b.y > 1024 || b.z > 64 || size_t{b.x} * b.y * b.z > 1024)
    return remember(cudaErrorInvalidConfiguration);
  if (config.dynamicSmemBytes != 0 || config.numAttrs != 0) return remember(cudaErrorNotSupported);
  // The first launch of a kernel loads its code, which a driver may be unable to do while a stream is captured.
  static std::set<const void*> loaded;
  if (!is_capturing(config.stream))
    loaded.insert(kernel);
  else if (loaded.count(kernel) == 0)
    return spoil_capture(config.stream), remember(cudaErrorStreamCaptureUnsupported);
  return remember(enqueue(config.stream, "a kernel", [=, thread = std::move(thread)] {
    run_grid([kernel] { return name_of(kernel); }, g, b, thread);
  }));
}

}  // namespace mtrank::emulator

using namespace mtrank::emulator;

// Device and errors.

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_error() == cudaSuccess ? settings().devices : 0;
  return remember(device_error());
}

cudaError_t cudaSetDevice(int device) {
  if (const cudaError_t e = device_error()) return remember(e);
  return remember(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return remember(device_error());
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (const cudaError_t e = cudaSetDevice(device)) return e;
  *p = {};
  std::snprintf(p->name, sizeof p->name, "Emulated GPU");
  p->totalGlobalMem = settings().memory;
  p->sharedMemPerBlock = 48 << 10;
  p->sharedMemPerBlockOptin = 227 << 10;
  p->sharedMemPerMultiprocessor = 228 << 10;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->warpSize = warpSize;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->major = settings().compute_capability / 10;
  p->minor = settings().compute_capability % 10;
  p->multiProcessorCount = 4;  // few, so that loops over the grid go round
  p->concurrentKernels = p->ECCEnabled = p->streamPrioritiesSupported = 1;
  p->asyncEngineCount = 3;
  p->memoryBusWidth = 5120;
  p->l2CacheSize = 50 << 20;
  p->maxThreadsPerMultiProcessor = 2048;
  p->maxBlocksPerMultiProcessor = 32;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t e = cudaGetDeviceProperties(&p, device)) return e;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      return *value = p.maxThreadsPerBlock, cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return *value = static_cast<int>(p.sharedMemPerBlock), cudaSuccess;
    case cudaDevAttrWarpSize:
      return *value = p.warpSize, cudaSuccess;
    case cudaDevAttrClockRate:
      return *value = 1980000, cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      return *value = p.multiProcessorCount, cudaSuccess;
    case cudaDevAttrMemoryClockRate:
      return *value = 2619000, cudaSuccess;
    case cudaDevAttrGlobalMemoryBusWidth:
      return *value = p.memoryBusWidth, cudaSuccess;
    case cudaDevAttrL2CacheSize:
      return *value = p.l2CacheSize, cudaSuccess;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return *value = p.maxThreadsPerMultiProcessor, cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      return *value = p.major, cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      return *value = p.minor, cudaSuccess;
  }
  return remember(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return remember(device_error());
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = settings().driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  run_all_streams();
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define MTRANK_NAME(name) \
  case name:              \
    return #name;
    MTRANK_NAME(cudaSuccess)
    MTRANK_NAME(cudaErrorInvalidValue)
    MTRANK_NAME(cudaErrorMemoryAllocation)
    MTRANK_NAME(cudaErrorInitializationError)
    MTRANK_NAME(cudaErrorInvalidConfiguration)
    MTRANK_NAME(cudaErrorInvalidPitchValue)
    MTRANK_NAME(cudaErrorInvalidDevicePointer)
    MTRANK_NAME(cudaErrorInvalidMemcpyDirection)
    MTRANK_NAME(cudaErrorInsufficientDriver)
    MTRANK_NAME(cudaErrorInvalidDeviceFunction)
    MTRANK_NAME(cudaErrorNoDevice)
    MTRANK_NAME(cudaErrorInvalidDevice)
    MTRANK_NAME(cudaErrorNoKernelImageForDevice)
    MTRANK_NAME(cudaErrorInvalidResourceHandle)
    MTRANK_NAME(cudaErrorIllegalState)
    MTRANK_NAME(cudaErrorNotReady)
    MTRANK_NAME(cudaErrorIllegalAddress)
    MTRANK_NAME(cudaErrorLaunchOutOfResources)
    MTRANK_NAME(cudaErrorLaunchFailure)
    MTRANK_NAME(cudaErrorNotPermitted)
    MTRANK_NAME(cudaErrorNotSupported)
    MTRANK_NAME(cudaErrorStreamCaptureUnsupported)
    MTRANK_NAME(cudaErrorStreamCaptureInvalidated)
    MTRANK_NAME(cudaErrorStreamCaptureMerge)
    MTRANK_NAME(cudaErrorStreamCaptureUnmatched)
    MTRANK_NAME(cudaErrorStreamCaptureUnjoined)
    MTRANK_NAME(cudaErrorStreamCaptureIsolation)
    MTRANK_NAME(cudaErrorStreamCaptureImplicit)
    MTRANK_NAME(cudaErrorCapturedEvent)
    MTRANK_NAME(cudaErrorStreamCaptureWrongThread)
    MTRANK_NAME(cudaErrorUnknown)
#undef MTRANK_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

// Memory.

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const auto lock = api_lock();
  *total = settings().memory;
  *free = settings().memory - std::min(settings().memory, allocated);
  return remember(device_error());
}

cudaError_t cudaMalloc(void** at, size_t bytes) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  return remember(allocate(at, bytes, true));
}

cudaError_t cudaFree(void* at) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  run_all_streams();
  return remember(release(at, true));
}

cudaError_t cudaHostAlloc(void** at, size_t bytes, unsigned) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  return remember(allocate(at, bytes, false));
}

cudaError_t cudaMallocHost(void** at, size_t bytes) { return cudaHostAlloc(at, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* at) {
  const auto lock = api_lock();
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  run_all_streams();
  return remember(release(at, false));
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  if (bytes == 0) return cudaSuccess;
  return remember(
      copy(place_of(to, bytes), place_of(from, bytes), kind, nullptr, [=] { std::memmove(to, from, bytes); }));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (bytes == 0) return cudaSuccess;
  return remember(
      copy(place_of(to, bytes), place_of(from, bytes), kind, stream, [=] { std::memmove(to, from, bytes); }));
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidPitchValue);
  if (width == 0 || height == 0) return cudaSuccess;
  return remember(copy(place_of(to, to_pitch * (height - 1) + width), place_of(from, from_pitch * (height - 1) + width),
                       kind, stream, [=] {
                         for (size_t i = 0; i < height; ++i)
                           std::memmove(static_cast<char*>(to) + i * to_pitch,
                                        static_cast<const char*>(from) + i * from_pitch, width);
                       }));
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (bytes == 0) return cudaSuccess;
  const Place place = place_of(at, bytes);
  if (place == Place::pageable || place == Place::broken) return remember(cudaErrorInvalidValue);
  return remember(enqueue(stream, "a fill", [=] { std::memset(at, value, bytes); }));
}

cudaError_t cudaMemset(void* at, int value, size_t bytes) {
  const auto lock = api_lock();
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  return cudaMemsetAsync(at, value, bytes, nullptr);
}

// Functions.

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int) {
  return remember(kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int threads, size_t) {
  if (kernel == nullptr) return remember(cudaErrorInvalidDeviceFunction);
  if (threads < 1 || threads > 1024) return remember(cudaErrorInvalidValue);
  *blocks = std::min(32, 2048 / ((threads + warpSize - 1) / warpSize * warpSize));
  return cudaSuccess;
}
