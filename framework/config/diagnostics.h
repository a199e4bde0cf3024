#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "framework/config/node.h"

namespace mtrank {

enum class Code {
#define MTRANK_CODE(id, name, title) name,
#include "framework/config/codes.def"
#undef MTRANK_CODE
};

const char* code_id(Code code);     ///< "E101"
const char* code_title(Code code);  ///< "unknown key"

enum class Severity { error, warning };

struct Diagnostic {
  Severity severity = Severity::error;
  Code code = Code::syntax;
  std::string message;  ///< one line, names in backquotes
  Location at;
  std::string help;  ///< the fix, may be empty
};

/// Collects everything that is wrong, so that one problem never hides another, and renders it in rustc's manner:
///
///     error[E101]: unknown key `hiden`
///      --> config.yaml:12:5
///        |
///     12 |     hiden: [64]
///        |     ^^^^^
///        = help: did you mean `hidden`?
///
/// The same complaint about the same place is kept once; after the first thousand the others are only counted.
class Diagnostics {
 public:
  void error(Code code, const Location& at, std::string message, std::string help = {});
  void warning(Code code, const Location& at, std::string message, std::string help = {});

  /// In the order of files and positions.
  std::vector<Diagnostic> sorted() const;
  int errors() const { return errors_; }
  int warnings() const { return warnings_; }
  /// Every call of `error`, also of what is known already: whether a part is sound shows in what reading it adds here.
  int reported() const { return reported_; }
  bool ok() const { return errors_ == 0; }

  /// Everything, errors and warnings, and a closing line with their number; "" when there is nothing.
  std::string render(bool color = false) const;
  /// Throws ConfigError with the whole rendering when there is an error.
  void throw_if_errors(bool color = false) const;

 private:
  void add(Diagnostic diagnostic);
  std::vector<Diagnostic> list_;
  int errors_ = 0, warnings_ = 0, reported_ = 0;
  static constexpr size_t kMaxKept = 1000;
};

std::string render(const Diagnostic& diagnostic, bool color = false);
/// Whether stderr is a terminal that wants colour (NO_COLOR and TERM=dumb are honoured).
bool color_wanted();

/// The candidate closest to `name` by edit distance, "" when none is close enough to be a slip.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);
/// "did you mean `x`?" when something is near, otherwise "<what>: `a`, `b`, `c`", "" without candidates.
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates,
                       std::string_view what = "expected one of");

}  // namespace mtrank
