#include "test_support/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/strings.h"
#include "test_support/eventually.h"

namespace sockmesh::test {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "smtest-";

void require(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(os_error(what).message);
}

// The mount point of cgroup v2.
std::string cgroup_root() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, path, type, rest; mounts >> device >> path >> type && std::getline(mounts, rest);)
    if (type == "cgroup2") return path;
  throw std::runtime_error("no cgroup v2 is mounted");
}

// What `name` was made for is no more: "smtest-PID-...".
bool is_left_over(const std::string& name) {
  if (!name.starts_with(kPrefix)) return false;
  const std::string_view rest = std::string_view(name).substr(kPrefix.size());
  const auto pid = parse_number<pid_t>(rest.substr(0, rest.find('-')));
  return pid && kill(*pid, 0) != 0 && errno == ESRCH;
}

void write_text(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  require(static_cast<bool>(fd), "opening " + path);
  require(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "writing " + path);
}

void remove_cgroup(const std::string& path) {
  std::ofstream(path + "/cgroup.kill") << "1";
  (void)eventually([&] { return rmdir(path.c_str()) == 0 || errno != EBUSY; });
}

void remove_bpf_folder(const std::string& path) {
  umount2(path.c_str(), MNT_DETACH);
  rmdir(path.c_str());
}

void remove_leftovers(const std::string& folder, void (*remove)(const std::string&)) {
  std::vector<std::string> dead;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_left_over(entry.path().filename().string())) dead.push_back(entry.path());
  for (const std::string& path : dead) remove(path);
}

std::string unique_name(std::string_view hint) {
  static int counter = 0;
  return fmt::format("{}{}-{}-{}", kPrefix, getpid(), ++counter, hint);
}

}  // namespace

Cgroup::Cgroup() {
  static const bool cleaned = (remove_leftovers(cgroup_root(), remove_cgroup), true);
  (void)cleaned;
  path_ = cgroup_root() + "/" + unique_name("pod");
  require(mkdir(path_.c_str(), 0755) == 0, "making " + path_);
}

Cgroup::~Cgroup() {
  leave();
  remove_cgroup(path_);
}

void Cgroup::enter() const { write_text(path_ + "/cgroup.procs", "0"); }
void Cgroup::leave() { write_text(cgroup_root() + "/cgroup.procs", "0"); }

BpfFolder::BpfFolder() {
  const std::string folder = fs::temp_directory_path();
  static const bool cleaned = (remove_leftovers(fs::temp_directory_path(), remove_bpf_folder), true);
  (void)cleaned;
  path_ = folder + "/" + unique_name("bpf");
  require(mkdir(path_.c_str(), 0700) == 0, "making " + path_);
  require(mount("bpf", path_.c_str(), "bpf", 0, nullptr) == 0, "mounting " + path_);
}

BpfFolder::~BpfFolder() { remove_bpf_folder(path_); }

}  // namespace sockmesh::test
