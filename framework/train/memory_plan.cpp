#include "framework/train/memory_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "framework/core/error.h"
#include "framework/core/host.h"
#include "framework/embedding/optimizer_config.h"
#include "framework/embedding/table.h"
#include "framework/graph/cost.h"
#include "framework/graph/parameters.h"
#include "framework/ops/gemm.h"
#include "framework/train/step.h"

namespace mtrank {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kProgram = 8 << 20;                 // code, libraries, small objects
constexpr int64_t kSortedLookup = 8 + 8 + 4 + 4 + 8;  // two keys, its source, at most a row and where it begins
constexpr int64_t kEvaluatedRow = 64;  // of a task: prediction, label, weight, and the sorted rows of its metrics
constexpr int64_t kBatches = 5;        // three read ahead, one being read, one being trained on
const std::string kTable = "embedding/";

std::string table_name(const Graph& graph, ValueId table) { return graph.value(table).name.substr(kTable.size()); }

int64_t dense_state_slots(const Config& config) {
  return static_cast<int64_t>(needed_slots(optimizer_settings(config.train.dense_optimizer)).size());
}

double ids_of(const JobSize& size, const std::string& feature) {
  const auto found = size.data.ids_per_row.find(feature);
  return found == size.data.ids_per_row.end() ? 1 : found->second;
}

std::string feature_of(const Graph& graph, ValueId ids) {
  return graph.value(ids).name.substr(std::string("ids:").size());
}

/// Ids a row, by value.
std::vector<double> ids_by_value(const Graph& graph, const JobSize& size) {
  std::vector<double> out(graph.values.size(), 1);
  for (size_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[i].kind == ValueKind::ids) out[i] = ids_of(size, feature_of(graph, static_cast<ValueId>(i)));
  return out;
}

/// Bytes that are computed from what the config says of lists may be beyond any machine; their sum must not overflow.
int64_t whole(double bytes) { return static_cast<int64_t>(std::min(bytes, 1e17)); }

int64_t sorted_bytes(const Config& config, const Plan& plan, const JobSize& size) {
  double all = 0;
  for (const SparseGradient& sparse : plan.graph.sparse_gradients)
    all += ids_of(size, feature_of(plan.graph, sparse.ids)) * static_cast<double>(config.train.batch_size);
  return whole(std::floor(all) * kSortedLookup);
}

int64_t batch_bytes(const Config& config, const JobSize& size, int64_t rows) {
  double row = 0;
  for (const Feature& feature : config.features) {
    const double list = feature.type == FeatureType::ids ? kFloat : 0;  // where it begins
    row += feature.has_table() ? ids_of(size, feature.name) * kFloat * (feature.weights ? 2 : 1) + list
                               : kFloat * static_cast<double>(feature.columns.size());
  }
  row += kFloat * static_cast<double>(config.labels.size()) + 8 * static_cast<double>(config.eval.segments.size() + 1);
  return whole(row * static_cast<double>(rows));
}

/// The most that a thread's matrix products keep.
int64_t gemm_bytes(const Plan& plan) {
  size_t most = 0;
  for (const OpNode& node : plan.graph.nodes) {
    const bool forward = std::string_view(node.op->name) == "linear";
    const bool weight = std::string_view(node.op->name) == "linear_weight_gradient";
    if (!forward && !weight) continue;
    const ValueId id = forward ? node.inputs[1] : node.outputs[0];
    if (id == kNoValue) continue;
    const Value& w = plan.graph.value(id);
    most = std::max(most, weight ? gemm::weight_gradient_floats(plan.capacity, w.rows, w.cols)
                                 : gemm::multiply_floats(plan.capacity, w.rows, w.cols));
  }
  return static_cast<int64_t>(most) * kFloat;
}

std::string layer_of(const std::string& scope) {
  return scope.empty() ? "embedding" : scope.substr(0, scope.find('/'));
}

LayerSize& layer_named(std::vector<LayerSize>& layers, const std::string& name) {
  for (LayerSize& layer : layers)
    if (layer.name == name) return layer;
  layers.push_back({});
  layers.back().name = name;
  return layers.back();
}

/// Bytes of a sample's values; the weights are read once for many samples.
double sample_bytes(const Graph& graph, const OpNode& node, std::span<const double> ids) {
  const double one = node_cost(graph, node, 1, ids).bytes, none = node_cost(graph, node, 0, ids).bytes;
  return one - none;
}

/// What a device with memory of its own takes off the host, and the page-locked copies of its batches.
void leave_to_accelerator(MemoryPlan& plan, int64_t batch) {
  constexpr std::string_view elsewhere[] = {"gradients of the dense weights",
                                            "gradients of pooled embeddings",
                                            "sorted ids",
                                            "packed weights",
                                            "activations",
                                            "working memory of matrix products",
                                            "scoring"};
  std::erase_if(plan.regions, [&](const MemoryPlan::Region& region) {
    return std::find(std::begin(elsewhere), std::end(elsewhere), region.what) != std::end(elsewhere);
  });
  plan.regions.push_back({"staged batches", 3 * batch});
}

}  // namespace

int64_t eval_batch_size(const Config& config) { return config.eval.batch_size.value_or(8192); }

DataSize data_size(const Config& config, const Dataset& data) {
  DataSize out;
  const int64_t window = config.train.shuffle.memory.bytes;
  const EncodedSize train = data.size(Part::train);
  out.window_bytes = std::min(train.bytes, window);
  out.listed_rows = train.bytes > 0 ? data.summary(Part::train).rows * out.window_bytes / train.bytes : 0;
  if (train.bytes <= window && config.train.epochs > 1) out.listed_rows *= 2;  // in the next epoch's order too
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    if (!data.has(part)) continue;
    if (data.size(part).in_memory) out.stored_bytes += data.size(part).bytes;
    if (part != Part::train) out.eval_rows = std::max(out.eval_rows, data.summary(part).rows);
  }
  for (const TableTransform& table : data.transforms().tables)
    if (table.vocab) {
      out.vocabulary_bytes += static_cast<int64_t>(table.vocab->memory());
      // As the bundle is written: the values end to end, and the map of the scorer that tries the bundle.
      out.exported_bytes += static_cast<int64_t>(table.vocab->memory() + table.vocab->file_memory());
    }
  out.learning_bytes = data.learning_bytes();
  Batch batch;
  const auto source = data.train({.batch_size = std::min<int64_t>(config.train.batch_size, 4096)});
  if (!source->next(batch)) return out;
  for (const FeatureInfo& feature : data.schema().features)
    if (feature.kind != FeatureKind::dense)
      out.ids_per_row[feature.name] = static_cast<double>(batch.ids[static_cast<size_t>(feature.slot)].ids.size()) /
                                      static_cast<double>(batch.rows);
  return out;
}

int64_t MemoryPlan::training() const {
  int64_t sum = 0;
  for (const Region& region : regions) sum += region.bytes;
  return sum;
}

MemoryPlan plan_memory(const Config& config, const Plan& training, const Plan& scoring, const JobSize& size) {
  const int64_t dense = ParameterLayout(training.graph).elements() * kFloat;
  const GradientBuffers buffers = gradient_buffers(size.logical_shards, size.threads, training.single_writers);
  int64_t weights = 0, state = 0, pooled = 0;
  for (const LayerSize& table : table_sizes(config, training, size))
    weights += table.weights, state += table.state, pooled += table.gradients;
  const auto bytes = [](size_t n) { return static_cast<int64_t>(n); };
  const auto measured = static_cast<int64_t>(config.tasks.size() + config.outputs.size());
  const int64_t batch = batch_bytes(config, size, config.train.batch_size);
  const int64_t evaluated = batch_bytes(config, size, std::min(size.data.eval_rows, eval_batch_size(config)));
  MemoryPlan plan{{{"tables", weights},
                   {"optimizer state of the tables", state},
                   {"dense weights", dense},
                   {"optimizer state of the dense weights", dense * dense_state_slots(config)},
                   {"gradients of the dense weights", dense * buffers.subtrees * buffers.levels},
                   {"gradients of pooled embeddings", pooled},
                   {"sorted ids", sorted_bytes(config, training, size)},
                   {"packed weights", bytes(training.packed_bytes)},
                   {"activations", bytes(training.arena_bytes) * size.threads},
                   {"working memory of matrix products", gemm_bytes(training) * size.threads},
                   {"scoring", bytes(scoring.packed_bytes) + bytes(scoring.arena_bytes) * size.threads},
                   {"evaluation", size.data.eval_rows * measured * kEvaluatedRow + evaluated * kBatches},
                   {"batches", batch * kBatches},
                   {"encoded rows", size.data.window_bytes + size.data.listed_rows * 8 + size.data.stored_bytes},
                   {"vocabularies", size.data.vocabulary_bytes},
                   {"vocabularies in the bundle", size.data.exported_bytes},
                   {"program", kProgram}}};
  if (size.data.learning_bytes > 0) plan.first_read = kProgram + size.data.learning_bytes;
  if (size.accelerated) leave_to_accelerator(plan, batch);
  return plan;
}

std::vector<LayerSize> table_sizes(const Config& config, const Plan& plan, const JobSize& size) {
  const Graph& graph = plan.graph;
  std::vector<LayerSize> out;
  for (const TableWeight& weight : graph.tables) {
    const Value& value = graph.value(weight.value);
    const Table& table = *config.table(table_name(graph, weight.value));
    LayerSize row;
    row.name = table.name;
    row.parameters = value.rows * value.cols;
    row.weights = row.parameters * kFloat;
    row.state = EmbeddingTable::bytes(value.rows, value.cols, optimizer_settings(*table.optimizer)) - row.weights;
    for (const SparseGradient& sparse : graph.sparse_gradients) {
      if (sparse.table != weight.value) continue;
      const double ids = ids_of(size, feature_of(graph, sparse.ids));
      row.gradients += config.train.batch_size * value.cols * kFloat;
      row.flops += 4 * ids * static_cast<double>(value.cols);  // pooled, and summed by row
      row.bytes += 2 * ids * static_cast<double>(value.cols * kFloat);
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<LayerSize> layer_sizes(const Config& config, const Plan& plan, const JobSize& size) {
  const Graph& graph = plan.graph;
  const std::vector<double> ids = ids_by_value(graph, size);
  std::vector<LayerSize> out;
  std::vector<uint8_t> counted(graph.values.size());
  for (const OpNode& node : graph.nodes) {
    LayerSize& layer = layer_named(out, layer_of(node.scope));
    layer.flops += node_cost(graph, node, 1, ids).flops;
    layer.bytes += sample_bytes(graph, node, ids);
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const ValueId root = graph.root(id);
      if (plan.place(root).region != Region::arena || counted[static_cast<size_t>(root)]++) continue;
      layer.activations += plan.capacity * plan.place(root).ld * kFloat;
    }
  }
  const int64_t slots = dense_state_slots(config);
  const ParameterLayout layout(graph);
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    LayerSize& layer = layer_named(out, layer_of(entry.name));
    layer.parameters += entry.size();
    layer.weights += entry.size() * kFloat;
    layer.state += entry.size() * kFloat * slots;
    layer.gradients += entry.size() * kFloat;
  }
  return out;
}

int64_t memory_budget(const Config& config) {
  return config.train.memory ? config.train.memory->bytes : host_memory().budget();
}

void require_memory(const MemoryPlan& plan, int64_t budget) {
  if (plan.total() <= budget) return;
  std::vector<MemoryPlan::Region> regions = plan.regions;
  if (plan.first_read > plan.training()) regions = {{"vocabularies while the data is first read", plan.first_read}};
  std::stable_sort(regions.begin(), regions.end(), [](auto& a, auto& b) { return a.bytes > b.bytes; });
  std::string most;
  for (size_t i = 0; i < 3 && i < regions.size(); ++i)
    most += fmt::format("{}{} {}", i ? ", " : "", regions[i].what, bytes_text(regions[i].bytes));
  throw ResourceError(fmt::format(
      "this job needs about {} of memory ({}, …), and {} are free for it. Use fewer rows (`ids: hash`, "
      "`min_count`), a smaller dim, narrower layers, an optimizer with less state, or a smaller train.batch_size; "
      "train.memory sets another limit. `mtrank plan` shows all of it",
      bytes_text(plan.total()), most, bytes_text(budget)));
}

std::string bytes_text(int64_t bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes >= 1 << 30) return fmt::format("{:.2f} GiB", n / (1 << 30));
  if (bytes >= 1 << 20) return fmt::format("{:.1f} MiB", n / (1 << 20));
  return fmt::format("{:.1f} KiB", n / 1024);
}

}  // namespace mtrank
