#pragma once

#include <mutex>

#include "tests/emulator/emulator.h"

/// What runtime.cpp (device, memory, launches) and streams.cpp (streams, events, graphs) share.
namespace mtrank::emulator {

/// Every call of the API holds it; kernels run under it.
std::unique_lock<std::recursive_mutex> api_lock();
/// Keeps the error for cudaGetLastError.
cudaError_t remember(cudaError_t error);
/// cudaSuccess, or what a call without a device gives.
cudaError_t device_error();

/// Refuses a call that a capture forbids, and spoils that capture. `stream`: the one it waits for; all when null.
cudaError_t refuse_in_capture(cudaStream_t stream = nullptr);
/// Refuses use of stream 0 while a stream that waits for it captures.
cudaError_t refuse_implicit_capture();
bool is_capturing(cudaStream_t stream);
/// Ends a capture in failure.
void spoil_capture(cudaStream_t stream);
void run_stream(cudaStream_t stream);
void run_all_streams();
/// Those that stream 0 waits for.
void run_blocking_streams();
/// Counts the operation and runs it.
void run_operation(const std::function<void()>& run);

}  // namespace mtrank::emulator
