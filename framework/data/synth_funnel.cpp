#include "framework/data/synth_funnel.h"

#include <charconv>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/data/text_output.h"

namespace mtrank {
namespace {

constexpr const char* kHeader =
    "time,user_id,user_segment,item_id,category_id,hour,device,position,price,item_age_days,user_tenure_days,"
    "clicked_items,clicked_categories,click,cart,checkout,true_p_click,true_p_cart,true_p_checkout\n";
constexpr int64_t kStart = 1767225600;  // 2026-01-01 00:00 UTC

/// Appends fields to a line, whatever the locale.
class Line {
 public:
  void field(int64_t v) { append(v), text_ += ','; }
  void cents(int v) {
    append(v / 100);
    text_ += '.';
    text_ += static_cast<char>('0' + v % 100 / 10);
    text_ += static_cast<char>('0' + v % 10);
    text_ += ',';
  }
  void list(const std::vector<int>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) text_ += '|';
      append(values[i]);
    }
    text_ += ',';
  }
  void probability(double v) {
    char digits[32];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, v, std::chars_format::general, 9).ptr);
    text_ += ',';
  }
  const std::string& end() {
    text_.back() = '\n';
    return text_;
  }
  void clear() { text_.clear(); }

 private:
  void append(int64_t v) {
    char digits[32];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
  }
  std::string text_;
};

const std::string& format_row(const FunnelRow& row, Line& line) {
  line.clear();
  line.field(kStart + row.time);
  for (int v : {row.user_id, row.user_segment, row.item_id, row.category_id, row.hour, row.device, row.position})
    line.field(v);
  line.cents(row.price_cents);
  line.field(row.item_age_days);
  line.field(row.user_tenure_days);
  line.list(row.clicked_items);
  line.list(row.clicked_categories);
  for (bool label : row.label) line.field(label);
  for (double p : row.probability) line.probability(p);
  return line.end();
}

/// The impressions one by one.
class Rows {
 public:
  explicit Rows(const SynthFunnelOptions& o) : world_(o.rows, o.seed) {}
  const FunnelRow& next() {
    if (at_ == session_.size()) session_ = world_.next_session(), at_ = 0;
    return session_[at_++];
  }

 private:
  FunnelWorld world_;
  std::vector<FunnelRow> session_;
  size_t at_ = 0;
};

void write_split(Rows& rows, SynthFunnelSplit& split) {
  TextOutput out(split.path);
  out.write(kHeader);
  Line line;
  for (int64_t r = 0; r < split.rows; ++r) {
    const FunnelRow& row = rows.next();
    out.write(format_row(row, line));
    for (int stage = 0; stage < 3; ++stage) {
      split.positives[stage] += row.label[stage];
      if (split.name == "train") continue;
      split.probability[stage].push_back(static_cast<float>(row.probability[stage]));
      split.label[stage].push_back(row.label[stage]);
    }
  }
  out.commit();
}

}  // namespace

void check_synth_funnel(const SynthFunnelOptions& o) {
  if (o.rows < 1) throw ConfigError("--rows " + std::to_string(o.rows) + ": expected at least 1");
  if (!(o.valid >= 0 && o.test >= 0 && o.valid + o.test < 1))
    throw ConfigError("the shares of valid and test must not be negative and must leave something to train on");
}

std::array<SynthFunnelSplit, 3> synth_funnel(const SynthFunnelOptions& options) {
  check_synth_funnel(options);
  disk::make_directory(options.out);
  const auto share = [&](double s) { return static_cast<int64_t>(static_cast<double>(options.rows) * s); };
  std::array<SynthFunnelSplit, 3> splits;
  splits[0].name = "train", splits[1].name = "valid", splits[2].name = "test";
  splits[1].rows = share(options.valid), splits[2].rows = share(options.test);
  splits[0].rows = options.rows - splits[1].rows - splits[2].rows;
  Rows rows(options);
  for (SynthFunnelSplit& split : splits) {
    split.path = options.out + "/" + split.name + (options.gzip ? ".csv.gz" : ".csv");
    write_split(rows, split);
  }
  return splits;
}

}  // namespace mtrank
