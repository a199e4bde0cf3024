#include "framework/data/row_encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/core/error.h"
#include "framework/core/philox.h"
#include "framework/data/number.h"
#include "framework/data/tokens.h"
#include "framework/data/value_hash.h"

namespace mtrank {

struct RowEncoder::IdStep {
  const FeatureTransform* feature;
  const TableTransform* table;
  const Vocabulary* vocab;
  FastModulo modulo;
  uint64_t seed;
  int column;   // -1: `serve_as`, padded
  int weights;  // column, or -1
  std::string constant;
};

struct RowEncoder::DenseColumn {
  const FeatureTransform* feature;
  size_t index;  // in the feature
  int column;
  float constant;  // where the column is -1
  float missing;
};

struct RowEncoder::LabelStep {
  const LabelSpec* label;
  int column;
};

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

uint32_t as_word(float value) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  return word;
}

void fail(BadRow& bad, const std::string& column, std::string_view value, std::string problem) {
  bad.column = column;
  bad.value = value;
  bad.problem = std::move(problem);
  if (value.starts_with(' ') || value.ends_with(' ')) bad.problem += "; data.trim takes spaces off";
}

std::string padded(std::string_view value) { return std::string(value) + std::string(kValuePadding, '\0'); }

}  // namespace

bool is_missing(const std::vector<std::string>& missing, std::string_view value) {
  for (const auto& m : missing)
    if (value == m) return true;
  return false;
}

std::string_view id_or_empty(const std::vector<std::string>& missing, std::string_view value) {
  return is_missing(missing, value) ? value.substr(0, 0) : value;
}

int fold_of(std::string_view value, uint64_t seed, int folds) {
  return static_cast<int>(xxh64_value(value, seed) % static_cast<uint64_t>(folds));
}

/// A float, or what is expected instead of a number that no float is near to.
bool to_float(double number, float& out) {
  out = static_cast<float>(number);
  return std::isfinite(out);
}
constexpr const char* kFloat = "expected a number that a float can hold";

bool parse_label(const LabelSpec& label, const std::vector<std::string>& missing, std::string_view value, float& out,
                 BadRow& bad) {
  if (value.size() == 1 && label.positive.empty() && !label.comparison && (value[0] == '0' || value[0] == '1')) {
    out = value[0] == '1';
    return true;
  }
  if (is_missing(missing, value)) return out = kNaN, true;
  if (!label.positive.empty())
    return out = std::find(label.positive.begin(), label.positive.end(), value) != label.positive.end(), true;
  double number;
  const bool parsed = parse_number(value, number);
  if (label.comparison) {
    if (!parsed) return fail(bad, label.column, value, "expected a number (label '" + label.name + "')"), false;
    return out = holds(number, *label.comparison, label.threshold), true;
  }
  if (!label.binary) {
    if (!parsed) return fail(bad, label.column, value, "expected a number (label '" + label.name + "')"), false;
    if (!to_float(number, out))
      return fail(bad, label.column, value, kFloat + (" (label '" + label.name + "')")), false;
    return true;
  }
  if (!parsed || (number != 0 && number != 1))
    return fail(bad, label.column, value,
                "expected 0 or 1 (label '" + label.name + "'); `positive:` says which values are 1"),
           false;
  return out = static_cast<float>(number), true;
}

/// One row on its way into a record.
class RowEncoder::Encoding {
 public:
  Encoding(const RowEncoder& encoder, const std::string_view* values, std::vector<uint32_t>& out, BadRow& bad)
      : e_(encoder), values_(values), out_(out), start_(out.size()), bad_(bad) {
    out_.resize(start_ + static_cast<size_t>(e_.layout_.fixed));
  }

  bool labels() {
    for (size_t i = 0; i < e_.labels_.size(); ++i) {
      const LabelStep& step = e_.labels_[i];
      float value = 0;
      if (!parse_label(*step.label, e_.transforms_.missing, values_[step.column], value, bad_)) return false;
      fixed(e_.layout_.labels + static_cast<int>(i)) = as_word(value);
    }
    return true;
  }

  bool kept_by_sample(int64_t row) {
    const SampleSpec& sample = *e_.rows_.sample;
    if (!sample.when.holds(label_values())) return true;
    fixed(e_.layout_.flags) |= 1;
    const Philox random(e_.rows_.seed, "sample", "");
    return static_cast<double>(uniform01(random(0, static_cast<uint64_t>(row))[0])) < sample.keep;
  }

  void conditions() {
    for (size_t c = 0; c < e_.rows_.conditions.size(); ++c) {
      const int bit = static_cast<int>(c) + 1;
      if (e_.rows_.conditions[c].holds(label_values())) fixed(e_.layout_.flags + bit / 32) |= uint32_t{1} << (bit % 32);
    }
  }

  bool weight() {
    const std::string_view text = values_[e_.weight_column_];
    double number;
    float weight;
    if (!parse_number(text, number) || number < 0 || !to_float(number, weight))
      return fail(bad_, e_.rows_.weight_column, text, "expected a weight, a number that is not negative"), false;
    fixed(e_.layout_.weight) = as_word(weight);
    return true;
  }

  void keys() {
    for (size_t k = 0; k < e_.key_columns_.size(); ++k) {
      const uint64_t hash = xxh64_value(values_[e_.key_columns_[k]], 0);
      std::memcpy(&fixed(e_.layout_.keys + 2 * static_cast<int>(k)), &hash, 8);
    }
  }

  bool ids() {
    for (size_t s = 0; s < e_.ids_.size(); ++s) {
      const IdStep& step = e_.ids_[s];
      const std::string_view value =
          step.column >= 0 ? values_[step.column]
                           : std::string_view(step.constant).substr(0, step.constant.size() - kValuePadding);
      int32_t id = 0;
      if (step.feature->kind == FeatureKind::ids) {
        if (!list(step, value, id)) return false;
      } else if (!single(step, value, id)) {
        return false;
      }
      fixed(static_cast<int>(s)) = static_cast<uint32_t>(id);
    }
    return true;
  }

  bool dense() {
    uint32_t* to = &fixed(e_.layout_.dense);
    for (const DenseColumn& d : e_.dense_) {
      float value = d.constant;
      if (d.column >= 0 && !number(d, values_[d.column], value)) return false;
      *to++ = as_word(value);
    }
    return true;
  }

 private:
  uint32_t& fixed(int word) { return out_[start_ + static_cast<size_t>(word)]; }
  const float* label_values() { return reinterpret_cast<const float*>(&fixed(e_.layout_.labels)); }

  std::string_view known(std::string_view id) const {
    return e_.empties_ids_ ? id_or_empty(e_.transforms_.missing, id) : id;
  }

  bool number(const DenseColumn& d, std::string_view text, float& value) {
    double x;
    if (parse_number(text, x)) {
      if (to_float(apply_steps(*d.feature, d.index, x), value)) return true;
      return fail(bad_, d.feature->columns[d.index], text, kFloat + (" (feature '" + d.feature->name + "')")), false;
    }
    value = d.missing;
    if (is_missing(e_.transforms_.missing, text)) return true;
    return fail(bad_, d.feature->columns[d.index], text, "expected a number (feature '" + d.feature->name + "')"),
           false;
  }

  bool single(const IdStep& step, std::string_view value, int32_t& id) {
    if (step.feature->kind == FeatureKind::bucket) return bucket(step, value, id);
    switch (step.table->ids) {
      case IdKind::hash:
        id = static_cast<int32_t>(step.modulo(xxh64_value(known(value), step.seed)));
        return true;
      case IdKind::vocab:
        id = static_cast<int32_t>(step.vocab->row(known(value)));
        if (id == 0 && step.feature->drop_unseen) id = -1;
        return true;
      case IdKind::integer:
        return integer(step, value, id);
      case IdKind::bucket:
        break;
    }
    return false;
  }

  bool integer(const IdStep& step, std::string_view value, int32_t& id) {
    int64_t parsed;
    if (parse_integer(value, parsed) && parsed >= 0 && parsed < step.table->rows)
      return id = static_cast<int32_t>(parsed), true;
    return fail(bad_, step.feature->columns[0], value,
                "expected an integer from 0 to " + std::to_string(step.table->rows - 1) + " (feature '" +
                    step.feature->name + "', table '" + step.table->name + "')"),
           false;
  }

  bool bucket(const IdStep& step, std::string_view value, int32_t& id) {
    const auto& boundaries = step.feature->boundaries;
    double x;
    if (parse_number(value, x)) {
      id = static_cast<int32_t>(std::upper_bound(boundaries.begin(), boundaries.end(), x) - boundaries.begin());
      return true;
    }
    id = static_cast<int32_t>(boundaries.size()) + 1;
    if (is_missing(e_.transforms_.missing, value)) return true;
    return fail(bad_, step.feature->columns[0], value, "expected a number (feature '" + step.feature->name + "')"),
           false;
  }

  /// Appends the ids of a list, then their weights; `count` tells how many.
  bool list(const IdStep& step, std::string_view text, int32_t& count) {
    const FeatureTransform& f = *step.feature;
    std::string_view weights = step.weights >= 0 ? values_[step.weights] : std::string_view();
    const bool none = text.empty() || is_missing(e_.transforms_.missing, text);
    if (step.weights >= 0 && !same_length(f, none, text, weights)) return false;
    if (f.length >= 0 && !has_length(f, none, text)) return false;
    if (none) return true;
    if (!cut(f, text, weights)) return true;
    const size_t begin = out_.size();
    // Room for as many ids as there can be tokens, so that the loop need not look.
    out_.resize(begin + text.size() + 1);
    int32_t* to = reinterpret_cast<int32_t*>(out_.data() + begin);
    bool good = true;
    const bool places = step.weights >= 0;  // keep a place for what is left out: weights go by place
    const auto each = [&](auto&& id_of) {
      for_each_token(text, f.separator, [&](std::string_view token) {
        int32_t id = -1;
        token = known(token);
        if (!token.empty()) id_of(token, id);
        *to = id;
        to += id >= 0 || places;
      });
    };
    if (step.table->ids == IdKind::hash)
      each([&](std::string_view token, int32_t& id) {
        id = static_cast<int32_t>(step.modulo(xxh64_value(token, step.seed)));
      });
    else if (step.table->ids == IdKind::vocab)
      each([&](std::string_view token, int32_t& id) {
        id = static_cast<int32_t>(step.vocab->row(token));
        id = id == 0 && f.drop_unseen ? -1 : id;
      });
    else
      each([&](std::string_view token, int32_t& id) { good = good && single(step, token, id); });
    if (!good) return false;
    out_.resize(static_cast<size_t>(reinterpret_cast<uint32_t*>(to) - out_.data()));
    if (places && !add_weights(f, weights, begin)) return false;
    count = static_cast<int32_t>((out_.size() - begin) / (places ? 2 : 1));
    if (!places && !f.weights_column.empty()) out_.insert(out_.end(), static_cast<size_t>(count), as_word(1.0f));
    return true;
  }

  /// Cuts a list down to max_len tokens. False when nothing is left.
  static bool cut(const FeatureTransform& f, std::string_view& text, std::string_view& weights) {
    if (static_cast<int64_t>(text.size()) + 1 <= f.max_len) return true;
    const int64_t extra = count_tokens(text, f.separator) - f.max_len;
    if (extra <= 0) return true;
    if (f.max_len == 0) return false;
    if (f.keep_last) {
      text = skip_tokens(text, f.separator, extra);
      if (!weights.empty()) weights = skip_tokens(weights, f.separator, extra);
    } else {
      const auto rest = skip_tokens(text, f.separator, f.max_len);
      text.remove_suffix(rest.size() + 1);
    }
    return true;
  }

  bool same_length(const FeatureTransform& f, bool none, std::string_view text, std::string_view weights) {
    const int64_t n = none ? 0 : count_tokens(text, f.separator);
    const int64_t w = weights.empty() ? 0 : count_tokens(weights, f.separator);
    if (n == w) return true;
    return fail(bad_, f.weights_column, weights,
                std::to_string(w) + " weights for the " + std::to_string(n) + " ids of column '" + f.columns[0] +
                    "' (feature '" + f.name + "')"),
           false;
  }

  bool has_length(const FeatureTransform& f, bool none, std::string_view text) {
    const int64_t n = none ? 0 : count_tokens(text, f.separator);
    if (n == f.length) return true;
    return fail(bad_, f.columns[0], text,
                std::to_string(n) + " ids, expected " + std::to_string(f.length) + " (feature '" + f.name + "')"),
           false;
  }

  /// Out has an id for every token, -1 for those left out: closes the gaps and appends the weights of the others.
  bool add_weights(const FeatureTransform& f, std::string_view text, size_t begin) {
    std::vector<float> weights;
    bool good = true;
    size_t place = begin, kept = begin;
    for_each_token(text, f.separator, [&](std::string_view token) {
      if (place == out_.size() || !good) return;
      double w;
      float weight = 0;
      good = parse_number(token, w) && to_float(w, weight);
      if (!good) return fail(bad_, f.weights_column, token, kFloat + (" (weights of '" + f.name + "')"));
      if (static_cast<int32_t>(out_[place]) >= 0) {
        out_[kept++] = out_[place];
        weights.push_back(weight);
      }
      ++place;
    });
    out_.resize(kept);
    for (const float w : weights) out_.push_back(as_word(w));
    return good;
  }

  const RowEncoder& e_;
  const std::string_view* values_;
  std::vector<uint32_t>& out_;
  const size_t start_;
  BadRow& bad_;
};

RowEncoder::RowEncoder(FeatureTransforms transforms, RowSpec rows, EncodeFor purpose)
    : transforms_(std::move(transforms)), rows_(std::move(rows)) {
  schema_ = transforms_.schema();
  rows_.extend(schema_);
  empties_ids_ = transforms_.empties_ids();
  layout_ = RecordLayout(schema_, !rows_.weight_column.empty());
  plan_features(purpose);
  plan_rows(purpose);
}

RowEncoder::~RowEncoder() = default;

int RowEncoder::column(const std::string& name) {
  const auto at = std::find(columns_.begin(), columns_.end(), name);
  if (at != columns_.end()) return static_cast<int>(at - columns_.begin());
  columns_.push_back(name);
  return static_cast<int>(columns_.size()) - 1;
}

void RowEncoder::plan_features(EncodeFor purpose) {
  for (const auto& f : transforms_.features) {
    const bool constant = purpose == EncodeFor::scoring && f.serve_as;
    const std::string served = f.serve_as.value_or("");
    if (f.kind == FeatureKind::dense) {
      double x = f.missing;
      if (constant && !is_missing(transforms_.missing, served) && !parse_number(served, x))
        throw ConfigError("feature '" + f.name + "': serve_as is '" + served + "', expected a number");
      for (size_t c = 0; c < f.columns.size(); ++c)
        dense_.push_back({&f, c, constant ? -1 : column(f.columns[c]), static_cast<float>(apply_steps(f, c, x)),
                          static_cast<float>(apply_steps(f, c, f.missing))});
      continue;
    }
    const TableTransform& t = transforms_.tables[static_cast<size_t>(f.table)];
    MTRANK_ASSERT(t.ids != IdKind::vocab || t.vocab);
    ids_.push_back({&f, &t, t.vocab.get(), FastModulo(static_cast<uint64_t>(t.rows)), xxh64(t.name),
                    constant ? -1 : column(f.columns[0]),
                    f.weights_column.empty() || constant ? -1 : column(f.weights_column), padded(served)});
  }
}

void RowEncoder::plan_rows(EncodeFor purpose) {
  for (const auto& label : rows_.labels) labels_.push_back({&label, column(label.column)});
  for (const auto& key : rows_.keys) key_columns_.push_back(column(key));
  if (!rows_.weight_column.empty()) weight_column_ = column(rows_.weight_column);
  if (!rows_.split.by.empty() && rows_.split.by != "row") {
    split_column_ = column(rows_.split.by);
    split_seed_ = xxh64(rows_.split.by);
  }
  if (!rows_.sample || purpose != EncodeFor::training) return;
  sampling_ = true;
  const SampleSpec& sample = *rows_.sample;
  if (sample.correct == SampleSpec::Correct::none) return;
  correction_.weights = true;
  correction_.weight = static_cast<float>(1 / sample.keep);
  if (sample.correct != SampleSpec::Correct::logit || sample.when.clauses.size() != 1) return;
  // The sampled odds of a label are the true ones over `keep` where its negatives were thinned, times it where its
  // positives were.
  const auto& clause = sample.when.clauses[0];
  const bool negatives = holds(0, clause.op, clause.value), positives = holds(1, clause.op, clause.value);
  correction_.logits = true;
  correction_.logit = static_cast<float>(portable_log(sample.keep) * (double(positives) - double(negatives)));
}

bool RowEncoder::in_split(const std::string_view* values, int64_t row) const {
  if (rows_.split.by.empty()) return true;
  const int fold = split_column_ < 0 ? static_cast<int>(row % rows_.split.folds)
                                     : fold_of(values[split_column_], split_seed_, rows_.split.folds);
  return rows_.split.take[static_cast<size_t>(fold)] != 0;
}

RowEncoder::Result RowEncoder::encode(const std::string_view* values, int64_t row, std::vector<uint32_t>& out,
                                      BadRow& bad) const {
  if (!in_split(values, row)) return Result::left_out;
  const size_t start = out.size();
  Encoding encoding(*this, values, out, bad);
  Result result = Result::bad;
  if (encoding.labels()) {
    if (sampling_ && !encoding.kept_by_sample(row)) {
      result = Result::left_out;
    } else if ((weight_column_ < 0 || encoding.weight()) && encoding.ids() && encoding.dense()) {
      encoding.conditions();
      encoding.keys();
      return Result::row;
    }
  }
  out.resize(start);
  return result;
}

}  // namespace mtrank
