#include "framework/train/schedule.h"

#include <algorithm>

namespace mtrank {
namespace {

/// cos(pi x) for x in [0, 1]: minus the sine's Taylor series at pi (x - 1/2), below 1e-16 off.
double cos_pi(double x) {
  const double y = 3.14159265358979323846 * (x - 0.5);
  double term = y, sum = y;
  for (int k = 1; k < 14; ++k) {
    term *= -y * y / ((2 * k) * (2 * k + 1));
    sum += term;
  }
  return -sum;
}

double step_decay(const Schedule& s, int64_t step) {
  double factor = 1;
  for (int64_t i = (step - 1) / std::max<int64_t>(1, s.every); i > 0 && factor > 1e-300; --i) factor *= s.factor;
  return factor;
}

/// Share of the decay that is done, from 0 to 1.
double decay_progress(const Schedule& s, int64_t step, int64_t total_steps) {
  const int64_t end = s.decay_steps.value_or(total_steps);
  if (step >= end) return 1;
  return static_cast<double>(step - s.warmup_steps) / static_cast<double>(end - s.warmup_steps);
}

double decay(const Schedule& s, int64_t step, int64_t total_steps) {
  const double progress = decay_progress(s, step, total_steps);
  switch (s.type) {
    case ScheduleKind::constant:
      return 1;
    case ScheduleKind::step:
      return step_decay(s, step);
    case ScheduleKind::linear:
      return 1 - (1 - s.floor) * progress;
    case ScheduleKind::cosine:
      return progress >= 1 ? s.floor : s.floor + (1 - s.floor) * (1 + cos_pi(progress)) / 2;
  }
  return 1;
}

}  // namespace

double schedule_factor(const Schedule& s, int64_t step, int64_t total_steps) {
  if (step < s.warmup_steps) return static_cast<double>(step) / static_cast<double>(s.warmup_steps);
  return decay(s, step, total_steps);
}

}  // namespace mtrank
