#include "framework/train/stop_signal.h"

#include <unistd.h>

#include <csignal>

namespace mtrank {
namespace {

volatile std::sig_atomic_t g_received = 0, g_deferred = 0;
struct sigaction g_old_int, g_old_term;

void on_signal(int signal) {
  if (g_received || !g_deferred) _exit(128 + signal);
  g_received = signal;
}

}  // namespace

StopSignal::StopSignal() {
  g_received = 0;
  g_deferred = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &g_old_int);
  sigaction(SIGTERM, &action, &g_old_term);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &g_old_int, nullptr);
  sigaction(SIGTERM, &g_old_term, nullptr);
}

void StopSignal::defer() { g_deferred = 1; }

int StopSignal::received() const { return g_received; }

}  // namespace mtrank
