#include "cuda/job.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr double kMoreRoom = 1.25;  // for lists, when a batch had too little

template <class T>
__global__ void gather_column(const T* __restrict__ in, int64_t ld, float* __restrict__ out, int64_t rows) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r < rows) out[r] = to_float(in[r * ld]);
}

}  // namespace

/// The time between marks on a stream, by node and by name.
class Job::Timer {
 public:
  Timer(cudaStream_t stream, size_t nodes) : stream_(stream) {
    profile_.node_seconds.resize(nodes);
    profile_.spared.fused.resize(nodes);
    mark({-1, ""});
  }
  void node(size_t n) { mark({static_cast<int64_t>(n), ""}); }
  void fused(size_t n) { profile_.spared.fused[n] = 1; }
  void phase(const char* name) { mark({-1, name}); }

  AcceleratorProfile finish() {
    MTRANK_CUDA(cudaStreamSynchronize(stream_));
    for (size_t i = 1; i < events_.size(); ++i) {
      const double seconds = events_[i].seconds_since(events_[i - 1]);
      if (labels_[i].node >= 0)
        profile_.node_seconds[static_cast<size_t>(labels_[i].node)] += seconds;
      else
        profile_.phases.emplace_back(labels_[i].name, seconds);
    }
    return std::move(profile_);
  }

 private:
  struct Label {
    int64_t node;
    std::string name;
  };
  void mark(Label label) {
    events_.emplace_back(true);
    events_.back().record(stream_);
    labels_.push_back(std::move(label));
  }
  cudaStream_t stream_;
  std::vector<Event> events_;
  std::vector<Label> labels_;
  AcceleratorProfile profile_;
};

Job::Job(AcceleratorJob job)
    : job_(std::move(job)),
      available_(device_.free_bytes()),
      plan_(job_),
      result_bytes_(static_cast<size_t>(round_up(static_cast<int64_t>(plan_.result_bytes()), 64))) {
  require_room(plan_, Workspace(plan_), available_, device_.total_bytes());
  plan_.lasting.allocate();
  plan_.model.bind(plan_.lasting, stream_);
  MTRANK_CUDA(cudaMemsetAsync(plan_.lasting.at<void>(plan_.stopped_at), 0, sizeof(uint32_t), stream_));
  results_ = PinnedMemory(kDepth * result_bytes_);
  scores_ = PinnedMemory(plan_.scores_bytes());
  make_workspace();
}

Job::~Job() {
  cudaStreamSynchronize(stream_);
  cudaStreamSynchronize(copies_);
}

void Job::make_workspace() {
  work_.reset();
  work_ = std::make_unique<Workspace>(plan_);
  work_->allocate(plan_, stream_);
}

/// A batch with longer lists than any before: everything that holds lists is made again, larger.
void Job::make_room(const HostBatch& batch, const StagedLayout& layout, std::vector<IdsRoom>& rooms) {
  if (layout.holds(batch)) return;
  stream_.synchronize();
  for (size_t f = 0; f < rooms.size(); ++f) {
    if (!rooms[f].list) continue;
    const double ids = batch.ids[f].offsets[batch.rows] - batch.ids[f].offsets[0];
    if (ids > static_cast<double>(layout.ids()[f].capacity))
      rooms[f].per_row = kMoreRoom * ids / static_cast<double>(layout.rows());
    for (IdsRoom& room : job_.ids)  // what a refusal reckons with
      if (room.name == rooms[f].name) room.per_row = std::max(room.per_row, rooms[f].per_row);
  }
  require_room(plan_, Workspace(plan_), available_, device_.total_bytes());
  make_workspace();
}

Context Job::context(const DeviceStep* step) const {
  return {.stream = stream_,
          .step = step,
          .products = &*work_->products,
          .tf32 = job_.tf32,
          .scratch = work_->scratch,
          .workspace = work_->workspace};
}

void Job::upload() { plan_.model.upload(stream_); }
void Job::download() { plan_.model.download(stream_); }
void Job::initialize() { plan_.model.initialize(job_.training, job_.seed, stream_); }

void Job::stage(int s, const HostBatch& batch, int64_t step, double lr_factor) {
  Slot& slot = work_->slots[s];
  slot.fill(batch, *job_.pool);
  auto& control = *slot.extra<StepControl>();
  DeviceStep* shards = control.shards(plan_.model.tables().size());
  const StagedLayout& layout = work_->training_layout;
  for (int64_t i = 0; i < layout.shards(); ++i) {
    const StagedLayout::Shard shard = layout.shard(batch.rows, i);
    shards[i] = {job_.seed, 0, batch.first_sample + static_cast<uint64_t>(shard.from), shard.rows};
  }
  const StagedLayout::Shard last = layout.shard(batch.rows, layout.shards() - 1);
  control.step = {job_.seed, 0, batch.first_sample, last.to + last.rows};
  set_control(s, step, lr_factor);
  copy_to_device(s, work_->training_layout.bytes());
}

/// What the host says of the step but for its batch.
void Job::set_control(int s, int64_t step, double lr_factor) {
  auto& control = *work_->slots[s].extra<StepControl>();
  control.step.step = static_cast<uint64_t>(step);
  DeviceStep* shards = control.shards(plan_.model.tables().size());
  for (int i = 0; i < job_.shards; ++i) shards[i].step = control.step.step;
  const OptimizerSettings& dense = *job_.dense_optimizer;
  control.dense = dense.info().step(dense, dense.lr * lr_factor, step, 0);
  for (size_t t = 0; t < job_.model.tables.size(); ++t)
    set_table_steps(control, t, job_.model.tables[t]->optimizer(), job_.model.tables[t]->l2(), lr_factor, step);
}

void Job::copy_to_device(int s, size_t bytes) {
  work_->slots[s].copy(copies_, bytes);
  copied_[s].record(copies_);
  copied_[s].hold(stream_);
}

/// Everything a step does on the device. With a timer nothing overlaps.
void Job::launch_step(int s, Timer* timer) {
  Workspace& work = *work_;
  const bool overlap = job_.launch.overlap && !timer;
  const auto* control = work.slots[s].extra_on_device<StepControl>();
  const auto phase = [&](const char* name) {
    if (timer) timer->phase(name);
  };
  work.slots[s].unpack(stream_);
  phase("unpack inputs");
  // What tables need runs beside what dense weights need: ids are sorted under the forward and backward pass.
  const bool aside = overlap && work.sparse;
  const cudaStream_t tables = aside ? sorting_ : stream_;
  const auto fork = [&] {
    if (!aside) return;
    forked_.record(stream_);
    forked_.hold(tables);
  };
  const auto join = [&] {
    if (!aside) return;
    sorted_.record(tables);
    sorted_.hold(stream_);
  };
  if (work.sparse) {
    work.sparse->begin(stream_);
    fork();
    work.sparse->prepare(tables, work.looked_up(plan_, s), &control->step);
    phase("sort ids");
  }
  for (int shard = 0; shard < job_.shards; ++shard) {
    Context with = context(control->shards(plan_.model.tables().size()) + shard);
    if (overlap) with.side = &*work.side;
    const Runner& runner = *work.runners[s][static_cast<size_t>(shard)];
    for (size_t n = 0; n < runner.size(); ++n) {
      runner.run(n, n + 1, with);
      if (timer && runner.fused(n))
        timer->fused(n);
      else if (timer)
        timer->node(n);
    }
    // The binary tree over the shards: those that are whole with this one, the smallest first.
    int at = Workspace::gradient_of(shard);
    for (int rest = shard; rest & 1; rest >>= 1, --at)
      add_gradient(stream_, plan_.model.gradient(at - 1), plan_.model.gradient(at), plan_.model.elements());
    if (shard & 1) phase("fold gradients");
  }
  squared_norm(stream_, plan_.model.gradient(), plan_.model.elements(), work.norms);
  join();
  verdict(stream_, work.norms, work.losses, work.sparse ? work.sparse->limits() : SparseLimits{},
          job_.clip_norm.value_or(std::numeric_limits<double>::infinity()),
          plan_.lasting.at<uint32_t>(plan_.stopped_at), work.outcome);
  phase("norm and finite check");
  fork();
  dense_update(stream_, job_.dense_optimizer->info(), plan_.model.weights(), plan_.model.gradient(),
               plan_.model.slots(), plan_.model.elements(), &control->dense, work.outcome, plan_.model.low_copies());
  phase("dense update");
  if (work.sparse) work.sparse->update(tables, work.pooled, control->tables(), &work.outcome->proceed);
  join();
  phase("table update");
}

void Job::run_step(int s) {
  Workspace& work = *work_;
  if (!job_.launch.graph || !work.warm[s]) {
    launch_step(s, nullptr);
    work.warm[s] = true;
  } else {
    if (!work.graphs[s]) work.graphs[s].capture(stream_, [&] { launch_step(s, nullptr); });
    work.graphs[s].replay(stream_);
  }
}

int Job::take_slot() {
  MTRANK_ASSERT(under_way_.size() < kDepth);
  const int s = next_slot_;
  next_slot_ = (s + 1) % kDepth;
  return s;
}

/// Starts the step whose batch is in the slot, or on its way there.
void Job::start(int s) {
  begun_[s].record(stream_);
  run_step(s);
  MTRANK_CUDA(cudaMemcpyAsync(outcome(s), work_->outcome, plan_.result_bytes(), cudaMemcpyDeviceToHost, stream_));
  done_[started_++ % (kDepth + 1)].record(stream_);
  under_way_.push_back(s);
}

void Job::submit(const HostBatch& batch, int64_t step, double lr_factor) {
  MTRANK_ASSERT(batch.rows > 0 && batch.rows <= job_.batch);
  make_room(batch, work_->training_layout, plan_.training_room);
  const int s = take_slot();
  stage(s, batch, step, lr_factor);
  start(s);
}

void Job::repeat(int64_t step, double lr_factor) {
  MTRANK_ASSERT(started_ >= kDepth);
  const int s = take_slot();
  set_control(s, step, lr_factor);
  copy_to_device(s, StepControl::bytes(plan_.model.tables().size(), static_cast<size_t>(job_.shards)));
  start(s);
}

AcceleratorStep Job::collect() {
  MTRANK_ASSERT(!under_way_.empty());
  const int s = under_way_.front();
  const int64_t step = started_ - static_cast<int64_t>(under_way_.size());
  under_way_.pop_front();
  const auto done = [&](int64_t of) -> const Event& { return done_[of % (kDepth + 1)]; };
  done(step).synchronize();
  const Outcome& outcome = *this->outcome(s);
  const auto* losses = reinterpret_cast<const double*>(&outcome + 1);
  return {.loss = {losses, losses + plan_.training.graph.losses.size()},
          .norm_squared = outcome.norm_squared,
          .finite = outcome.finite != 0,
          .idle_seconds = step > 0 ? begun_[s].seconds_since(done(step - 1)) : 0};
}

void Job::score(const HostBatch& batch, std::span<float* const> scores) {
  make_room(batch, work_->scoring_layout, plan_.scoring_room);
  Workspace& work = *work_;
  Slot& slot = work.scoring_slot;
  slot.fill(batch, *job_.pool);
  *slot.extra<DeviceStep>() = {job_.seed, 0, batch.first_sample, batch.rows};
  slot.copy(stream_, work.scoring_layout.bytes());
  slot.unpack(stream_);
  work.scorer->run(0, work.scorer->size(), context(slot.extra_on_device<DeviceStep>()));
  const size_t stride = static_cast<size_t>(job_.eval_batch);
  for (size_t o = 0; o < scores.size(); ++o) {
    const DeviceView view = work.scorer->view(plan_.scoring.graph.outputs[o].value);
    with_type(view.dtype, [&]<class T>(T) {
      launch_flat(gather_column<T>, batch.rows, stream_, view.as<const T>(), view.ld, work.scores + o * stride,
                  batch.rows);
    });
  }
  MTRANK_CUDA(cudaMemcpyAsync(scores_.at<float>(), work.scores, plan_.scores_bytes(), cudaMemcpyDeviceToHost, stream_));
  stream_.synchronize();
  for (size_t o = 0; o < scores.size(); ++o) std::copy_n(scores_.at<const float>() + o * stride, batch.rows, scores[o]);
}

std::vector<float> Job::gradient() {
  std::vector<float> out(static_cast<size_t>(plan_.model.elements()));
  stream_.synchronize();
  MTRANK_CUDA(cudaMemcpy(out.data(), plan_.model.gradient(), out.size() * sizeof(float), cudaMemcpyDeviceToHost));
  return out;
}

AcceleratorProfile Job::profile(const HostBatch& batch, int64_t step) {
  MTRANK_ASSERT(under_way_.empty());
  make_room(batch, work_->training_layout, plan_.training_room);
  stage(0, batch, step, 1);
  copies_.synchronize();
  stream_.synchronize();
  // What is launched meanwhile queues up, so that between two marks no kernel waits for the host.
  MTRANK_CUDA(cudaLaunchHostFunc(
      stream_, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }, nullptr));
  const Graph& graph = plan_.training.graph;
  Timer timer(stream_, graph.nodes.size());
  launch_step(0, &timer);
  AcceleratorProfile profile = timer.finish();
  for (size_t f = 0; f < plan_.same_as.size(); ++f)
    if (plan_.same_as[f] != kNoValue) profile.spared.in_place.push_back(graph.sparse_gradients[f].gradient);
  return profile;
}

std::vector<AcceleratorRegion> Job::memory() const { return all_regions(plan_, *work_); }

std::string Job::algorithms() const { return work_->products->describe(); }

}  // namespace mtrank::cuda

namespace mtrank {

bool accelerator_built() { return true; }

bool accelerator_present(std::string* why) {
  *why = cuda::Device::problem();
  return why->empty();
}

std::vector<std::pair<std::string, std::string>> accelerator_facts() { return cuda::Device::facts(); }

std::vector<AcceleratorRegion> plan_accelerator(const AcceleratorJob& job) {
  const cuda::JobPlan plan(job);
  return cuda::all_regions(plan, cuda::Workspace(plan));
}

std::unique_ptr<Accelerator> open_accelerator(AcceleratorJob job) {
  return std::make_unique<cuda::Job>(std::move(job));
}

}  // namespace mtrank
