#include "server/privileges.h"

#include <grp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace sockmesh::server {

namespace {

// Tables of the kernel grow with the limit, not only with what is used.
constexpr rlim_t kMostDescriptors = 1'000'000;

using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, decltype(&cap_free)>;

// Of the capabilities wanted, those that we have.
std::vector<cap_value_t> held(const std::vector<cap_value_t>& wanted) {
  std::vector<cap_value_t> have;
  const Capabilities now(cap_get_proc(), cap_free);
  for (const cap_value_t one : wanted) {
    cap_flag_value_t permitted = CAP_CLEAR;
    if (now && cap_get_flag(now.get(), one, CAP_PERMITTED, &permitted) == 0 && permitted == CAP_SET)
      have.push_back(one);
  }
  return have;
}

// Who may not become somebody else is root without the capabilities for it: a container that dropped them.
Error refused(std::string_view call, uid_t uid, gid_t gid) {
  Error error = os_error(call);
  if (error.os_error == EPERM)
    error.message += fmt::format(
        ": as root the agent becomes {}:{}, expected CAP_SETUID and CAP_SETGID for it; add them to the "
        "container, or "
        "start it as that user (securityContext: runAsUser {}, runAsGroup {})",
        uid, gid, uid, gid);
  return error;
}

Result<void> become(uid_t uid, gid_t gid) {
  if (setgroups(0, nullptr) != 0) return fail(refused("setgroups", uid, gid));
  if (setresgid(gid, gid, gid) != 0) return fail(refused(fmt::format("setresgid {}", gid), uid, gid));
  // Permitted capabilities survive the change of user just this once; the effective ones are set below.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail(os_error("PR_SET_KEEPCAPS"));
  if (setresuid(uid, uid, uid) != 0) return fail(refused(fmt::format("setresuid {}", uid), uid, gid));
  return {};
}

}  // namespace

Result<void> drop_privileges(uid_t uid, gid_t gid, const KeptPrivileges& kept) {
  std::vector<cap_value_t> wanted;
  if (kept.bind_low_ports) wanted.push_back(CAP_NET_BIND_SERVICE);
  if (kept.transparent_sources) wanted.insert(wanted.end(), {CAP_NET_ADMIN, CAP_NET_RAW});
  const std::vector<cap_value_t> stay = held(wanted);

  if (geteuid() == 0) SOCKMESH_CHECK(become(uid, gid));

  const Capabilities only(cap_init(), cap_free);
  if (!only) return fail(os_error("cap_init"));
  for (const cap_flag_t set : {CAP_PERMITTED, CAP_EFFECTIVE})
    if (!stay.empty() &&
        cap_set_flag(only.get(), set, static_cast<int>(stay.size()), stay.data(), CAP_SET) != 0)
      return fail(os_error("cap_set_flag"));
  if (cap_set_proc(only.get()) != 0) return fail(os_error("cap_set_proc"));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(os_error("PR_SET_NO_NEW_PRIVS"));
  return {};
}

Result<size_t> raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail(os_error("RLIMIT_NOFILE"));
  const rlim_t wanted = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail(os_error("RLIMIT_NOFILE"));
  }
  return static_cast<size_t>(limit.rlim_cur);
}

}  // namespace sockmesh::server
