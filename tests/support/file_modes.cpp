#include "tests/support/file_modes.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace mtrank {
namespace {

/// Lays down, or takes up again, root's rights to ignore modes. They stay permitted, so the way back is open.
void ignore_modes(bool on) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) throw std::system_error(errno, std::generic_category(), "capget");
  const uint32_t rights = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
  data[0].effective = (data[0].effective & ~rights) | (on ? data[0].permitted & rights : 0);
  if (::syscall(SYS_capset, &header, data) != 0) throw std::system_error(errno, std::generic_category(), "capset");
}

}  // namespace

ObeyFileModes::ObeyFileModes() { ignore_modes(false); }
ObeyFileModes::~ObeyFileModes() { ignore_modes(true); }

std::vector<std::string> obeying_file_modes(std::vector<std::string> argv) {
  if (::geteuid() == 0) argv.insert(argv.begin(), {"setpriv", "--bounding-set", "-dac_override,-dac_read_search"});
  return argv;
}

}  // namespace mtrank
