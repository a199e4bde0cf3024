#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "framework/cli/command.h"
#include "framework/core/error.h"
#include "framework/core/standard_output.h"

namespace mtrank::cli {
namespace {

struct Command {
  CLI::App* app;
  Run run;
};

int code(ExitCode c) { return static_cast<int>(c); }

int fail(ExitCode c, const std::string& message) {
  std::fflush(stdout);
  // Whole, whatever it quotes: a zero byte ends no message.
  const std::string line = (message.rfind("error", 0) == 0 ? "" : "error: ") + message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  return code(c);
}

/// A reader that went away (`mtrank describe | head`) is no error; a full disk is.
int fail_system(const std::system_error& e) {
  note_output_error(e.code().value());
  if (e.code() == std::errc::broken_pipe) return code(ExitCode::ok);
  return fail(ExitCode::resource, e.what());
}

/// The one place where exceptions become exit codes.
int guarded(const Run& run) {
  try {
    return run();
  } catch (const Error& e) {
    return fail(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::resource, "out of memory. `mtrank plan CONFIG` shows what a job needs");
  } catch (const std::system_error& e) {
    return fail_system(e);
  } catch (const std::exception& e) {
    return fail(ExitCode::bug, std::string(e.what()) + "\nThis is a bug in mtrank " MTRANK_VERSION
                                                       ": please report it with the command and its output.");
  }
}

std::vector<Command> add_commands(CLI::App& app) {
  std::vector<Command> commands;
#define MTRANK_COMMAND(name, help)                   \
  {                                                  \
    CLI::App* sub = app.add_subcommand(#name, help); \
    commands.push_back({sub, name##_command(*sub)}); \
  }
#include "framework/cli/commands.def"
#undef MTRANK_COMMAND
  return commands;
}

/// CLI11 reports an unknown command as an unexpected argument; name what exists instead.
std::string unknown_command(int argc, const char* const* argv, const std::vector<Command>& commands) {
  if (argc < 2 || argv[1][0] == '-') return "";
  std::string names;
  for (const Command& c : commands) {
    if (c.app->get_name() == argv[1]) return "";
    names += (names.empty() ? "" : ", ") + c.app->get_name();
  }
  return "there is no command `" + std::string(argv[1]) + "`. The commands are: " + names;
}

int finish(int result) {
  flush_output(stdout);
  if (!std::ferror(stdout) || first_output_error() == EPIPE || result != 0) return result;
  return fail(ExitCode::resource,
              std::string("cannot write to standard output: ") + std::strerror(first_output_error()));
}

}  // namespace

int run(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a training run outlives the `head` it was piped into
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of its write
  CLI::App app{"mtrank trains multi-task ranking models from one YAML file", "mtrank"};
  app.set_version_flag("--version", std::string("mtrank ") + MTRANK_VERSION);
  app.require_subcommand(1);
  const std::vector<Command> commands = add_commands(app);
  if (std::string message = unknown_command(argc, argv, commands); !message.empty())
    return fail(ExitCode::config, message);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return finish(app.exit(e) == 0 ? code(ExitCode::ok) : code(ExitCode::config));
  }
  for (const Command& c : commands)
    if (c.app->parsed()) return finish(guarded(c.run));
  return code(ExitCode::bug);
}

}  // namespace mtrank::cli
