#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mtrank::testing {

/// How a command ended and what it wrote.
struct ProcessResult {
  int code = 0;  ///< exit status, or 128 + signal
  std::string out;
  std::string err;
};

/// A command line without a shell. `env` holds NAME=value pairs added to this process's environment.
struct Process {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string cwd;
};

/// Runs to the end. Throws std::runtime_error when the command cannot be started.
ProcessResult run_process(const Process& process);
/// `mtrank` of this build with these arguments.
ProcessResult run_mtrank(std::vector<std::string> arguments, std::vector<std::string> env = {});

/// A child that is still running; its output goes to `output_path` (both streams).
class Child {
 public:
  Child(const Process& process, const std::string& output_path);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // kills what still runs
  void signal(int number);
  bool running();
  int wait();  ///< exit status, or 128 + signal

 private:
  pid_t pid_ = -1;
  int code_ = 0;
};

std::string read_text(const std::string& path);

}  // namespace mtrank::testing
