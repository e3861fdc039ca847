#include "two_sidecars.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "test_support/http.h"
#include "test_support/skip.h"
#include "two_pods.h"

namespace sockmesh::test {
namespace {

constexpr const char* kDirect = "direct";

std::string manifests(const std::string& data_path) {
  const std::vector<std::pair<std::string, uint16_t>> ports{
      {"tcp-streams", 7000}, {"tcp-greeting", 7001}, {"tcp-redis", 6379}, {"tcp-postgres", 5432}};
  return data_path == kDirect ? two_pods_of_one_family(ports) : two_pods(ports);
}

AgentOptions options_of_client(const std::string& data_path, const std::optional<Cgroup>& cgroup,
                               std::vector<std::string> more) {
  AgentOptions options{.ns = "data", .data_path = data_path, .more = std::move(more)};
  if (!cgroup) return options;
  options.data_path = "auto";
  options.direct_mark = "0x20000000";
  options.more.insert(options.more.end(), {"--pod-cgroup", cgroup->path()});
  return options;
}

uint16_t port_of(const StreamRun& run) { return run.scenario == Scenario::kServerFirst ? 7001 : 7000; }

uint64_t sum(const std::vector<AccessLine>& lines, uint64_t AccessLine::*field) {
  uint64_t total = 0;
  for (const AccessLine& line : lines) total += line.*field;
  return total;
}

}  // namespace

Since::Since(Agent& agent)
    : agent_(agent), lines_before_(agent.log().size()), metrics_before_(agent.metrics()) {}

std::vector<AccessLine> Since::lines() const {
  std::vector<AccessLine> all = agent_.log();
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(lines_before_));
  return all;
}

uint64_t Since::received() const { return sum(lines(), &AccessLine::received); }
uint64_t Since::sent() const { return sum(lines(), &AccessLine::sent); }

double Since::metric(const std::string& name, const std::map<std::string, std::string>& labels) const {
  return test::metric(agent_.metrics(), name, labels) - test::metric(metrics_before_, name, labels);
}

TwoSidecars::TwoSidecars(const std::string& data_path, std::vector<std::string> more)
    : client_pod(mesh.pod("client-0", kClientIp)),
      store_pod(mesh.pod("store-0", kStoreIp)),
      client_cgroup(data_path == kDirect ? std::make_optional<Cgroup>() : std::nullopt),
      client_options(options_of_client(data_path, client_cgroup, std::move(more))),
      client((mesh.apply("two.yaml", manifests(data_path)),
              mesh.sidecar(client_pod, "client-0", client_options))),
      store(mesh.sidecar(store_pod, "store-0",
                         {.ns = "data", .data_path = data_path == kDirect ? "auto" : data_path})),
      data_path_(data_path) {}

Agent& TwoSidecars::restart_client() { return mesh.agent(client_pod, "client-0", client_options); }

std::string TwoSidecars::service_name(bool ipv6) const {
  return data_path_ == kDirect && ipv6 ? "store6" : "store";
}

SocketAddress TwoSidecars::service(uint16_t port, bool ipv6) const {
  return {IpAddress::parse(ipv6 ? kStoreService6 : kStoreService4).value(), port};
}

Process TwoSidecars::start_server(const StreamRun& run) {
  std::vector<std::string> argv{built_program("sm-streams"), "server", "--flows", std::to_string(run.flows)};
  for (const bool ipv6 : {false, true}) {
    argv.insert(argv.end(), {"--listen", store_pod.at(port_of(run), ipv6).to_string()});
  }
  if (run.scenario == Scenario::kServerFirst)
    argv.insert(argv.end(), {"--greeting", std::to_string(run.bytes)});
  auto server = Process::start({.argv = argv, .netns = &store_pod.netns});
  REQUIRE(server);
  // Its listening lines, one per family.
  EVENTUALLY(std::ranges::count(server->output(), '\n') == 2);
  return std::move(*server);
}

Process TwoSidecars::start_client(const StreamRun& run) {
  std::vector<std::string> argv{built_program("sm-streams"),
                                "client",
                                "--connect",
                                service(port_of(run), run.ipv6).to_string(),
                                "--mode",
                                std::string(to_string(run.scenario)),
                                "--flows",
                                std::to_string(run.flows),
                                "--bytes",
                                std::to_string(run.bytes)};
  argv.insert(argv.end(), run.client_options.begin(), run.client_options.end());
  if (client_cgroup) client_cgroup->enter();  // its child is made there
  auto client_process = Process::start({.argv = argv, .netns = &client_pod.netns});
  if (client_cgroup) Cgroup::leave();
  REQUIRE(client_process);
  return std::move(*client_process);
}

void TwoSidecars::check(const StreamRun& run) {
  INFO(to_string(run.scenario) << (run.ipv6 ? " v6, " : " v4, ") << run.flows << " flows");
  const Since at_client(client), at_store(store);
  Process server = start_server(run);
  Process client_process = start_client(run);
  const int client_status = client_process.wait(std::chrono::seconds(60)).value_or(-1);
  const int server_status = server.wait(std::chrono::seconds(60)).value_or(-1);
  INFO("client: " << client_process.output());
  INFO("server: " << server.output());
  INFO("agent of client: " << client.errors());
  CHECK(client_status == 0);
  CHECK(server_status == 0);
  const nlohmann::json sent_by_client = tally_of(client_process), sent_by_server = tally_of(server);

  const auto flows = static_cast<size_t>(run.flows);
  EVENTUALLY(at_client.lines().size() == flows);
  EVENTUALLY(at_store.lines().size() == flows);
  EVENTUALLY(client.open_flows() == 0);
  EVENTUALLY(store.open_flows() == 0);
  for (const AccessLine& line : at_client.lines()) {
    INFO(line.text);
    CHECK(line.cluster ==
          fmt::format("outbound|{}||{}.data.svc.cluster.local", port_of(run), service_name(run.ipv6)));
    CHECK(line.destination == service(port_of(run), run.ipv6).to_string());
    if (!resets(run.scenario)) CHECK(line.flags == "-");
  }
  for (const AccessLine& line : at_store.lines())
    CHECK(line.cluster == fmt::format("inbound|{}||", port_of(run)));
  for (const auto& [since, reporter] :
       {std::pair{&at_client, "source"}, std::pair{&at_store, "destination"}}) {
    CHECK(since->metric("istio_tcp_connections_opened_total", {{"reporter", reporter}}) == run.flows);
    CHECK(since->metric("istio_tcp_connections_closed_total", {{"reporter", reporter}}) == run.flows);
  }
  if (resets(run.scenario)) {
    // What was in flight when the RST came is lost, in a direct connection as well; that it came is what
    // counts.
    const bool from_client = run.scenario == Scenario::kClientReset;
    CHECK((from_client ? sent_by_server : sent_by_client)["resets"] == run.flows);
    return;
  }
  // The applications, the logs and the metrics agree to the byte.
  const auto up = sent_by_client["sent"].get<uint64_t>(), down = sent_by_client["received"].get<uint64_t>();
  CHECK(sent_by_server["received"] == up);
  CHECK(sent_by_server["sent"] == down);
  for (const auto& [since, reporter] :
       {std::pair{&at_client, "source"}, std::pair{&at_store, "destination"}}) {
    CHECK(since->received() == up);
    CHECK(since->sent() == down);
    CHECK(since->metric("istio_tcp_received_bytes_total", {{"reporter", reporter}}) ==
          static_cast<double>(up));
    CHECK(since->metric("istio_tcp_sent_bytes_total", {{"reporter", reporter}}) == static_cast<double>(down));
  }
}

int64_t TwoSidecars::lane_flows(const std::string& lane) {
  int64_t flows = -1;
  for (Agent* agent : {&client, &store}) {
    const nlohmann::json lanes = agent->ctl("status")["lanes"];
    for (const nlohmann::json& status : lanes) {
      if (status["lane"] != lane || !status["enabled"].get<bool>()) continue;
      flows = std::max<int64_t>(flows, 0) + status["flowsTotal"].get<int64_t>();
    }
  }
  return flows;
}

bool TwoSidecars::misses_lane() {
  const std::string lane = data_path_ == "sockmap" ? "sk_skb" : data_path_;
  if (data_path_ == "auto" || lane_flows(lane) >= 0) return false;
  skip_lane("lane " + lane + " is not available here: " + client.ctl("status")["lanes"].dump());
  return true;
}

nlohmann::json tally_of(const Process& process) {
  const std::string output = process.output();
  const auto lines = split(output, '\n', true);
  REQUIRE_FALSE(lines.empty());
  return nlohmann::json::parse(lines.back());
}

}  // namespace sockmesh::test
