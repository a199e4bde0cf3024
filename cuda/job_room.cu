#include <algorithm>
#include <string>

#include "cuda/workspace.h"
#include "framework/core/error.h"

namespace mtrank::cuda {
namespace {

constexpr size_t kDriver = size_t{512} << 20;  // what the driver and the kernels' code take besides

/// The largest of the regions, for messages.
std::string largest_regions(std::vector<AcceleratorRegion> regions) {
  std::stable_sort(regions.begin(), regions.end(), [](auto& a, auto& b) { return a.bytes > b.bytes; });
  std::string text;
  for (size_t i = 0; i < 3 && i < regions.size(); ++i)
    text += (i ? ", " : "") + regions[i].what + " " + gib(static_cast<size_t>(regions[i].bytes));
  return text;
}

size_t bytes_of(const AcceleratorJob& job) {
  const JobPlan plan(job);
  return plan.lasting.bytes() + Workspace(plan).memory.bytes();
}

/// The batch of training that would fit, else that of evaluations, else both.
std::string what_fits(const AcceleratorJob& job, size_t free) {
  const auto fits = [&](const AcceleratorJob& one) { return bytes_of(one) + kDriver <= free; };
  for (const auto& [train, eval] : {std::pair{true, false}, {false, true}, {true, true}}) {
    AcceleratorJob smaller = job;
    while (!fits(smaller) && ((train && smaller.batch > 1) || (eval && smaller.eval_batch > 1))) {
      if (train) smaller.batch = std::max<int64_t>(1, smaller.batch / 2);
      if (eval) smaller.eval_batch = std::max<int64_t>(1, smaller.eval_batch / 2);
    }
    if (!fits(smaller)) continue;
    return (train ? "train.batch_size: " + std::to_string(smaller.batch) : "") + (train && eval ? " with " : "") +
           (eval ? "eval.batch_size: " + std::to_string(smaller.eval_batch) : "") + " would fit";
  }
  return std::string("Not even a batch of one row fits: use fewer rows (`ids: hash`, `min_count`), a smaller dim, ") +
         (job.shards > 1 ? "fewer logical_shards, " : "") + "or an optimizer with less state";
}

}  // namespace

std::vector<AcceleratorRegion> all_regions(const JobPlan& plan, const Workspace& work) {
  std::vector<AcceleratorRegion> regions = plan.lasting.regions();
  regions.insert(regions.end(), work.memory.regions().begin(), work.memory.regions().end());
  regions.push_back({"the driver and the kernels' code", static_cast<int64_t>(kDriver)});
  return regions;
}

void require_room(const JobPlan& plan, const Workspace& work, size_t free, size_t total) {
  const size_t needed = plan.lasting.bytes() + work.memory.bytes() + kDriver;
  if (needed <= free) return;
  throw ResourceError("this job needs about " + gib(needed) + " of the GPU's memory (" +
                      largest_regions(all_regions(plan, work)) + ", …), and " + gib(free) + " of " + gib(total) +
                      " are free. " + what_fits(plan.job, free) + ". `mtrank plan --device cuda` shows all of it");
}

}  // namespace mtrank::cuda
