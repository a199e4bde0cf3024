#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "cuda/call.h"
#include "cuda/launch.h"
#include "cuda/products.h"
#include "framework/core/bf16.h"
#include "framework/embedding/accelerator.h"
#include "framework/graph/plan.h"
#include "framework/ops/add.h"
#include "framework/ops/dropout.h"
#include "framework/ops/gate.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/mixture.h"
#include "framework/ops/mul.h"
#include "framework/ops/ops.h"
#include "framework/ops/softmax.h"
#include "tests/support/op_cases.h"

/// Every launch against the CPU's kernel of the same op. The graph of a case runs on the CPU; each of its calls is made
/// again on copies of its arguments, stored in other ways and precisions, by both.
namespace mtrank::cuda {
namespace {

using testing::ConformanceCase;
using Values = std::vector<ValueId>;

/// ‖a − b‖ / ‖b‖ of an output in f32, and in bf16, whose numbers are rounded to 2^-9.
constexpr double kTolerance = 1e-5, kLowTolerance = 1e-2;
/// The ops that add numbers up in an order other than the CPU's. The others give the CPU's bits in f32.
const std::set<std::string> kOtherOrder = {
    "linear",  "linear_input_gradient", "linear_weight_gradient", "layer_norm",       "layer_norm_gradient",
    "softmax", "softmax_gradient",      "gate_gradient",          "mixture_gradient", "loss"};

Launch launch_of(const std::string& op) {
#define MTRANK_OP(name) \
  if (op == #name) return launches::name;
#include "framework/ops/ops.def"
#undef MTRANK_OP
  return nullptr;
}

/// How values of the batch lie in memory.
enum class Layout {
  dense,   ///< row after row
  padded,  ///< rows begin at multiples of 64 bytes, as plans store them
  odd,     ///< rows begin anywhere
};

struct Variant {
  DType dtype;
  Layout layout;
  int64_t rows;
  int64_t padding = 0;  ///< rows of the batch that are not its own
};

class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) : size_(bytes) { MTRANK_CUDA(cudaMalloc(&data_, bytes)); }
  ~DeviceBytes() { cudaFree(data_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void write(const void* from) { MTRANK_CUDA(cudaMemcpy(data_, from, size_, cudaMemcpyHostToDevice)); }
  void read(void* to) const { MTRANK_CUDA(cudaMemcpy(to, data_, size_, cudaMemcpyDeviceToHost)); }
  std::byte* get() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
  size_t size_;
};

/// What every launch needs, once for all tests.
struct Machine {
  Machine() : scratch(Context::kScratch), workspace(Context::kWorkspace), step(sizeof(DeviceStep)) {
    context = {.step = reinterpret_cast<DeviceStep*>(step.get()),
               .products = &products,
               .scratch = scratch.get(),
               .workspace = workspace.get()};
    MTRANK_CUDA(cudaStreamCreate(&context.stream));
  }
  static Machine& get() {
    static Machine& machine = *new Machine;
    return machine;
  }
  DeviceBytes scratch, workspace, step;
  Products products;
  Context context;
};

float rounded(float x, DType dtype) { return dtype == DType::bf16 ? to_float(to_bf16(x)) : x; }

/// A value that others are slices of, on the host in f32 and on the device.
class Storage {
 public:
  Storage(const Value& value, const Variant& v)
      : dtype_(stored_as(value, v.dtype)), rows_(value.batch ? v.rows : value.rows), cols_(value.cols), ld_(cols_) {
    const bool free = value.batch && value.kind != ValueKind::sparse_gradient;
    if (free && v.layout == Layout::padded && cols_ > 1) ld_ = round_up(cols_, 64 / size());
    if (free && v.layout == Layout::odd) ld_ = cols_ + 3, offset_ = 1;
    host_.resize(static_cast<size_t>(rows_ * cols_), std::numeric_limits<float>::quiet_NaN());
  }

  float& at(int64_t row, int64_t column) { return host_[static_cast<size_t>(row * cols_ + column)]; }
  int64_t rows() const { return rows_; }
  DType dtype() const { return dtype_; }
  View host_view(const Value& value) { return {host_.data() + value.column, rows_, value.cols, cols_}; }
  DeviceView device_view(const Value& value) const {
    DeviceView view{memory_->get() + (offset_ + value.column) * size(), rows_, value.cols, ld_, dtype_};
    if (low_) view.low = low_->get(), view.low_ld = low_ld();
    if (largest_) view.largest = reinterpret_cast<uint32_t*>(largest_->get());
    return view;
  }
  void upload(ValueKind kind) {
    bytes_.assign(static_cast<size_t>((offset_ + rows_ * ld_) * size()), std::byte{0x7A});
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) put(element(r, c), at(r, c));
    memory_ = std::make_unique<DeviceBytes>(bytes_.size());
    memory_->write(bytes_.data());
    if (kind == ValueKind::param) upload_low();
    if (kind == ValueKind::sparse_gradient) {
      largest_ = std::make_unique<DeviceBytes>(sizeof(uint32_t));
      const uint32_t none = 0;
      largest_->write(&none);
    }
  }
  /// What differs from the host in the columns of `outputs`, and from what was there elsewhere.
  std::string problem(const std::vector<Value>& outputs, bool exact) {
    std::vector<std::byte> got(bytes_.size());
    memory_->read(got.data());
    double difference = 0, norm = 0;
    size_t other_bits = 0;
    std::vector<bool> written(static_cast<size_t>(offset_ + rows_ * ld_));
    for (const Value& output : outputs)
      for (int64_t r = 0; r < rows_; ++r)
        for (int64_t c = output.column; c < output.column + output.cols; ++c) {
          written[static_cast<size_t>(element(r, c))] = true;
          const float want = at(r, c), is = read(got, element(r, c));
          if (std::isnan(is) && std::isnan(want)) continue;  // 0 / 0 of padding
          difference += (is - want) * (is - want), norm += want * want;
          other_bits += std::memcmp(&is, &want, sizeof(float)) != 0;
        }
    for (int64_t i = 0; i < static_cast<int64_t>(written.size()); ++i)
      if (const int64_t at = i * size(); !written[static_cast<size_t>(i)] &&
                                         std::memcmp(&got[static_cast<size_t>(at)], &bytes_[static_cast<size_t>(at)],
                                                     static_cast<size_t>(size())) != 0)
        return "element " + std::to_string(i) + ", which is not its own, was written";
    const double distance = std::sqrt(difference) / std::max(std::sqrt(norm), 1e-6);
    if (!(distance <= (dtype_ == DType::bf16 ? kLowTolerance : kTolerance)))
      return "differs by " + std::to_string(distance);
    if (exact && other_bits && dtype_ == DType::f32) return std::to_string(other_bits) + " numbers have other bits";
    return "";
  }

 private:
  int64_t size() const { return static_cast<int64_t>(dtype_size(dtype_)); }
  int64_t low_ld() const { return round_up(cols_, 8); }
  int64_t element(int64_t row, int64_t column) const { return offset_ + row * ld_ + column; }
  void put(int64_t i, float x) {
    if (dtype_ == DType::bf16)
      reinterpret_cast<bf16*>(bytes_.data())[i] = to_bf16(x);
    else
      reinterpret_cast<float*>(bytes_.data())[i] = x;
  }
  float read(const std::vector<std::byte>& bytes, int64_t i) const {
    return dtype_ == DType::bf16 ? to_float(reinterpret_cast<const bf16*>(bytes.data())[i])
                                 : reinterpret_cast<const float*>(bytes.data())[i];
  }
  void upload_low() {
    std::vector<bf16> low(static_cast<size_t>(rows_ * low_ld()), bf16{0});
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) low[static_cast<size_t>(r * low_ld() + c)] = to_bf16(at(r, c));
    low_ = std::make_unique<DeviceBytes>(low.size() * sizeof(bf16));
    low_->write(low.data());
  }

  DType dtype_;
  int64_t rows_, cols_, ld_, offset_ = 0;
  std::vector<float> host_;
  std::vector<std::byte> bytes_;
  std::unique_ptr<DeviceBytes> memory_, low_, largest_;
};

/// A call of a kernel, made again by the CPU and the device.
class Repeat {
 public:
  Repeat(const Graph& graph, const OpCall& call, const Op& op, const Variant& v)
      : graph_(graph), call_(call), op_(op), v_(v) {
    for (size_t i = 0; i < call.in.size(); ++i) take(call.node.inputs[i], call.in[i], Use::input);
    for (size_t i = 0; i < call.out.size(); ++i)
      if (call.out[i].data) take(call.node.outputs[i], call.out[i], call.accumulate[i] ? Use::input : Use::output);
    if (v.padding) pad();
    for (auto& [root, storage] : storage_) storage.upload(graph.value(root).kind);
  }

  std::vector<std::string> problems() {
    run_device();
    run_host();
    std::vector<std::string> list;
    const bool exact = !kOtherOrder.count(op_.name);
    std::map<ValueId, std::vector<Value>> outputs;
    for (size_t i = 0; i < call_.out.size(); ++i) {
      if (!call_.out[i].data) continue;
      const ValueId id = call_.node.outputs[i];
      if (graph_.value(id).kind == ValueKind::loss) {
        double got = 0;
        numbers_.at(id)->read(&got);
        const double want = host_numbers_.at(id), bound = v_.dtype == DType::bf16 ? kLowTolerance : kTolerance;
        if (!(std::abs(got - want) <= bound * std::abs(want)))
          list.push_back(std::string(op_.name) + ": loss " + std::to_string(got) + ", not " + std::to_string(want));
      } else {
        outputs[graph_.root(id)].push_back(graph_.value(id));
      }
    }
    for (auto& [root, storage] : storage_)
      if (const std::string problem = storage.problem(outputs[root], exact); !problem.empty())
        list.push_back(std::string(op_.name) + ": " + graph_.value(root).name + " " + problem);
    return list;
  }

 private:
  enum class Use { input, output };

  /// Copies an argument: rows beyond the call's own are the same again, a little larger.
  void take(ValueId id, const View& view, Use use) {
    if (id == kNoValue) return;
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::ids) return take_ids(id, *view.as<const IdsView>());
    if (value.kind == ValueKind::scalar || value.kind == ValueKind::loss) {
      host_numbers_[id] = *view.as<const double>();
      numbers_[id] = std::make_unique<DeviceBytes>(sizeof(double));
      numbers_[id]->write(&host_numbers_[id]);
      return;
    }
    const ValueId root = graph_.root(id);
    Storage& storage = storage_.try_emplace(root, graph_.value(root), v_).first->second;
    for (int64_t r = 0; r < storage.rows(); ++r)
      for (int64_t c = 0; c < view.cols; ++c) {
        const float number = view.row<const float>(r % view.rows)[c] * (1 + 0.01f * static_cast<float>(r / view.rows));
        storage.at(r, value.column + c) =
            use == Use::output ? std::numeric_limits<float>::quiet_NaN() : rounded(number, storage.dtype());
      }
  }
  void take_ids(ValueId id, const IdsView& ids) {
    std::vector<int32_t>& list = ids_[id];
    for (int64_t r = 0; r < v_.rows; ++r) list.push_back(r < v_.rows - v_.padding ? ids.ids[r % call_.rows] : -1);
    device_ids_[id] = std::make_unique<DeviceBytes>(list.size() * sizeof(int32_t));
    device_ids_[id]->write(list.data());
    host_ids_[id] = {list.data(), nullptr, nullptr};
    bound_ids_[id] = {.ids = reinterpret_cast<const int32_t*>(device_ids_[id]->get())};
  }
  /// Padding is 0. A loss only promises that it weighs nothing: the rest may be anything.
  void pad() {
    const bool loss = std::string(op_.name) == "loss";
    for (size_t i = 0; i < call_.in.size(); ++i) {
      const ValueId id = call_.node.inputs[i];
      const auto found = id == kNoValue ? storage_.end() : storage_.find(graph_.root(id));
      if (found == storage_.end() || !graph_.value(id).batch) continue;
      for (int64_t r = v_.rows - v_.padding; r < v_.rows; ++r)
        for (int64_t c = 0; c < graph_.value(id).cols; ++c)
          found->second.at(r, graph_.value(id).column + c) =
              loss && i < 2 ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    }
  }

  View host_view(ValueId id, const View& original) {
    if (!original.data || id == kNoValue) return {};
    if (host_ids_.count(id)) return {.data = &host_ids_[id]};
    if (host_numbers_.count(id)) return {&host_numbers_[id], 1, 1, 1};
    return storage_.at(graph_.root(id)).host_view(graph_.value(id));
  }
  DeviceView device_view(ValueId id, const View& original) {
    if (!original.data || id == kNoValue) return {};
    if (bound_ids_.count(id)) return {.data = &bound_ids_[id]};
    if (numbers_.count(id)) return {.data = numbers_[id]->get(), .rows = 1, .cols = 1, .ld = 1, .dtype = DType::f64};
    return storage_.at(graph_.root(id)).device_view(graph_.value(id));
  }

  void run_host() {
    std::vector<View> in, out;
    for (size_t i = 0; i < call_.in.size(); ++i) in.push_back(host_view(call_.node.inputs[i], call_.in[i]));
    for (size_t i = 0; i < call_.out.size(); ++i) out.push_back(host_view(call_.node.outputs[i], call_.out[i]));
    std::vector<float> packed;
    if (const Packing* packing = op_.packing) {
      View& weights = in[static_cast<size_t>(packing->input)];
      const int64_t groups = call_.node.attributes.integer("groups", 1), rows = weights.rows / groups;
      const size_t floats = packing->bytes(rows, weights.cols) / sizeof(float);
      packed.resize(floats * static_cast<size_t>(groups));
      for (int64_t g = 0; g < groups; ++g)
        packing->pack(weights.row<const float>(g * rows), rows, weights.cols,
                      packed.data() + floats * static_cast<size_t>(g));
      weights.packed = packed.data();
    }
    op_.cpu_f32({call_.node, in, out, call_.accumulate, v_.rows, call_.first_sample, call_.step, call_.scratch});
  }
  void run_device() {
    Machine& machine = Machine::get();
    const DeviceStep step{call_.step.seed, call_.step.step, call_.first_sample, v_.rows - v_.padding};
    machine.step.write(&step);
    std::vector<DeviceView> in, out;
    for (size_t i = 0; i < call_.in.size(); ++i) in.push_back(device_view(call_.node.inputs[i], call_.in[i]));
    for (size_t i = 0; i < call_.out.size(); ++i) out.push_back(device_view(call_.node.outputs[i], call_.out[i]));
    launch_of(op_.name)({call_.node, in, out, call_.accumulate, v_.rows, call_.step.seed, machine.context});
    MTRANK_CUDA(cudaStreamSynchronize(machine.context.stream));
  }

  const Graph& graph_;
  const OpCall& call_;
  const Op& op_;
  const Variant& v_;
  std::map<ValueId, Storage> storage_;  // by root
  std::map<ValueId, std::unique_ptr<DeviceBytes>> numbers_, device_ids_;
  std::map<ValueId, double> host_numbers_;
  std::map<ValueId, std::vector<int32_t>> ids_;
  std::map<ValueId, IdsView> host_ids_;
  std::map<ValueId, DeviceIds> bound_ids_;
};

/// What is told of every call of an op of ops.def while a graph runs.
std::function<void(const OpCall&, const Op&)> observer;
void observed(const OpCall& call) {
  const Op& op = *find_op(call.node.op->name);
  observer(call, op);
  op.cpu_f32(call);
}

std::vector<Variant> variants(const Op& op) {
  std::vector<Variant> list;
  for (DType dtype : {DType::f32, DType::bf16}) {
    for (Layout layout : {Layout::dense, Layout::padded, Layout::odd}) list.push_back({dtype, layout, 7});
    list.push_back({dtype, Layout::padded, 37, 8});
    if (std::string(op.name) == "loss") list.push_back({dtype, Layout::dense, 2500, 100});  // several blocks
  }
  return list;
}

std::string describe(const Variant& v) {
  constexpr const char* layouts[] = {"dense", "padded", "odd"};
  return std::string(dtype_name(v.dtype)) + " " + layouts[static_cast<int>(v.layout)] + " " + std::to_string(v.rows) +
         " rows: ";
}

std::vector<std::string> check_launches(const ConformanceCase& c, testing::Reading reading) {
  std::vector<std::string> problems;
  Graph graph = testing::case_graph(c, reading);
  std::deque<Op> ops;
  for (OpNode& node : graph.nodes) {
    if (!find_op(node.op->name)) continue;
    ops.push_back(*node.op);
    ops.back().cpu_f32 = observed;
    node.op = &ops.back();
  }
  observer = [&](const OpCall& call, const Op& op) {
    for (const Variant& variant : variants(op))
      for (const std::string& problem : Repeat(graph, call, op, variant).problems())
        problems.push_back(describe(variant) + problem);
  };
  testing::run_in_float(graph);
  return problems;
}

/// Widths and counts for which kernels take other ways.
std::vector<ConformanceCase> more_cases() {
  std::vector<ConformanceCase> list;
  for (int64_t width : {40, 100, 200, 600, 1100})
    for (int64_t groups : {1, 2})
      list.push_back({"layer_norm_" + std::to_string(width) + "_" + std::to_string(groups),
                      {},
                      {width},
                      [=](Builder& b, const Values& x) { return Values{layer_norm(b, "norm", x[0], groups)}; }});
  for (int64_t size : {1, 2, 3, 8, 13, 40})
    list.push_back({"softmax_" + std::to_string(size), {}, {2 * size}, [=](Builder& b, const Values& x) {
                      return Values{softmax(b, x[0], size)};
                    }});
  for (int64_t width : {1, 16, 300})
    list.push_back({"gate_" + std::to_string(width), {}, {3, 3 * width}, [](Builder& b, const Values& x) {
                      return Values{gate(b, x[0], x[1])};
                    }});
  struct Mixture {
    int64_t tasks, experts, width;
  };
  for (const auto& [tasks, experts, width] : {Mixture{1, 1, 8}, {2, 5, 64}, {3, 12, 40}, {9, 17, 24}, {5, 3, 300}})
    list.push_back(
        {"mixture_" + std::to_string(tasks) + "_" + std::to_string(experts),
         {},
         {tasks * experts, experts * width},
         [experts = experts](Builder& b, const Values& x) { return Values{mixture(b, x[0], x[1], experts)}; }});
  for (size_t count : {4, 5, 10, 17}) {
    const std::vector<int64_t> widths(count, 24);
    list.push_back(
        {"add_" + std::to_string(count), {}, widths, [](Builder& b, const Values& x) { return Values{add(b, x)}; }});
    list.push_back(
        {"mul_" + std::to_string(count), {}, widths, [](Builder& b, const Values& x) { return Values{mul(b, x)}; }});
  }
  list.push_back(
      {"dropout_wide", {}, {300}, [](Builder& b, const Values& x) { return Values{dropout(b, x[0], 0.1)}; }});
  list.push_back({"weights_fixed", {}, {9}, [](Builder& b, const Values& x) {
                    const ValueId fixed = layer_norm(b, "norm", x[0]);
                    return Values{b.slice(fixed, 1, 4), b.slice(x[0], 2, 3)};
                  }});
  return list;
}

const std::vector<ConformanceCase>& all_cases() {
  static const std::vector<ConformanceCase> cases = [] {
    std::vector<ConformanceCase> list = testing::op_cases();
    for (ConformanceCase& c : more_cases()) list.push_back(std::move(c));
    return list;
  }();
  return cases;
}

class CudaOps : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
  }
};

TEST_P(CudaOps, LaunchesAgreeWithTheCpu) {
  const ConformanceCase& c = all_cases()[GetParam()];
  for (testing::Reading reading : {testing::Reading::plain, testing::Reading::shared})
    EXPECT_EQ(testing::lines(check_launches(c, reading)), "") << c.name;
}
INSTANTIATE_TEST_SUITE_P(Ops, CudaOps, ::testing::Range<size_t>(0, all_cases().size()),
                         [](const auto& info) { return all_cases()[info.param].name; });

TEST(CudaOpsList, EveryOpHasACase) {
  std::set<std::string> covered;
  for (const ConformanceCase& c : all_cases())
    for (const OpNode& node : testing::case_graph(c, testing::Reading::plain).nodes) covered.insert(node.op->name);
  for (const Op* op : all_ops()) EXPECT_TRUE(covered.count(op->name)) << "op " << op->name << " has no case";
}

}  // namespace
}  // namespace mtrank::cuda
