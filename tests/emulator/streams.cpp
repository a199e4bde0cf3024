#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <thread>

#include "tests/emulator/runtime_state.h"

namespace mtrank::emulator {
namespace {

using Clock = std::chrono::steady_clock;

struct Node {
  std::string name;
  std::function<void()> run;
  std::vector<size_t> after;
};

struct Capture {
  cudaStream_t origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool spoiled = false, ended = false;
  std::vector<Node> nodes;
};

/// One record of an event: what waiting for the event meant when it was asked for.
struct Moment {
  cudaStream_t stream = nullptr;
  bool done = false;
  Clock::time_point at;
  std::shared_ptr<Capture> capture;  ///< recorded in one
  std::vector<size_t> tail;          ///< then: the nodes to come after
};

/// Work, or a record, or a wait.
struct Item {
  std::function<void()> run;
  std::shared_ptr<Moment> record, wait;
};

}  // namespace
}  // namespace mtrank::emulator

struct CUstream_st {
  bool blocking = true;  ///< ordered with stream 0
  std::deque<mtrank::emulator::Item> queue;
  std::shared_ptr<mtrank::emulator::Capture> capture;
  std::vector<size_t> tail;  ///< capturing: the nodes that the next one comes after
};
struct CUevent_st {
  bool timing = true;
  std::shared_ptr<mtrank::emulator::Moment> moment;
};
struct CUgraph_st {
  std::shared_ptr<const std::vector<mtrank::emulator::Node>> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<mtrank::emulator::Node>> nodes;
};

namespace mtrank::emulator {
namespace {

std::vector<cudaStream_t>& streams() {
  static std::vector<cudaStream_t> all;
  return all;
}

bool exists(cudaStream_t stream) {
  return stream == nullptr || std::find(streams().begin(), streams().end(), stream) != streams().end();
}

void run_first(CUstream_st& stream);

void run_until(Moment& moment) {
  while (!moment.done) {
    if (moment.stream->queue.empty()) refuse("an event was waited for whose stream has no such record");
    run_first(*moment.stream);
  }
}

void run_first(CUstream_st& stream) {
  const Item item = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (item.wait) run_until(*item.wait);
  if (item.run) run_operation(item.run);
  if (item.record) item.record->done = true, item.record->at = Clock::now();
}

cudaError_t push(cudaStream_t stream, Item item) {
  stream->queue.push_back(std::move(item));
  if (settings().timing == Timing::eager) run_stream(stream);
  return cudaSuccess;
}

/// Puts every node after those it depends on; apart from that, as late as possible or at random when work is deferred.
void run_graph(const std::vector<Node>& nodes) {
  const std::vector<size_t> rank =
      settings().timing == Timing::deferred ? some_order(nodes.size()) : std::vector<size_t>{};
  std::vector<size_t> missing(nodes.size());
  std::vector<std::vector<size_t>> followers(nodes.size());
  std::set<std::pair<size_t, size_t>> ready;  // rank, node
  const auto add = [&](size_t n) { ready.insert({rank.empty() ? n : nodes.size() - rank[n], n}); };
  for (size_t n = 0; n < nodes.size(); ++n) {
    missing[n] = nodes[n].after.size();
    for (size_t before : nodes[n].after) followers[before].push_back(n);
    if (missing[n] == 0) add(n);
  }
  while (!ready.empty()) {
    const size_t n = ready.begin()->second;
    ready.erase(ready.begin());
    run_operation(nodes[n].run);
    for (size_t f : followers[n])
      if (--missing[f] == 0) add(f);
  }
}

/// Whether everything captured comes before what the origin would capture next.
bool is_joined(const Capture& c) {
  std::vector<bool> reached(c.nodes.size(), false);
  for (size_t n : c.origin->tail) reached[n] = true;
  for (size_t n = c.nodes.size(); n-- > 0;)
    if (reached[n])
      for (size_t before : c.nodes[n].after) reached[before] = true;
  return std::all_of(reached.begin(), reached.end(), [](bool b) { return b; });
}

void merge(std::vector<size_t>& into, const std::vector<size_t>& more) {
  into.insert(into.end(), more.begin(), more.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

cudaError_t spoil(Capture& c, cudaError_t error) {
  c.spoiled = true;
  return error;
}

cudaError_t wait_in_capture(cudaStream_t stream, const Moment& moment) {
  if (moment.capture->ended) return cudaErrorCapturedEvent;
  if (moment.capture->spoiled) return cudaErrorStreamCaptureInvalidated;
  if (stream->capture && stream->capture != moment.capture) {
    stream->capture->spoiled = true;
    return spoil(*moment.capture, cudaErrorStreamCaptureMerge);
  }
  if (!stream->capture) stream->capture = moment.capture, stream->tail.clear();
  merge(stream->tail, moment.tail);
  return cudaSuccess;
}

}  // namespace

cudaError_t refuse_in_capture(cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
  for (cudaStream_t s : streams()) {
    if (!s->capture) continue;
    const Capture& c = *s->capture;
    const bool forbidden = s == stream || c.mode == cudaStreamCaptureModeGlobal ||
                           (c.mode == cudaStreamCaptureModeThreadLocal && c.thread == std::this_thread::get_id());
    if (forbidden) error = spoil(*s->capture, cudaErrorStreamCaptureUnsupported);
  }
  return error;
}

cudaError_t refuse_implicit_capture() {
  cudaError_t error = cudaSuccess;
  for (cudaStream_t s : streams())
    if (s->capture && s->blocking) error = spoil(*s->capture, cudaErrorStreamCaptureImplicit);
  return error;
}

bool is_capturing(cudaStream_t stream) { return stream != nullptr && stream->capture; }

void spoil_capture(cudaStream_t stream) { stream->capture->spoiled = true; }

void run_stream(cudaStream_t stream) {
  if (stream == nullptr) return run_blocking_streams();
  while (!stream->queue.empty()) run_first(*stream);
}

// The newest first: work that should have waited for an older stream's is then seen to run too early.
void run_all_streams() {
  const std::vector<cudaStream_t> all = streams();
  for (size_t i = all.size(); i-- > 0;) run_stream(all[i]);
}

void run_blocking_streams() {
  for (cudaStream_t s : streams())
    if (s->blocking) run_stream(s);
}

cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<void()> run) {
  const auto lock = api_lock();
  if (!exists(stream)) return cudaErrorInvalidResourceHandle;
  if (stream == nullptr) {
    if (const cudaError_t e = refuse_implicit_capture()) return e;
    run_blocking_streams();
    run_operation(run);
    return cudaSuccess;
  }
  if (!stream->capture) return push(stream, {std::move(run), nullptr, nullptr});
  Capture& c = *stream->capture;
  if (c.spoiled) return cudaErrorStreamCaptureInvalidated;
  c.nodes.push_back({std::move(name), std::move(run), std::move(stream->tail)});
  stream->tail = {c.nodes.size() - 1};
  return cudaSuccess;
}

}  // namespace mtrank::emulator

using namespace mtrank::emulator;

// Streams.

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  const auto lock = api_lock();
  if (const cudaError_t e = device_error()) return remember(e);
  if (flags > cudaStreamNonBlocking) return remember(cudaErrorInvalidValue);
  *stream = new CUstream_st;
  (*stream)->blocking = flags != cudaStreamNonBlocking;
  streams().push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const auto lock = api_lock();
  if (stream == nullptr || !exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (stream->capture) stream->capture->spoiled = true;
  run_stream(stream);
  streams().erase(std::find(streams().begin(), streams().end(), stream));
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const auto lock = api_lock();
  if (!exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = refuse_in_capture(stream)) return remember(e);
  run_stream(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const auto lock = api_lock();
  if (!exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = refuse_in_capture(stream)) return remember(e);
  if (stream == nullptr) return run_blocking_streams(), cudaSuccess;
  if (stream->queue.empty()) return cudaSuccess;
  run_first(*stream);  // so that whoever asks again and again gets an end
  return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const auto lock = api_lock();
  if (!exists(stream) || event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  if (!event->moment) return cudaSuccess;  // never recorded
  const std::shared_ptr<Moment> moment = event->moment;
  if (moment->capture) {
    if (stream == nullptr) return remember(spoil(*moment->capture, cudaErrorStreamCaptureImplicit));
    return remember(wait_in_capture(stream, *moment));
  }
  if (is_capturing(stream)) return remember(spoil(*stream->capture, cudaErrorStreamCaptureIsolation));
  if (stream == nullptr) return run_until(*moment), cudaSuccess;
  return push(stream, {nullptr, nullptr, moment});
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t run, void* data) {
  if (run == nullptr) return remember(cudaErrorInvalidValue);
  return remember(enqueue(stream, "host function", [run, data] { run(data); }));
}

// Events.

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (const cudaError_t e = device_error()) return remember(e);
  *event = new CUevent_st;
  (*event)->timing = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto lock = api_lock();
  if (!exists(stream) || event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  auto moment = std::make_shared<Moment>();
  moment->stream = stream;
  if (stream == nullptr) {
    if (const cudaError_t e = refuse_implicit_capture()) return remember(e);
    run_blocking_streams();
    moment->done = true;
    moment->at = Clock::now();
    event->moment = moment;
    return cudaSuccess;
  }
  if (is_capturing(stream)) {
    if (stream->capture->spoiled) return remember(cudaErrorStreamCaptureInvalidated);
    moment->capture = stream->capture;
    moment->tail = stream->tail;
    event->moment = moment;
    return cudaSuccess;
  }
  event->moment = moment;
  return push(stream, {nullptr, moment, nullptr});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto lock = api_lock();
  if (event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  if (!event->moment) return cudaSuccess;
  if (event->moment->capture) return remember(cudaErrorCapturedEvent);
  run_until(*event->moment);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const auto lock = api_lock();
  if (event == nullptr) return remember(cudaErrorInvalidResourceHandle);
  if (const cudaError_t e = refuse_in_capture()) return remember(e);
  if (!event->moment) return cudaSuccess;
  if (event->moment->capture) return remember(cudaErrorCapturedEvent);
  if (event->moment->done) return cudaSuccess;
  run_first(*event->moment->stream);
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const auto lock = api_lock();
  if (from == nullptr || to == nullptr || !from->timing || !to->timing || !from->moment || !to->moment)
    return remember(cudaErrorInvalidResourceHandle);
  if (from->moment->capture || to->moment->capture) return remember(cudaErrorInvalidResourceHandle);
  if (!from->moment->done || !to->moment->done) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(to->moment->at - from->moment->at).count();
  return cudaSuccess;
}

// Graphs.

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const auto lock = api_lock();
  if (stream == nullptr) return remember(cudaErrorStreamCaptureUnsupported);
  if (!exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (stream->capture) return remember(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->tail.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const auto lock = api_lock();
  *graph = nullptr;
  if (stream == nullptr || !exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  if (!stream->capture) return remember(cudaErrorIllegalState);
  const std::shared_ptr<Capture> c = stream->capture;
  if (c->origin != stream) return remember(spoil(*c, cudaErrorStreamCaptureUnmatched));
  if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
    return remember(spoil(*c, cudaErrorStreamCaptureWrongThread));
  const bool joined = is_joined(*c);
  c->ended = true;
  for (cudaStream_t s : streams())
    if (s->capture == c) s->capture = nullptr, s->tail.clear();
  if (c->spoiled) return remember(cudaErrorStreamCaptureInvalidated);
  if (!joined) return remember(spoil(*c, cudaErrorStreamCaptureUnjoined));
  *graph = new CUgraph_st{std::make_shared<std::vector<Node>>(std::move(c->nodes))};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const auto lock = api_lock();
  if (!exists(stream)) return remember(cudaErrorInvalidResourceHandle);
  *status = !is_capturing(stream)      ? cudaStreamCaptureStatusNone
            : stream->capture->spoiled ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  if (graph == nullptr || nodes != nullptr) return remember(cudaErrorInvalidValue);
  *count = graph->nodes->size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (graph == nullptr) return remember(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t) {
  return remember(exec == nullptr ? cudaErrorInvalidValue : cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (exec == nullptr) return remember(cudaErrorInvalidValue);
  return remember(enqueue(stream, "a graph", [nodes = exec->nodes] { run_graph(*nodes); }));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (exec == nullptr) return remember(cudaErrorInvalidValue);
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (graph == nullptr) return remember(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}
