#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

#include "tests/emulator/emulator.h"
#include "tests/emulator/fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace mtrank::emulator {
namespace {

constexpr int kWarps = 32;

enum class Wait { nothing, barrier, shuffle, ballot, sync };
const char* kWaitNames[] = {"nothing", "__syncthreads", "a shuffle", "a vote", "__syncwarp"};

struct Thread {
  Fiber* fiber = nullptr;  ///< while it waits
  Wait wait = Wait::nothing;
  unsigned mask = 0;
  int source = 0;
  uint64_t value = 0, result = 0;
};

struct Warp {
  uint32_t fresh = 0;    ///< lanes not started
  uint32_t ready = 0;    ///< lanes that waited and may go on
  uint32_t waiting = 0;  ///< lanes in a warp operation
  uint32_t live = 0;     ///< lanes not at their end
};

/// The block that runs, a thread at a time. Guarded by the lock that every call of the API takes.
struct Block {
  std::function<std::string()> name;
  const std::function<void()>* body = nullptr;
  dim3 shape, index;
  int threads = 0, live = 0, at_barrier = 0, predicates = 0, barrier_result = 0;
  int current = 0;
  Order order = Order::forward;
  Thread thread[kWarps * warpSize];
  Warp warp[kWarps];
  uint32_t runnable = 0;  ///< warps with fresh or ready lanes
  Fiber* main = nullptr;
  Fiber* running = nullptr;
  std::vector<Fiber*>* idle = nullptr;
} block;

std::mt19937_64& generator() {
  static std::mt19937_64 g(settings().seed);
  return g;
}

int choose_bit(uint32_t bits) {
  switch (block.order) {
    case Order::forward:
      return __builtin_ctz(bits);
    case Order::reverse:
      return 31 - __builtin_clz(bits);
    case Order::random:
      break;
  }
  const int turn = static_cast<int>(generator()() & 31);
  const uint32_t turned = turn == 0 ? bits : bits >> turn | bits << (32 - turn);
  return (__builtin_ctz(turned) + turn) & 31;
}

std::string at(const dim3& p) {
  return "(" + std::to_string(p.x) + ", " + std::to_string(p.y) + ", " + std::to_string(p.z) + ")";
}

[[noreturn]] void refuse_block(const std::string& what) {
  refuse("kernel " + block.name() + ", grid " + at(gridDim) + ", block " + at(block.shape) + ", in block " +
         at(block.index) + ": " + what);
}

[[noreturn]] void deadlock() {
  std::string text = "deadlock:";
  int count[5] = {0, 0, 0, 0, 0}, first[5] = {0, 0, 0, 0, 0};
  for (int t = block.threads - 1; t >= 0; --t)
    if (const int w = static_cast<int>(block.thread[t].wait); w != 0) ++count[w], first[w] = t;
  for (int w = 1; w < 5; ++w)
    if (count[w] > 0)
      text += " " + std::to_string(count[w]) + " threads (the first is " + std::to_string(first[w]) + ") wait in " +
              kWaitNames[w] + ";";
  refuse_block(text + " none of them can go on");
}

void make_ready(int t) {
  block.thread[t].wait = Wait::nothing;
  block.warp[t / warpSize].ready |= 1u << t % warpSize;
  block.runnable |= 1u << t / warpSize;
}

void release_barrier_if_complete() {
  if (block.at_barrier == 0 || block.at_barrier < block.live) return;
  block.barrier_result = block.predicates;
  block.at_barrier = block.predicates = 0;
  for (int t = 0; t < block.threads; ++t)
    if (block.thread[t].wait == Wait::barrier) make_ready(t);
}

/// Frees the lanes that wait with lane `l` if all its mask names have come.
void release_warp_if_complete(int w, int l) {
  Warp& warp = block.warp[w];
  Thread* lanes = block.thread + w * warpSize;
  const uint32_t all = lanes[l].mask & warp.live;
  if ((all & ~warp.waiting) != 0) return;
  uint64_t votes = 0;
  for (uint32_t rest = all; rest != 0; rest &= rest - 1) {
    const Thread& t = lanes[__builtin_ctz(rest)];
    if (t.wait != lanes[l].wait || t.mask != lanes[l].mask) return;
    if (t.value != 0) votes |= uint64_t{1} << __builtin_ctz(rest);
  }
  for (uint32_t rest = all; rest != 0; rest &= rest - 1) {
    Thread& t = lanes[__builtin_ctz(rest)];
    const bool there = t.source >= 0 && t.source < warpSize && (all >> t.source & 1) != 0;
    t.result = t.wait == Wait::ballot ? votes : there ? lanes[t.source].value : 0x0101010101010101u * settings().poison;
  }
  warp.waiting &= ~all;
  for (uint32_t rest = all; rest != 0; rest &= rest - 1) make_ready(w * warpSize + __builtin_ctz(rest));
}

/// Takes the thread to run next out of those that may; -1: none may.
int take_next() {
  if (block.runnable == 0) return -1;
  const int w = choose_bit(block.runnable);
  Warp& warp = block.warp[w];
  const int l = choose_bit(warp.fresh | warp.ready);
  const uint32_t bit = 1u << l;
  if ((warp.fresh | warp.ready) == bit) block.runnable &= ~(1u << w);
  warp.ready &= ~bit;
  return w * warpSize + l;
}

bool take_fresh(int t) {
  uint32_t& fresh = block.warp[t / warpSize].fresh;
  const uint32_t bit = 1u << t % warpSize;
  const bool is = (fresh & bit) != 0;
  fresh &= ~bit;
  return is;
}

void set_current(int t) {
  block.current = t;
  const unsigned i = static_cast<unsigned>(t);
  threadIdx = {i % block.shape.x, i / block.shape.x % block.shape.y, i / (block.shape.x * block.shape.y)};
}

void fiber_main();

/// The calling thread's stacks; a fiber never runs on two threads of the machine.
struct Pool {
  Fiber main;
  std::vector<std::unique_ptr<Fiber>> all;
  std::vector<Fiber*> idle;
};
Pool& pool() {
  thread_local Pool p;
  return p;
}

Fiber* idle_fiber() {
  if (block.idle->empty()) {
    Pool& p = pool();
    p.all.push_back(std::make_unique<Fiber>(fiber_main));
    p.idle.push_back(p.all.back().get());
  }
  Fiber* f = block.idle->back();
  block.idle->pop_back();
  return f;
}

void switch_fiber(Fiber* next) {
  Fiber* self = block.running;
  block.running = next;
  self->switch_to(*next);
}

void end_of_thread(int t) {
  const int w = t / warpSize;
  Warp& warp = block.warp[w];
  warp.live &= ~(1u << t % warpSize);
  --block.live;
  release_barrier_if_complete();
  for (int l = 0; l < warpSize; ++l)  // lanes may have waited for this one alone
    if ((warp.waiting >> l & 1) != 0) release_warp_if_complete(w, l);
}

/// Runs threads to their ends, one after another while none waits; then goes on with one that waited.
void fiber_main() {
  Fiber::entered();
  Fiber* self = block.running;
  for (;;) {
    set_current(self->thread);
    (*block.body)();
    end_of_thread(block.current);
    const int next = take_next();
    if (next >= 0 && take_fresh(next)) {
      self->thread = next;
      continue;
    }
    if (next < 0 && block.live > 0) deadlock();
    block.idle->push_back(self);
    switch_fiber(next < 0 ? block.main : block.thread[next].fiber);
  }
}

/// The current thread waits; returns when it may go on.
void wait() {
  const int self = block.current;
  const int next = take_next();
  if (next < 0) deadlock();
  if (next != self) {
    block.thread[self].fiber = block.running;
    Fiber* fiber = block.thread[next].fiber;
    if (take_fresh(next)) {
      fiber = idle_fiber();
      fiber->thread = next;
    }
    switch_fiber(fiber);
  }
  set_current(self);
}

void run_block(const dim3& index) {
  blockIdx = {index.x, index.y, index.z};
  block.index = index;
  block.live = block.threads;
  block.at_barrier = block.predicates = 0;
  block.runnable = 0;
  for (int w = 0; w * warpSize < block.threads; ++w) {
    const int lanes = std::min(warpSize, block.threads - w * warpSize);
    const uint32_t all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    block.warp[w] = {all, 0, 0, all};
    block.runnable |= 1u << w;
  }
  const int first = take_next();
  take_fresh(first);
  Fiber* fiber = idle_fiber();
  fiber->thread = first;
  switch_fiber(fiber);
}

}  // namespace

std::vector<size_t> some_order(size_t n) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  if (settings().order == Order::reverse) std::reverse(order.begin(), order.end());
  if (settings().order == Order::random) std::shuffle(order.begin(), order.end(), generator());
  return order;
}

int lane() { return block.current % warpSize; }

void trap() { refuse_block("thread " + std::to_string(block.current) + " called __trap"); }

void require_aligned(const void* at, size_t bytes, const char* access) {
  if (reinterpret_cast<uintptr_t>(at) % bytes == 0) return;
  refuse_block("thread " + std::to_string(block.current) + " calls " + access + " for " + std::to_string(bytes) +
               " bytes at an address that is no multiple of them");
}

uint64_t warp_operation(WarpOp op, unsigned mask, uint64_t value, int source) {
  const int t = block.current, w = t / warpSize, l = t % warpSize;
  if ((mask >> l & 1) == 0)
    refuse_block("thread " + std::to_string(t) + " calls a warp operation whose mask leaves it out");
  Thread& self = block.thread[t];
  self.wait = op == WarpOp::shuffle ? Wait::shuffle : op == WarpOp::ballot ? Wait::ballot : Wait::sync;
  self.mask = mask;
  self.value = value;
  self.source = source;
  block.warp[w].waiting |= 1u << l;
  release_warp_if_complete(w, l);
  wait();
  return self.result;
}

int block_barrier(bool predicate) {
  block.thread[block.current].wait = Wait::barrier;
  ++block.at_barrier;
  block.predicates += predicate;
  release_barrier_if_complete();
  wait();
  return block.barrier_result;
}

void run_grid(const std::function<std::string()>& name, dim3 grid, dim3 shape, const std::function<void()>& thread) {
  Pool& p = pool();
  block.name = name;
  block.body = &thread;
  block.shape = shape;
  block.threads = static_cast<int>(shape.x * shape.y * shape.z);
  block.order = settings().order;
  block.idle = &p.idle;
  block.main = block.running = &p.main;
  gridDim = grid;
  blockDim = shape;
  const size_t blocks = size_t{grid.x} * grid.y * grid.z;
  const std::vector<size_t> order = block.order == Order::forward ? std::vector<size_t>{} : some_order(blocks);
  for (size_t i = 0; i < blocks; ++i) {
    const size_t b = order.empty() ? i : order[i];
    run_block(dim3(static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                   static_cast<unsigned>(b / grid.x / grid.y)));
  }
}

}  // namespace mtrank::emulator
