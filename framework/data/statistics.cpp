#include "framework/data/statistics.h"

#include <algorithm>
#include <cmath>

#include "framework/data/byte_stream.h"
#include "framework/data/number.h"
#include "framework/data/tokens.h"
#include "framework/data/value_map.h"

namespace mtrank {
namespace {

/// A sum of equal numbers is that far off, relatively, at most.
constexpr double kRounding = 1e-11;

/// How often each value was seen.
struct Counter {
  ValueMap values;
  std::vector<int64_t> counts;

  void add(std::string_view value, int64_t count = 1) {
    const size_t index = values.insert(value);
    if (index == counts.size()) counts.push_back(0);
    counts[index] += count;
  }
  size_t bytes() const { return values.bytes() + sizeof(int64_t) * counts.size(); }
  size_t most_bytes() const {
    return std::max(bytes(), values.growth_bytes() + sizeof(int64_t) * values.growth_size());
  }
};

/// Number, mean and sum of squared distances from it. Merging in a fixed order gives fixed bits.
struct Moments {
  double n = 0, mean = 0, m2 = 0;

  static Moments of(const std::vector<double>& values) {
    Moments m;
    m.n = static_cast<double>(values.size());
    double sum = 0;
    for (const double v : values) sum += v;
    m.mean = values.empty() ? 0 : sum / m.n;
    for (const double v : values) m.m2 += (v - m.mean) * (v - m.mean);
    return m;
  }
  /// What a column is divided by.
  double deviation() const {
    const double deviation = n > 0 ? std::sqrt(m2 / n) : 0;
    return deviation <= kRounding * std::abs(mean) ? kConstantDeviation : deviation + 1e-6;
  }
  /// Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
  void merge(const Moments& other) {
    if (other.n == 0) return;
    const double total = n + other.n, delta = other.mean - mean;
    mean += delta * (other.n / total);
    m2 += other.m2 + delta * delta * (n * other.n / total);
    n = total;
  }
};

struct Source {  // of a vocabulary
  size_t table;
  const FeatureTransform* feature;
  size_t column;
};
struct Number {  // whose moments are wanted
  size_t feature, index, column;
};

bool feeds(const FeatureTransforms& transforms, const FeatureTransform& f) {
  if (f.kind != FeatureKind::id && f.kind != FeatureKind::ids) return false;
  const auto& table = transforms.tables[static_cast<size_t>(f.table)];
  if (table.ids != IdKind::vocab) return false;
  const auto& from = table.vocab_from;
  return from.empty() || std::find(from.begin(), from.end(), f.name) != from.end() ||
         std::find(from.begin(), from.end(), f.group) != from.end();
}

bool normalized(const FeatureTransform& f) {
  return std::any_of(f.steps.begin(), f.steps.end(),
                     [](const DenseStep& s) { return s.kind == DenseStep::Kind::zscore; });
}

/// The transforms as they are before anything is learned: rows can be checked with them.
FeatureTransforms unlearned(FeatureTransforms transforms) {
  const auto none = std::make_shared<const Vocabulary>();
  for (auto& t : transforms.tables)
    if (t.ids == IdKind::vocab) t.vocab = none;
  for (auto& f : transforms.features) f.mean.clear(), f.deviation.clear();
  return transforms;
}

class Collector {
 public:
  Collector(const FeatureTransforms& transforms, const RowSpec& rows, BadRowPolicy policy, int threads)
      : transforms_(unlearned(transforms)),
        encoder_(transforms_, rows, EncodeFor::training),
        policy_(std::move(policy)),
        workers_(static_cast<size_t>(threads)) {
    for (size_t i = 0; i < transforms_.features.size(); ++i) {
      const auto& f = transforms_.features[i];
      if (feeds(transforms_, f)) sources_.push_back({static_cast<size_t>(f.table), &f, column(f.columns[0])});
      if (f.kind == FeatureKind::dense && normalized(f))
        for (size_t c = 0; c < f.columns.size(); ++c) numbers_.push_back({i, c, column(f.columns[c])});
    }
    moments_.resize(numbers_.size());
    for (auto& w : workers_) {
      w.counters.resize(transforms_.tables.size());
      w.values.resize(numbers_.size());
    }
  }

  const std::vector<std::string>& columns() const { return encoder_.columns(); }

  void work(int worker, const ScanBlock& block) {
    Worker& w = workers_[static_cast<size_t>(worker)];
    w.bad.clear();
    for (auto& v : w.values) v.clear();
    auto unusable = block.table.bad.begin();
    for (size_t r = 0; r < block.table.rows; ++r) {
      const std::string_view* values = block.table.values.data() + r * columns().size();
      const int64_t row = block.first_row + static_cast<int64_t>(r);
      if (unusable != block.table.bad.end() && unusable->row == r) {
        if (unusable->stops || encoder_.in_split(values, row)) w.bad.push_back(*unusable);
        ++unusable;
        continue;
      }
      BadRow problem;
      problem.row = static_cast<uint32_t>(r);
      w.record.clear();
      const auto result = encoder_.encode(values, row, w.record, problem);
      if (result == RowEncoder::Result::bad) w.bad.push_back(std::move(problem));
      if (result == RowEncoder::Result::row) observe(values, w);
    }
    w.moments.clear();
    for (const auto& v : w.values) w.moments.push_back(Moments::of(v));
  }

  void deliver(int worker, const ScanBlock& block) {
    const Worker& w = workers_[static_cast<size_t>(worker)];
    for (const auto& bad : w.bad) policy_.report(block, bad);
    for (size_t i = 0; i < numbers_.size(); ++i) moments_[i].merge(w.moments[i]);
  }

  Statistics finish() {
    Statistics s;
    for (const Worker& w : workers_)
      for (const Counter& counter : w.counters) held_ += counter.bytes(), most_ += counter.most_bytes();
    for (size_t t = 0; t < transforms_.tables.size(); ++t)
      s.vocabularies.push_back(transforms_.tables[t].ids == IdKind::vocab ? vocabulary(t) : nullptr);
    s.mean.resize(transforms_.features.size());
    s.deviation.resize(transforms_.features.size());
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const Moments& m = moments_[i];
      s.mean[numbers_[i].feature].push_back(m.mean);
      s.deviation[numbers_[i].feature].push_back(m.deviation());
    }
    s.memory = static_cast<int64_t>(most_);
    return s;
  }

 private:
  struct Worker {
    std::vector<Counter> counters;            // by table
    std::vector<std::vector<double>> values;  // of the block, by number
    std::vector<Moments> moments;             // of the block, by number
    std::vector<uint32_t> record;
    std::vector<BadRow> bad;
  };

  size_t column(const std::string& name) const {
    const auto& all = encoder_.columns();
    return static_cast<size_t>(std::find(all.begin(), all.end(), name) - all.begin());
  }

  std::string_view known(std::string_view id) const { return empties_ids_ ? id_or_empty(transforms_.missing, id) : id; }

  void observe(const std::string_view* values, Worker& w) const {
    for (const Source& source : sources_) {
      Counter& counter = w.counters[source.table];
      const std::string_view value = values[source.column];
      if (source.feature->kind == FeatureKind::id) {
        counter.add(known(value));
      } else if (!is_missing(transforms_.missing, value)) {
        for_each_token(value, source.feature->separator, [&](std::string_view token) {
          if (!known(token).empty()) counter.add(token);
        });
      }
    }
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const Number& n = numbers_[i];
      const auto& f = transforms_.features[n.feature];
      double x = f.missing;
      parse_number(values[n.column], x);
      w.values[i].push_back(apply_steps(f, n.index, x));
    }
  }

  /// Notes that so many bytes more, or less, are held.
  void hold(int64_t bytes) {
    held_ += static_cast<size_t>(bytes);
    most_ = std::max(most_, held_);
  }

  /// Values that several threads counted are brought together, and the threads' counts given back one by one.
  std::shared_ptr<const Vocabulary> vocabulary(size_t table) {
    Counter& all = workers_[0].counters[table];
    for (size_t w = 1; w < workers_.size(); ++w) {
      const Counter more = std::move(workers_[w].counters[table]);
      const auto before = static_cast<int64_t>(all.bytes());
      std::string copy;
      for (size_t i = 0; i < more.counts.size(); ++i) {
        const auto value = more.values.value(i);
        copy.assign(value).append(kValuePadding, '\0');
        all.add({copy.data(), value.size()}, more.counts[i]);
      }
      hold(static_cast<int64_t>(all.most_bytes()) - before);
      hold(static_cast<int64_t>(all.bytes()) - static_cast<int64_t>(all.most_bytes() + more.bytes()));
    }
    std::vector<std::string_view> values;
    for (size_t i = 0; i < all.counts.size(); ++i)
      if (all.counts[i] >= transforms_.tables[table].min_count) values.push_back(all.values.value(i));
    std::sort(values.begin(), values.end());
    auto result = std::make_shared<const Vocabulary>(values);
    const auto views = static_cast<int64_t>(sizeof(values[0]) * values.size());
    hold(views + static_cast<int64_t>(result->memory()));
    hold(-views - static_cast<int64_t>(all.bytes()));
    all = {};
    return result;
  }

  const FeatureTransforms transforms_;
  const RowEncoder encoder_;
  const bool empties_ids_ = transforms_.empties_ids();
  BadRowPolicy policy_;
  std::vector<Source> sources_;
  std::vector<Number> numbers_;
  std::vector<Moments> moments_;
  std::vector<Worker> workers_;
  size_t held_ = 0, most_ = 0;  // bytes of counts and vocabularies: now, and at the peak
};

}  // namespace

bool needs_statistics(const FeatureTransforms& transforms) {
  return std::any_of(transforms.tables.begin(), transforms.tables.end(),
                     [](const TableTransform& t) { return t.ids == IdKind::vocab; }) ||
         std::any_of(transforms.features.begin(), transforms.features.end(), normalized);
}

Statistics collect_statistics(const std::vector<std::string>& files, const ReadOptions& options,
                              const FeatureTransforms& transforms, const RowSpec& rows, BadRowPolicy policy,
                              int threads) {
  Collector collector(transforms, rows, std::move(policy), threads);
  FileScan(files, options, collector.columns())
      .run(
          threads, [&](int worker, ScanBlock& block) { collector.work(worker, block); },
          [&](int worker, ScanBlock& block) {
            collector.deliver(worker, block);
            return true;
          });
  return collector.finish();
}

std::vector<std::string> constant_columns(const FeatureTransform& f) {
  std::vector<std::string> columns;
  for (size_t c = 0; c < f.deviation.size(); ++c)
    if (f.deviation[c] == kConstantDeviation) columns.push_back(f.columns[c]);
  return columns;
}

bool fits(const Statistics& s, const FeatureTransforms& transforms) {
  if (s.vocabularies.size() != transforms.tables.size() || s.mean.size() != transforms.features.size()) return false;
  for (size_t t = 0; t < transforms.tables.size(); ++t)
    if ((transforms.tables[t].ids == IdKind::vocab) != (s.vocabularies[t] != nullptr)) return false;
  for (size_t f = 0; f < transforms.features.size(); ++f) {
    const size_t columns = normalized(transforms.features[f]) ? transforms.features[f].columns.size() : 0;
    if (s.mean[f].size() != columns || s.deviation[f].size() != columns) return false;
  }
  return true;
}

void apply_statistics(const Statistics& statistics, FeatureTransforms& transforms) {
  for (size_t t = 0; t < transforms.tables.size(); ++t) {
    if (!statistics.vocabularies[t]) continue;
    transforms.tables[t].vocab = statistics.vocabularies[t];
    transforms.tables[t].rows = statistics.vocabularies[t]->rows();
  }
  for (size_t i = 0; i < transforms.features.size(); ++i) {
    transforms.features[i].mean = statistics.mean[i];
    transforms.features[i].deviation = statistics.deviation[i];
  }
}

std::string statistics_to_bytes(const Statistics& s) {
  ByteWriter out;
  out.put(static_cast<uint64_t>(s.vocabularies.size()));
  for (const auto& vocab : s.vocabularies) {
    out.put(static_cast<uint64_t>(vocab != nullptr));
    if (!vocab) continue;
    out.put_text(vocab->bytes());
    out.put_all(vocab->offsets());
  }
  out.put(static_cast<uint64_t>(s.mean.size()));
  for (size_t i = 0; i < s.mean.size(); ++i) {
    out.put_all(s.mean[i]);
    out.put_all(s.deviation[i]);
  }
  return out.bytes();
}

Statistics statistics_from_bytes(const std::string& bytes, const std::string& source) {
  ByteParser in(bytes, source);
  Statistics s;
  s.vocabularies.resize(static_cast<size_t>(in.get_count(8)));
  for (auto& vocab : s.vocabularies) {
    if (in.get<uint64_t>() == 0) continue;
    const std::string values = in.get_text();
    vocab = std::make_shared<const Vocabulary>(values, in.get_all<int64_t>());
  }
  const auto features = static_cast<size_t>(in.get_count(16));
  for (size_t i = 0; i < features; ++i) {
    s.mean.push_back(in.get_all<double>());
    s.deviation.push_back(in.get_all<double>());
  }
  return s;
}

}  // namespace mtrank
