#include "framework/serving/scorer.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "framework/core/error.h"
#include "framework/graph/graph_json.h"
#include "framework/ops/lookup.h"
#include "framework/serving/vocabulary_tensors.h"
#include "models/model.h"

namespace mtrank {
namespace {

constexpr std::string_view ids_prefix = "ids:", dense_prefix = "dense:", table_prefix = "embedding/";

/// The bundle's tensor, of the type and shape that the bundle's other parts promise.
const TensorSource& need_tensor(const Bundle& bundle, const std::string& name, DType dtype,
                                const std::vector<int64_t>& shape) {
  const TensorSource* tensor = bundle.find(name);
  if (tensor == nullptr) throw FileError("the bundle lacks the tensor '" + name + "'");
  const bool fits =
      tensor->dtype == dtype && std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end(),
                                           [](int64_t want, int64_t have) { return want < 0 || want == have; });
  if (!fits) {
    throw FileError("the bundle's tensor '" + name + "' is " + std::string(dtype_name(tensor->dtype)) + " " +
                    shape_text(tensor->shape) + ", its graph expects " + std::string(dtype_name(dtype)) + " " +
                    shape_text(shape));
  }
  return *tensor;
}

/// The rows' values one after the other, each with the bytes behind it that the encoder may read.
class PaddedValues {
 public:
  explicit PaddedValues(std::span<const std::string_view> values) {
    size_t size = 0;
    for (const std::string_view value : values) size += value.size() + kValuePadding;
    text_.reserve(size);
    views_.reserve(values.size());
    for (const std::string_view value : values) {
      views_.emplace_back(text_.data() + text_.size(), value.size());
      text_.append(value).append(kValuePadding, '\0');
    }
  }
  const std::string_view* row(size_t row, size_t columns) const { return views_.data() + row * columns; }

 private:
  std::string text_;
  std::vector<std::string_view> views_;
};

std::string number_text(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return text;
}

}  // namespace

Scorer::Scorer(Bundle bundle, int threads)
    : bundle_(std::move(bundle)),
      transforms_(transforms_from_json(bundle_.features)),
      read_options_(input_from_json(bundle_.input)),
      graph_(graph_from_json(bundle_.graph)),
      pool_(threads) {
  read_vocabularies(
      transforms_, [&](const std::string& name) { return bundle_.find(name); }, "the bundle");
  encoder_ = std::make_shared<RowEncoder>(transforms_, RowSpec{}, EncodeFor::scoring);
  check_features();
  make_forward(threads);
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    if (graph_.outputs[i].name.starts_with(kTaskOutput)) continue;
    outputs_.push_back(graph_.outputs[i].name);
    output_positions_.push_back(i);
  }
  check_golden();
}

/// Kernels trust that ids are rows of their table and that dense blocks have their width.
void Scorer::check_features() const {
  const InputSchema& schema = encoder_->schema();
  for (const Value& value : graph_.values) {
    const bool dense = value.kind == ValueKind::input;
    if (!dense && value.kind != ValueKind::ids) continue;
    const std::string_view prefix = dense ? dense_prefix : ids_prefix;
    const int at = value.name.starts_with(prefix) ? schema.feature(value.name.substr(prefix.size())) : -1;
    if (at < 0) throw FileError("the bundle's graph reads '" + value.name + "', which is no feature");
    const FeatureInfo& feature = schema.features[static_cast<size_t>(at)];
    if (dense != (feature.kind == FeatureKind::dense) || (dense && feature.width != value.cols)) {
      throw FileError("the bundle's feature '" + feature.name + "' is not what its graph reads");
    }
  }
  for (const OpNode& node : graph_.nodes) {
    for (size_t i = 0; node.op == &ops::lookup && i < node.inputs.size(); i += 2)
      check_lookup(graph_.value(node.inputs[i]), graph_.value(node.inputs[i + 1]));
  }
}

void Scorer::check_lookup(const Value& embedding, const Value& ids) const {
  const InputSchema& schema = encoder_->schema();
  const int feature = schema.feature(ids.name.substr(ids_prefix.size()));
  const std::string& name = schema.features[static_cast<size_t>(feature)].table;
  const TableInfo& table = schema.tables[static_cast<size_t>(schema.table(name))];
  if (embedding.name != std::string(table_prefix) + name) {
    throw FileError("the bundle's graph looks '" + ids.name + "' up in '" + embedding.name + "', its table is '" +
                    name + "'");
  }
  if (embedding.rows != table.rows) {
    throw FileError("the bundle's table '" + name + "' has " + std::to_string(table.rows) + " rows, its embedding " +
                    std::to_string(embedding.rows));
  }
}

void Scorer::make_forward(int threads) {
  std::vector<View> params, tables;
  const auto view = [&](ValueId id, const std::vector<int64_t>& shape) {
    const Value& value = graph_.value(id);
    const TensorSource& tensor = need_tensor(bundle_, value.name, DType::f32, shape);
    MTRANK_ASSERT(tensor.stride == 0 || shape.size() == 2);
    return View{const_cast<void*>(tensor.data), value.rows, value.cols, tensor.stride ? tensor.stride : value.cols,
                nullptr};
  };
  for (const ParamWeight& param : graph_.params) params.push_back(view(param.value, param.shape));
  for (const TableWeight& table : graph_.tables) {
    const Value& value = graph_.value(table.value);
    tables.push_back(view(table.value, {value.rows, value.cols}));
  }
  forward_ = std::make_unique<Forward>(graph_, encoder_->schema(), std::move(params), std::move(tables), threads);
  forward_->refresh(pool_);
}

void Scorer::score(const Batch& batch, std::vector<std::vector<float>>& scores) {
  forward_->run(pool_, batch, scratch_);
  scores.resize(outputs_.size());
  for (size_t i = 0; i < scores.size(); ++i) scores[i].swap(scratch_[output_positions_[i]]);
}

std::vector<float> Scorer::score_rows(std::span<const std::string_view> values) {
  if (columns().empty()) throw DataError("the model reads no columns, so there are no rows to score");
  MTRANK_ASSERT(values.size() % columns().size() == 0);
  const size_t rows = values.size() / columns().size();
  const PaddedValues padded(values);
  std::vector<uint32_t> words;
  std::vector<size_t> starts;
  for (size_t r = 0; r < rows; ++r) {
    starts.push_back(words.size());
    BadRow bad;
    const auto result = encoder_->encode(padded.row(r, columns().size()), static_cast<int64_t>(r), words, bad);
    if (result == RowEncoder::Result::row) continue;
    throw DataError("row " + std::to_string(r) + ", column '" + bad.column + "': found '" + bad.value + "', " +
                    bad.problem);
  }
  std::vector<const uint32_t*> records;
  for (const size_t start : starts) records.push_back(words.data() + start);
  Batch batch;
  build_batch(encoder_->layout(), encoder_->correction(), records.data(), static_cast<int64_t>(rows), batch);

  const std::lock_guard lock(mutex_);
  std::vector<std::vector<float>> scores;
  score(batch, scores);
  std::vector<float> result(rows * scores.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t o = 0; o < scores.size(); ++o) result[r * scores.size() + o] = scores[o][r];
  }
  return result;
}

void Scorer::check_golden() {
  const GoldenRows& golden = bundle_.golden;
  if (golden.rows.empty()) return;
  if (golden.columns != columns() || golden.outputs != outputs_) {
    throw FileError("the bundle's golden rows have other columns or outputs than its model");
  }
  std::vector<std::string_view> values;
  for (const auto& row : golden.rows) values.insert(values.end(), row.begin(), row.end());
  const std::vector<float> scores = score_rows(values);
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::bit_cast<uint32_t>(scores[i]) == std::bit_cast<uint32_t>(golden.scores[i])) continue;
    throw FileError("golden row " + std::to_string(i / outputs_.size()) + ": output '" + outputs_[i % outputs_.size()] +
                    "' is " + number_text(scores[i]) + ", but was " + number_text(golden.scores[i]) +
                    " when the bundle was made: this build of mtrank computes something else");
  }
}

std::string input_to_json(const ReadOptions& options, const std::vector<std::string>& columns) {
  nlohmann::ordered_json json;
  json["columns"] = columns;
  json["format"] = options.format;
  json["delimiter"] = options.delimiter == 0 ? 0 : static_cast<int>(static_cast<unsigned char>(options.delimiter));
  json["trim"] = options.trim;
  json["names"] = options.columns;
  json["skip_header"] = options.skip_header;
  return json.dump();
}

ReadOptions input_from_json(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    ReadOptions options;
    options.format = json.at("format").get<std::string>();
    options.delimiter = static_cast<char>(json.at("delimiter").get<uint8_t>());
    options.trim = json.at("trim").get<bool>();
    options.columns = json.at("names").get<std::vector<std::string>>();
    options.skip_header = json.at("skip_header").get<bool>();
    return options;
  } catch (const nlohmann::json::exception& e) {
    throw FileError(std::string("input: ") + e.what());
  }
}

}  // namespace mtrank
