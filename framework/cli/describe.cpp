#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/cli/reference.h"
#include "framework/config/diagnostics.h"
#include "framework/core/atomic_file.h"
#include "framework/core/error.h"

namespace mtrank::cli {
namespace {

struct Options {
  std::string name;
  bool markdown = false;
  std::string write;
};

int write_pages(const std::string& folder) {
  for (const ReferencePage& page : reference_pages()) {
    const std::string path = folder + "/" + page.name + ".md";
    write_file_atomically(path, to_markdown(page));
    fmt::print("wrote {}\n", path);
  }
  return 0;
}

int list_everything() {
  fmt::print("mtrank describe NAME, where NAME is one of these or a thing they list\n");
  for (const ReferencePage& page : reference_pages()) {
    std::string names;
    for (const ReferenceEntry& entry : page.entries) names += (names.empty() ? "" : ", ") + entry.name;
    fmt::print("  {:<11} {}\n", page.name, names);
  }
  return 0;
}

/// A page, or every entry of that name: `add` is a layer and an op.
int describe(const Options& options) {
  std::vector<std::string> names;
  int found = 0;
  for (const ReferencePage& page : reference_pages()) {
    names.push_back(page.name);
    if (page.name == options.name) {
      fmt::print("{}", options.markdown ? to_markdown(page) : to_list(page));
      return 0;
    }
  }
  for (const ReferencePage& page : reference_pages())
    for (const ReferenceEntry& entry : page.entries) {
      names.push_back(entry.name);
      if (entry.name != options.name) continue;
      if (found++) fmt::print("\n");
      fmt::print("({}) {}", page.name, options.markdown ? to_markdown(entry) : to_plain(entry));
    }
  if (!found) {
    const std::string near = nearest(options.name, names);
    throw ConfigError("there is nothing named `" + options.name + "`. " +
                      (near.empty() ? "`mtrank describe` lists what there is" : "Did you mean `" + near + "`?"));
  }
  return 0;
}

}  // namespace

Run describe_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("name", options->name, "layers, ops, losses, optimizers, metrics, features, config, or one of theirs");
  app.add_flag("--markdown", options->markdown, "as docs/reference has it");
  app.add_option("--write", options->write, "write every page to this folder")->type_name("DIR");
  return [options] {
    if (!options->write.empty()) return write_pages(options->write);
    return options->name.empty() ? list_everything() : describe(*options);
  };
}

}  // namespace mtrank::cli
