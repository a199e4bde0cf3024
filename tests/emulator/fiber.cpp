#include "tests/emulator/fiber.h"

#include <sys/mman.h>

#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace mtrank::emulator {
namespace {

constexpr size_t kGuard = 4096, kStack = size_t{256} << 10;

}  // namespace

struct Fiber::State {
  char* mapped = nullptr;
  const void* bottom = nullptr;  ///< for the sanitizer; of a thread's own stack known after the first switch away
  size_t size = 0;
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t context;
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan = nullptr;
#endif
};

}  // namespace mtrank::emulator

#if defined(__x86_64__)
// Saves what a function call must preserve, swaps stacks, restores: swapcontext without its system calls.
extern "C" void mtrank_swap_stacks(void** from, void* to);
asm(R"(
.text
.globl mtrank_swap_stacks
.type mtrank_swap_stacks,@function
mtrank_swap_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mtrank_swap_stacks,.-mtrank_swap_stacks
)");
#endif

namespace mtrank::emulator {
namespace {

/// The fiber that was left by the switch in progress.
thread_local Fiber* left = nullptr;

}  // namespace

Fiber::Fiber() : state_(std::make_unique<State>()) {
#if defined(__SANITIZE_THREAD__)
  state_->tsan = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(void (*entry)()) : state_(std::make_unique<State>()) {
  State& s = *state_;
  void* at = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  s.mapped = static_cast<char*>(at);
  mprotect(s.mapped, kGuard, PROT_NONE);  // a stack that grows too far faults
  s.bottom = s.mapped + kGuard;
  s.size = kStack;
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(s.mapped + kGuard + kStack);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  s.stack_pointer = top - 6;  // fresh memory: six registers of 0
#else
  getcontext(&s.context);
  s.context.uc_stack.ss_sp = s.mapped + kGuard;
  s.context.uc_stack.ss_size = kStack;
  makecontext(&s.context, entry, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  s.tsan = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (state_->mapped == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(state_->tsan);
#endif
  munmap(state_->mapped, kGuard + kStack);
}

void Fiber::switch_to(Fiber& next) {
  left = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&state_->fake_stack, next.state_->bottom, next.state_->size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(next.state_->tsan, 0);
#endif
#if defined(__x86_64__)
  mtrank_swap_stacks(&state_->stack_pointer, next.state_->stack_pointer);
#else
  swapcontext(&state_->context, &next.state_->context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(state_->fake_stack, &left->state_->bottom, &left->state_->size);
#endif
}

void Fiber::entered() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &left->state_->bottom, &left->state_->size);
#endif
}

}  // namespace mtrank::emulator
