#include "framework/data/check_data.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "framework/core/error.h"
#include "framework/data/files.h"
#include "framework/data/number.h"
#include "framework/data/raw_parts.h"

namespace mtrank {
namespace {

using Problems = std::vector<DataProblem>;
using Columns = std::set<std::string>;

void error(Problems& problems, std::string message) { problems.push_back({false, std::move(message)}); }
void warning(Problems& problems, std::string message) { problems.push_back({true, std::move(message)}); }

std::string count(int64_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

/// A column is read by these features, labels and so on: for messages.
std::map<std::string, std::string> column_uses(const DatasetSpec& spec) {
  std::map<std::string, std::string> uses;
  const auto use = [&](const std::string& column, const std::string& by) { uses.try_emplace(column, by); };
  for (const auto& f : spec.transforms.features) {
    for (const auto& column : f.columns) use(column, "feature '" + f.name + "'");
    if (!f.weights_column.empty()) use(f.weights_column, "weights of feature '" + f.name + "'");
  }
  for (const auto& label : spec.rows.labels) use(label.column, "label '" + label.name + "'");
  for (const auto& key : spec.rows.keys) use(key, "a metric or segment");
  if (!spec.rows.weight_column.empty()) use(spec.rows.weight_column, "data.weight");
  for (const auto& part : spec.parts)
    if (!part.split.by.empty() && part.split.by != "row") use(part.split.by, "data.split");
  return uses;
}

/// Columns that only training reads.
bool needed_in(const DatasetSpec& spec, Part part, const std::string& column) {
  if (part == Part::train) return true;
  DatasetSpec scored = spec;
  std::erase_if(scored.transforms.features, [](const FeatureTransform& f) { return f.serve_as.has_value(); });
  return column_uses(scored).count(column) > 0;
}

/// Opens the files of a part; adds the columns they lack. False when one cannot be read.
bool check_files(const DatasetSpec& spec, Part part, std::vector<std::string>& files, Columns& missing,
                 Problems& problems) {
  bool good = true;
  try {
    files = expand_files(files);
  } catch (const Error& e) {
    error(problems, std::string(part_name(part)) + ": " + e.what());
    return false;
  }
  for (const auto& file : files) {
    std::unique_ptr<Reader> reader;
    try {
      require_regular_file(file);
      reader = open_reader(file, spec.read);
    } catch (const Error& e) {
      error(problems, e.what());
      good = false;
      continue;
    }
    for (const auto& [column, use] : column_uses(spec)) try {
        if (needed_in(spec, part, column)) select_columns(file, *reader, {column});
      } catch (const Error& e) {
        error(problems, std::string(e.what()) + " (it is read by " + use + ")");
        missing.insert(column);
      }
  }
  return good;
}

/// Takes out what cannot be read, so that the rest can be checked.
void leave_out(const Columns& missing, DatasetSpec& spec, std::vector<CheckedTask>& tasks) {
  const auto gone = [&](const std::string& column) { return missing.count(column) > 0; };
  std::erase_if(spec.transforms.features, [&](const FeatureTransform& f) {
    return std::any_of(f.columns.begin(), f.columns.end(), gone) || gone(f.weights_column);
  });
  std::erase_if(spec.rows.keys, gone);
  if (gone(spec.rows.weight_column)) spec.rows.weight_column.clear();
  for (auto& part : spec.parts)
    if (gone(part.split.by)) part.split = {};
  if (std::none_of(spec.rows.labels.begin(), spec.rows.labels.end(), [&](const auto& l) { return gone(l.column); }))
    return;
  std::erase_if(spec.rows.labels, [&](const LabelSpec& l) { return gone(l.column); });
  spec.rows.conditions.clear();  // they count labels by position
  tasks.clear();
}

/// Whether the values of a column say what a label says: one value where it is 1, another where it is 0.
struct LeakCandidate {
  size_t column;  // in the scan
  int label;
  std::string feature;
  std::string value[2];
  int64_t seen[2] = {0, 0};
  int64_t rows = 0;

  bool agrees(const LabelSpec& spec, std::string_view text, float label_value) {
    if (std::isnan(label_value)) return true;
    ++rows;
    if (!spec.binary) {
      double x;
      return parse_number(text, x) && static_cast<float>(x) == label_value;
    }
    const int y = label_value == 1.0f;
    if (seen[y]++ == 0) {
      value[y] = text;
      return value[0] != value[1] || seen[0] == 0 || seen[1] == 0;
    }
    return value[y] == text;
  }
  /// A handful of rows agrees by chance.
  bool leaks(const LabelSpec& spec) const { return spec.binary ? seen[0] > 1 && seen[1] > 1 : rows > 3; }
};

/// A number that `zscore` normalizes, as long as it is the same in all rows.
struct ConstantCandidate {
  const FeatureTransform* feature;
  size_t index;   // in the feature
  size_t column;  // in the scan
  std::optional<double> value;

  bool agrees(std::string_view text) {
    double x = feature->missing;
    parse_number(text, x);
    x = apply_steps(*feature, index, x);
    return value.value_or(x) == x && (value = x, true);
  }
};

/// Reads one part. Labels and the like are encoded together, every feature alone.
class PartCheck {
 public:
  PartCheck(const DatasetSpec& spec, Part part, int threads, Problems& problems)
      : spec_(spec), part_(part), problems_(problems), workers_(static_cast<size_t>(threads)) {
    RowSpec rows = spec.rows;
    rows.split = spec.parts[static_cast<size_t>(part)].split;
    rows.sample.reset();
    add_encoder({{}, {}, spec.transforms.missing}, rows);
    rows_ = encoders_[0].encoder;
    for (const auto& f : spec.transforms.features) {
      if (part != Part::train && f.serve_as) continue;
      FeatureTransforms one{spec.transforms.tables, {f}, spec.transforms.missing};
      for (auto& t : one.tables) t.vocab = std::make_shared<const Vocabulary>();
      RowSpec only_split;
      only_split.split = rows.split;
      add_encoder(std::move(one), only_split);
      if (part != Part::train) continue;
      if (std::any_of(f.steps.begin(), f.steps.end(), [](auto& s) { return s.kind == DenseStep::Kind::zscore; }))
        for (size_t c = 0; c < f.columns.size(); ++c) constants_.push_back({&f, c, place(f.columns[c]), {}});
      for (const auto& column : f.columns)
        for (size_t l = 0; l < spec.rows.labels.size(); ++l)
          leaks_.push_back({place(column), static_cast<int>(l), f.name, {}, {}, 0});
    }
    labels_.resize(spec.rows.labels.size());
    positives_.resize(spec.rows.conditions.size(), std::vector<int64_t>(labels_.size()));
    matches_.resize(spec.rows.conditions.size());
  }

  void run(const std::vector<std::string>& files, const std::vector<CheckedTask>& tasks) {
    try {
      FileScan(files, spec_.read, columns_)
          .run(
              static_cast<int>(workers_.size()),
              [&](int worker, ScanBlock& block) { work(block, workers_[static_cast<size_t>(worker)]); },
              [&](int worker, ScanBlock& block) {
                deliver(block, workers_[static_cast<size_t>(worker)]);
                return true;
              });
    } catch (const Error& e) {
      error(problems_, e.what());
      return;
    }
    report_bad_rows();
    report_labels();
    report_tasks(tasks);
    report_leaks();
    for (const auto& c : constants_)
      if (c.value) warning(problems_, constant_text(c.feature->name, columns_[c.column]));
  }

 private:
  struct Encoder {
    std::shared_ptr<RowEncoder> encoder;
    std::vector<size_t> places;  // of its columns in the scan
  };
  struct Worker {
    EncodedBlock rows;            // from the first encoder
    std::vector<uint32_t> taken;  // which rows those are
    std::vector<BadRow> bad;
    std::vector<uint32_t> scratch;
    std::vector<std::string_view> values;
  };
  struct BadGroup {
    int64_t rows = 0;
    std::string first;
  };

  size_t place(const std::string& column) {
    const auto at = std::find(columns_.begin(), columns_.end(), column);
    if (at == columns_.end()) columns_.push_back(column);
    return static_cast<size_t>(std::find(columns_.begin(), columns_.end(), column) - columns_.begin());
  }

  void add_encoder(FeatureTransforms transforms, const RowSpec& rows) {
    Encoder e{std::make_shared<RowEncoder>(std::move(transforms), rows, EncodeFor::training), {}};
    for (const auto& column : e.encoder->columns()) e.places.push_back(place(column));
    encoders_.push_back(std::move(e));
  }

  void work(const ScanBlock& block, Worker& w) const {
    w.rows.clear();
    w.taken.clear();
    w.bad = block.table.bad;
    auto unusable = block.table.bad.begin();
    for (size_t r = 0; r < block.table.rows; ++r) {
      if (unusable != block.table.bad.end() && unusable->row == r) {
        ++unusable;
        continue;
      }
      for (size_t e = 0; e < encoders_.size(); ++e) encode(block, r, e, w);
    }
  }

  void encode(const ScanBlock& block, size_t r, size_t e, Worker& w) const {
    w.values.clear();
    for (const size_t p : encoders_[e].places) w.values.push_back(block.table.values[r * block.table.columns + p]);
    BadRow bad;
    bad.row = static_cast<uint32_t>(r);
    auto& out = e == 0 ? w.rows.words : w.scratch;
    if (e > 0) out.clear();
    const auto start = static_cast<uint32_t>(out.size());
    const auto result =
        encoders_[e].encoder->encode(w.values.data(), block.first_row + static_cast<int64_t>(r), out, bad);
    if (result == RowEncoder::Result::bad) w.bad.push_back(std::move(bad));
    if (e > 0 || result != RowEncoder::Result::row) return;
    w.rows.starts.push_back(start);
    w.taken.push_back(static_cast<uint32_t>(r));
  }

  void deliver(const ScanBlock& block, const Worker& w) {
    for (const auto& bad : w.bad) {
      BadGroup& group = bad_[bad.column + "\n" + (bad.column.empty() ? "" : bad.problem)];
      if (group.rows++ == 0) group.first = describe_bad_row(block, bad);
    }
    const RecordLayout& layout = rows_->layout();
    for (size_t i = 0; i < w.taken.size(); ++i) {
      const uint32_t* record = w.rows.record(i);
      std::vector<float> y(labels_.size());
      if (!y.empty()) std::memcpy(y.data(), record + layout.labels, 4 * y.size());
      ++seen_rows_;
      count_labels(y, spec_.rows.conditions);
      const std::string_view* values = block.table.values.data() + w.taken[i] * block.table.columns;
      std::erase_if(leaks_, [&](LeakCandidate& c) {
        return !c.agrees(spec_.rows.labels[static_cast<size_t>(c.label)], values[c.column],
                         y[static_cast<size_t>(c.label)]);
      });
      std::erase_if(constants_, [&](ConstantCandidate& c) { return !c.agrees(values[c.column]); });
    }
  }

  void count_labels(const std::vector<float>& y, const std::vector<LabelCondition>& conditions) {
    for (size_t l = 0; l < y.size(); ++l)
      if (!std::isnan(y[l])) ++labels_[l].rows, labels_[l].positives += y[l] == 1.0f;
    for (size_t c = 0; c < conditions.size(); ++c) {
      if (!conditions[c].holds(y.data())) continue;
      ++matches_[c];
      for (size_t l = 0; l < y.size(); ++l) positives_[c][l] += y[l] == 1.0f;
    }
  }

  void report_bad_rows() {
    for (const auto& [key, group] : bad_)
      error(problems_, group.first + (group.rows > 1 ? "; " + std::to_string(group.rows) + " rows are like this" : ""));
  }

  std::string rows_text() const { return "the " + count(seen_rows_, "row") + " of " + part_name(part_); }

  void report_labels() {
    if (seen_rows_ == 0) return error(problems_, std::string(part_name(part_)) + ": has no usable rows");
    for (std::string& problem : label_problems(spec_.rows, labels_, rows_text())) error(problems_, std::move(problem));
  }

  void report_tasks(const std::vector<CheckedTask>& tasks) {
    for (const auto& task : tasks) {
      if (task.condition < 0 || seen_rows_ == 0) continue;
      const auto c = static_cast<size_t>(task.condition), l = static_cast<size_t>(task.label);
      const std::string what = "task '" + task.name + "': only_when '" + spec_.rows.conditions[c].text + "' ";
      if (matches_[c] == 0)
        error(problems_, what + "matches none of " + rows_text());
      else if (spec_.rows.labels[l].binary && positives_[c][l] == 0 && labels_[l].positives > 0)
        warning(problems_, what + "leaves no positive in " + part_name(part_));
    }
  }

  void report_leaks() {
    for (const auto& c : leaks_) {
      const auto& label = spec_.rows.labels[static_cast<size_t>(c.label)];
      if (!c.leaks(label)) continue;
      error(problems_,
            "feature '" + c.feature + "' tells label '" + label.name + "' in all of " + rows_text() + ": column '" +
                columns_[c.column] + "' " +
                (label.binary ? "is '" + c.value[1] + "' where it is 1 and '" + c.value[0] + "' where it is 0"
                              : "equals it") +
                "; take it out of the features");
    }
  }

  const DatasetSpec& spec_;
  const Part part_;
  Problems& problems_;
  std::vector<Worker> workers_;
  std::vector<std::string> columns_;
  std::vector<Encoder> encoders_;
  std::shared_ptr<RowEncoder> rows_;
  std::vector<LeakCandidate> leaks_;
  std::vector<ConstantCandidate> constants_;

  int64_t seen_rows_ = 0;
  std::map<std::string, BadGroup> bad_;
  std::vector<LabelCounts> labels_;
  std::vector<int64_t> matches_;                 // by condition
  std::vector<std::vector<int64_t>> positives_;  // by condition and label
};

}  // namespace

Problems check_data(const DatasetSpec& wanted, const std::vector<CheckedTask>& wanted_tasks, int threads) {
  DatasetSpec spec = wanted;
  std::vector<CheckedTask> tasks = wanted_tasks;
  Problems problems;
  Columns missing;
  bool readable[3];
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const auto p = static_cast<size_t>(part);
    const size_t before = problems.size();
    readable[p] = check_files(spec, part, spec.parts[p].files, missing, problems);
    // Parts of one set have the same files and so the same problems.
    for (size_t i = problems.size(); i-- > before;)
      if (std::any_of(problems.begin(), problems.begin() + static_cast<ptrdiff_t>(before),
                      [&](const DataProblem& other) { return other.message == problems[i].message; }))
        problems.erase(problems.begin() + static_cast<ptrdiff_t>(i));
  }
  for (std::string& text : repeated_files(spec)) warning(problems, std::move(text));
  leave_out(missing, spec, tasks);
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const auto p = static_cast<size_t>(part);
    if (readable[p] && !spec.parts[p].files.empty())
      PartCheck(spec, part, threads, problems).run(spec.parts[p].files, tasks);
  }
  return problems;
}

}  // namespace mtrank
