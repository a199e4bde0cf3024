#include <cublasLt.h>

#include <random>

#include "tests/emulator/on_device.h"

namespace mtrank::emulator {
namespace {

constexpr int kM = 5, kN = 4, kK = 7, kBatches = 2, kAuxLd = 128;

float bf16(uint16_t bits) { return __uint_as_float(uint32_t{bits} << 16); }
/// To nearest, ties to even.
uint16_t to_bf16(float x) {
  const uint32_t bits = __float_as_uint(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <class T>
std::vector<T> numbers(size_t n, unsigned seed) {
  std::mt19937 g(seed);
  std::uniform_real_distribution<float> between(-1, 1);
  std::vector<T> out(n);
  for (T& x : out) {
    if constexpr (std::is_same_v<T, float>)
      x = between(g);
    else
      x = to_bf16(between(g));
  }
  return out;
}
double real(float x) { return x; }
double real(uint16_t x) { return bf16(x); }

struct Layout {
  Layout(cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld, int32_t batches, int64_t stride) {
    EXPECT_EQ(cublasLtMatrixLayoutCreate(&layout, type, rows, cols, ld), CUBLAS_STATUS_SUCCESS);
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, batches);
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  }
  ~Layout() { EXPECT_EQ(cublasLtMatrixLayoutDestroy(layout), CUBLAS_STATUS_SUCCESS); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  template <class T>
  void set(cublasLtMatrixLayoutAttribute_t attribute, T value) {
    EXPECT_EQ(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }
  cublasLtMatrixLayout_t layout = nullptr;
};

/// A, B, C with padded leading dimensions, a bias and a mask, multiplied by the library and by a plain loop.
template <class In, class Out>
struct Product {
  Product(bool transpose_a, bool transpose_b, cublasLtEpilogue_t epilogue_)
      : ta(transpose_a),
        tb(transpose_b),
        epilogue(epilogue_),
        a_layout(type<In>(), ta ? kK : kM, ta ? kM : kK, 10, kBatches, 100),
        b_layout(type<In>(), tb ? kN : kK, tb ? kK : kN, 9, kBatches, 80),
        d_layout(type<Out>(), kM, kN, 8, kBatches, 40) {
    EXPECT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
    set(CUBLASLT_MATMUL_DESC_TRANSA, int32_t{ta ? CUBLAS_OP_T : CUBLAS_OP_N});
    set(CUBLASLT_MATMUL_DESC_TRANSB, int32_t{tb ? CUBLAS_OP_T : CUBLAS_OP_N});
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{epilogue});
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(bias.get()));
    set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, int64_t{8});
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(aux.get()));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t{kAuxLd});
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, int64_t{kAuxLd} * kN);
  }
  ~Product() {
    EXPECT_EQ(cublasLtMatmulPreferenceDestroy(preference), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescDestroy(desc), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtDestroy(handle), CUBLAS_STATUS_SUCCESS);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  template <class T>
  static cudaDataType type() {
    return std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16BF;
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }

  cublasStatus_t choose() {
    int found = 0;
    return cublasLtMatmulAlgoGetHeuristic(handle, desc, a_layout.layout, b_layout.layout, d_layout.layout,
                                          d_layout.layout, preference, 1, &chosen, &found);
  }
  cublasStatus_t multiply() {
    if (const cublasStatus_t s = choose()) return s;
    return launch(nullptr);
  }
  cublasStatus_t launch(cudaStream_t stream) const {
    const float alpha = 0.5f, beta = 0.25f;
    return cublasLtMatmul(handle, desc, &alpha, a.get(), a_layout.layout, b.get(), b_layout.layout, &beta, d.get(),
                          d_layout.layout, d.get(), d_layout.layout, &chosen.algo, nullptr, 0, stream);
  }

  bool is(cublasLtEpilogue_t e) const { return epilogue == e; }
  bool masked_before(int batch, int i, int j) const {
    const size_t bit = static_cast<size_t>((batch * kN + j) * kAuxLd + i);
    return (mask[bit / 8] >> bit % 8 & 1) != 0;
  }

  /// Everything in double, from the formulas of the documentation.
  void check() {
    ASSERT_EQ(multiply(), CUBLAS_STATUS_SUCCESS);
    const std::vector<Out> got = d.values(), got_bias = bias.values();
    const std::vector<uint8_t> got_mask = aux.values();
    const double tolerance = std::is_same_v<Out, float> ? 1e-5 : 2e-2;
    const bool adds = (epilogue & 4) != 0, relu = (epilogue & 2) != 0, gradient = (epilogue & 8) != 0;
    std::vector<double> sums(2 * 8, 0.0);
    for (int batch = 0; batch < kBatches; ++batch) {
      for (int j = 0; j < kN; ++j)
        for (int i = 0; i < kM; ++i) {
          const size_t at = static_cast<size_t>(batch * 40 + j * 8 + i);
          double x = 0;
          for (int q = 0; q < kK; ++q) x += left(batch, i, q) * right(batch, q, j);
          x = 0.5 * x + 0.25 * real(d_before[at]);
          if (adds) x += real(bias_before[static_cast<size_t>(batch * 8 + i)]);
          if (relu && (epilogue & 128) != 0) {
            const size_t bit = static_cast<size_t>((batch * kN + j) * kAuxLd + i);
            EXPECT_EQ((got_mask[bit / 8] >> bit % 8 & 1) != 0, x > 0);
          }
          if (relu && x < 0) x = 0;
          if (gradient && !masked_before(batch, i, j)) x = 0;
          if (is(CUBLASLT_EPILOGUE_DRELU_BGRAD)) sums[static_cast<size_t>(batch * 8 + i)] += x;
          EXPECT_NEAR(real(got[at]), x, tolerance) << batch << " " << i << " " << j;
        }
      for (int q = 0; q < kK; ++q) {
        for (int i = 0; i < kM && is(CUBLASLT_EPILOGUE_BGRADA); ++i)
          sums[static_cast<size_t>(batch * 8 + i)] += left(batch, i, q);
        for (int j = 0; j < kN && is(CUBLASLT_EPILOGUE_BGRADB); ++j)
          sums[static_cast<size_t>(batch * 8 + j)] += right(batch, q, j);
      }
    }
    if (is(CUBLASLT_EPILOGUE_DRELU_BGRAD) || is(CUBLASLT_EPILOGUE_BGRADA) || is(CUBLASLT_EPILOGUE_BGRADB)) {
      for (int batch = 0; batch < kBatches; ++batch)
        for (int i = 0; i < (is(CUBLASLT_EPILOGUE_BGRADB) ? kN : kM); ++i)
          EXPECT_NEAR(real(got_bias[static_cast<size_t>(batch * 8 + i)]), sums[static_cast<size_t>(batch * 8 + i)],
                      4 * tolerance);
    } else {
      EXPECT_EQ(got_bias, bias_before);
    }
    for (size_t at = 0; at < got.size(); ++at)  // the padding is left alone
      if (at % 40 % 8 >= kM || at % 40 / 8 >= kN) {
        EXPECT_EQ(got[at], d_before[at]);
      }
  }

  double left(int batch, int i, int q) const {
    return real(a_values[static_cast<size_t>(batch * 100 + (ta ? i * 10 + q : q * 10 + i))]);
  }
  double right(int batch, int q, int j) const {
    return real(b_values[static_cast<size_t>(batch * 80 + (tb ? q * 9 + j : j * 9 + q))]);
  }

  bool ta, tb;
  cublasLtEpilogue_t epilogue;
  Layout a_layout, b_layout, d_layout;
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulHeuristicResult_t chosen = {};
  std::vector<In> a_values = numbers<In>(200, 1), b_values = numbers<In>(160, 2);
  std::vector<Out> d_before = numbers<Out>(80, 3), bias_before = numbers<Out>(16, 4);
  std::vector<uint8_t> mask = std::vector<uint8_t>(kAuxLd * kN * kBatches / 8, 0b01101001);
  OnDevice<In> a{a_values}, b{b_values};
  OnDevice<Out> d{d_before}, bias{bias_before};
  OnDevice<uint8_t> aux{mask};
};

constexpr cublasLtEpilogue_t kEpilogues[] = {CUBLASLT_EPILOGUE_DEFAULT,   CUBLASLT_EPILOGUE_RELU,
                                             CUBLASLT_EPILOGUE_RELU_AUX,  CUBLASLT_EPILOGUE_BIAS,
                                             CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
                                             CUBLASLT_EPILOGUE_DRELU,     CUBLASLT_EPILOGUE_DRELU_BGRAD,
                                             CUBLASLT_EPILOGUE_BGRADA,    CUBLASLT_EPILOGUE_BGRADB};

TEST(CublasLt, EveryEpilogueTranspositionAndTypeAgainstAPlainLoop) {
  for (cublasLtEpilogue_t epilogue : kEpilogues)
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        SCOPED_TRACE(testing::Message() << "epilogue " << epilogue << ", transposed " << ta << tb);
        Product<float, float>(ta, tb, epilogue).check();
        Product<uint16_t, uint16_t>(ta, tb, epilogue).check();
        Product<uint16_t, float>(ta, tb, epilogue).check();
      }
}

TEST(CublasLt, Tf32RoundsTheInputs) {
  Product<float, float> p(false, false, CUBLASLT_EPILOGUE_DEFAULT), exact(false, false, CUBLASLT_EPILOGUE_DEFAULT);
  p.set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, int32_t{CUBLAS_COMPUTE_32F_FAST_TF32});
  ASSERT_EQ(p.multiply(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(exact.multiply(), CUBLAS_STATUS_SUCCESS);
  const std::vector<float> got = p.d.values(), want = exact.d.values();
  EXPECT_NE(got, want);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 4e-3);
}

TEST(CublasLt, RefusesWhatTheLibraryRefuses) {
  using P = Product<float, float>;
  const auto refused = [](cublasLtEpilogue_t epilogue, const std::function<void(P&)>& change) {
    P p(false, false, epilogue);
    change(p);
    return p.multiply();
  };
  const auto plain = CUBLASLT_EPILOGUE_DEFAULT, biased = CUBLASLT_EPILOGUE_BIAS, aux = CUBLASLT_EPILOGUE_RELU_AUX;
  const auto layout = [](cublasLtMatrixLayoutAttribute_t attribute, auto value) {
    return [=](P& p) { p.a_layout.set(attribute, value); };
  };
  const auto desc = [](cublasLtMatmulDescAttributes_t attribute, auto value) {
    return [=](P& p) { p.set(attribute, value); };
  };
  EXPECT_EQ(refused(plain, [](P&) {}), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(refused(plain, layout(CUBLASLT_MATRIX_LAYOUT_LD, int64_t{4})), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(refused(plain, layout(CUBLASLT_MATRIX_LAYOUT_COLS, uint64_t{6})), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(refused(plain, layout(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t{1})), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(refused(plain, layout(CUBLASLT_MATRIX_LAYOUT_TYPE, uint32_t{CUDA_R_16BF})), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused(plain, layout(CUBLASLT_MATRIX_LAYOUT_ORDER, int32_t{CUBLASLT_ORDER_ROW})),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused(plain, [](P& p) { p.d_layout.set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t{8}); }),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(refused(plain, desc(CUBLASLT_MATMUL_DESC_SCALE_TYPE, int32_t{CUDA_R_16BF})), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused(plain, desc(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{3})), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused(biased, desc(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(nullptr))),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(refused(biased, desc(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, int32_t{CUDA_R_16BF})),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(refused(aux, desc(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t{64})), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(
      refused(aux, [](P& p) { p.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(p.aux.get() + 8)); }),
      CUBLAS_STATUS_INVALID_VALUE);
  P p(false, false, plain);
  uint32_t value = 0;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(p.desc, CUBLASLT_MATMUL_DESC_TRANSA, &value, 8),
            CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLt, ChoosesSplitsOnlyWhereTheReductionIsAllowed) {
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t desc;
  cublasLtMatmulPreference_t preference;
  ASSERT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
  const Layout a(CUDA_R_32F, 8, 4096, 8, 1, 0), b(CUDA_R_32F, 4096, 8, 4096, 1, 0), d(CUDA_R_32F, 8, 8, 8, 1, 0);
  const uint64_t room = 1 << 20;
  ASSERT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, 8),
            CUBLAS_STATUS_SUCCESS);
  for (uint32_t mask : {uint32_t{CUBLASLT_REDUCTION_SCHEME_MASK}, uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE}}) {
    ASSERT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &mask, 4),
              CUBLAS_STATUS_SUCCESS);
    cublasLtMatmulHeuristicResult_t chosen;
    int found = 0;
    ASSERT_EQ(cublasLtMatmulAlgoGetHeuristic(handle, desc, a.layout, b.layout, d.layout, d.layout, preference, 1,
                                             &chosen, &found),
              CUBLAS_STATUS_SUCCESS);
    int32_t split = 0;
    size_t written = 0;
    ASSERT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&chosen.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, 4, &written),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(split > 1, mask != 0);
    EXPECT_GT(chosen.workspaceSize, mask != 0 ? 4096u : 0u);
  }
  ASSERT_EQ(cublasLtMatmulPreferenceDestroy(preference), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasLtMatmulDescDestroy(desc), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasLtDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

TEST(CublasLt, IsCapturedLikeAKernel) {
  Product<float, float> p(false, false, CUBLASLT_EPILOGUE_BIAS), eager(false, false, CUBLASLT_EPILOGUE_BIAS);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(p.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(p.launch(stream), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(p.d.values(), p.d_before);
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  ASSERT_EQ(eager.multiply(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(p.d.values(), eager.d.values());
  ASSERT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

TEST(CublasLt, ChoosesNothingWhileAStreamIsCaptured) {
  Product<float, float> p(false, false, CUBLASLT_EPILOGUE_DEFAULT);
  cudaStream_t stream;
  cudaGraph_t graph;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(p.choose(), CUBLAS_STATUS_INTERNAL_ERROR);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(p.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

TEST(CublasLtDeathTest, MatricesMustLieOnTheDevice) {
  Product<float, float> p(false, false, CUBLASLT_EPILOGUE_DEFAULT);
  EXPECT_DEATH(
      {
        p.a_layout.set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t{150});
        p.multiply();
        cudaDeviceSynchronize();
      },
      "cublasLtMatmul, A: its .* bytes do not lie in one allocation on the device");
}

}  // namespace
}  // namespace mtrank::emulator
