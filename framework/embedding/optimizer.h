#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "framework/core/host_device.h"
#include "framework/core/parameter.h"

/// Optimisers, written once for dense weights and for embedding tables, for the CPU and for CUDA. A new one is a header
/// in optimizers/ and its row in optimizers.def.
namespace mtrank {

enum class OptimizerUse : uint8_t { dense = 1, tables = 2, both = 3 };
constexpr bool serves(OptimizerUse offered, OptimizerUse wanted) {
  return (static_cast<int>(offered) & static_cast<int>(wanted)) != 0;
}

/// A number an optimiser takes.
struct OptimizerParameter : Parameter {
  OptimizerUse use = OptimizerUse::both;
};

enum class SlotShape : uint8_t { element, row };
/// What an optimiser remembers: one float a weight, or one a row of a table.
struct StateSlot {
  std::string_view name;
  SlotShape shape = SlotShape::element;
  std::string_view initial = {};  ///< the parameter it starts at; 0 when empty
  std::string_view when = {};     ///< it exists only where this parameter is not 0
};
constexpr int kMaxSlots = 2;
constexpr int kMaxOptimizerParameters = 6;

struct OptimizerInfo;

/// An optimiser as a job asks for it.
class OptimizerSettings {
 public:
  /// Everything at its default. Throws ConfigError naming the candidates when there is no such optimiser for `use`.
  OptimizerSettings(std::string_view name, OptimizerUse use);
  OptimizerSettings(std::string_view name, OptimizerUse use,
                    std::initializer_list<std::pair<std::string_view, double>> values);

  const OptimizerInfo& info() const { return *info_; }
  OptimizerUse use() const { return use_; }
  /// Also "lr" and "weight_decay". Throws ConfigError when the optimiser has no such parameter or the value is out of
  /// bounds.
  void set(std::string_view name, double value);
  /// 0 where the optimiser has no such parameter, or not for this use.
  double get(std::string_view name) const;

  double lr = 1e-3;
  double weight_decay = 0;

 private:
  const OptimizerInfo* info_;
  OptimizerUse use_;
  std::array<double, kMaxOptimizerParameters> values_{};
};

/// What changes from step to step, computed once a step in double: an optimiser's own `Step`, as bytes that a kernel
/// can be given or read from device memory.
struct OptimizerStep {
  alignas(16) std::array<uint32_t, 12> own{};
  float decay = 0;  ///< times the weight, added to the gradient (L2)

  template <class Step>
  static OptimizerStep of(const Step& step) {
    static_assert(std::is_trivially_copyable_v<Step> && sizeof(Step) <= sizeof(own));
    OptimizerStep out;
    std::memcpy(out.own.data(), &step, sizeof(Step));
    return out;
  }
  template <class Step>
  MTRANK_HD Step as() const {
    static_assert(sizeof(Step) % sizeof(own[0]) == 0);
    uint32_t words[sizeof(Step) / sizeof(own[0])];  // so that a kernel loads words, not bytes
    for (size_t i = 0; i < std::size(words); ++i) words[i] = own[i];
    Step step;
    __builtin_memcpy(&step, words, sizeof(Step));
    return step;
  }
};

/// What to divide by where `root` may be 0: there was never a gradient, and eps is 0. Then the quotient is as good as
/// 0. A select and no branch, so that loops around it vectorise.
MTRANK_HD float divisor(float root) { return root > 0.0f ? root : 3.4e38f; }

/// An optimiser that remembers one number a row: `row` gives the factor of the row's gradient.
template <class O>
concept RowWise = requires {
  &O::row;
};
template <class O>
constexpr int kSlots = static_cast<int>(std::size(O::slots));

/// Pointers to the slots of `info().slots`, null where one does not exist.
using SlotPointers = std::array<float*, kMaxSlots>;

/// w, state <- update(w, scale * g + decay * w, state) for n consecutive weights; a null g is all zeros.
struct FlatUpdate {
  float* weights;
  const float* gradient;
  SlotPointers slots;
  int64_t n;
  float scale = 1;
};

/// The same for rows of a table: gradients[i] is that of row rows[i].
struct RowsUpdate {
  float* weights;
  int64_t dim;
  SlotPointers slots;
  const int32_t* rows;
  const float* const* gradients;
  int64_t count;
};

/// One row of optimizers.def.
struct OptimizerInfo {
  std::string_view name, summary;
  std::span<const OptimizerParameter> parameters;
  std::span<const StateSlot> slots;
  OptimizerUse use;
  bool takes_weight_decay;
  /// `step` counts from 1. `extra_decay` is L2 on top of weight_decay.
  OptimizerStep (*step)(const OptimizerSettings&, double lr, int64_t step, double extra_decay);
  void (*update_flat)(const OptimizerStep&, const FlatUpdate&);  ///< null for a row-wise one
  void (*update_rows)(const OptimizerStep&, const RowsUpdate&);  ///< null when it does not serve tables
};

/// Every optimiser, in the order of optimizers.def.
std::span<const OptimizerInfo> optimizer_registry();
/// Null when there is none of that name.
const OptimizerInfo* find_optimizer(std::string_view name);
/// Which of `info().slots` these settings need, by index.
std::vector<int> needed_slots(const OptimizerSettings& settings);

}  // namespace mtrank
