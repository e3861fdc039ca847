#include "world.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "base/strings.h"
#include "net/listening_socket.h"
#include "test_support/cgroup.h"
#include "test_support/eventually.h"
#include "test_support/http.h"
#include "two_pods.h"

namespace sockmesh::stress {

namespace {

constexpr uint16_t kFirstPort = 20000;
// An idle agent stays below 10 MB; what the allocator keeps of a few thousand flows comes on top.
constexpr uint64_t kResidentAfter = 32'000'000;
constexpr size_t kDescriptorsMore = 8;  // made on first use

// A Service of both IP families; or one of each, with the same ports, since lane 3 leads to endpoints of one.
std::string manifests(size_t slots, bool one_family_each) {
  std::vector<std::pair<std::string, uint16_t>> ports;
  for (size_t i = 0; i < slots; ++i) {
    const auto port = static_cast<uint16_t>(kFirstPort + i);
    ports.emplace_back(fmt::format("tcp-{}", port), port);
  }
  return one_family_each ? test::two_pods_of_one_family(ports) : test::two_pods(ports);
}

// A rule that lane 3 cannot keep here: while it is there, new connections are the agent's.
constexpr const char* kProxied = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {0}, namespace: data}}
spec:
  host: {0}.data.svc.cluster.local
  trafficPolicy: {{connectionPool: {{tcp: {{idleTimeout: 1h}}}}}}
)";

Fd listen_at(const SocketAddress& address) {
  auto fd = net::listen_on(address, {});
  if (!fd) throw std::runtime_error(fd.error().message);
  return std::move(*fd);
}

// All threads of a process come before everybody else. What was redirected waits for a worker of the kernel,
// which then has to wait while they are busy: a busy machine does the same to it.
void favour(pid_t process) {
  const std::filesystem::directory_iterator threads(fmt::format("/proc/{}/task", process));
  for (const auto& thread : threads)
    if (const auto id = parse_number<id_t>(thread.path().filename().string()))
      setpriority(PRIO_PROCESS, *id, -20);
}

bool is_trouble(std::string_view line) {
  return line.find("Z error ") != line.npos || line.find("Z critical ") != line.npos ||
         line.find("terminate called") != line.npos || line.find("Sanitizer") != line.npos ||
         line.find("runtime error") != line.npos;
}

}  // namespace

World::World(const WorldOptions& options)
    : options_(options),
      client_pod_(mesh_.pod("client-0", test::kClientIp)),
      server_pod_(mesh_.pod("store-0", test::kStoreIp)) {
  mesh_.apply("two.yaml", manifests(options_.slots, direct()));
  if (direct()) client_cgroup_ = std::make_unique<test::Cgroup>();
  disturb_network();
  for (const auto& [pod, name] : {std::pair{&client_pod_, "client-0"}, {&server_pod_, "store-0"}}) {
    test::AgentOptions agent{
        .ns = "data", .data_path = direct() ? "auto" : options_.mode, .interception = options_.interception};
    if (direct() && agents_.empty()) {
      agent.direct_mark = "0x20000000";
      agent.more = {"--pod-cgroup", client_cgroup_->path()};
    }
    if (options_.disturbance) {
      // Each agent has a randomness of its own.
      Disturbance own = *options_.disturbance;
      own.seed = own.seed * 2 + agents_.size();
      agent.more.insert(agent.more.end(), {"--disturb", to_string(own)});
    }
    agents_.push_back(&mesh_.sidecar(*pod, name, agent));
  }
  for (test::Agent* agent : agents_)
    if (options_.favour) favour(agent->process().pid());
  if (options_.favour) favour(getpid());  // and the threads that it makes
  if (client_cgroup_) client_cgroup_->enter();
  for (const test::Agent* agent : agents_) descriptors_before_.push_back(agent->descriptors());
}

World::~World() = default;

// The node forwards between the pods, so that is where packets are lost and late.
void World::disturb_network() {
  if (options_.loss_percent > 0) {
    // Packets of Ethernet's size, so that a loss leaves a hole and not 64 KiB of silence.
    for (const test::Netns* netns : {&client_pod_.netns, &server_pod_.netns})
      netns->ip("link set eth0 gso_max_segs 1\n");
    for (const char* tables : {"iptables", "ip6tables"})
      test::must_run({tables, "-A", "FORWARD", "-p", "tcp", "-m", "statistic", "--mode", "random",
                      "--probability", fmt::format("{:.5f}", options_.loss_percent / 100), "-j", "DROP"},
                     &mesh_.node());
  }
  if (options_.delay.count() > 0) {
    const std::string delay = fmt::format("{}us", options_.delay.count());
    const std::string jitter = fmt::format("{}us", options_.delay.count() / 2);
    for (const char* port : {"p0", "p1"}) {
      const auto added = test::run({.argv = {"tc", "qdisc", "add", "dev", port, "root", "netem", "limit",
                                             "100000", "delay", delay, jitter},
                                    .netns = &mesh_.node()});
      if (added.status != 0) missing_ = "this kernel has no netem, which --delay needs: " + added.output;
    }
  }
}

std::vector<Listener> World::listen() {
  std::vector<Listener> listeners;
  server_pod_.netns.run([&] {
    for (size_t i = 0; i < options_.slots; ++i) {
      const auto port = static_cast<uint16_t>(kFirstPort + i);
      listeners.push_back({port, listen_at(server_pod_.at(port)), listen_at(server_pod_.at(port, true))});
    }
  });
  return listeners;
}

SocketAddress World::service(bool ipv6) const {
  return {IpAddress::parse(ipv6 ? test::kStoreService6 : test::kStoreService4).value(), 0};
}

void World::change_configuration(uint64_t how) {
  if (direct() && how % 3 != 0) {
    const std::string service = how % 2 == 0 ? "store" : "store6";
    if (how % 3 == 1) return mesh_.apply(service + ".yaml", fmt::format(kProxied, service));
    return mesh_.remove(service + ".yaml");
  }
  const std::string host = fmt::format("other-{}", how % 5);
  mesh_.apply("other.yaml", fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: {}, namespace: data}}
spec:
  clusterIP: 10.0.41.{}
  selector: {{app: other}}
  ports: [{{name: tcp-other, port: {}}}]
)",
                                        host, 1 + how % 200, 9000 + how % 3));
}

World::Moved World::moved() const {
  Moved sum;
  for (const test::Agent* agent : agents_) {
    const std::string text = agent->metrics();
    const auto number = [&](const std::string& name, const std::map<std::string, std::string>& labels = {}) {
      return static_cast<uint64_t>(test::metric(text, name, labels));
    };
    sum.spliced_bytes += number("sockmesh_lane_bytes_total", {{"lane", "sk_skb"}});
    sum.direct_bytes += number("sockmesh_lane_bytes_total", {{"lane", "direct"}});
    sum.user_bytes += number("sockmesh_lane_bytes_total");
    sum.spliced_flows += number("sockmesh_lane_flows_total", {{"lane", "sk_skb"}});
    sum.refused += number("sockmesh_lane_refused_total");
    sum.stuck += number("sockmesh_lane_stuck_total");
    sum.log_lines_lost += number("sockmesh_access_log_dropped_total");
  }
  sum.user_bytes -= sum.spliced_bytes + sum.direct_bytes;
  return sum;
}

std::string World::missing() const {
  if (!missing_.empty()) return missing_;
  const bool wants_splice = options_.mode == "auto" || options_.mode == "sockmap" || direct();
  for (const test::Agent* agent : agents_) {
    const std::string wanted =
        direct() && agent == agents_[0] ? "direct" : (wants_splice ? "sk_skb" : options_.mode);
    bool found = false;
    std::string verdict = "no such lane";
    const nlohmann::json status = agent->ctl("status");
    for (const nlohmann::json& lane : status["lanes"]) {
      if (lane["lane"] != wanted) continue;
      found = lane["enabled"].get<bool>();
      verdict = lane["verdict"];
    }
    if (!found)
      return fmt::format("mode {}: lane {} is not to be had here: {}", options_.mode, wanted, verdict);
  }
  return "";
}

std::string World::dead_agent() {
  for (test::Agent* agent : agents_) {
    if (agent->process().running()) continue;
    return fmt::format("an agent died, exit status {}: {}", agent->process().wait().value_or(-1),
                       agent->errors());
  }
  return "";
}

std::vector<std::string> World::end() {
  std::vector<std::string> wrong;
  if (const std::string dead = dead_agent(); !dead.empty()) return {dead};
  for (size_t i = 0; i < agents_.size(); ++i) {
    test::Agent& agent = *agents_[i];
    const std::string who = i == 0 ? "client's agent: " : "server's agent: ";
    if (!test::eventually([&] { return agent.open_flows() == 0; }))
      wrong.push_back(who + "flows are left open: " + agent.ctl("flows").dump());
    if (!test::eventually([&] { return agent.descriptors() <= descriptors_before_[i] + kDescriptorsMore; }))
      wrong.push_back(
          fmt::format("{}{} descriptors, {} before", who, agent.descriptors(), descriptors_before_[i]));
    if (!test::sanitized() &&
        !test::eventually([&] { return agent.resident() < kResidentAfter; }, std::chrono::seconds(30)))
      wrong.push_back(fmt::format("{}{} bytes resident, {} at most", who, agent.resident(), kResidentAfter));
    const nlohmann::json status = agent.ctl("status");
    for (const nlohmann::json& lane : status["lanes"])
      if (const std::string verdict = lane["verdict"]; verdict.starts_with("switched off"))
        wrong.push_back(who + verdict);
  }
  const Moved all = moved();
  if (all.stuck > 0) wrong.push_back(fmt::format("{} flows were reset by the watchdog", all.stuck));
  if (all.log_lines_lost > 0)
    wrong.push_back(fmt::format("{} access-log lines were dropped", all.log_lines_lost));
  for (size_t i = 0; i < agents_.size(); ++i) {
    const std::string who = i == 0 ? "client's agent: " : "server's agent: ";
    if (const int status = agents_[i]->process().stop(); status != 0)
      wrong.push_back(fmt::format("{}exit status {}", who, status));
    const std::string said = agents_[i]->errors();
    for (const std::string_view line : split(said, '\n', true))
      if (is_trouble(line)) wrong.push_back(who + std::string(line));
  }
  return wrong;
}

}  // namespace sockmesh::stress
