// libbpf reports through one process-wide function; what it says belongs to whoever is loading in this
// thread.
#include "bpf/libbpf_errors.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/capability.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "base/one_line.h"

namespace sockmesh::bpf {

namespace {

constexpr size_t kLogLimit = 600;  // bytes of libbpf's words that an error carries

thread_local std::string libbpf_said;

int keep_last_words(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  libbpf_said += line;
  // The verifier's verdict stands at the end of a log of any length.
  if (libbpf_said.size() > kLogLimit) libbpf_said.erase(0, libbpf_said.size() - kLogLimit);
  return 0;
}

std::string last_words() {
  const std::string said = one_line(libbpf_said);  // several, and an error is one
  return said.empty() ? "" : fmt::format(" ({})", said);
}

// Without CAP_PERFMON alone the verifier takes what it refuses for a mistake of the program: EINVAL.
bool has_capabilities() {
  cap_t own = cap_get_proc();
  const auto has = [own](cap_value_t one) {
    cap_flag_value_t set = CAP_CLEAR;
    return cap_get_flag(own, one, CAP_EFFECTIVE, &set) == 0 && set == CAP_SET;
  };
  constexpr std::array<cap_value_t, 3> wanted{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
  const bool all = std::all_of(wanted.begin(), wanted.end(), has);
  cap_free(own);
  return all;
}

}  // namespace

void listen_to_libbpf() {
  libbpf_set_print(keep_last_words);
  libbpf_said.clear();
}

Error refusal(std::string_view what, int err) {
  Error error = os_error(what, err);
  const bool unprivileged = err == EPERM || err == EACCES || (err == EINVAL && !has_capabilities());
  if (unprivileged)
    error.message +=
        ": expected CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON in the initial user namespace (a user namespace's "
        "own capabilities do not count)";
  if (err == ESRCH || err == ENOENT)
    error.message += ": expected kernel type information, /sys/kernel/btf/vmlinux";
  if (err == EINVAL && !unprivileged) error.message += ": expected Linux 6.1 or later";
  error.message += last_words();
  return error;
}

}  // namespace sockmesh::bpf
