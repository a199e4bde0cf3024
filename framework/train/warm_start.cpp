#include "framework/train/warm_start.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/graph/graph_json.h"
#include "framework/serving/bundle.h"
#include "framework/serving/vocabulary_tensors.h"
#include "framework/train/checkpoint.h"
#include "framework/train/checkpoint_manifest.h"
#include "framework/train/run_state.h"
#include "framework/train/train_setup.h"
#include "models/model.h"

namespace mtrank {
namespace {

constexpr std::string_view kTablePrefix = "embedding/", kVocabPrefix = "vocab.";

std::vector<TensorSource> weights_of(std::vector<TensorSource> tensors) {
  std::erase_if(tensors, [](const TensorSource& tensor) { return tensor.name.starts_with(kVocabPrefix); });
  return tensors;
}

WarmSource from_bundle(const std::string& path) {
  Bundle bundle = read_bundle(path);
  WarmSource source{path, transforms_from_json(bundle.features), {}, {}, bundle.memory};
  source.layouts = weight_layouts(graph_from_json(bundle.graph), source.transforms);
  read_vocabularies(
      source.transforms, [&](const std::string& name) { return bundle.find(name); }, path);
  source.weights = weights_of(bundle.tensors);
  return source;
}

/// Of the model of a checkpoint's config.
std::map<std::string, WeightLayout> layouts_of(const std::string& config_text, const WarmSource& source) {
  Diagnostics diagnostics;
  Config config = load_config_text(config_text, source.path, {}, diagnostics);
  resolve_layers(config, diagnostics);
  diagnostics.throw_if_errors();
  const Graph graph = build_model(config, table_rows(source.transforms), ModelUse::scoring, diagnostics);
  diagnostics.throw_if_errors();
  return weight_layouts(graph, source.transforms);
}

WarmSource from_checkpoint(const Checkpoint& checkpoint) {
  const RunState state = run_state_from_json(checkpoint.state_json(), checkpoint.path());
  WarmSource source{checkpoint.path(), transforms_from_json(state.features), {}, {}, {}};
  const auto memory = std::make_shared<std::vector<std::unique_ptr<std::byte[]>>>();
  std::vector<TensorSource> all;
  for (const TensorEntry& entry : checkpoint.tensors().tensors()) {
    if (entry.name.starts_with('#')) continue;  // an optimiser's state
    memory->push_back(std::make_unique_for_overwrite<std::byte[]>(entry.bytes()));
    checkpoint.tensors().read(entry, memory->back().get());
    all.push_back({entry.name, entry.dtype, entry.shape, memory->back().get()});
  }
  source.memory = memory;
  const auto find = [&](const std::string& name) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const TensorSource& t) { return t.name == name; });
    return at == all.end() ? nullptr : &*at;
  };
  read_vocabularies(source.transforms, find, checkpoint.path());
  source.layouts = layouts_of(state.config, source);
  source.weights = weights_of(all);
  return source;
}

const TableTransform* find_table(const FeatureTransforms& transforms, std::string_view name) {
  for (const TableTransform& table : transforms.tables)
    if (table.name == name) return &table;
  return nullptr;
}

/// Boundaries of the features whose buckets are the table's rows.
std::vector<std::vector<double>> boundaries(const FeatureTransforms& transforms, const std::string& table) {
  std::vector<std::vector<double>> all;
  for (const FeatureTransform& feature : transforms.features)
    if (feature.kind == FeatureKind::bucket && transforms.tables[static_cast<size_t>(feature.table)].name == table)
      all.push_back(feature.boundaries);
  return all;
}

/// Why the rows of a table cannot be taken over; empty when they can.
std::string misfit(const FeatureTransforms& before, const FeatureTransforms& now, const std::string& name) {
  const TableTransform *a = find_table(before, name), *b = find_table(now, name);
  if (!a || !b) return "no table of features";
  if (a->ids != b->ids) return "its ids are made another way";
  if (boundaries(before, name) != boundaries(now, name)) return "other boundaries";
  return "";
}

/// Rows by value. Both vocabularies are in ascending order: one pass over both.
WarmReport::Rows take_rows(const Vocabulary& before, const Vocabulary& now, const TensorSource& from,
                           const TensorSource& to) {
  const size_t row_bytes = static_cast<size_t>(to.shape[1]) * sizeof(float);
  const auto copy = [&](int64_t old_row, int64_t row) {
    std::memcpy(static_cast<char*>(const_cast<void*>(to.data)) + static_cast<size_t>(row) * row_bytes,
                static_cast<const char*>(from.data) + static_cast<size_t>(old_row) * row_bytes, row_bytes);
  };
  copy(0, 0);
  WarmReport::Rows rows{{}, 1, 0, 0};
  int64_t old_row = 1;
  for (int64_t row = 1; row < now.rows(); ++row) {
    while (old_row < before.rows() && before.value(old_row) < now.value(row)) ++old_row;
    if (old_row == before.rows() || before.value(old_row) != now.value(row)) continue;
    copy(old_row, row);
    ++rows.taken;
  }
  rows.fresh = now.rows() - rows.taken;
  rows.dropped = before.rows() - rows.taken;
  return rows;
}

std::string names_text(const std::vector<std::string>& names) {
  constexpr size_t kShown = 20;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

int64_t width(const std::vector<LayoutBlock>& blocks) {
  return std::accumulate(blocks.begin(), blocks.end(), int64_t{0},
                         [](int64_t sum, const LayoutBlock& block) { return sum + block.width; });
}

/// A block that two layouts have, and where it begins in each.
struct SharedBlock {
  int64_t before, now, width;
};

std::vector<SharedBlock> shared_blocks(const std::vector<LayoutBlock>& before, const std::vector<LayoutBlock>& now) {
  std::map<std::pair<std::string, int64_t>, int64_t> begins;
  for (int64_t at = 0; const LayoutBlock& block : before) {
    begins.emplace(std::pair(block.label, block.width), at);
    at += block.width;
  }
  std::vector<SharedBlock> shared;
  for (int64_t at = 0; const LayoutBlock& block : now) {
    if (const auto found = begins.find({block.label, block.width}); found != begins.end())
      shared.push_back({found->second, at, block.width});
    at += block.width;
  }
  return shared;
}

/// Blocks of `a` that `b` has not, after a word; empty where there are none.
std::string without(const std::string& word, const std::vector<LayoutBlock>& a, const std::vector<LayoutBlock>& b) {
  std::vector<std::string> names;
  for (const LayoutBlock& block : a)
    if (std::find(b.begin(), b.end(), block) == b.end()) names.push_back(block.text());
  return names.empty() ? "" : word + names_text(names);
}

/// Of inputs and outputs: what came and what went, or that they lie in another order.
std::string change(const WeightLayout& before, const WeightLayout& now) {
  std::string text;
  for (const auto& [old_blocks, blocks] :
       {std::pair(&before.rows, &now.rows), std::pair(&before.columns, &now.columns)})
    for (const std::string& part : {without("without ", *old_blocks, *blocks), without("new ", *blocks, *old_blocks)})
      if (!part.empty() && text.find(part) == std::string::npos) text += (text.empty() ? "" : "; ") + part;
  return text.empty() ? "in another order" : text;
}

/// Whether a layout describes every element of a tensor; not that of a product in groups.
bool describes(const WeightLayout& layout, const std::vector<int64_t>& shape) {
  return shape.size() == (layout.rows.empty() ? 1u : 2u) && shape.back() == width(layout.columns) &&
         (layout.rows.empty() || shape.front() == width(layout.rows));
}

/// Takes the blocks that both layouts have. False where there are none.
bool take_blocks(const WeightLayout& before, const WeightLayout& now, const TensorSource& from,
                 const TensorSource& to) {
  const std::vector<SharedBlock> whole = {{0, 0, 1}};
  const auto rows = now.rows.empty() ? whole : shared_blocks(before.rows, now.rows);
  const auto columns = shared_blocks(before.columns, now.columns);
  const auto* source = static_cast<const float*>(from.data);
  auto* target = static_cast<float*>(const_cast<void*>(to.data));
  for (const SharedBlock& block : rows)
    for (int64_t r = 0; r < block.width; ++r)
      for (const SharedBlock& part : columns)
        std::copy_n(source + (block.before + r) * from.shape.back() + part.before, part.width,
                    target + (block.now + r) * to.shape.back() + part.now);
  return !rows.empty() && !columns.empty();
}

/// Takes one weight, or says why not.
std::string take(const WarmSource& source, const FeatureTransforms& transforms,
                 const std::map<std::string, WeightLayout>& layouts, const TensorSource& from, const TensorSource& to,
                 WarmReport& report) {
  MTRANK_ASSERT(from.stride == 0 && to.stride == 0 && to.dtype == DType::f32);
  if (from.dtype != to.dtype) return "it is " + std::string(dtype_name(from.dtype));
  const std::string shapes = shape_text(from.shape) + " there, " + shape_text(to.shape) + " here";
  if (to.name.starts_with(kTablePrefix)) {
    const std::string name = to.name.substr(kTablePrefix.size());
    if (std::string why = misfit(source.transforms, transforms, name); !why.empty()) return why;
    const TableTransform &before = *find_table(source.transforms, name), &now = *find_table(transforms, name);
    if (now.ids == IdKind::vocab) {
      if (from.shape.size() != 2 || from.shape[0] != before.vocab->rows() || from.shape[1] != to.shape[1])
        return shapes;
      report.rows.push_back(take_rows(*before.vocab, *now.vocab, from, to));
      report.rows.back().table = name;
      report.taken.push_back(to.name);
      return "";
    }
  }
  const auto before = source.layouts.find(to.name), now = layouts.find(to.name);
  if (before != source.layouts.end() && now != layouts.end() && before->second != now->second) {
    if (!describes(before->second, from.shape) || !describes(now->second, to.shape) ||
        !take_blocks(before->second, now->second, from, to))
      return from.shape == to.shape ? change(before->second, now->second) : shapes;
    report.partly.push_back(to.name + " (" + change(before->second, now->second) + ")");
    return "";
  }
  if (from.shape != to.shape) return shapes;
  report.taken.push_back(to.name);
  int64_t elements = 1;
  for (int64_t extent : to.shape) elements *= extent;
  std::memcpy(const_cast<void*>(to.data), from.data, static_cast<size_t>(elements) * sizeof(float));
  return "";
}

}  // namespace

const TensorSource* WarmSource::find(const std::string& name) const {
  const auto at =
      std::find_if(weights.begin(), weights.end(), [&](const TensorSource& tensor) { return tensor.name == name; });
  return at == weights.end() ? nullptr : &*at;
}

WarmSource open_warm_source(const std::string& path, const Warn& warn) {
  if (disk::is_file(path)) return from_bundle(path);
  if (!disk::is_directory(path))
    throw ConfigError("train.init_from: there is no `" + path + "`; give a run directory or a bundle");
  if (disk::is_file(path + "/" + std::string(manifest_name))) return from_checkpoint(Checkpoint(path));
  if (const std::string bundle = path + "/model.safetensors"; disk::is_file(bundle)) return from_bundle(bundle);
  const auto newest = CheckpointStore(path + "/checkpoints").latest(warn);
  if (!newest)
    throw FileError("train.init_from: `" + path + "` holds neither model.safetensors nor a checkpoint to start from");
  return from_checkpoint(*newest);
}

WarmReport warm_start(const WarmSource& source, const FeatureTransforms& transforms,
                      const std::map<std::string, WeightLayout>& layouts, const std::vector<TensorSource>& weights) {
  WarmReport report;
  report.path = source.path;
  for (const TensorSource& to : weights) {
    const TensorSource* from = source.find(to.name);
    if (!from) {
      report.fresh.push_back(to.name + " (not there)");
      continue;
    }
    const std::string why = take(source, transforms, layouts, *from, to, report);
    if (why.empty()) continue;
    report.fresh.push_back(to.name + " (" + why + ")");
    report.dropped.push_back(report.fresh.back());
  }
  for (const TensorSource& from : source.weights)
    if (std::none_of(weights.begin(), weights.end(), [&](const TensorSource& to) { return to.name == from.name; }))
      report.dropped.push_back(from.name + " (not in this model)");
  return report;
}

std::string WarmReport::text() const {
  std::string out = "warm start from " + path + "\n  taken by name: " + std::to_string(taken.size());
  if (!partly.empty()) out += "\n  taken in part: " + std::to_string(partly.size()) + ": " + names_text(partly);
  for (const Rows& table : rows)
    out += "\n  table " + table.table + ": " + std::to_string(table.taken) + " rows taken by value, " +
           std::to_string(table.fresh) + " new, " + std::to_string(table.dropped) + " dropped";
  out += "\n  new here: " + std::to_string(fresh.size()) + (fresh.empty() ? "" : ": " + names_text(fresh));
  return out + "\n  dropped: " + std::to_string(dropped.size()) + (dropped.empty() ? "" : ": " + names_text(dropped));
}

std::string WarmReport::json() const {
  nlohmann::ordered_json line{{"event", "warm_start"}, {"path", path}, {"taken", taken},
                              {"partly", partly},      {"new", fresh}, {"dropped", dropped}};
  line["rows"] = nlohmann::ordered_json::object();
  for (const Rows& table : rows)
    line["rows"][table.table] = {{"taken", table.taken}, {"new", table.fresh}, {"dropped", table.dropped}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mtrank
