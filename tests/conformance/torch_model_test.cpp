#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "models/model.h"
#include "tests/support/golden.h"
#include "tests/support/graph_runner.h"
#include "tests/support/reference_model.h"

/// A whole model from its YAML file against PyTorch: the first step's gradients, tensor by tensor, and the loss of 50
/// steps of Adam. Small widths always; at full size on the real log where MTRANK_GOLDEN_KUAIRAND names the file that
/// `make_kuairand.py --data` wrote.
namespace mtrank {
namespace {

using testing::Block;
using testing::GoldenCase;
using testing::GoldenTensor;
using testing::GraphRunner;
using testing::reference_blocks;
using testing::relative_difference;

/// Adam as in its paper, in double: an optimiser of the test's own.
struct Adam {
  double lr;
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> state;

  template <class T>
  void step(const std::string& name, std::vector<T>& w, const std::vector<double>& g, int t) {
    auto& [m, v] = state[name];
    m.resize(w.size()), v.resize(w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      const double mean = m[i] / (1 - std::pow(0.9, t)), square = v[i] / (1 - std::pow(0.999, t));
      w[i] = static_cast<T>(w[i] - lr * mean / (std::sqrt(square) + 1e-8));
    }
  }
};

/// One batch of the case, as a plan wants it.
class ModelRun {
 public:
  ModelRun(const GoldenCase& c, const Graph& graph)
      : case_(c), batch_(static_cast<int64_t>(c.number("batch"))), run_(graph, batch_) {
    for (const std::string& name : c.list("features")) tables_of_[name] = name;
    for (const auto& [bag, table] : c.object("bags")) tables_of_[bag] = table;
    for (const ParamWeight& p : graph.params) params_.push_back(graph.value(p.value).name);
    for (const Block& b : reference_blocks(c))
      put_block(b, c.at("start." + b.reference), run_.param(b.weight), cols(b.weight));
    for (const TableWeight& t : graph.tables) {
      const std::string name = graph.value(t.value).name.substr(std::string("embedding/").size());
      const GoldenTensor& start = c.at("start.emb." + name + ".weight");
      run_.table("embedding/" + name).assign(start.values.begin(), start.values.end());
      tables_.push_back(name);
    }
  }

  /// Forward and backward; the sum of the tasks' mean losses.
  double step(int number) {
    bind(number);
    return run_.run();
  }

  std::vector<double> gradient(const Block& b) {
    return get_block(b, case_.at("grad." + b.reference), run_.param_gradient(b.weight), cols(b.weight));
  }

  /// Dense, from the pooled gradients of every feature that reads the table.
  std::vector<double> table_gradient(const std::string& table) {
    const int64_t dim = case_.at("start.emb." + table + ".weight").shape[1];
    std::vector<double> out(case_.at("start.emb." + table + ".weight").values.size());
    for (const auto& [feature, of] : tables_of_) {
      if (of != table) continue;
      const auto& pooled = run_.pooled_gradient("ids:" + feature);
      const IdsView& ids = run_.ids("ids:" + feature);
      for (int64_t r = 0; r < batch_; ++r)
        for (int32_t i = ids.offsets ? ids.offsets[r] : static_cast<int32_t>(r);
             i < (ids.offsets ? ids.offsets[r + 1] : r + 1); ++i)
          for (int64_t d = 0; d < dim; ++d)
            out[static_cast<size_t>(ids.ids[i] * dim + d)] += pooled[static_cast<size_t>(r * dim + d)];
    }
    return out;
  }

  void update(Adam& adam, int t) {
    for (const std::string& name : params_) {
      const auto& g = run_.param_gradient(name);
      adam.step(name, run_.param(name), {g.begin(), g.end()}, t);
    }
    for (const std::string& name : tables_)
      adam.step("embedding/" + name, run_.table("embedding/" + name), table_gradient(name), t);
  }

  const std::vector<std::string>& tables() const { return tables_; }

 private:
  void bind(int number) {
    const int64_t first = number * batch_;
    const auto cats = case_.list("features"), tasks = case_.list("tasks");
    for (size_t f = 0; f < cats.size(); ++f) {
      std::vector<int32_t>& ids = ids_[cats[f]];
      ids.clear();
      for (int64_t r = first; r < first + batch_; ++r) ids.push_back(static_cast<int32_t>(at("ids", r, f)));
      run_.ids("ids:" + cats[f]) = {ids.data(), nullptr, nullptr};
    }
    for (const auto& [bag, table] : case_.object("bags")) bind_bag(bag, first);
    auto& dense = run_.input("dense:nums");
    for (int64_t r = 0; r < batch_; ++r)
      for (size_t k = 0; k < 3; ++k)
        dense[static_cast<size_t>(r) * 3 + k] = static_cast<float>(at("dense", first + r, k));
    for (size_t t = 0; t < tasks.size(); ++t) {
      for (int64_t r = 0; r < batch_; ++r)
        run_.input(tasks[t] + "/label")[static_cast<size_t>(r)] = static_cast<float>(at("labels", first + r, t));
      run_.input(tasks[t] + "/weight").assign(static_cast<size_t>(batch_), 1);
      run_.scalar(tasks[t] + "/scale") = 1.0 / static_cast<double>(batch_);
    }
  }

  void bind_bag(const std::string& bag, int64_t first) {
    std::vector<int32_t>&ids = ids_[bag], &offsets = offsets_[bag];
    ids.clear(), offsets.assign(1, 0);
    for (int64_t r = first; r < first + batch_; ++r) {
      for (int64_t k = 0; k < case_.at("bag." + bag).shape[1]; ++k)
        if (const auto id = static_cast<int32_t>(at("bag." + bag, r, static_cast<size_t>(k))); id > 0)
          ids.push_back(id);
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    run_.ids("ids:" + bag) = {ids.data(), offsets.data(), nullptr};
  }

  double at(const std::string& tensor, int64_t row, size_t column) const {
    const GoldenTensor& t = case_.at(tensor);
    return t.values[static_cast<size_t>(row * t.shape[1]) + column];
  }
  int64_t cols(const std::string& param) const {
    const Graph& g = run_.plan().graph;
    return g.value(g.find(param)).cols;
  }

  const GoldenCase& case_;
  int64_t batch_;
  GraphRunner<float> run_;
  std::map<std::string, std::string> tables_of_;  // by feature
  std::vector<std::string> params_, tables_;
  std::map<std::string, std::vector<int32_t>> ids_, offsets_;
};

Graph training_graph(const GoldenCase& c) {
  Diagnostics diagnostics;
  Config config = load_config_text(testing::reference_config(c), "case", {}, diagnostics);
  resolve_layers(config, diagnostics);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.render();
  TableRows rows;
  for (const Table& table : config.tables) rows[table.name] = table.rows;
  return build_model(config, rows, ModelUse::training, diagnostics);
}

void expect_parity(const GoldenCase& c) {
  ModelRun run(c, training_graph(c));
  const std::vector<double>& losses = c.at("loss").values;
  Adam adam{c.number("lr"), {}};
  for (int step = 0; step < static_cast<int>(losses.size()); ++step) {
    const double want = losses[static_cast<size_t>(step)];
    EXPECT_NEAR(run.step(step) / want, 1, 1e-4) << "loss of step " << step;
    if (step == 0) {
      for (const Block& b : reference_blocks(c))
        EXPECT_LT(relative_difference(run.gradient(b), c.at("grad." + b.reference).values), 1e-5) << b.reference;
      for (const std::string& table : run.tables())
        EXPECT_LT(relative_difference(run.table_gradient(table), c.at("grad.emb." + table + ".weight").values), 1e-5)
            << table;
    }
    run.update(adam, step + 1);
  }
}

TEST(TorchModel, GradientsAndFiftyLosses) { expect_parity(testing::golden_case("kuairand_small", "kuairand")); }

TEST(TorchModel, AtFullSizeOnTheRealLog) {
  const char* file = std::getenv("MTRANK_GOLDEN_KUAIRAND");
  if (!file) GTEST_SKIP() << "MTRANK_GOLDEN_KUAIRAND names no file: see tests/golden/make_kuairand.py";
  expect_parity(testing::golden_case(file, "kuairand"));
}

TEST(TorchModel, EveryTensorOfTheReferenceHasItsPlace) {
  const GoldenCase c = testing::golden_case("kuairand_small", "kuairand");
  EXPECT_EQ(c.group("grad.").size(), reference_blocks(c).size() + training_graph(c).tables.size());
}

}  // namespace
}  // namespace mtrank
