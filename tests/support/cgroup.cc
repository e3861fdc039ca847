#include "test_support/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
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

// Process ids mean something in their namespace alone, and a stress run has one of its own.
ino_t own_pid_namespace() {
  struct stat about {};
  require(stat("/proc/self/ns/pid", &about) == 0, "looking at the namespace of process ids");
  return about.st_ino;
}

// What an object's name says of its maker: "smtest-NAMESPACE-PID-...".
struct Maker {
  ino_t pid_namespace;
  pid_t pid;
  bool is_here() const { return pid_namespace == own_pid_namespace(); }
  bool is_dead() const { return is_here() && kill(pid, 0) != 0 && errno == ESRCH; }
};

std::optional<Maker> maker_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto words = split(std::string_view(name).substr(kPrefix.size()), '-');
  if (words.size() < 2) return std::nullopt;
  const auto space = parse_number<ino_t>(words[0]);
  const auto pid = parse_number<pid_t>(words[1]);
  if (!space || !pid) return std::nullopt;
  return Maker{*space, *pid};
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
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto maker = maker_of(entry.path().filename().string());
    if (maker && maker->is_dead()) dead.push_back(entry.path());
    // Of another namespace nobody can tell: what is an hour old and empty is not missed.
    if (maker && !maker->is_here() &&
        fs::file_time_type::clock::now() - entry.last_write_time(ignored) > std::chrono::hours(1))
      rmdir(entry.path().c_str());
  }
  for (const std::string& path : dead) remove(path);
}

std::string unique_name(std::string_view hint) {
  static int counter = 0;
  return fmt::format("{}{}-{}-{}-{}", kPrefix, own_pid_namespace(), getpid(), ++counter, hint);
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
