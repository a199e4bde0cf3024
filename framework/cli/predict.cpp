#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "framework/cli/command.h"
#include "framework/cli/scoring.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/data/files.h"
#include "framework/data/text_output.h"
#include "framework/serving/scorer.h"

namespace mtrank::cli {
namespace {

struct PredictOptions : ScoringOptions {
  std::string out, prefix;
  std::vector<std::string> keep;
};

/// A field as CSV wants it: quoted where it would be read as something else.
void append_field(std::string& text, const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) {
    text += field;
    return;
  }
  text += '"';
  for (const char c : field) text.append(c == '"' ? 2 : 1, c);
  text += '"';
}

void append_header(std::string& text, const PredictOptions& options, const Scorer& scorer) {
  std::vector<std::string> names = options.keep;
  for (const std::string& output : scorer.outputs()) names.push_back(options.prefix + output);
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::find(names.begin(), names.begin() + static_cast<ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<ptrdiff_t>(i)) {
      throw ConfigError("--keep: there would be two columns '" + names[i] + "' in " + options.out +
                        (i < options.keep.size() ? ""
                                                 : "; --prefix score_ names the scores score_" + scorer.outputs()[0] +
                                                       (scorer.outputs().size() > 1 ? ", …" : "")));
    }
    if (i > 0) text += ',';
    append_field(text, names[i]);
  }
  text += '\n';
}

void append_rows(std::string& text, const Batch& batch, const std::vector<std::vector<float>>& scores) {
  for (size_t r = 0; r < static_cast<size_t>(batch.rows); ++r) {
    bool first = true;
    const auto separate = [&] {
      if (!first) text += ',';
      first = false;
    };
    for (const auto& column : batch.kept) separate(), append_field(text, column[r]);
    for (const auto& column : scores) {
      separate();
      fmt::format_to(std::back_inserter(text), "{:.9g}", column[r]);
    }
    text += '\n';
  }
}

/// Refuses an output that would replace what it is made of, or that its name does not describe.
void check_out(const PredictOptions& options) {
  if (options.out == "-") throw ConfigError("--out -: /dev/stdout prints the scores");
  if (options.out.ends_with(".zst"))
    throw ConfigError("--out " + options.out + ": scores are written as plain text, or to a name in .gz as gzip");
  if (disk::is_standard_output(options.out) || !disk::is_file(options.out)) return;
  std::vector<std::string> inputs = expand_files(options.files);
  inputs.push_back(options.bundle);
  for (const std::string& input : inputs) {
    std::error_code error;
    if (std::filesystem::equivalent(input, options.out, error))
      throw ConfigError("--out " + options.out + " is a file that is read (" + input + "); give another name");
  }
}

int predict(const PredictOptions& options) {
  check_out(options);
  Scorer scorer(read_bundle(options.bundle), options.threads);
  RawSource source(options.files, read_options(scorer, options.format), scorer.encoder(),
                   raw_options(options, options.keep));
  std::string text;
  append_header(text, options, scorer);
  TextOutput out(options.out);
  std::vector<std::vector<float>> scores;
  int64_t rows = 0;
  for (Batch batch; source.next(batch); rows += batch.rows) {
    scorer.score(batch, scores);
    append_rows(text, batch, scores);
    out.write(text);
    text.clear();
  }
  out.write(text);  // the header, where there was no row
  out.commit();
  if (source.bad_rows() > 0) fmt::print(stderr, "warning: left out {} bad rows\n", source.bad_rows());
  fmt::print(stderr, "scored {} rows: {}\n", rows, options.out);
  return 0;
}

}  // namespace

Run predict_command(CLI::App& app) {
  auto options = std::make_shared<PredictOptions>();
  add_bundle_option(app, *options);
  app.add_option("--data", options->files, "files or patterns, read as the training files were; labels are not needed")
      ->required();
  app.add_option("--out", options->out,
                 "a CSV file with one row for each, in the same order; compressed for .gz; /dev/stdout prints them")
      ->required();
  app.add_option("--keep", options->keep, "columns to copy, separated by commas")->delimiter(',');
  app.add_option("--prefix", options->prefix, "before the scores' names, which --keep may have as well");
  add_scoring_options(app, *options, "scores");
  return [options] {
    options->bundle = bundle_path(options->bundle);
    return predict(*options);
  };
}

}  // namespace mtrank::cli
