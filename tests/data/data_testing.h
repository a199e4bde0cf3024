#pragma once

#include <random>
#include <string>
#include <vector>

#include "framework/data/dataset.h"
#include "tests/support/temp_dir.h"

namespace mtrank::data_testing {

inline TableTransform vocab_table(const std::string& name, std::vector<std::string> from = {}) {
  TableTransform t;
  t.name = name;
  t.ids = IdKind::vocab;
  t.vocab_from = std::move(from);
  return t;
}
inline TableTransform hash_table(const std::string& name, int64_t rows) {
  TableTransform t;
  t.name = name;
  t.rows = rows;
  return t;
}

inline FeatureTransform id_feature(const std::string& name, int table) {
  FeatureTransform f;
  f.name = f.group = name;
  f.columns = {name};
  f.table = table;
  return f;
}
inline FeatureTransform list_feature(const std::string& name, int table, int max_len) {
  FeatureTransform f = id_feature(name, table);
  f.kind = FeatureKind::ids;
  f.max_len = max_len;
  return f;
}
inline FeatureTransform dense_feature(const std::string& name, std::vector<std::string> columns,
                                      std::vector<DenseStep> steps = {}) {
  FeatureTransform f;
  f.name = f.group = name;
  f.kind = FeatureKind::dense;
  f.columns = std::move(columns);
  f.steps = std::move(steps);
  return f;
}
inline LabelSpec binary_label(const std::string& name) {
  LabelSpec l;
  l.name = l.column = name;
  return l;
}

/// A log with every kind of column; row r has its number in `n`.
inline std::string log_text(int rows, unsigned seed) {
  std::mt19937 random(seed);
  std::string text = "n,user,items,weights,price,click,buy,group\n";
  for (int r = 0; r < rows; ++r) {
    std::string items, weights;
    for (unsigned i = 0, n = random() % 6; i < n; ++i) {
      items += (i ? "|i" : "i") + std::to_string(random() % 50);
      weights += (i ? "|" : "") + std::to_string(random() % 9);
    }
    text += std::to_string(r) + ",u" + std::to_string(random() % 40) + "," + items + "," + weights + "," +
            std::to_string(random() % 1000) + ".5," + std::to_string(random() % 2) + "," +
            (random() % 5 ? std::to_string(random() % 2) : "") + ",\"g," + std::to_string(random() % 3) + "\"\n";
  }
  return text;
}

inline DatasetSpec log_spec(const std::string& train, const std::string& valid) {
  DatasetSpec spec;
  spec.parts[0].files = {train};
  if (!valid.empty()) spec.parts[1].files = {valid};
  spec.transforms.tables = {vocab_table("user"), vocab_table("item"), hash_table("group", 1000)};
  spec.transforms.tables[1].min_count = 2;
  auto items = list_feature("items", 1, 4);
  items.weights_column = "weights";
  items.drop_unseen = true;
  spec.transforms.features = {id_feature("user", 0), items, id_feature("group", 2),
                              dense_feature("price", {"price"}, {{DenseStep::Kind::zscore, 0, 0}}),
                              dense_feature("n", {"n"})};
  spec.rows.labels = {binary_label("click"), binary_label("buy")};
  spec.rows.conditions = {{"click == 1", {{0, Comparison::equal, 1}}}};
  spec.rows.keys = {"user", "group"};
  spec.read.block_bytes = 4000;
  return spec;
}

/// The bytes of every row that a source gives in its first epochs.
inline std::vector<std::string> rows_of(BatchSource& source, int epochs = 1) {
  std::vector<std::string> rows;
  Batch b;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    source.seek(epoch, 0);
    while (source.next(b))
      for (size_t r = 0; r < static_cast<size_t>(b.rows); ++r) {
        std::string text;
        const auto add = [&](const void* data, size_t n) { text.append(static_cast<const char*>(data), n); };
        for (const auto& column : b.ids) {
          const IdsView v = column.view(static_cast<int64_t>(r));
          const int from = v.offsets ? v.offsets[0] : 0, to = v.offsets ? v.offsets[1] : 1;
          for (int i = from; i < to; ++i) {
            add(&v.ids[i], 4);
            if (v.weights) add(&v.weights[i], 4);
          }
          text += ';';
        }
        for (const auto& dense : b.dense) add(&dense[r], 4);
        for (const auto& label : b.labels) add(&label[r], 4);
        for (const auto& mask : b.conditions) add(&mask[r], 1);
        for (const auto& key : b.keys) add(&key[r], 8);
        for (const auto* column : {&b.weight, &b.sampling_weight, &b.logit_correction})
          if (!column->empty()) add(&(*column)[r], 4);
        rows.push_back(text);
      }
  }
  return rows;
}

/// The features and labels of the reference program on KuaiRand.
inline DatasetSpec kuairand_spec(const std::string& folder) {
  DatasetSpec spec;
  for (int p = 0; p < 3; ++p)
    spec.parts[static_cast<size_t>(p)].files = {folder + "/" + part_name(static_cast<Part>(p)) + ".csv.gz"};
  std::vector<std::string> ids = {"tab",
                                  "hour",
                                  "user_id",
                                  "video_id",
                                  "author_id",
                                  "video_type",
                                  "upload_type",
                                  "music_type",
                                  "user_active_degree",
                                  "is_lowactive_period",
                                  "is_live_streamer",
                                  "is_video_author",
                                  "follow_user_num_range",
                                  "fans_user_num_range",
                                  "friend_user_num_range",
                                  "register_days_range"};
  for (int i = 0; i < 18; ++i) ids.push_back("onehot_feat" + std::to_string(i));
  auto& t = spec.transforms;
  for (const auto& name : ids) {
    t.features.push_back(id_feature(name, static_cast<int>(t.tables.size())));
    t.tables.push_back(vocab_table(name, {name}));
  }
  t.tables.push_back(vocab_table("tags", {"tags"}));
  t.features.push_back(list_feature("tags", 34, 8));
  t.features.push_back(list_feature("watched_videos", 3, 50));
  t.features.push_back(list_feature("liked_videos", 3, 50));
  for (size_t i = 34; i < 37; ++i) t.features[i].drop_unseen = true;
  t.features.push_back(dense_feature("nums", {"duration_ms", "freshness_days", "register_days"},
                                     {{DenseStep::Kind::log1p, 0, 0}, {DenseStep::Kind::zscore, 0, 0}}));
  for (const char* label : {"is_click", "long_view", "is_like", "is_profile_enter"})
    spec.rows.labels.push_back(binary_label(label));
  spec.rows.keys = {"user_id", "tab"};
  return spec;
}

/// The column `n` of all rows of an epoch: their order.
inline std::vector<int> order_of(BatchSource& source, int64_t epoch) {
  std::vector<int> order;
  Batch b;
  source.seek(epoch, 0);
  while (source.next(b))
    for (const float n : b.dense[1]) order.push_back(static_cast<int>(n));
  return order;
}

}  // namespace mtrank::data_testing
