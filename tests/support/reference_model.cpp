#include "tests/support/reference_model.h"

namespace mtrank::testing {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : ", ") + w;
  return "[" + out + "]";
}

std::string rows_of_table(const GoldenCase& c, const std::string& table) {
  return std::to_string(c.at("start.emb." + table + ".weight").shape[0]);
}

}  // namespace

std::string reference_config(const GoldenCase& c) {
  const auto cats = c.list("features"), tasks = c.list("tasks");
  const auto bag_names = c.object("bags");
  std::string text = "version: 1\ndata: {train: x.csv}\ntables:\n";
  const std::string dim = std::to_string(c.at("start.emb.tags.weight").shape[1]);
  auto table = [&](const std::string& name) {
    text += "  " + name + ": {ids: int, rows: " + rows_of_table(c, name) + ", dim: " + dim + "}\n";
  };
  for (const std::string& name : cats) table(name);
  table("tags");
  text += "features:\n";
  for (const std::string& name : cats) text += "  " + name + ": {type: id, table: " + name + "}\n";
  for (const char* bag : {"tags", "watched_videos", "liked_videos"})
    text += "  " + std::string(bag) + ": {type: ids, table: " + bag_names.at(bag) + ", pool: mean}\n";
  text += "  nums: {type: dense, columns: " + joined(c.list("dense")) + "}\n";
  const auto width = [&](const char* name) { return std::to_string(c.at(name).shape[0]); };
  text +=
      "model:\n  cross: {type: dcn_v2, from: features, layers: 3}\n  experts: {type: mmoe, from: cross, experts: 4, "
      "hidden: [" +
      width("start.experts.0.0.bias") + ", " + width("start.experts.0.2.bias") + "]}\n";
  text += "train: {batch_size: " + std::to_string(static_cast<int>(c.number("batch"))) +
          ", dense_optimizer: {type: adam, lr: 1e-3}, sparse_optimizer: {type: adam, lr: 1e-3, lazy: false}}\n";
  text += "labels: {";
  for (const std::string& task : tasks) text += task + ": {}, ";
  text += "}\ntasks:\n";
  for (const std::string& task : tasks)
    text += "  " + task + ": {tower: {from: experts, hidden: [" + width("start.towers.0.0.0.bias") + "]}}\n";
  return text;
}

std::vector<Block> reference_blocks(const GoldenCase& c) {
  std::vector<Block> blocks;
  auto add = [&](const std::string& torch, const std::string& ours, int64_t row, int64_t column) {
    blocks.push_back({torch, ours, row, column});
  };
  for (const char* part : {"weight", "bias"}) {
    const std::string p = std::string(".") + part, o = std::string("/") + part;
    const bool weight = part[0] == 'w';
    auto cols = [&](const std::string& name) { return c.at("start." + name).shape.back(); };
    for (int i = 0; i < 3; ++i) add("cross." + std::to_string(i) + p, "cross/" + std::to_string(i) + "/w" + o, 0, 0);
    for (int e = 0; e < 4; ++e) {
      const std::string expert = "experts." + std::to_string(e);
      add(expert + ".0" + p, "experts/experts/0" + o, 0, e * cols(expert + ".0" + p));
      const int64_t hidden = cols(expert + ".0" + p);
      add(expert + ".2" + p, "experts/experts/1" + o, weight ? e * hidden : 0,
          weight ? 0 : e * cols(expert + ".2" + p));
    }
    const auto tasks = c.list("tasks");
    for (size_t t = 0; t < tasks.size(); ++t) {
      const std::string index = std::to_string(t);
      add("gates." + index + p, "experts/gates" + o, 0, static_cast<int64_t>(t) * 4);
      add("towers." + index + ".0.0" + p, tasks[t] + "/0" + o, 0, 0);
      add("towers." + index + ".1" + p, tasks[t] + "/logit" + o, 0, 0);
    }
  }
  return blocks;
}

}  // namespace mtrank::testing
