#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

extern char** environ;

namespace mtrank::testing {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& w : words) out.push_back(const_cast<char*>(w.c_str()));
  out.push_back(nullptr);
  return out;
}

/// This process's environment with `changes` in place of the entries they name.
std::vector<std::string> environment(const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** e = environ; *e; ++e) {
    const std::string entry = *e;
    const std::string name = entry.substr(0, entry.find('=') + 1);
    bool changed = false;
    for (const std::string& c : changes) changed = changed || c.compare(0, name.size(), name) == 0;
    if (!changed) out.push_back(entry);
  }
  return out;
}

pid_t spawn(const Process& process, const std::string& out, const std::string& err) {
  const std::vector<std::string> env = environment(process.env);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!process.cwd.empty()) posix_spawn_file_actions_addchdir_np(&actions, process.cwd.c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out == err)
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
  else
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  const int status = posix_spawnp(&pid, process.argv.at(0).c_str(), &actions, nullptr, pointers(process.argv).data(),
                                  pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) throw std::runtime_error("cannot run " + process.argv[0] + ": " + std::strerror(status));
  return pid;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

ProcessResult run_process(const Process& process) {
  const TempDir dir;
  const pid_t pid = spawn(process, dir / "out", dir / "err");
  int status = 0;
  waitpid(pid, &status, 0);
  return {exit_code(status), read_text(dir / "out"), read_text(dir / "err")};
}

ProcessResult run_mtrank(std::vector<std::string> arguments, std::vector<std::string> env) {
  arguments.insert(arguments.begin(), mtrank_binary());
  return run_process({std::move(arguments), std::move(env), ""});
}

Child::Child(const Process& process, const std::string& output_path) : pid_(spawn(process, output_path, output_path)) {}

Child::~Child() {
  if (!running()) return;
  signal(SIGKILL);
  wait();
}

void Child::signal(int number) {
  if (pid_ > 0) kill(pid_, number);
}

bool Child::running() {
  int status = 0;
  if (pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = -1;
    code_ = exit_code(status);
  }
  return pid_ > 0;
}

int Child::wait() {
  int status = 0;
  if (pid_ > 0 && waitpid(pid_, &status, 0) == pid_) {
    pid_ = -1;
    code_ = exit_code(status);
  }
  return code_;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace mtrank::testing
