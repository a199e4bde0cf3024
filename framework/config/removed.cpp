#include <algorithm>

#include "framework/config/build.h"

namespace mtrank {

void drop_removed(Config& config, const std::vector<Name>& removed, Diagnostics& d) {
  const auto drop = [&](std::vector<Name>& from, const std::string& name, const Location& why,
                        const std::string& where) {
    if (from.size() < 2 || std::erase(from, Name(name)) == 0) return;
    d.warning(Code::unused_by_override, why, "`" + name + "` is removed, so " + where + " goes without it");
  };
  for (const Name& path : removed) {
    const size_t dot = path.find('.');
    const std::string section = path.substr(0, dot), name = dot == std::string::npos ? "" : path.substr(dot + 1);
    if (name.empty() || name.find('.') != std::string::npos) continue;
    if (section == "features" || section == "model") {
      for (Layer& layer : config.layers) drop(layer.from, name, path.at, "layer `" + layer.name + "`");
      for (Task& task : config.tasks) drop(task.tower.from, name, path.at, "the tower of `" + task.name + "`");
      for (Table& table : config.tables)
        drop(table.vocab_from, name, path.at, "the vocabulary of `" + table.name + "`");
    }
    if (section == "tasks") {
      std::erase_if(config.outputs, [&](const Output& output) {
        const auto names = output.expr.names();
        if (std::find(names.begin(), names.end(), Name(name)) == names.end()) return false;
        d.warning(Code::unused_by_override, path.at,
                  "task `" + name + "` is removed, and output `" + output.name + "` with it");
        return true;
      });
    }
  }
}

}  // namespace mtrank
