#include "framework/ops/linear.h"

#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <sstream>

#include "cuda/call.h"
#include "cuda/launch.h"
#include "cuda/products.h"
#include "framework/core/bf16.h"
#include "framework/embedding/accelerator.h"
#include "framework/ops/activation.h"
#ifdef MTRANK_EMULATED
#include "tests/emulator/emulator.h"
#endif

/// The launches of the linear ops against their CPU kernels in f64, which get the numbers that the device stores.
namespace mtrank::cuda {
namespace {

enum class Precision { f32, tf32, bf16 };
constexpr Precision kPrecisions[] = {Precision::f32, Precision::tf32, Precision::bf16};

/// ‖a − b‖ / ‖b‖ where sums are f32, where factors are rounded to TF32, and where results are stored in bf16.
constexpr double kF32 = 1e-5, kTf32 = 1e-3, kBf16 = 5e-3;

/// Device memory for the length of a test.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) { MTRANK_CUDA(cudaMalloc(&at_, bytes)); }
  ~DeviceBytes() { cudaFree(at_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  std::byte* get() const { return static_cast<std::byte*>(at_); }

 private:
  void* at_ = nullptr;
};

/// A matrix on the host in f64 and, as columns of a wider value, on the device. What lies around it must stay.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, DType dtype, int64_t offset, int64_t ld, std::mt19937& random)
      : rows_(rows),
        cols_(cols),
        offset_(offset),
        ld_(ld),
        dtype_(dtype),
        host_(static_cast<size_t>(rows * cols)),
        bytes_(static_cast<size_t>(rows * ld) * dtype_size(dtype)),
        device_(bytes_.size()) {
    std::normal_distribution<float> normal(0, 1);
    for (int64_t i = 0; i < rows * ld; ++i) put(i, normal(random));
    before_ = bytes_;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) host_[static_cast<size_t>(r * cols + c)] = got(r, c);
    MTRANK_CUDA(cudaMemcpy(device_.get(), bytes_.data(), bytes_.size(), cudaMemcpyHostToDevice));
  }

  View host() { return {host_.data(), rows_, cols_, cols_}; }
  DeviceView device() const {
    return {device_.get() + static_cast<size_t>(offset_) * dtype_size(dtype_), rows_, cols_, ld_, dtype_};
  }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

  void fetch() { MTRANK_CUDA(cudaMemcpy(bytes_.data(), device_.get(), bytes_.size(), cudaMemcpyDeviceToHost)); }
  double error() const {
    double difference = 0, norm = 0;
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) {
        const double want = host_[static_cast<size_t>(r * cols_ + c)], d = got(r, c) - want;
        difference += d * d, norm += want * want;
      }
    return std::sqrt(difference / (norm + 1e-30));
  }
  bool surroundings_kept() const {
    const size_t size = dtype_size(dtype_);
    for (int64_t i = 0; i < rows_ * ld_; ++i)
      if ((i % ld_ < offset_ || i % ld_ >= offset_ + cols_) &&
          std::memcmp(&bytes_[static_cast<size_t>(i) * size], &before_[static_cast<size_t>(i) * size], size) != 0)
        return false;
    return true;
  }

 private:
  void put(int64_t i, float x) {
    if (dtype_ == DType::bf16)
      reinterpret_cast<bf16*>(bytes_.data())[i] = to_bf16(x);
    else
      reinterpret_cast<float*>(bytes_.data())[i] = x;
  }
  double got(int64_t r, int64_t c) const {
    const int64_t i = r * ld_ + offset_ + c;
    return dtype_ == DType::bf16 ? to_float(reinterpret_cast<const bf16*>(bytes_.data())[i])
                                 : reinterpret_cast<const float*>(bytes_.data())[i];
  }

  int64_t rows_, cols_, offset_, ld_;
  DType dtype_;
  std::vector<double> host_;
  std::vector<unsigned char> bytes_, before_;
  DeviceBytes device_;
};

struct Shape {
  int64_t rows, groups, k, n;
};
struct Case {
  Shape shape;
  Precision precision = Precision::f32;
  std::string activation = "none";
  bool bias = true;
  bool slices = false;      ///< values are columns of wider ones, from an odd column on
  bool low_bias = true;     ///< a bf16 copy of the bias is there
  uint8_t accumulate = 0;   ///< of dx and dW
  uint8_t add_bias = 0;     ///< of db
  bool keep_before = true;  ///< z, where the activation's derivative needs it
};

std::string name(const Case& c) {
  std::ostringstream out;
  out << "rows " << c.shape.rows << ", groups " << c.shape.groups << ", K " << c.shape.k << ", N " << c.shape.n
      << ", precision " << static_cast<int>(c.precision) << ", " << c.activation << (c.bias ? ", bias" : "")
      << (c.slices ? ", slices" : "") << (c.low_bias ? "" : ", no low bias") << (c.accumulate ? ", +=" : "")
      << (c.add_bias ? ", bias +=" : "");
  return out.str();
}

class CudaLinear : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
    workspace_.emplace(Context::kWorkspace);
    scratch_.emplace(Context::kScratch);
    MTRANK_CUDA(cudaStreamCreate(&context_.stream));
    products_.emplace();
    context_.products = &*products_;
    context_.scratch = scratch_->get();
    context_.workspace = workspace_->get();
  }
  void TearDown() override {
    if (context_.stream) cudaStreamDestroy(context_.stream);
  }

  Matrix value(const Case& c, int64_t cols) {
    const DType dtype = c.precision == Precision::bf16 && cols > 1 ? DType::bf16 : DType::f32;
    if (c.slices) return Matrix(c.shape.rows, cols, dtype, 3, cols + 6, random_);
    const int64_t line = 64 / static_cast<int64_t>(dtype_size(dtype));
    return Matrix(c.shape.rows, cols, dtype, 0, cols == 1 ? 1 : round_up(cols, line), random_);
  }
  Matrix parameter(int64_t rows, int64_t cols) { return Matrix(rows, cols, DType::f32, 0, cols, random_); }

  /// The bf16 copy of a parameter.
  DeviceView with_low(const Case& c, DeviceView view, std::unique_ptr<DeviceBytes>& memory) {
    if (c.precision != Precision::bf16) return view;
    view.low_ld = round_up(view.cols, 8);
    std::vector<float> from(static_cast<size_t>(view.rows * view.cols));
    MTRANK_CUDA(cudaMemcpy(from.data(), view.data, from.size() * sizeof(float), cudaMemcpyDeviceToHost));
    std::vector<bf16> low(static_cast<size_t>(view.rows * view.low_ld));
    for (int64_t r = 0; r < view.rows; ++r)
      for (int64_t j = 0; j < view.cols; ++j)
        low[static_cast<size_t>(r * view.low_ld + j)] = to_bf16(from[static_cast<size_t>(r * view.cols + j)]);
    memory = std::make_unique<DeviceBytes>(low.size() * sizeof(bf16));
    MTRANK_CUDA(cudaMemcpy(memory->get(), low.data(), low.size() * sizeof(bf16), cudaMemcpyHostToDevice));
    view.low = memory->get();
    return view;
  }

  void on_device(Launch launch, const Case& c, const OpNode& node, const std::vector<DeviceView>& in,
                 const std::vector<DeviceView>& out) {
    context_.tf32 = c.precision == Precision::tf32;
    const Call call{node, in, out, node.accumulate, c.shape.rows, 1, context_};
    launch(call);
    MTRANK_CUDA(cudaStreamSynchronize(context_.stream));
  }
  void on_host(const Case& c, const OpNode& node, const std::vector<View>& in, const std::vector<View>& out) {
    const StepInfo step;
    Scratch scratch;
    const OpCall call{node, in, out, node.accumulate, c.shape.rows, 0, step, scratch};
    node.op->cpu_f64(call);
  }
  static void expect_close(Matrix& got, double bound, const char* what) {
    got.fetch();
    EXPECT_LE(got.error(), bound) << what;
    EXPECT_TRUE(got.surroundings_kept()) << what;
  }
  /// Of results in f32, and of those stored as activations are.
  static double sum_bound(const Case& c) { return c.precision == Precision::tf32 ? kTf32 : kF32; }
  static double bound(const Case& c) { return c.precision == Precision::bf16 ? kBf16 : sum_bound(c); }

  void forward(const Case& c) {
    const auto [rows, groups, k, n] = c.shape;
    Matrix x = value(c, groups * k), w = parameter(groups * k, n), b = parameter(1, groups * n);
    Matrix y = value(c, groups * n), z = value(c, groups * n);
    std::unique_ptr<DeviceBytes> low_w, low_b;
    const DeviceView weights = with_low(c, w.device(), low_w);
    DeviceView bias = c.bias ? with_low(c, b.device(), low_b) : DeviceView{};
    if (!c.low_bias) bias.low = nullptr;
    const bool keep = c.keep_before && saves_input(parse_activation(c.activation));
    const OpNode node{&ops::linear, "", {}, {}, {0, 0}, {{"activation", c.activation}, {"groups", groups}}};
    on_device(launches::linear, c, node, {x.device(), weights, bias}, {y.device(), keep ? z.device() : DeviceView{}});
    on_host(c, node, {x.host(), w.host(), c.bias ? b.host() : View{}}, {y.host(), keep ? z.host() : View{}});
    expect_close(y, bound(c), "y");
    if (keep) expect_close(z, bound(c), "z");
  }

  void input_gradient(const Case& c) {
    const auto [rows, groups, k, n] = c.shape;
    Matrix dz = value(c, groups * n), w = parameter(groups * k, n), dx = value(c, groups * k);
    std::unique_ptr<DeviceBytes> low;
    const DeviceView weights = with_low(c, w.device(), low);
    const OpNode node{&ops::linear_input_gradient, "", {}, {}, {c.accumulate}, {{"groups", groups}}};
    on_device(launches::linear_input_gradient, c, node, {dz.device(), weights}, {dx.device()});
    on_host(c, node, {dz.host(), w.host()}, {dx.host()});
    expect_close(dx, bound(c), "dx");
  }

  void weight_gradient(const Case& c) {
    const auto [rows, groups, k, n] = c.shape;
    Matrix x = value(c, groups * k), dz = value(c, groups * n), dw = parameter(groups * k, n);
    Matrix db = parameter(1, groups * n);
    const OpNode node{&ops::linear_weight_gradient, "", {}, {}, {c.accumulate, c.add_bias}, {{"groups", groups}}};
    on_device(launches::linear_weight_gradient, c, node, {x.device(), dz.device()},
              {dw.device(), c.bias ? db.device() : DeviceView{}});
    on_host(c, node, {x.host(), dz.host()}, {dw.host(), c.bias ? db.host() : View{}});
    expect_close(dw, sum_bound(c), "dW");
    // A sum may cancel: sums of 300 numbers of 1 are compared with each other, not with their own size.
    if (c.bias) expect_close(db, sum_bound(c), "db");
  }

  std::mt19937 random_{7};
  std::optional<DeviceBytes> workspace_, scratch_;
  std::optional<Products> products_;  // the library begins only where there is a device
  Context context_;
};

/// Logits, one dense column, gates of a task; odd widths; experts side by side.
constexpr Shape kShapes[] = {{300, 1, 13, 32}, {7, 1, 1677, 24}, {300, 1, 24, 45}, {1, 1, 40, 24}, {300, 1, 64, 1},
                             {7, 1, 1677, 1},  {1, 1, 1677, 1},  {300, 1, 1, 48},  {7, 1, 1, 1},   {300, 1, 33, 4},
                             {7, 1, 3, 40},    {1, 1, 1, 2},     {300, 3, 16, 24}, {7, 3, 7, 5},   {300, 3, 5, 1},
                             {7, 3, 40, 4},    {300, 3, 2, 24},  {7, 3, 1, 6}};

TEST_F(CudaLinear, ForwardIsTheCpus) {
  for (Precision precision : kPrecisions)
    for (const Shape& shape : kShapes)
      for (bool slices : {false, true})
        for (bool bias : {false, true}) {
          const Case c{.shape = shape, .precision = precision, .activation = "relu", .bias = bias, .slices = slices};
          SCOPED_TRACE(name(c));
          forward(c);
        }
}

TEST_F(CudaLinear, EveryActivation) {
  for (Precision precision : kPrecisions)
    for (const Shape& shape : {Shape{7, 1, 13, 33}, Shape{7, 3, 16, 24}, Shape{7, 1, 64, 1}, Shape{7, 3, 2, 24}})
      for (const std::string& activation : activation_names())
        for (bool keep : {false, true})
          for (bool bias : {false, true}) {
            const Case c{
                .shape = shape, .precision = precision, .activation = activation, .bias = bias, .keep_before = keep};
            SCOPED_TRACE(name(c));
            forward(c);
          }
}

TEST_F(CudaLinear, ABiasThatTheLibraryCannotRead) {
  for (const char* activation : {"none", "relu", "gelu"}) {
    const Case c{.shape = {7, 1, 13, 33}, .precision = Precision::bf16, .activation = activation, .low_bias = false};
    SCOPED_TRACE(name(c));
    forward(c);
  }
}

TEST_F(CudaLinear, InputGradientIsTheCpus) {
  for (Precision precision : kPrecisions)
    for (const Shape& shape : kShapes)
      for (bool slices : {false, true})
        for (uint8_t accumulate : {0, 1}) {
          const Case c{.shape = shape, .precision = precision, .slices = slices, .accumulate = accumulate};
          SCOPED_TRACE(name(c));
          input_gradient(c);
        }
}

TEST_F(CudaLinear, WeightGradientIsTheCpus) {
  for (Precision precision : kPrecisions)
    for (const Shape& shape : kShapes)
      for (bool slices : {false, true})
        for (uint8_t accumulate : {0, 1})
          for (int bias : {0, 1, 2}) {
            const Case c{.shape = shape,
                         .precision = precision,
                         .bias = bias > 0,
                         .slices = slices,
                         .accumulate = accumulate,
                         .add_bias = bias == 2};
            SCOPED_TRACE(name(c));
            weight_gradient(c);
          }
}

/// Rows are cut into blocks from 64 x 256 on by another rule.
TEST_F(CudaLinear, ManyRows) {
  for (const Shape& shape : {Shape{17000, 1, 6, 1}, Shape{17000, 1, 1, 6}}) {
    const Case c{.shape = shape, .precision = Precision::bf16};
    SCOPED_TRACE(name(c));
    weight_gradient(c);
  }
}

TEST_F(CudaLinear, AWeightGradientThatTheScratchMemoryDoesNotHold) {
  const Case c{.shape = {2, 1, 5001, 1677}};  // its rows are not aligned, and longer ones would take 33.6 MB
  ASSERT_GT(5001u * 1680u * sizeof(float), Context::kScratch);
  weight_gradient(c);
}

/// After a first run, which makes what is kept, a launch can be captured; replays give the same bits.
TEST_F(CudaLinear, CapturedIsEager) {
  for (const Shape& shape : {Shape{300, 1, 40, 24}, Shape{300, 1, 64, 1}}) {
    const Case c{.shape = shape, .precision = Precision::bf16};
    SCOPED_TRACE(name(c));
    const auto [rows, groups, k, n] = shape;
    Matrix x = value(c, k), dz = value(c, n), dw = parameter(k, n), db = parameter(1, n);
    const OpNode node{&ops::linear_weight_gradient, "", {}, {}, {0, 0}, {{"groups", groups}}};
    const std::vector<DeviceView> in{x.device(), dz.device()}, out{dw.device(), db.device()};
    on_device(launches::linear_weight_gradient, c, node, in, out);
    dw.fetch(), db.fetch();
    const auto dw_eager = dw.bytes(), db_eager = db.bytes();

    cudaGraph_t graph;
    cudaGraphExec_t exec;
    MTRANK_CUDA(cudaStreamBeginCapture(context_.stream, cudaStreamCaptureModeThreadLocal));
    launches::linear_weight_gradient({node, in, out, node.accumulate, rows, 1, context_});
    MTRANK_CUDA(cudaStreamEndCapture(context_.stream, &graph));
    MTRANK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
    for (int replay = 0; replay < 2; ++replay) {
      for (const DeviceView& view : out)
        MTRANK_CUDA(cudaMemset(view.data, 0, static_cast<size_t>(view.rows * view.ld) * sizeof(float)));
      MTRANK_CUDA(cudaGraphLaunch(exec, context_.stream));
      MTRANK_CUDA(cudaStreamSynchronize(context_.stream));
      dw.fetch(), db.fetch();
      EXPECT_EQ(dw.bytes(), dw_eager);
      EXPECT_EQ(db.bytes(), db_eager);
    }
    MTRANK_CUDA(cudaGraphExecDestroy(exec));
    MTRANK_CUDA(cudaGraphDestroy(graph));
  }
}

/// Groups that the library does not take at once are multiplied one by one.
TEST_F(CudaLinear, GroupsThatTheLibraryRefuses) {
  // D's groups lie in each other's gaps: rows of 2 numbers, 10 apart, and 15 from group to group.
  constexpr int64_t kRows = 3, kInner = 8, kColumns = 2, kGroups = 2, kLd = 10, kStride = 15;
  Matrix a = parameter(kRows, kGroups * kInner), b = parameter(kGroups * kInner, kColumns), d = parameter(1, 64);
  Product product{kRows, kColumns, kInner, kGroups};
  product.a = {a.device().data, kGroups * kInner, DType::f32, kInner};
  product.b = {b.device().data, kColumns, DType::f32, kInner * kColumns};
  product.d = {d.device().data, kLd, DType::f32, kStride};
  product.epilogue = Epilogue::relu;
#ifdef MTRANK_EMULATED  // a library on a GPU may do it
  EXPECT_FALSE(products_->run(product, context_));
#endif
  product.epilogue = Epilogue::none;
  ASSERT_TRUE(products_->run(product, context_));
  MTRANK_CUDA(cudaStreamSynchronize(context_.stream));
  for (int64_t g = 0; g < kGroups; ++g)
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t n = 0; n < kColumns; ++n) {
        double& sum = d.host().as<double>()[g * kStride + r * kLd + n] = 0;
        for (int64_t k = 0; k < kInner; ++k)
          sum += a.host().row<double>(r)[g * kInner + k] * b.host().row<double>(g * kInner + k)[n];
      }
  expect_close(d, kF32, "D");
}

TEST_F(CudaLinear, AlgorithmsAreRecorded) {
  const Case c{.shape = {300, 3, 16, 24}, .precision = Precision::bf16, .activation = "relu"};
  forward(c);
  weight_gradient(c);
  std::vector<std::string> epilogues;
  for (const nlohmann::json& json : nlohmann::json::parse(products_->describe())) {
    epilogues.push_back(json.at("epilogue"));
    EXPECT_EQ(json.at("groups"), 3);
    EXPECT_EQ(json.at("n"), 24);
    EXPECT_NE(json.at("algorithm").is_number(), json.contains("refused")) << json;
    EXPECT_EQ(json.at("a").at("dtype"), "bf16");
  }
#ifdef MTRANK_EMULATED  // a library on a GPU may refuse one
  EXPECT_EQ(epilogues, (std::vector<std::string>{"bias_gradient", "bias_relu"}));
#endif
  EXPECT_THAT(epilogues, ::testing::Contains("bias_relu"));
}

/// A split k is added up in f32 by a second kernel, in order, or not split.
TEST_F(CudaLinear, NoSumHasAnOrderOfItsOwn) {
  weight_gradient({.shape = {3000, 1, 40, 24}, .precision = Precision::bf16, .bias = false});
  const auto products = nlohmann::json::parse(products_->describe());
  ASSERT_EQ(products.size(), 1u);
  EXPECT_EQ(products[0].at("split_k") > 1, products[0].at("reduction") == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
#ifdef MTRANK_EMULATED
  EXPECT_GT(products[0].at("split_k"), 1);
#endif
}

#ifdef MTRANK_EMULATED
/// The library would fuse the bias's gradient, but with another algorithm than it multiplies with else.
TEST_F(CudaLinear, AnEpilogueThatWouldChangeTheKernelIsRefused) {
  emulator::Settings settings = emulator::settings();
  settings.other_kernel = {CUBLASLT_EPILOGUE_BGRADA};
  const emulator::WithSettings with(settings);
  Matrix x = parameter(40, 16), dz = parameter(40, 24), dw = parameter(16, 24), db = parameter(1, 24);
  Product product{.m = 16, .n = 24, .k = 40};
  product.a = {x.device().data, 16, DType::f32, 0, true};
  product.b = {dz.device().data, 24};
  product.d = {dw.device().data, 24};
  product.vector = db.device().data;
  product.epilogue = Epilogue::bias_gradient;
  for (const auto& [epilogues, granted] : {std::pair{BackwardEpilogues::same_kernel, false},
                                           {BackwardEpilogues::always, true},
                                           {BackwardEpilogues::never, false}}) {
    Products products(epilogues);
    context_.products = &products;
    EXPECT_EQ(products.run(product, context_), granted);
    const auto json = nlohmann::json::parse(products.describe()).at(0);
    if (epilogues == BackwardEpilogues::same_kernel) {
      EXPECT_EQ(json.at("refused"), "algorithm 21 instead of 66");
    }
    if (granted) {
      EXPECT_EQ(json.at("algorithm"), 21);
    }
  }
  settings.other_kernel.clear();
  const emulator::WithSettings without(settings);
  EXPECT_TRUE(products_->run(product, context_));
  EXPECT_EQ(nlohmann::json::parse(products_->describe()).at(0).at("algorithm"), 66);
}
#endif

}  // namespace
}  // namespace mtrank::cuda
