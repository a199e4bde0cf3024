// Our matrix products beside OpenBLAS's, one thread, over the shapes of the benchmark models.
//   build/gemm_bench [substring of a shape or direction]
// MTRANK_ISA picks our instruction set, OPENBLAS_CORETYPE OpenBLAS's kernel. The time is the thread's CPU time, the two
// take turns, the best of several turns counts.
#include <cblas.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/isa.h"
#include "framework/ops/gemm.h"

extern "C" char* openblas_get_corename();
extern "C" void openblas_set_num_threads(int);

namespace mtrank {
namespace {

struct Layer {
  const char* model;
  int k, n;
};
constexpr Layer layers[] = {
    {"dlrm", 13, 512},      {"dlrm", 512, 256},     {"dlrm", 256, 128},     {"dlrm", 3456, 512},
    {"dlrm", 512, 3456},    {"dlrm", 3456, 1024},   {"dlrm", 1024, 1024},   {"dlrm", 1024, 512},
    {"dlrm", 256, 1},       {"funnel", 1677, 1677}, {"funnel", 1677, 1024}, {"funnel", 1024, 512},
    {"funnel", 512, 256},   {"funnel", 256, 128},   {"funnel", 128, 1},     {"kuairand", 595, 595},
    {"kuairand", 595, 256}, {"kuairand", 256, 128}, {"kuairand", 128, 64},  {"kuairand", 64, 1},
};

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds_a_call(const std::function<void()>& call, int calls) {
  const double start = thread_seconds();
  for (int i = 0; i < calls; ++i) call();
  return (thread_seconds() - start) / calls;
}

struct Pair {
  double ours, blas;  // GFLOP/s
};

Pair compare(double flops, const std::function<void()>& ours, const std::function<void()>& blas) {
  const int calls = static_cast<int>(std::clamp(2e8 / flops, 1.0, 20000.0));
  ours(), blas();
  double best_ours = 1e9, best_blas = 1e9;
  for (int turn = 0; turn < 7; ++turn) {
    best_ours = std::min(best_ours, seconds_a_call(ours, calls));
    best_blas = std::min(best_blas, seconds_a_call(blas, calls));
  }
  return {1e-9 * flops / best_ours, 1e-9 * flops / best_blas};
}

std::vector<float> values(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) * 1e-3f - 0.5f;
  return x;
}

class Bench {
 public:
  explicit Bench(std::string_view filter) : filter_(filter) {}

  void layer(const Layer& l, int m) {
    const int k = l.k, n = l.n;
    const size_t mk = static_cast<size_t>(m) * k, mn = static_cast<size_t>(m) * n, kn = static_cast<size_t>(k) * n;
    const std::vector<float> x = values(mk), w = values(kn), dy = values(mn);
    std::vector<float> y(mn), dx(mk), dw(kn), forward(gemm::packed_floats(k, n)), backward(gemm::packed_floats(n, k));
    gemm::pack(k, n, w.data(), n, forward.data());
    gemm::pack_transposed(n, k, w.data(), n, backward.data());
    const double flops = 2.0 * static_cast<double>(mk) * n;
    const auto blas = [](CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int rows, int columns, int depth, const float* a,
                         int lda, const float* b, int ldb, float* c) {
      cblas_sgemm(CblasRowMajor, ta, tb, rows, columns, depth, 1, a, lda, b, ldb, 0, c, columns);
    };
    report(
        l, m, "forward", flops, [&] { gemm::multiply(m, k, n, x.data(), k, forward.data(), y.data(), n); },
        [&] { blas(CblasNoTrans, CblasNoTrans, m, n, k, x.data(), k, w.data(), n, y.data()); });
    if (m == 1) {
      report(
          l, m, "forward, gemv", flops, [&] { gemm::multiply(m, k, n, x.data(), k, forward.data(), y.data(), n); },
          [&] { cblas_sgemv(CblasRowMajor, CblasTrans, k, n, 1, w.data(), n, x.data(), 1, 0, y.data(), 1); });
      return;
    }
    report(
        l, m, "input gradient", flops, [&] { gemm::multiply(m, n, k, dy.data(), n, backward.data(), dx.data(), k); },
        [&] { blas(CblasNoTrans, CblasTrans, m, k, n, dy.data(), n, w.data(), n, dx.data()); });
    report(
        l, m, "weight gradient", flops,
        [&] { gemm::weight_gradient(m, k, n, x.data(), k, dy.data(), n, dw.data(), n, false); },
        [&] { blas(CblasTrans, CblasNoTrans, k, n, m, x.data(), k, dy.data(), n, dw.data()); });
  }

  /// What a step pays once for each weight.
  void packing() const {
    const int k = 3456, n = 1024;
    const std::vector<float> w = values(static_cast<size_t>(k) * n);
    std::vector<float> packed(gemm::packed_floats(k, n) + gemm::packed_floats(n, k));
    const double plain = seconds_a_call([&] { gemm::pack(k, n, w.data(), n, packed.data()); }, 20);
    const double transposed = seconds_a_call([&] { gemm::pack_transposed(n, k, w.data(), n, packed.data()); }, 20);
    std::printf("packing %d x %d: %.2f ms, transposed %.2f ms\n", k, n, 1e3 * plain, 1e3 * transposed);
  }

  void medians() const {
    for (const char* what : {"forward", "input gradient", "weight gradient", "forward, gemv"})
      for (bool one : {false, true}) median(what, one);
  }

 private:
  struct Row {
    std::string what;
    bool one_row;
    double ratio;
  };

  void report(const Layer& l, int m, const char* what, double flops, const std::function<void()>& ours,
              const std::function<void()>& blas) {
    char name[96];
    std::snprintf(name, sizeof name, "%-8s %5d x %4d x %4d  %-15s", l.model, m, l.k, l.n, what);
    if (std::string_view(name).find(filter_) == std::string_view::npos) return;
    const Pair speed = compare(flops, ours, blas);
    rows_.push_back({what, m == 1, speed.ours / speed.blas});
    std::printf("%s %8.1f %8.1f %6.2f\n", name, speed.ours, speed.blas, speed.ours / speed.blas);
    std::fflush(stdout);
  }

  void median(const std::string& what, bool one_row) const {
    std::vector<double> ratios;
    for (const Row& r : rows_)
      if (r.what == what && r.one_row == one_row) ratios.push_back(r.ratio);
    if (ratios.empty()) return;
    std::sort(ratios.begin(), ratios.end());
    std::printf("%-24s %-15s median %.2f, lowest %.2f, highest %.2f\n", one_row ? "one row" : "256 and 2048 rows",
                what.c_str(), ratios[ratios.size() / 2], ratios.front(), ratios.back());
  }

  std::string filter_;
  std::vector<Row> rows_;
};

}  // namespace
}  // namespace mtrank

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  std::printf("ours: %s, OpenBLAS: %s, one thread\n%-46s %8s %8s %6s\n",
              std::string(mtrank::isa_name(mtrank::isa())).c_str(), openblas_get_corename(), "rows x K x N, GFLOP/s",
              "ours", "OpenBLAS", "ratio");
  mtrank::Bench bench(argc > 1 ? argv[1] : "");
  for (int m : {256, 2048, 1})
    for (const mtrank::Layer& l : mtrank::layers) bench.layer(l, m);
  bench.packing();
  bench.medians();
}
