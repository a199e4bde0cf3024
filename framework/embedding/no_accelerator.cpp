#include "framework/core/error.h"
#include "framework/embedding/accelerator.h"
#include "framework/embedding/ceilings.h"

/// What a build without CUDA links.
namespace mtrank {
namespace {

constexpr const char* kNone = "this build has no CUDA: configure with `cmake --preset cuda`, or use --device cpu";

}  // namespace

bool accelerator_built() { return false; }

bool accelerator_present(std::string* why) {
  *why = kNone;
  return false;
}

std::vector<std::pair<std::string, std::string>> accelerator_facts() {
  return {{"cuda", "not in this build: it trains and scores on the CPU alone"}};
}

std::vector<AcceleratorRegion> plan_accelerator(const AcceleratorJob&) { throw ConfigError(kNone); }

std::unique_ptr<Accelerator> open_accelerator(AcceleratorJob) { throw ConfigError(kNone); }

Ceilings measure_ceilings(std::span<const ProductShape>, const CeilingSizes&, const std::string&) {
  throw ConfigError(kNone);
}

}  // namespace mtrank
