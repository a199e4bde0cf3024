#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "framework/cli/command.h"
#include "framework/core/error.h"
#include "framework/data/mtb_directory.h"
#include "framework/serving/bundle.h"
#include "framework/serving/inspect.h"
#include "framework/train/checkpoint.h"

namespace mtrank::cli {
namespace {

std::string describe_store(const std::string& dir) {
  std::string text;
  for (const auto& name : CheckpointStore(dir).list()) text += name.path + "\n" + describe_checkpoint(name.path);
  return text;
}

std::string describe_directory(const std::string& path) {
  if (disk::is_file(path + "/MANIFEST")) return describe_checkpoint(path);
  if (is_mtb_directory(path)) return describe_mtb_directory(path);
  std::string text = describe_store(path);
  if (text.empty()) text = describe_store(path + "/checkpoints");
  if (disk::is_file(path + "/model.safetensors")) {
    text += path + "/model.safetensors\n" + describe_bundle(path + "/model.safetensors");
  }
  if (text.empty()) throw FileError(path + " holds neither a checkpoint nor a bundle, nor converted data");
  return text;
}

std::string describe(const std::string& path) {
  if (disk::is_directory(path)) return describe_directory(path);
  if (is_mtb(path)) return describe_mtb(path);
  if (is_bundle(path)) return describe_bundle(path);
  const SafetensorsReader file(path);
  std::string text = "safetensors file, not a bundle of mtrank\n";
  for (const auto& [name, value] : file.metadata()) text += name + ": " + value.substr(0, 200) + "\n";
  return text + describe_tensors(file);
}

}  // namespace

Run inspect_command(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  app.add_option("FILE", *path,
                 "a bundle, a checkpoint, a run directory, or data that was converted (a directory or one .mtb file)")
      ->required();
  return [path] {
    fmt::print("{}", describe(*path));
    return 0;
  };
}

}  // namespace mtrank::cli
