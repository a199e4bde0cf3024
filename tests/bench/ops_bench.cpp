// Speed of the element-wise and row-wise kernels: GB/s of what they read and write, beside memcpy of as many bytes.
//
//     ops_bench [ROWS [FILTER]]
//
// Rows are those of a logical shard (default 256), so that the numbers stand for data in the caches, as in training.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/isa.h"
#include "framework/ops/ops.h"

namespace mtrank {
namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The fastest of many calls.
template <class F>
double seconds(const F& f) {
  double best = 1e9, spent = 0;
  for (int i = 0; i < 2000 && (spent < 0.05 || i < 5); ++i) {
    const double from = cpu_seconds();
    f();
    const double took = cpu_seconds() - from;
    best = std::min(best, took);
    spent += took;
  }
  return best;
}

struct Matrix {
  Matrix(int64_t rows, int64_t cols, float start) {
    const int64_t ld = cols == 1 ? 1 : (cols + 15) / 16 * 16;
    data.reset(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>((rows * ld * 4 + 63) / 64 * 64))));
    for (int64_t i = 0; i < rows * ld; ++i)
      data.get()[i] = start + 0.37f * static_cast<float>((i * 2654435761u >> 7) % 1000) / 1000;
    view = {data.get(), rows, cols, ld};
  }
  std::unique_ptr<float, decltype(&std::free)> data{nullptr, std::free};
  View view;
};

struct OpBench {
  const Op* op;
  Attributes attributes;
  std::vector<int64_t> in, out;  ///< columns; a negative number: one row of so many, a weight; 0: absent
  std::vector<uint8_t> accumulate;
};

void measure(const OpBench& bench, int64_t rows) {
  std::vector<Matrix> memory;
  std::vector<View> in, out;
  double bytes = 0;
  const auto add = [&](int64_t cols, std::vector<View>& to, int times) {
    if (!cols) return to.push_back({});
    memory.emplace_back(cols < 0 ? 1 : rows, std::abs(cols), 0.1f * static_cast<float>(memory.size()) + 0.3f);
    to.push_back(memory.back().view);
    bytes += 4.0 * times * static_cast<double>(to.back().rows * to.back().cols);
  };
  for (int64_t cols : bench.in) add(cols, in, 1);
  for (size_t i = 0; i < bench.out.size(); ++i) add(bench.out[i], out, bench.accumulate[i] ? 2 : 1);
  OpNode node;
  node.op = bench.op;
  node.attributes = bench.attributes;
  const StepInfo step{1, 2};
  Scratch scratch;
  const OpCall call{node, in, out, bench.accumulate, rows, 0, step, scratch};
  const double took = seconds([&] { bench.op->cpu_f32(call); });
  std::vector<char> from(static_cast<size_t>(bytes / 2), 1), to(from.size());
  const double copied = seconds([&] {
    std::memcpy(to.data(), from.data(), to.size());
    asm volatile("" : : "r"(to.data()) : "memory");
  });
  std::string shape;
  for (int64_t cols : bench.in) shape += (shape.empty() ? "" : " ") + std::to_string(cols);
  std::string name = bench.op->name;
  if (const Attribute* f = bench.attributes.find("activation")) name += " " + std::get<std::string>(*f);
  std::printf("%-28s %-24s %8.1f us %7.1f GB/s  %5.2f of memcpy\n", name.c_str(), shape.c_str(), took * 1e6,
              bytes / took / 1e9, copied / took);
}

std::vector<OpBench> benches() {
  const int64_t w = 1677;
  std::vector<OpBench> list = {
      {&ops::copy, {}, {w}, {w}, {0}},
      {&ops::copy, {}, {w}, {w}, {1}},
      {&ops::add, {}, {w, w}, {w}, {0}},
      {&ops::mul, {}, {w, w}, {w}, {0}},
      {&ops::mul_gradient, {}, {w, w, w}, {w, w}, {0, 0}},
      {&ops::cross, {}, {w, w, w}, {w}, {0}},
      {&ops::cross_gradient, {}, {w, w, w}, {w, w}, {0, 0}},
      {&ops::cross_gradient, {}, {w, w, w}, {w, w}, {1, 0}},
      {&ops::dropout, {{"p", 0.1}, {"name", "x"}}, {1024}, {1024}, {0}},
      {&ops::layer_norm, {{"epsilon", 1e-5}}, {1024, -1024, -1024}, {1024, 1, 1}, {0, 0, 0}},
      {&ops::layer_norm_gradient, {}, {1024, 1024, -1024, 1, 1}, {1024, -1024, -1024}, {0, 0, 0}},
      {&ops::softmax, {{"size", int64_t{4}}}, {16}, {16}, {0}},
      {&ops::softmax_gradient, {{"size", int64_t{4}}}, {16, 16}, {16}, {0}},
      {&ops::gate, {}, {4, 256}, {256}, {0}},
      {&ops::gate_gradient, {}, {256, 4, 256}, {4, 256}, {0, 0}},
      {&ops::mixture, {{"experts", int64_t{4}}}, {16, 512}, {512}, {0}},
      {&ops::mixture_gradient, {{"experts", int64_t{4}}}, {512, 16, 512}, {16, 512}, {0, 0}},
      {&ops::mixture, {{"experts", int64_t{8}}}, {24, 1024}, {384}, {0}},
      {&ops::mixture_gradient, {{"experts", int64_t{8}}}, {384, 24, 1024}, {24, 1024}, {0, 0}},
      {&ops::sigmoid, {}, {4}, {4}, {0}},
      {&ops::product_logit, {}, {1, 1}, {1}, {0}},
      {&ops::product_logit_gradient, {}, {1, 1, 1}, {1, 1}, {0, 0}},
  };
  for (const char* f : {"relu", "gelu", "silu", "tanh", "sigmoid"}) {
    list.push_back({&ops::activation, {{"activation", f}}, {1024}, {1024}, {0}});
    list.push_back({&ops::activation_gradient, {{"activation", f}}, {1024, 1024, 1024}, {1024}, {0}});
  }
  return list;
}

}  // namespace
}  // namespace mtrank

int main(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoll(argv[1]) : 256;
  const std::string filter = argc > 2 ? argv[2] : "";
  std::printf("%lld rows, %s\n", static_cast<long long>(rows), std::string(mtrank::isa_name(mtrank::isa())).c_str());
  for (const mtrank::OpBench& bench : mtrank::benches())
    if (std::string(bench.op->name).find(filter) != std::string::npos) mtrank::measure(bench, rows);
}
