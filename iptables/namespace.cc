#include "iptables/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "base/fd.h"

namespace sockmesh::iptables {

namespace {

// iptables reads XTABLES_LOCKFILE from this version on; older ones get the file bound over their fixed path.
constexpr Version kFirstWithLockVariable{1, 8, 6};
constexpr const char* kLockPath = "/run/xtables.lock";

// The user namespace that owns a pod's network namespace (hostUsers: false), or nothing if it is ours. The
// owner match accepts rules only from a writer in that user namespace (net/netfilter/xt_owner.c,
// owner_check).
Fd foreign_user_namespace(int network_namespace) {
  Fd owner(ioctl(network_namespace, NS_GET_USERNS));
  struct stat ours {
  }, theirs{};
  if (!owner || stat("/proc/self/ns/user", &ours) != 0 || fstat(owner.get(), &theirs) != 0) return {};
  if (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev) return {};
  fcntl(owner.get(), F_SETFD, FD_CLOEXEC);
  return owner;
}

// Mounts that nobody else sees. Best effort: without it, iptables works, with the machine's lock and name
// service.
void enter_sandbox(const std::string& path, const Launcher& launcher) {
  if (unshare(CLONE_NEWNS) != 0) return;
  if (mount("", "/", "", MS_REC | MS_PRIVATE, "") != 0 && mount("", "/", "", MS_REC | MS_SLAVE, "") != 0)
    return;
  // With no name service configured, `-m owner --gid-owner java` cannot wait for a directory server of the
  // host.
  (void)mount("/dev/null", "/etc/nsswitch.conf", "", MS_BIND, "");
  const auto version = launcher({"iptables-save", "--version"});
  if (version && version->ok() && parse_version(version->output).version >= kFirstWithLockVariable) return;
  const Fd lock(open(kLockPath, O_CREAT | O_CLOEXEC, 0600));
  (void)mount(path.c_str(), kLockPath, "", MS_BIND, "");
}

}  // namespace

Result<void> in_namespace(const NamespaceRequest& request, const std::function<void(const Launcher&)>& work) {
  if (request.path.empty()) {
    work(Launcher{});
    return {};
  }
  const Fd network(open(request.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!network) return fail(os_error(fmt::format("--network-namespace '{}'", request.path)));
  const Fd owner = request.cni_mode ? foreign_user_namespace(network.get()) : Fd();

  Result<void> entered;
  std::thread thread([&] {
    if (setns(network.get(), CLONE_NEWNET) != 0) {
      entered = fail(os_error(fmt::format("entering --network-namespace '{}'", request.path)));
      return;
    }
    Launcher launcher;
    if (owner) launcher.user_namespace = owner.get();
    if (request.cni_mode) {
      enter_sandbox(request.path, launcher);
      launcher.lock_file = request.path;
    }
    work(launcher);
  });
  thread.join();
  return entered;
}

}  // namespace sockmesh::iptables
