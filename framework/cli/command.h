#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mtrank::cli {

/// What a chosen command does: runs after the whole command line was parsed and gives the exit code.
using Run = std::function<int()>;

/// One declaration a row of commands.def. Adds the command's options to `app` and returns what to run.
/// State that options are parsed into belongs to the returned function (a shared_ptr captured by both).
#define MTRANK_COMMAND(name, help) Run name##_command(CLI::App& app);
#include "framework/cli/commands.def"
#undef MTRANK_COMMAND

/// The whole program: parses, runs the command, turns every exception into a message and an exit code.
int run(int argc, const char* const* argv);

}  // namespace mtrank::cli
