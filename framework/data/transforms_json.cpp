#include "framework/core/error.h"
#include "framework/core/json.h"
#include "framework/data/transforms.h"

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kIdKinds[] = {"hash", "vocab", "int", "bucket"};
constexpr const char* kFeatureKinds[] = {"id", "ids", "bucket", "dense"};
constexpr const char* kSteps[] = {"clip", "log1p", "zscore"};

Json table_json(const TableTransform& t) {
  Json j;
  j["name"] = t.name;
  j["ids"] = kIdKinds[static_cast<int>(t.ids)];
  j["rows"] = t.vocab ? t.vocab->rows() : t.rows;
  if (t.ids == IdKind::vocab) {
    j["min_count"] = t.min_count;
    j["vocab_from"] = t.vocab_from;
  }
  return j;
}

Json step_json(const DenseStep& step) {
  Json j;
  j["step"] = kSteps[static_cast<int>(step.kind)];
  if (step.kind == DenseStep::Kind::clip) j["low"] = step.low, j["high"] = step.high;
  return j;
}

Json feature_json(const FeatureTransforms& all, const FeatureTransform& f) {
  Json j;
  j["name"] = f.name;
  j["group"] = f.group;
  j["kind"] = kFeatureKinds[static_cast<int>(f.kind)];
  j["columns"] = f.columns;
  if (f.table >= 0) j["table"] = all.tables[static_cast<size_t>(f.table)].name;
  if (f.kind == FeatureKind::id || f.kind == FeatureKind::ids) j["drop_unseen"] = f.drop_unseen;
  if (f.kind == FeatureKind::ids) {
    j["separator"] = static_cast<int>(static_cast<unsigned char>(f.separator));
    j["max_len"] = f.max_len;
    j["keep_last"] = f.keep_last;
    j["length"] = f.length;
    j["weights"] = f.weights_column;
  }
  if (f.kind == FeatureKind::bucket) j["boundaries"] = f.boundaries;
  if (f.kind == FeatureKind::dense) {
    j["missing"] = f.missing;
    j["steps"] = Json::array();
    for (const auto& step : f.steps) j["steps"].push_back(step_json(step));
    j["mean"] = f.mean;
    j["deviation"] = f.deviation;
  }
  if (f.serve_as) j["serve_as"] = *f.serve_as;
  return j;
}

/// An object of the file, whose fields are read with checks.
class Object {
 public:
  Object(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json_.is_object()) fail("is not an object");
  }
  [[noreturn]] void fail(const std::string& problem) const { throw FileError("features: " + where_ + " " + problem); }

  bool has(const char* key) const { return json_.contains(key); }
  const Json& at(const char* key) const {
    if (!has(key)) fail(std::string("has no '") + key + "'");
    return json_[key];
  }
  template <class T>
  T get(const char* key) const {
    try {
      return at(key).get<T>();
    } catch (const Json::exception&) {
      fail(std::string("has a '") + key + "' of the wrong type");
    }
  }
  int64_t integer(const char* key, int64_t low, int64_t high) const {
    if (!at(key).is_number_integer()) fail(std::string("has a '") + key + "' that is no integer");
    const auto value = get<int64_t>(key);
    if (value < low || value > high) fail(std::string("has a '") + key + "' out of range: " + std::to_string(value));
    return value;
  }
  double number(const char* key) const {
    if (!at(key).is_number()) fail(std::string("has a '") + key + "' that is no number");
    return get<double>(key);
  }
  template <size_t N>
  int choice(const char* key, const char* const (&names)[N]) const {
    const auto name = get<std::string>(key);
    for (size_t i = 0; i < N; ++i)
      if (name == names[i]) return static_cast<int>(i);
    fail(std::string("has an unknown '") + key + "': " + name);
  }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

const Json& list(const Object& object, const char* key) {
  const Json& json = object.at(key);
  if (!json.is_array()) object.fail(std::string("has a '") + key + "' that is no list");
  return json;
}

TableTransform parse_table(const Object& o) {
  TableTransform t;
  t.name = o.get<std::string>("name");
  t.ids = static_cast<IdKind>(o.choice("ids", kIdKinds));
  t.rows = o.integer("rows", t.ids == IdKind::vocab ? 0 : 1, INT32_MAX);
  if (t.ids == IdKind::vocab) {
    t.min_count = o.integer("min_count", 0, INT64_MAX);
    t.vocab_from = o.get<std::vector<std::string>>("vocab_from");
  }
  return t;
}

DenseStep parse_step(const Object& o) {
  DenseStep step;
  step.kind = static_cast<DenseStep::Kind>(o.choice("step", kSteps));
  if (step.kind == DenseStep::Kind::clip) {
    step.low = o.number("low"), step.high = o.number("high");
    if (!(step.low <= step.high)) o.fail("clips to an empty range");
  }
  return step;
}

void parse_dense(const Object& o, FeatureTransform& f) {
  f.missing = o.number("missing");
  for (const auto& step : list(o, "steps")) f.steps.push_back(parse_step(Object(step, o.where() + ": step")));
  f.mean = o.get<std::vector<double>>("mean");
  f.deviation = o.get<std::vector<double>>("deviation");
  if (f.mean.size() != f.deviation.size() || (!f.mean.empty() && f.mean.size() != f.columns.size()))
    o.fail("has not one mean and deviation a column");
  for (const double d : f.deviation)
    if (!(d > 0)) o.fail("has a deviation that is not above 0");
}

FeatureTransform parse_feature(const Object& o, const FeatureTransforms& all) {
  FeatureTransform f;
  f.name = o.get<std::string>("name");
  f.group = o.get<std::string>("group");
  f.kind = static_cast<FeatureKind>(o.choice("kind", kFeatureKinds));
  f.columns = o.get<std::vector<std::string>>("columns");
  if (f.columns.empty() || (f.kind != FeatureKind::dense && f.columns.size() != 1))
    o.fail("has " + std::to_string(f.columns.size()) + " columns");
  if (o.has("serve_as")) f.serve_as = o.get<std::string>("serve_as");
  if (f.kind == FeatureKind::dense) return parse_dense(o, f), f;
  const auto table = o.get<std::string>("table");
  for (size_t t = 0; t < all.tables.size(); ++t) {
    if (all.tables[t].name != table) continue;
    if (f.table >= 0) o.fail("names a table that is there twice: " + table);
    f.table = static_cast<int>(t);
  }
  if (f.table < 0) o.fail("names a table that is not there: " + table);
  const int64_t rows = all.tables[static_cast<size_t>(f.table)].rows;
  if (f.kind == FeatureKind::bucket) {
    f.boundaries = o.get<std::vector<double>>("boundaries");
    if (!std::is_sorted(f.boundaries.begin(), f.boundaries.end())) o.fail("has boundaries out of order");
    if (static_cast<int64_t>(f.boundaries.size()) + 2 > rows) o.fail("has more buckets than its table has rows");
    return f;
  }
  f.drop_unseen = o.get<bool>("drop_unseen");
  if (f.kind == FeatureKind::id) return f;
  f.separator = static_cast<char>(o.integer("separator", 1, 255));
  f.max_len = static_cast<int>(o.integer("max_len", 0, 1 << 30));
  f.keep_last = o.get<bool>("keep_last");
  f.length = o.integer("length", -1, 1 << 30);
  f.weights_column = o.get<std::string>("weights");
  return f;
}

}  // namespace

std::string transforms_to_json(const FeatureTransforms& transforms) {
  Json j;
  j["hash"] = "xxh64 of the value, seeded by xxh64 of the table's name, modulo rows";
  j["missing"] = transforms.missing;
  j["tables"] = Json::array();
  for (const auto& t : transforms.tables) j["tables"].push_back(table_json(t));
  j["features"] = Json::array();
  for (const auto& f : transforms.features) j["features"].push_back(feature_json(transforms, f));
  return j.dump();
}

FeatureTransforms transforms_from_json(const std::string& text) {
  const Json json = parse_json<Json>(text);
  if (json.is_discarded()) throw FileError("features: not JSON");
  const Object top(json, "the entry");
  FeatureTransforms all;
  all.missing = top.get<std::vector<std::string>>("missing");
  for (const auto& t : list(top, "tables"))
    all.tables.push_back(parse_table(Object(t, "table " + std::to_string(all.tables.size()))));
  for (const auto& f : list(top, "features"))
    all.features.push_back(parse_feature(Object(f, "feature " + std::to_string(all.features.size())), all));
  return all;
}

}  // namespace mtrank
