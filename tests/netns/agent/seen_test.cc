// The cases that a real istiod and a real Envoy decided (tests/golden/config/seen), by real connections: the
// pod of the case runs a real agent behind real rules, everything else is a node that answers at every
// address:
//
//   probe ─ 15001 agent ──── node: any address, any port ─ sm-echo, which greets first
//
// tests/golden/config/seen_test.cc compares what was seen with what the configuration decides; here the
// agent's log lines are compared with that decision.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "../../golden/config/simulate.h"
#include "../../unit/connection/client_hello.h"
#include "base/strings.h"
#include "mesh.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

using config::Ending;
using config::Fate;
using config::MeshCase;
using config::Probe;

constexpr uint16_t kSink = 9, kNobody = 1;  // where the node answers, and where it refuses

std::string seen_file(const std::string& name) { return source_file("tests/golden/config/seen/" + name); }

// The line after "# mesh:", a flow mapping, with the access log on.
std::string mesh_settings(const std::string& manifests) {
  for (const std::string_view line : split(manifests, '\n')) {
    if (!line.starts_with("# mesh:")) continue;
    const std::string_view settings = trim(line.substr(7));
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  "
           "mesh: |\n    "
           "{accessLogFile: /dev/stdout, " +
           std::string(settings.substr(1)) + "\n";
  }
  return mesh_config();
}

std::string first_bytes(const Probe& probe) {
  if (const size_t at = probe.text.find(" send "); at != std::string::npos) {
    std::string text = probe.text.substr(at + 6);
    for (size_t end = 0; (end = text.find("\\r\\n")) != std::string::npos;) text.replace(end, 4, "\r\n");
    return text;
  }
  if (!probe.hello || !probe.hello->is_tls) return "";
  const std::string& name = probe.hello->server_name;
  const auto hello = connection::in_records(connection::hello_message(
      name.empty() ? connection::Bytes{} : connection::server_name_extension(name)));
  return {hello.begin(), hello.end()};
}

// One case on its feet.
class Seen {
 public:
  explicit Seen(const std::string& name)
      : case_(config::read_case(seen_file(name + ".yaml"))),
        snapshot_(config::compile(case_.resources, case_.proxy)),
        simulation_(case_, *snapshot_),
        pod_(mesh_.pod("pod", case_.proxy.ips.at(0).to_string())) {
    const std::string manifests = read_text(seen_file(name + ".yaml"));
    mesh_.apply("nodes.yaml", config::node_manifests());
    mesh_.apply(name + ".yaml", manifests);
    mesh_.apply("mesh-config.yaml", mesh_settings(manifests));
    answer_everywhere();
    const AgentOptions options{.ns = case_.proxy.ns, .workers = 1};  // one: limits hold for a worker
    agent_ = gateway() ? &mesh_.gateway(pod_, case_.proxy.pod, options)
                       : &mesh_.sidecar(pod_, case_.proxy.pod, options);
  }

  const std::vector<Probe>& probes() const { return case_.probes; }

  void play(const Probe& probe) {
    const Fate fate = simulation_.play(probe);
    // The pod's own address was captured when the case was recorded; in a pod the rules let it pass. Loopback
    // too.
    if (!probe.inbound && (probe.address.ip == pod_.v4 || probe.address.ip.is_loopback())) return;
    std::map<std::string, int> seen;
    for (int i = 0; i < probe.times; ++i) ++seen[play_once(probe, fate)];
    for (const Ending& ending : fate.endings) {
      INFO("of " << probe.times << ", a share of " << ending.share << " should end as " << ending.text());
      if (fate.endings.size() > 1 && ending.flags == "UF,URX") continue;  // tried again elsewhere
      // 10 expected, none seen: once in 22000.
      if (ending.share * probe.times >= 10) CHECK(seen[ending.text()] > 0);
    }
  }

 private:
  bool gateway() const { return case_.proxy.role == config::Role::kGateway; }

  void answer_everywhere() {
    const Netns& node = mesh_.node();
    const auto nat = [&](std::vector<std::string> rule) {
      rule.insert(rule.begin(), {"iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp"});
      must_run(rule, &node);
    };
    node.ip("route add local 0.0.0.0/0 dev lo table main");
    for (const IpAddress& ip : case_.refusing)
      nat({"-d", ip.to_string(), "-j", "REDIRECT", "--to-ports", std::to_string(kNobody)});
    nat({"-j", "REDIRECT", "--to-ports", std::to_string(kSink)});
    mesh_.echo(node, kSink, "", "sink");
    std::set<uint16_t> local;  // the application's ports
    for (const Probe& probe : case_.probes) {
      if (!probe.inbound || gateway()) continue;
      config::Simulation simulation(case_, *snapshot_);
      for (const Ending& ending : simulation.play(probe).endings) {
        const auto at = SocketAddress::parse(ending.upstream);
        if (at && !case_.refusing.contains(at->ip)) local.insert(at->port);
      }
    }
    for (const uint16_t port : local) mesh_.echo(pod_.netns, port, "", "sink");
    for (const auto& [name, cluster] : snapshot_->clusters) {
      for (const model::Endpoint& endpoint : cluster->endpoints) {
        if (const auto* host = std::get_if<model::HostName>(&endpoint.address))
          mesh_.name(host->name, "198.18.0.1");
      }
    }
  }

  // The text of the ending that the agent logged for one connection: it is one of those that were decided.
  std::string play_once(const Probe& probe, const Fate& fate) {
    const size_t before = lines_of(probe).size();
    Fd fd = connect_to(probe);
    CHECK(static_cast<bool>(fd) == (fate.client != "refused"));
    if (!fd || fate.client == "refused") return "";
    const std::string bytes = first_bytes(probe);
    if (!bytes.empty()) CHECK(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    if (fate.client == "silent") {
      EVENTUALLY(has_flow("state", "inspecting"));
      fd.reset();
      EVENTUALLY(agent_->open_flows() == held_.size());
      return "";
    }
    const bool greeted = greeting(fd) == "sink";
    if (probe.hold && greeted) {
      CHECK(has_flow("cluster", fate.endings.at(0).cluster));
      held_.push_back(std::move(fd));
      return fate.endings.at(0).text();
    }
    fd.reset();
    EVENTUALLY(lines_of(probe).size() > before);
    const AccessLine line = lines_of(probe).at(before);
    for (const Ending& ending : fate.endings) {
      const bool by_name = ending.upstream.starts_with("198.18.*") && line.upstream.starts_with("198.18.");
      if (line.cluster != ending.cluster || line.flags != ending.flags) continue;
      if (!by_name && line.upstream != ending.upstream) continue;
      CHECK(greeted == (ending.flags == "-"));
      return ending.text();
    }
    FAIL_CHECK("nobody decided for this ending: " << line.text);
    return "";
  }

  // Its own: a connection that leads back to the pod has an inbound one too.
  std::vector<AccessLine> lines_of(const Probe& probe) const {
    std::vector<AccessLine> lines = agent_->log();
    std::erase_if(lines,
                  [&](const AccessLine& line) { return line.destination != probe.address.to_string(); });
    return lines;
  }

  bool has_flow(const std::string& field, const std::string& value) const {
    const nlohmann::json flows = agent_->ctl("flows")["flows"];
    return std::any_of(flows.begin(), flows.end(), [&](const auto& flow) { return flow[field] == value; });
  }

  // From the pod, or from outside to it. Invalid when refused.
  Fd connect_to(const Probe& probe) {
    Fd fd;
    const Netns& from = probe.inbound ? mesh_.node() : pod_.netns;
    from.run([&] {
      fd = Fd(socket(probe.address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage storage{};
      const socklen_t length = probe.address.to_sockaddr(storage);
      if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) fd.reset();
    });
    return fd;
  }

  static std::string greeting(const Fd& fd) {
    const timeval patience{patient(std::chrono::seconds(10)).count() / 1000, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string text;
    char byte = 0;
    while (recv(fd.get(), &byte, 1, 0) == 1 && byte != '\n') text.push_back(byte);
    return text;
  }

  MeshCase case_;
  std::shared_ptr<const model::Snapshot> snapshot_;
  config::Simulation simulation_;
  Mesh mesh_;
  Pod& pod_;
  Agent* agent_ = nullptr;
  std::vector<Fd> held_;
};

void play(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    INFO("case " << name);
    Seen seen(name);
    for (const Probe& probe : seen.probes()) {
      const std::string text = probe.text;
      INFO("probe " << text);
      seen.play(probe);
    }
  }
}

// The kinds, each the start of the names of its cases.
const std::vector<std::string> kKinds = {
    "clusterip", "dr",       "endpoints", "exportto", "gw",       "headless",
    "inbound",   "locality", "proto",     "refused",  "registry", "externalname",
    "se",        "sidecar",  "tls",       "vipless",  "vs"};

std::vector<std::string> cases_of(const std::string& kind) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(seen_file(""))) {
    const std::string name = file.path().stem().string();
    if (file.path().extension() == ".yaml" && name.starts_with(kind + "-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("real connections: every case has its kind") {
  size_t cases = 0, files = 0;
  for (const std::string& kind : kKinds) cases += cases_of(kind).size();
  for (const auto& file : std::filesystem::directory_iterator(seen_file("")))
    files += file.path().extension() == ".yaml" ? 1 : 0;
  CHECK(cases == files);
}

TEST_CASE("real connections: services and their endpoints") {
  for (const char* kind :
       {"clusterip", "endpoints", "exportto", "refused", "registry", "externalname", "vipless", "locality"})
    play(cases_of(kind));
}
TEST_CASE("real connections: headless services") { play(cases_of("headless")); }
TEST_CASE("real connections: destination rules") { play(cases_of("dr")); }
TEST_CASE("real connections: gateways") { play(cases_of("gw")); }
TEST_CASE("real connections: inbound ports") { play(cases_of("inbound")); }
TEST_CASE("real connections: protocols and TLS") {
  play(cases_of("proto"));
  play(cases_of("tls"));
}
TEST_CASE("real connections: service entries") { play(cases_of("se")); }
TEST_CASE("real connections: Sidecars") { play(cases_of("sidecar")); }
TEST_CASE("real connections: virtual services") { play(cases_of("vs")); }

}  // namespace sockmesh::test
