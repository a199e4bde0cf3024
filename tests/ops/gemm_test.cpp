#include "framework/ops/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "framework/core/isa.h"
#include "framework/ops/gemm_reference.h"

namespace mtrank::gemm {
namespace {

using Matrix = std::vector<float>;

/// Values of mixed sign and size, the same for the same salt.
Matrix values(int64_t count, uint32_t salt) {
  Matrix x(count);
  uint32_t state = salt * 2654435761u + 12345u;
  for (float& v : x) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return x;
}

struct Shape {
  int64_t m, k, n;
};
std::string text(const Shape& s) {
  return std::to_string(s.m) + "x" + std::to_string(s.k) + "x" + std::to_string(s.n) + " " +
         std::string(isa_name(isa()));
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = [] {
    std::vector<Shape> s = {{0, 3, 4},      {3, 0, 5},     {40, 0, 33},   {20, 0, 3},   {1, 1, 1},      {300, 600, 40},
                            {257, 13, 65},  {64, 515, 1},  {270, 300, 7}, {31, 257, 8}, {400, 800, 95}, {2, 700, 530},
                            {20, 4200, 40}, {300, 130, 1}, {199, 300, 2}, {100, 70, 3}, {90, 129, 5}};
    for (int64_t m : {1, 2, 3, 4, 6, 7, 14, 15, 33})
      for (int64_t k : {1, 5, 16, 31})
        for (int64_t n : {1, 2, 6, 9, 16, 17, 32, 33, 97, 129}) s.push_back({m, k, n});
    return s;
  }();
  return all;
}

/// Runs `body` under every instruction set of this CPU.
template <class F>
void for_every_isa(const F& body) {
  const Isa best = isa();
  for (int set = 0; set <= static_cast<int>(best); ++set) {
    set_isa(static_cast<Isa>(set));
    body();
  }
  set_isa(best);
}

/// A matrix inside a larger one: padding must be neither read into results nor written.
struct Padded {
  int64_t rows, columns, ld;
  Matrix data;
  Padded(int64_t r, int64_t c, int64_t pad, uint32_t salt)
      : rows(r), columns(c), ld(c + pad), data(values(r * (c + pad), salt)) {}
  void poison() {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = columns; j < ld; ++j) data[i * ld + j] = std::numeric_limits<float>::quiet_NaN();
  }
};

void expect_same_bits(const Matrix& found, const Matrix& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
    ASSERT_EQ(std::memcmp(&found[i], &expected[i], 4), 0)
        << what << " at " << i << ": " << found[i] << ", expected " << expected[i];
  }
}

/// One chain of std::fma per output, then what the epilogue says.
Matrix naive(const Shape& s, const Padded& a, bool a_transposed, const Padded& b, bool b_transposed, Padded c,
             const float* bias, bool accumulate, bool relu) {
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      float chain = 0;
      for (int64_t k = 0; k < s.k; ++k)
        chain = std::fma(a_transposed ? a.data[k * a.ld + i] : a.data[i * a.ld + k],
                         b_transposed ? b.data[j * b.ld + k] : b.data[k * b.ld + j], chain);
      float& out = c.data[i * c.ld + j];
      if (bias) chain += bias[j];
      if (accumulate) chain = out + chain;
      out = relu && chain < 0 ? 0 : chain;
    }
  return c.data;
}

Matrix packed(const Padded& w, bool transposed) {
  const int64_t k = transposed ? w.columns : w.rows, n = transposed ? w.rows : w.columns;
  Matrix out(packed_floats(k, n), -1.0f);
  // In two goes, as two threads would.
  const int64_t middle = panels(n) / 2;
  using Pack = void(int64_t, int64_t, const float*, int64_t, float*, int64_t, int64_t);
  Pack* forward = pack;
  Pack* backward = pack_transposed;
  Pack* pack_some = transposed ? backward : forward;
  pack_some(k, n, w.data.data(), w.ld, out.data(), middle, panels(n));
  pack_some(k, n, w.data.data(), w.ld, out.data(), 0, middle);
  return out;
}

TEST(Gemm, ForwardIsOneChainPerOutputWhateverTheSizeStridesEpilogueAndInstructionSet) {
  for (const Shape& s : shapes()) {
    Padded a(s.m, s.k, 3, 1), w(s.k, s.n, 2, 2), c(s.m, s.n, 5, 3);
    a.poison(), w.poison();
    const Matrix bias = values(s.n, 4);
    for (int mode = 0; mode < 8; ++mode) {
      Epilogue e;
      e.bias = mode & 1 ? bias.data() : nullptr;
      e.accumulate = mode & 2;
      e.relu = mode & 4;
      const Matrix expected = naive(s, a, false, w, false, c, e.bias, e.accumulate, e.relu);
      for_every_isa([&] {
        Padded out = c;
        multiply(s.m, s.k, s.n, a.data.data(), a.ld, packed(w, false).data(), out.data.data(), out.ld, e);
        expect_same_bits(out.data, expected, text(s) + " mode " + std::to_string(mode));
      });
    }
  }
}

TEST(Gemm, InputGradientIsOneChainPerOutput) {
  for (const Shape& s : shapes()) {
    Padded dy(s.m, s.k, 1, 1), w(s.n, s.k, 4, 2), dx(s.m, s.n, 2, 3);
    dy.poison(), w.poison();
    for (bool accumulate : {false, true}) {
      const Matrix expected = naive(s, dy, false, w, true, dx, nullptr, accumulate, false);
      for_every_isa([&] {
        Padded out = dx;
        Epilogue e;
        e.accumulate = accumulate;
        multiply(s.m, s.k, s.n, dy.data.data(), dy.ld, packed(w, true).data(), out.data.data(), out.ld, e);
        expect_same_bits(out.data, expected, text(s));
      });
    }
  }
}

TEST(Gemm, WeightGradientIsOneChainOverAscendingRows) {
  for (Shape s : shapes()) {
    std::swap(s.m, s.k);  // dW is [K, N]; the chain runs over M
    Padded a(s.k, s.m, 3, 1), dy(s.k, s.n, 2, 2), dw(s.m, s.n, 1, 3);
    a.poison(), dy.poison();
    for (bool accumulate : {false, true}) {
      const Matrix expected = naive(s, a, true, dy, false, dw, nullptr, accumulate, false);
      for_every_isa([&] {
        Padded out = dw;
        weight_gradient(s.k, s.m, s.n, a.data.data(), a.ld, dy.data.data(), dy.ld, out.data.data(), out.ld, accumulate);
        expect_same_bits(out.data, expected, text(s));
      });
    }
  }
}

TEST(Gemm, BiasGradientAddsRowsInOrder) {
  for (int64_t m : {0, 1, 5, 300})
    for (int64_t n : {1, 7, 255, 257, 600}) {
      Padded dy(m, n, 3, 1);
      dy.poison();
      const Matrix old = values(n, 2);
      for (bool accumulate : {false, true}) {
        Matrix expected(n);
        for (int64_t j = 0; j < n; ++j) {
          float sum = 0;
          for (int64_t i = 0; i < m; ++i) sum += dy.data[i * dy.ld + j];
          expected[j] = accumulate ? old[j] + sum : sum;
        }
        for_every_isa([&] {
          Matrix db = old;
          bias_gradient(m, n, dy.data.data(), dy.ld, db.data(), accumulate);
          expect_same_bits(db, expected, text({m, 0, n}));
        });
      }
    }
}

TEST(Gemm, ARowsBitsDoNotDependOnTheBatchItIsIn) {
  const Shape s{290, 300, 70};
  const Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2);
  const Matrix b = packed(w, false);
  Matrix whole(s.m * s.n);
  multiply(s.m, s.k, s.n, a.data.data(), s.k, b.data(), whole.data(), s.n);
  for (int64_t batch : {1, 2, 3, 5, 13, 64, 289}) {
    Matrix cut(s.m * s.n);
    for (int64_t i = 0; i < s.m; i += batch)
      multiply(std::min(batch, s.m - i), s.k, s.n, &a.data[i * s.k], s.k, b.data(), &cut[i * s.n], s.n);
    expect_same_bits(cut, whole, "batches of " + std::to_string(batch));
  }
}

TEST(Gemm, AgreesWithDoubleWithinTheErrorBoundOfAChain) {
  const Shape s{65, 700, 66};
  const Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2);
  Matrix c(s.m * s.n);
  multiply(s.m, s.k, s.n, a.data.data(), s.k, packed(w, false).data(), c.data(), s.n);
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      double exact = 0, magnitude = 0;
      for (int64_t k = 0; k < s.k; ++k) {
        const double term = static_cast<double>(a.data[i * s.k + k]) * w.data[k * s.n + j];
        exact += term, magnitude += std::fabs(term);
      }
      ASSERT_NEAR(c[i * s.n + j], exact, 0x1p-24 * static_cast<double>(s.k) * magnitude);
    }
}

TEST(Gemm, NotFiniteValuesReachTheirRowAndColumnAndNoOther) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (int64_t n : {3, 40})
    for (int64_t m : {1, 40}) {
      const Shape s{m, 20, n};
      Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2), c(s.m, s.n, 0, 3);
      a.data[0] = nan;
      w.data[5 * s.n + 1] = inf;
      for_every_isa([&] {
        Epilogue e;
        e.relu = true;
        multiply(s.m, s.k, s.n, a.data.data(), s.k, packed(w, false).data(), c.data.data(), s.n, e);
        for (int64_t i = 0; i < s.m; ++i)
          for (int64_t j = 0; j < s.n; ++j) {
            const float v = c.data[i * s.n + j];
            if (i == 0)
              EXPECT_TRUE(std::isnan(v)) << text(s);
            else if (j == 1)
              EXPECT_TRUE(v == inf || v == 0) << text(s);
            else
              EXPECT_TRUE(std::isfinite(v)) << text(s);
          }
      });
    }
}

TEST(Gemm, HandsOverEveryElementOnceAfterItIsStored) {
  struct Seen {
    const Matrix* c;
    int64_t n;
    std::vector<int> count;
  };
  for (Shape s : {Shape{300, 300, 70}, Shape{1, 40, 200}, Shape{70, 300, 3}, Shape{5, 10, 65}}) {
    const Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2);
    const Matrix b = packed(w, false);
    for_every_isa([&] {
      Matrix c(s.m * s.n, std::numeric_limits<float>::quiet_NaN());
      Seen seen{&c, s.n, std::vector<int>(c.size())};
      Epilogue e;
      e.context = &seen;
      e.after = [](void* context, int64_t row, int64_t rows, int64_t column, int64_t columns) {
        Seen& to = *static_cast<Seen*>(context);
        for (int64_t i = row; i < row + rows; ++i)
          for (int64_t j = column; j < column + columns; ++j)
            to.count[i * to.n + j] += std::isnan((*to.c)[i * to.n + j]) ? 100 : 1;
      };
      multiply(s.m, s.k, s.n, a.data.data(), s.k, b.data(), c.data(), s.n, e);
      EXPECT_EQ(seen.count, std::vector<int>(c.size(), 1)) << text(s);
    });
  }
}

TEST(Gemm, AThreadKeepsNoMoreMemoryThanItSays) {
  for (const Shape& s : shapes()) {
    const Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2), dy(s.m, s.n, 0, 3);
    const Matrix b = packed(w, false);
    Matrix c = dy.data, dw = w.data;
    Epilogue e;
    e.accumulate = true;
    std::thread([&] {
      multiply(s.m, s.k, s.n, a.data.data(), s.k, b.data(), c.data(), s.n, e);
      EXPECT_LE(thread_floats(), multiply_floats(s.m, s.k, s.n)) << text(s);
    }).join();
    std::thread([&] {
      weight_gradient(s.m, s.k, s.n, a.data.data(), s.k, dy.data.data(), s.n, dw.data(), s.n, true);
      EXPECT_LE(thread_floats(), weight_gradient_floats(s.m, s.k, s.n)) << text(s);
    }).join();
  }
}

TEST(GemmReference, FloatGivesTheBitsOfTheKernelAndDoubleTheSameNumbers) {
  const Shape s{17, 130, 70};
  const Padded a(s.m, s.k, 0, 1), w(s.k, s.n, 0, 2);
  const Matrix bias = values(s.n, 4);
  Matrix fast = values(s.m * s.n, 3), slow = fast;
  Epilogue e;
  e.bias = bias.data();
  e.accumulate = true;
  multiply(s.m, s.k, s.n, a.data.data(), s.k, packed(w, false).data(), fast.data(), s.n, e);
  const std::vector<double> a64(a.data.begin(), a.data.end()), w64(w.data.begin(), w.data.end()),
      bias64(bias.begin(), bias.end());
  std::vector<double> c64(slow.begin(), slow.end());
  reference(s.m, s.k, s.n, a.data.data(), s.k, int64_t{1}, w.data.data(), s.n, int64_t{1}, slow.data(), s.n,
            bias.data(), true);
  reference(s.m, s.k, s.n, a64.data(), s.k, int64_t{1}, w64.data(), s.n, int64_t{1}, c64.data(), s.n, bias64.data(),
            true);
  expect_same_bits(fast, slow, "reference");
  for (size_t i = 0; i < fast.size(); ++i) ASSERT_NEAR(fast[i], c64[i], 1e-4);
}

}  // namespace
}  // namespace mtrank::gemm
