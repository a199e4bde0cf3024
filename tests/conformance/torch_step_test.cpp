#include <gtest/gtest.h>

#include <numeric>

#include "framework/data/from_config.h"
#include "framework/train/step.h"
#include "models/model.h"
#include "tests/support/reference_model.h"

/// The training step as `mtrank train` runs it, with its shards, threads and optimisers, against PyTorch's 50 steps.
namespace mtrank {
namespace {

using testing::Block;
using testing::GoldenCase;
using testing::GoldenTensor;
using testing::relative_difference;

double at(const GoldenTensor& t, int64_t row, int64_t column) {
  return t.values[static_cast<size_t>(row * t.shape[1] + column)];
}

/// Rows [first, first + rows) of the case, laid out as `schema` says.
Batch batch_of(const GoldenCase& c, const InputSchema& schema, int64_t first, int64_t rows) {
  Batch batch;
  batch.rows = rows;
  batch.first_sample = first;
  batch.ids.resize(static_cast<size_t>(schema.id_slots()));
  batch.dense.resize(1);
  const auto cats = c.list("features");
  for (size_t f = 0; f < cats.size(); ++f)
    for (int64_t r = first; r < first + rows; ++r)
      batch.ids[f].ids.push_back(static_cast<int32_t>(at(c.at("ids"), r, static_cast<int64_t>(f))));
  size_t slot = cats.size();
  for (const char* bag : {"tags", "watched_videos", "liked_videos"}) {
    const GoldenTensor& t = c.at("bag." + std::string(bag));
    IdColumn& column = batch.ids[slot++];
    column.offsets = {0};
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t k = 0; k < t.shape[1]; ++k)
        if (at(t, r, k) > 0) column.ids.push_back(static_cast<int32_t>(at(t, r, k)));
      column.offsets.push_back(static_cast<int32_t>(column.ids.size()));
    }
  }
  batch.labels.resize(c.list("tasks").size());
  for (int64_t r = first; r < first + rows; ++r) {
    for (int64_t k = 0; k < 3; ++k) batch.dense[0].push_back(static_cast<float>(at(c.at("dense"), r, k)));
    for (size_t t = 0; t < batch.labels.size(); ++t)
      batch.labels[t].push_back(static_cast<float>(at(c.at("labels"), r, static_cast<int64_t>(t))));
  }
  return batch;
}

void set_start(const GoldenCase& c, ModelState& state) {
  for (const Block& b : testing::reference_blocks(c)) {
    const ParameterLayout::Entry& entry = *state.layout().find(b.weight);
    std::vector<float> weight(state.weights() + entry.offset, state.weights() + entry.offset + entry.size());
    put_block(b, c.at("start." + b.reference), weight, entry.cols);
    std::copy(weight.begin(), weight.end(), state.weights() + entry.offset);
  }
  for (const auto& table : state.tables()) {
    const std::vector<float> start = c.at("start.emb." + table->name() + ".weight").f32();
    ASSERT_EQ(static_cast<int64_t>(start.size()), table->size());
    std::copy(start.begin(), start.end(), table->weights());
  }
}

void expect_gradients(const GoldenCase& c, const ModelState& state, const TrainStep& step) {
  for (const Block& b : testing::reference_blocks(c)) {
    const ParameterLayout::Entry& entry = *state.layout().find(b.weight);
    const std::vector<float> gradient(step.gradient() + entry.offset, step.gradient() + entry.offset + entry.size());
    const GoldenTensor& want = c.at("grad." + b.reference);
    EXPECT_LT(relative_difference(get_block(b, want, gradient, entry.cols), want.values), 1e-5) << b.reference;
  }
}

void expect_parity(const GoldenCase& c, int threads) {
  Diagnostics diagnostics;
  Config config = load_config_text(testing::reference_config(c), "case", {}, diagnostics);
  resolve_layers(config, diagnostics);
  ASSERT_TRUE(diagnostics.ok()) << diagnostics.render();
  InputSchema schema = feature_transforms(config).schema();
  row_spec(config).extend(schema);
  TableRows rows;
  for (const Table& table : config.tables) rows[table.name] = table.rows;
  const Graph graph = build_model(config, rows, ModelUse::training, diagnostics);

  ThreadPool pool(threads);
  ModelState state(config, graph);
  state.initialize(pool, 1);
  ASSERT_NO_FATAL_FAILURE(set_start(c, state));
  TrainStep step(config, graph, schema, state, pool, 8);
  const std::vector<double>& losses = c.at("loss").values;
  const auto batch_rows = static_cast<int64_t>(c.number("batch"));
  for (int64_t s = 0; s < static_cast<int64_t>(losses.size()); ++s) {
    const StepResult result = step.run(batch_of(c, schema, s * batch_rows, batch_rows), s + 1, 1.0);
    const double loss = std::accumulate(result.loss.begin(), result.loss.end(), 0.0);
    EXPECT_NEAR(loss / losses[static_cast<size_t>(s)], 1, 1e-4) << "loss of step " << s;
    if (s == 0) expect_gradients(c, state, step);
  }
}

TEST(TorchStep, GradientsAndFiftyLosses) { expect_parity(testing::golden_case("kuairand_small", "kuairand"), 2); }

TEST(TorchStep, AtFullSizeOnTheRealLog) {
  const char* file = std::getenv("MTRANK_GOLDEN_KUAIRAND");
  if (!file) GTEST_SKIP() << "MTRANK_GOLDEN_KUAIRAND names no file: see tests/golden/make_kuairand.py";
  expect_parity(testing::golden_case(file, "kuairand"), 2);
}

}  // namespace
}  // namespace mtrank
