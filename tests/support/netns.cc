#include "test_support/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "smtest-";
const char* const kFolder = "/run/netns/";

// The processes that live in the namespace `path` names. Only namespaces of our making are asked about.
std::vector<pid_t> processes_in(const std::string& path) {
  struct stat wanted {};
  if (stat(path.c_str(), &wanted) != 0) return {};
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const auto pid = parse_number<pid_t>(entry.path().filename().string());
    struct stat have {};
    if (!pid || stat((entry.path() / "ns/net").c_str(), &have) != 0) continue;
    if (have.st_ino == wanted.st_ino && have.st_dev == wanted.st_dev && *pid != getpid())
      found.push_back(*pid);
  }
  return found;
}

void remove(const std::string& name) {
  const std::string path = kFolder + name;
  for (const pid_t pid : processes_in(path)) kill(pid, SIGKILL);
  (void)eventually([&] { return processes_in(path).empty(); });
  (void)run({.argv = {"ip", "netns", "delete", name}});
}

// The kernel brings a link up, and gives it its link-local address and that one's route, in its own time.
bool is_settled(const Netns& netns) {
  const std::string link = must_run({"ip", "addr", "show", "dev", "eth0"}, &netns);
  const std::string routes = must_run({"ip", "-6", "route", "show", "table", "all"}, &netns);
  return link.find("state UP") != link.npos && link.find("tentative") == link.npos &&
         routes.find("local fe80:") != routes.npos;
}

}  // namespace

void remove_leftover_namespaces() {
  std::error_code ignored;
  std::vector<std::string> dead;
  for (const auto& entry : fs::directory_iterator(kFolder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const std::string_view rest = std::string_view(name).substr(kPrefix.size());
    const auto pid = parse_number<pid_t>(rest.substr(0, rest.find('-')));
    if (pid && kill(*pid, 0) != 0 && errno == ESRCH) dead.push_back(name);
  }
  for (const std::string& name : dead) remove(name);
}

Netns::Netns(const std::string& hint) {
  static const bool cleaned = (remove_leftover_namespaces(), true);
  static int counter = 0;
  (void)cleaned;
  name_ = fmt::format("{}{}-{}-{}", kPrefix, getpid(), ++counter, hint);
  must_run({"ip", "netns", "add", name_});
  fd_ = Fd(open((kFolder + name_).c_str(), O_RDONLY | O_CLOEXEC));
  ip("link set lo up");
}

Netns::~Netns() {
  fd_.reset();
  remove(name_);
}

void Netns::run(const std::function<void()>& work) const {
  std::exception_ptr thrown;
  std::thread thread([&] {
    try {
      if (setns(fd_.get(), CLONE_NEWNET) != 0) throw std::runtime_error("setns " + name_);
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  thread.join();
  if (thrown) std::rethrow_exception(thrown);
}

void Netns::ip(const std::string& commands) const {
  const TempDir dir;
  dir.write("batch", commands + "\n");
  must_run({"ip", "-n", name_, "-batch", dir.file("batch")});
}

void Netns::set_sysctl(const std::string& path, const std::string& value) const {
  // /proc/sys/net shows the namespace of whoever opens it.
  run([&] {
    const Fd fd(open(("/proc/sys/" + path).c_str(), O_WRONLY | O_CLOEXEC));
    if (write(fd.get(), value.data(), value.size()) < 0) throw std::runtime_error("sysctl " + path);
  });
}

PodNetwork::PodNetwork() : node_("node") {
  node_.set_sysctl("net/ipv4/ip_forward", "1");
  node_.set_sysctl("net/ipv6/conf/all/forwarding", "1");
  node_.set_sysctl("net/ipv6/conf/default/accept_dad", "0");
}

Pod& PodNetwork::add(const std::string& name) {
  return add(name, fmt::format("10.12.0.{}", pods_.size() + 11));
}

Pod& PodNetwork::add(const std::string& name, const std::string& v4) {
  const auto address = IpAddress::parse(v4);
  const auto v6 = IpAddress::parse(fmt::format("fd12::{:x}", pods_.size() + 11));
  if (!address || !v6) throw std::runtime_error("pod address " + v4);
  auto pod = std::make_unique<Pod>(name, *address, *v6);
  const Netns& netns = pod->netns;
  netns.set_sysctl("net/ipv6/conf/all/accept_dad", "0");
  netns.set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  const std::string port = fmt::format("p{}", pods_.size());
  node_.ip(
      fmt::format("link add {0} type veth peer name eth0 netns {1}\n"
                  "addr add 169.254.1.1/32 dev {0}\n"
                  "link set {0} up\n"
                  "addr add fe80::1/64 dev {0} nodad\n"
                  "route add {2}/32 dev {0}\n"
                  "route add {3}/128 dev {0}",
                  port, netns.name(), v4, v6->to_string()));
  netns.ip(
      fmt::format("addr add {}/32 dev eth0\n"
                  "addr add {}/128 dev eth0 nodad\n"
                  "link set eth0 up\n"
                  "route add 169.254.1.1 dev eth0\n"
                  "route add 0.0.0.0/0 via 169.254.1.1\n"
                  "route add ::/0 via fe80::1 dev eth0",
                  v4, v6->to_string()));
  if (!eventually([&] { return is_settled(netns); })) throw std::runtime_error("eth0 of pod " + name);
  return *(pods_[name] = std::move(pod));
}

}  // namespace sockmesh::test
