#include "tests/support/conformance.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "framework/core/philox.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/lookup.h"
#include "framework/serving/safetensors.h"
#include "tests/support/graph_runner.h"
#include "tests/support/temp_dir.h"
#include "tests/support/weighted_sum.h"

namespace mtrank::testing {
namespace {

constexpr int64_t kRows = 7;
/// Where the rows are cut, all of them or at two places.
const std::vector<std::vector<int64_t>> kSplits = {{0, kRows}, {0, 1, 3, kRows}};

/// How far a dtype may be from double: the norm of the difference over the norm, tensor by tensor.
struct Tolerance {
  DType dtype;
  double relative;
};
constexpr Tolerance kTolerances[] = {{DType::f32, 5e-6}};
/// Central differences with this step, and how far they may be from the gradient, relative to 1 + |gradient|.
constexpr double kStep = 1e-5, kGradientTolerance = 2e-8;

std::string input_name(size_t i) { return "in" + std::to_string(i); }

double bound_number(const std::string& name, uint64_t index) {
  const PhiloxBlock block = Philox(11, "conformance", name)(0, index);
  const std::string leaf = name.substr(name.rfind('/') + 1);
  if (leaf == "label") return uniform01(block[0]) < 0.5f ? 1 : 0;
  if (leaf == "weight") return index % 4 == 2 ? 0 : 0.25 + uniform01(block[0]);
  return 0.6 * normal01(block);
}

/// A graph of a case, with numbers, on rows [first, first + count).
template <class T>
class CaseRun {
 public:
  CaseRun(const Graph& graph, int64_t first, int64_t count) : runner_(graph, count), first_(first), count_(count) {
    ids_.resize(static_cast<size_t>(kRows));
    std::iota(ids_.begin(), ids_.end(), 0);
    for (const ParamWeight& p : this->graph().params) fill_weights(runner_.param(name(p.value)), name(p.value));
    for (const TableWeight& t : this->graph().tables) fill_weights(runner_.table(name(t.value)), name(t.value));
    for (ValueId id : runner_.plan().inputs) fill_rows(runner_.input(name(id)), name(id));
    for (ValueId id : runner_.plan().ids) runner_.ids(name(id)) = {ids_.data() + first, nullptr, nullptr};
    for (ValueId id : runner_.plan().scalars) runner_.scalar(name(id)) = 0.7;
    runner_.first_sample = static_cast<uint64_t>(first);
    runner_.step_info = {5, 3};
  }

  const Graph& graph() const { return runner_.plan().graph; }
  std::string name(ValueId id) const { return graph().value(id).name; }
  GraphRunner<T>& runner() { return runner_; }

  /// Outputs and gradients of inputs, which belong to rows.
  std::map<std::string, std::vector<T>> rowwise() {
    std::map<std::string, std::vector<T>> result;
    for (const NamedValue& output : graph().outputs) result[output.name] = runner_.read(output.value);
    for (const SparseGradient& s : graph().sparse_gradients)
      result["gradient of " + name(s.ids)] = runner_.pooled_gradient(name(s.ids));
    return result;
  }
  std::map<std::string, std::vector<T>> weight_gradients() {
    std::map<std::string, std::vector<T>> result;
    for (const ParamWeight& p : graph().params)
      if (graph().gradient_of[static_cast<size_t>(p.value)] != kNoValue)
        result["gradient of " + name(p.value)] = runner_.param_gradient(name(p.value));
    return result;
  }

 private:
  static void fill_weights(std::vector<T>& to, const std::string& name) {
    for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<T>(static_cast<float>(weight_number(name, i)));
  }
  static double weight_number(const std::string& name, uint64_t index) {
    return 0.6 * normal01(Philox(11, "weights", name)(0, index));
  }
  void fill_rows(std::vector<T>& to, const std::string& name) const {
    const size_t before = to.size() / static_cast<size_t>(count_) * static_cast<size_t>(first_);
    for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<T>(static_cast<float>(bound_number(name, before + i)));
  }

  GraphRunner<T> runner_;
  int64_t first_, count_;
  std::vector<int32_t> ids_;
};

template <class T>
double relative_distance(const std::vector<T>& got, const std::vector<double>& want) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-6);
}

const char* reading_name(Reading reading) { return reading == Reading::plain ? "plain" : "shared"; }

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  to.insert(to.end(), more.begin(), more.end());
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// What differs between two sets of named tensors, bit by bit.
template <class T>
std::vector<std::string> differing(const std::map<std::string, std::vector<T>>& got,
                                   const std::map<std::string, std::vector<T>>& want, const std::string& what) {
  std::vector<std::string> problems;
  if (got.size() != want.size()) problems.push_back(what + ": other tensors");
  for (const auto& [name, values] : want)
    if (const auto found = got.find(name); found == got.end() || !same_bits(found->second, values))
      problems.push_back(what + ": other bits of " + name);
  return problems;
}

/// Calls f with the loss as a function of the number behind `at`, and compares the slope with the gradient.
template <class F>
void compare_slope(double& at, double gradient, const F& loss, const std::string& name, size_t index,
                   std::vector<std::string>& problems) {
  const double start = at;
  at = start + kStep;
  const double up = loss();
  at = start - kStep;
  const double down = loss();
  at = start;
  const double slope = (up - down) / (2 * kStep);
  if (!(std::abs(slope - gradient) <= kGradientTolerance * (1 + std::abs(gradient))))
    problems.push_back(name + "[" + std::to_string(index) + "]: gradient " + std::to_string(gradient) + ", slope " +
                       std::to_string(slope));
}

std::vector<std::string> gradient_problems(const ConformanceCase& c, Reading reading) {
  std::vector<std::string> problems;
  CaseRun<double> run(case_graph(c, reading), 0, kRows);
  GraphRunner<double>& runner = run.runner();
  const auto loss = [&] { return runner.run(true); };
  runner.run();
  const auto weights = run.weight_gradients();
  auto inputs = run.rowwise();
  for (const ParamWeight& p : run.graph().params) {
    const std::string name = run.name(p.value);
    std::vector<double>& w = runner.param(name);
    const auto known = weights.find("gradient of " + name);
    for (size_t i = 0; i < w.size(); ++i)
      compare_slope(w[i], known == weights.end() ? 0 : known->second[i], loss, name, i, problems);
  }
  for (size_t n = 0; n < c.widths.size(); ++n) {
    std::vector<double>& w = runner.table(input_name(n));
    std::vector<double>& gradient = inputs["gradient of ids:" + input_name(n)];
    gradient.resize(w.size());
    for (size_t i = 0; i < w.size(); ++i) compare_slope(w[i], gradient[i], loss, input_name(n), i, problems);
  }
  for (std::string& problem : problems) problem = std::string(reading_name(reading)) + " inputs: " + problem;
  return problems;
}

std::vector<Isa> available_isas() {
  const Isa before = isa();
  std::vector<Isa> list;
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) try {
      set_isa(isa);
      list.push_back(isa);
    } catch (const ConfigError&) {
    }
  set_isa(before);
  return list;
}

/// Rows in pieces, put together again.
std::map<std::string, std::vector<float>> run_pieces(const Graph& graph, const std::vector<int64_t>& cuts) {
  std::map<std::string, std::vector<float>> all;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    CaseRun<float> run(graph, cuts[i], cuts[i + 1] - cuts[i]);
    run.runner().run();
    for (const auto& [name, values] : run.rowwise()) all[name].insert(all[name].end(), values.begin(), values.end());
  }
  return all;
}

std::vector<std::string> bit_problems(const ConformanceCase& c, Reading reading) {
  std::vector<std::string> problems;
  const Graph graph = case_graph(c, reading);
  const Isa before = isa();
  std::map<std::string, std::vector<float>> rowwise, weights;
  double loss = 0;
  for (Isa isa : available_isas()) {
    set_isa(isa);
    CaseRun<float> run(graph, 0, kRows);
    const double sum = run.runner().run();
    if (isa == Isa::scalar) rowwise = run.rowwise(), weights = run.weight_gradients(), loss = sum;
    const std::string what = std::string(isa_name(isa)) + " against scalar";
    append(problems, differing(run.rowwise(), rowwise, what));
    append(problems, differing(run.weight_gradients(), weights, what));
    if (sum != loss) problems.push_back(what + ": another loss");
    for (const std::vector<int64_t>& cuts : kSplits)
      append(problems, differing(run_pieces(graph, cuts), rowwise,
                                 std::string(isa_name(isa)) + ", rows in " + std::to_string(cuts.size() - 1)));
  }
  set_isa(before);
  return problems;
}

/// Writes the weights of a run as a file of tensors and reads them into another.
void move_weights(CaseRun<float>& from, CaseRun<float>& to) {
  const TempDir dir;
  const std::string path = dir / "weights.safetensors";
  std::vector<TensorSource> sources;
  for (const ParamWeight& p : from.graph().params)
    sources.push_back({from.name(p.value), DType::f32, p.shape, from.runner().param(from.name(p.value)).data()});
  {
    std::ofstream file(path, std::ios::binary);
    const std::string header = safetensors_header(sources, {});
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    write_tensors(sources, [&](const void* data, size_t size) {
      file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    });
  }
  const SafetensorsReader reader(path);
  for (const ParamWeight& p : to.graph().params) {
    std::vector<float>& weights = to.runner().param(to.name(p.value));
    std::fill(weights.begin(), weights.end(), 0.0f);
    reader.read(reader.require(to.name(p.value), DType::f32, p.shape), weights.data());
  }
}

}  // namespace

Graph case_graph(const ConformanceCase& c, Reading reading, bool training) {
  Graph graph;
  Builder builder(graph, training);
  std::vector<LookupFeature> features;
  for (size_t i = 0; i < c.widths.size(); ++i)
    features.push_back({builder.table(input_name(i), kRows, c.widths[i], {}), builder.ids("ids:" + input_name(i))});
  std::vector<ValueId> inputs = lookup(builder, features);
  ValueId all = kNoValue;
  if (reading == Reading::shared) {
    all = builder.concat(inputs, "all");
    int64_t column = 0;
    for (ValueId& input : inputs) {
      const int64_t width = builder.cols(input);
      input = builder.slice(all, column, width);
      column += width;
    }
  }
  std::vector<ValueId> outputs;
  {
    Builder::Scope scope(builder, "case");
    outputs = c.build(builder, inputs);
  }
  for (size_t i = 0; i < outputs.size(); ++i) graph.outputs.push_back({"out" + std::to_string(i), outputs[i]});
  if (!training) {
    graph.forward_nodes = graph.nodes.size();
    return graph;
  }
  if (all != kNoValue) outputs.push_back(all);
  for (size_t i = 0; i < outputs.size(); ++i)
    weighted_sum(builder, outputs[i], builder.input("upstream" + std::to_string(i), builder.cols(outputs[i])));
  differentiate(graph);
  return graph;
}

void run_in_float(const Graph& graph) { CaseRun<float>(graph, 0, kRows).runner().run(); }

std::vector<std::string> check_gradients(const ConformanceCase& c) {
  std::vector<std::string> problems;
  if (!c.differentiable) return problems;
  for (Reading reading : {Reading::plain, Reading::shared}) append(problems, gradient_problems(c, reading));
  return problems;
}

std::vector<std::string> check_float(const ConformanceCase& c) {
  std::vector<std::string> problems;
  const Graph graph = case_graph(c, Reading::plain);
  const double tolerance = kTolerances[0].relative;
  CaseRun<double> exact(graph, 0, kRows);
  CaseRun<float> fast(graph, 0, kRows);
  const double want = exact.runner().run(), got = fast.runner().run();
  if (!(std::abs(want - got) <= tolerance * (1 + std::abs(want))))
    problems.push_back("loss " + std::to_string(got) + " in float, " + std::to_string(want) + " in double");
  const auto compare = [&](const std::map<std::string, std::vector<float>>& got,
                           const std::map<std::string, std::vector<double>>& want) {
    for (const auto& [name, values] : want)
      if (const double distance = relative_distance(got.at(name), values); !(distance <= tolerance))
        problems.push_back(name + ": float is " + std::to_string(distance * 1e6) + "e-6 from double");
  };
  compare(fast.rowwise(), exact.rowwise());
  compare(fast.weight_gradients(), exact.weight_gradients());
  return problems;
}

std::vector<std::string> check_bits(const ConformanceCase& c) {
  std::vector<std::string> problems;
  for (Reading reading : {Reading::plain, Reading::shared}) append(problems, bit_problems(c, reading));
  return problems;
}

std::vector<std::string> check_accumulation(const ConformanceCase& c) {
  std::vector<std::string> problems;
  CaseRun<float> run(case_graph(c, Reading::plain), 0, kRows);
  if (!run.runner().plan().single_writers) return problems;
  run.runner().run();
  auto twice = run.weight_gradients();
  for (auto& [name, values] : twice)
    for (float& value : values) value += value;
  run.runner().add_gradients = true;
  run.runner().run();
  return differing(run.weight_gradients(), twice, "added gradients");
}

std::vector<std::string> check_scoring(const ConformanceCase& c) {
  CaseRun<float> training(case_graph(c, Reading::plain), 0, kRows);
  CaseRun<float> scoring(case_graph(c, Reading::plain, false), 0, kRows);
  CaseRun<float> stored(forward_only(training.graph()), 0, kRows);
  training.runner().run(true);
  scoring.runner().run();
  stored.runner().run();
  auto want = training.rowwise();
  std::erase_if(want, [](const auto& entry) { return entry.first.rfind("out", 0) != 0; });
  std::vector<std::string> problems = differing(scoring.rowwise(), want, "scoring graph");
  append(problems, differing(stored.rowwise(), want, "forward part"));
  return problems;
}

std::vector<std::string> check_saved_weights(const ConformanceCase& c) {
  const Graph graph = case_graph(c, Reading::plain);
  CaseRun<float> first(graph, 0, kRows), second(graph, 0, kRows);
  first.runner().run();
  move_weights(first, second);
  second.runner().run();
  return differing(second.rowwise(), first.rowwise(), "weights read back");
}

std::vector<std::string> check_case(const ConformanceCase& c) {
  std::vector<std::string> problems = check_gradients(c);
  append(problems, check_float(c));
  append(problems, check_bits(c));
  append(problems, check_accumulation(c));
  return problems;
}

std::string lines(const std::vector<std::string>& problems) {
  std::string text;
  for (size_t i = 0; i < problems.size() && i < 20; ++i) text += "  " + problems[i] + "\n";
  if (problems.size() > 20) text += "  and " + std::to_string(problems.size() - 20) + " more\n";
  return text;
}

}  // namespace mtrank::testing
