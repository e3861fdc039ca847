#include "server/options.h"

#include <catch2/catch.hpp>
#include <map>

using namespace sockmesh;
using namespace sockmesh::server;
using namespace std::chrono_literals;

namespace {

using Variables = std::map<std::string, std::string>;

Parsed parse(std::vector<std::string> arguments, const Variables& variables = {}) {
  return parse_options(
      arguments,
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      8);
}

Options options(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), {"--config", "/etc/sockmesh"});
  const Parsed parsed = parse(arguments, variables);
  INFO(parsed.text);
  REQUIRE(parsed.options);
  return *parsed.options;
}

std::string refusal(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), {"--config", "/etc/sockmesh"});
  const Parsed parsed = parse(arguments, variables);
  REQUIRE_FALSE(parsed.options);
  CHECK(parsed.exit_code == 2);
  return parsed.text;
}

}  // namespace

TEST_CASE("defaults are Istio's") {
  const Options defaults = options({});
  CHECK(defaults.identity.role == config::Role::kSidecar);
  CHECK(defaults.run_dir == "/run/sockmesh");
  CHECK(defaults.workers == 2);
  CHECK(defaults.identity.ports.outbound == 15001);
  CHECK(defaults.identity.ports.inbound == 15006);
  CHECK(defaults.uid == 1337);
  CHECK(defaults.interception == Interception::kRedirect);
  CHECK(defaults.drain_duration == 5s);
  CHECK_FALSE(defaults.exit_on_zero_connections);
}

TEST_CASE("flags") {
  const Options chosen = options({"--role", "gateway", "--data-path", "epoll", "--workers", "3", "--ip",
                                  "10.0.0.1,fd00::1", "--outbound-port", "0", "--uid", "0",
                                  "--drain-duration", "0", "--interception-mode", "TPROXY"});
  CHECK(chosen.identity.role == config::Role::kGateway);
  CHECK(chosen.data_path == datapath::Mode::kEpoll);
  CHECK(chosen.workers == 3);
  CHECK(chosen.identity.ips.size() == 2);
  CHECK(chosen.identity.ports.outbound == 0);
  CHECK(chosen.uid == 0);
  CHECK(chosen.drain_duration == 0s);
  CHECK(chosen.identity.tproxy);
}

TEST_CASE("the environment of istio-proxy is understood, and flags win over it") {
  const Variables istio{{"POD_NAME", "web-0"},
                        {"POD_NAMESPACE", "shop"},
                        {"INSTANCE_IP", "10.1.2.3"},
                        {"ISTIO_META_NODE_NAME", "n1"},
                        {"ISTIO_META_CLUSTER_ID", "east"},
                        {"ISTIO_META_INTERCEPTION_MODE", "TPROXY"},
                        {"ISTIO_METAJSON_LABELS", R"({"app": "web", "n": 1})"},
                        {"ISTIO_CPU_LIMIT", "4"},
                        {"PROXY_CONFIG", R"({"terminationDrainDuration": "20s", "statusPort": 16020, )"
                                         R"("drainDuration": "1m"})"},
                        {"ISTIO_PROMETHEUS_ANNOTATIONS", R"({"scrape":"true"})"},
                        {"ISTIO_KUBE_APP_PROBERS", "{}"},
                        {"REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true"},
                        {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true"},
                        {"MINIMUM_DRAIN_DURATION", "7s"}};
  const Options from_environment = options({}, istio);
  CHECK(from_environment.identity.pod == "web-0");
  CHECK(from_environment.identity.ns == "shop");
  REQUIRE(from_environment.identity.ips.size() == 1);
  CHECK(from_environment.ips_from == "INSTANCE_IP");
  CHECK(from_environment.identity.node == "n1");
  CHECK(from_environment.identity.cluster_id == "east");
  CHECK(from_environment.identity.labels.at("app") == "web");
  CHECK(from_environment.interception == Interception::kTproxy);
  CHECK(from_environment.uid == 0);  // with TPROXY, as Istio
  CHECK(from_environment.gid == 1337);
  CHECK(from_environment.workers == 4);
  CHECK(from_environment.drain_duration == 20s);
  CHECK(from_environment.drain_time == 1min);
  CHECK(from_environment.app_annotations == R"({"scrape":"true"})");
  CHECK(from_environment.app_probers == "{}");
  CHECK(from_environment.probe_localhost);
  CHECK(from_environment.identity.ports.status == 16020);
  CHECK(from_environment.exit_on_zero_connections);
  CHECK(from_environment.minimum_drain == 7s);

  const Options flags_too = options({"--pod", "other", "--ip", "10.9.9.9", "--workers", "1"}, istio);
  CHECK(flags_too.identity.pod == "other");
  CHECK(flags_too.identity.ips.at(0).to_string() == "10.9.9.9");
  CHECK(flags_too.ips_from == "--ip");
  CHECK(flags_too.workers == 1);
}

TEST_CASE("JSON that cannot be read is not a reason to fail") {
  CHECK(options({}, {{"PROXY_CONFIG", "{"}, {"ISTIO_METAJSON_LABELS", "[1]"}}).drain_duration == 5s);
}

TEST_CASE("what says the addresses is named") {
  const Options both = options({}, {{"INSTANCE_IP", "10.1.2.3"}, {"INSTANCE_IPS", "10.1.2.3,fd00::1"}});
  CHECK(both.ips_from == "INSTANCE_IPS");
  CHECK(both.identity.ips.size() == 2);
  CHECK(options({}).ips_from.empty());
  const Parsed wrong = parse({"--config", "x"}, {{"INSTANCE_IP", "10.1.2"}});
  CHECK(wrong.text.find("INSTANCE_IP '10.1.2'") != std::string::npos);
}

TEST_CASE("mistakes name the flag and quote the value") {
  CHECK(refusal({"--ip", "10.0.0"}).find("--ip '10.0.0'") != std::string::npos);
  CHECK(refusal({"--workers", "many"}).find("--workers 'many'") != std::string::npos);
  CHECK(refusal({"--workers", "1000"}).find("--workers '1000'") != std::string::npos);
  CHECK(refusal({"--drain-duration", "soon"}).find("--drain-duration 'soon'") != std::string::npos);
  CHECK(refusal({"--role", "waypoint"}).find("waypoint") != std::string::npos);
  CHECK(refusal({"--data-path", "fast"}).find("fast") != std::string::npos);
  CHECK(refusal({"--outbound-port", "70000"}).find("--outbound-port") != std::string::npos);
  CHECK(refusal({"--nonsense"}).find("--nonsense") != std::string::npos);
  CHECK_FALSE(parse({}).options);  // no folder
}

TEST_CASE("help and version are answers, not mistakes") {
  const Parsed help = parse({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.text.find("--interception-mode") != std::string::npos);
  CHECK(parse({"--version"}).exit_code == 0);
}

TEST_CASE("an agent disturbs itself only when it is told to, and --help does not say how") {
  CHECK_FALSE(options({}).disturbance);
  const Options chosen = options({"--disturb", "seed=3,delay=5%,limit=2"});
  REQUIRE(chosen.disturbance);
  CHECK(to_string(*chosen.disturbance) == "seed=3,delay=5%,longest=500us,flip=0%,limit=2");
  CHECK(refusal({"--disturb", "delay=5"}) == "--disturb 'delay=5': expected a share, 0% to 100%\n");
  CHECK(parse({"--help"}).text.find("disturb") == std::string::npos);
}

TEST_CASE("lanes of the application's sockets: which, where, and what the rules capture") {
  const Options defaults = options({});
  CHECK(defaults.app_lanes == AppLaneChoice::kDirect);
  CHECK(defaults.direct_mark.value == 0x20000000);
  CHECK(defaults.direct_mark.mask == 0x20000000);
  CHECK(defaults.direct_pins.empty());
  CHECK(defaults.captured.included_ranges.empty());  // all

  const Options chosen =
      options({"--app-lanes", "off", "--pod-cgroup", "/sys/fs/cgroup/pod", "--direct-mark", "0x100/0x300",
               "--direct-pins", "/sys/fs/bpf/pod", "-i", "10.0.0.0/8,fd00::/8", "-x", "10.1.0.0/16", "-q",
               "9000", "-o", "5432,6379"});
  CHECK(chosen.app_lanes == AppLaneChoice::kOff);
  CHECK(chosen.pod_cgroup == "/sys/fs/cgroup/pod");
  CHECK(chosen.direct_mark.value == 0x100);
  CHECK(chosen.direct_mark.mask == 0x300);
  CHECK(chosen.direct_pins == "/sys/fs/bpf/pod");
  CHECK(chosen.captured.included_ranges.size() == 2);
  CHECK(chosen.captured.excluded_ranges == std::vector{Prefix::parse("10.1.0.0/16").value()});
  CHECK(chosen.captured.included_ports == std::vector<uint16_t>{9000});
  CHECK(chosen.captured.excluded_ports == std::vector<uint16_t>{5432, 6379});
  // No block at all: nothing is captured by its address.
  CHECK_FALSE(options({"-i", ""}).captured.included_ranges.empty());
  CHECK(options({}, {{"DIRECT_MARK", "64"}}).direct_mark.mask == 64);

  CHECK(refusal({"--app-lanes", "sometimes"}).find("sometimes") != std::string::npos);
  for (const char* mark : {"0", "0x", "1/2", "red", "0x100000000", "1/"})
    CHECK(refusal({"--direct-mark", mark}).find(std::string("--direct-mark '") + mark + "'") !=
          std::string::npos);
  CHECK(refusal({"-x", "10.0.0.0/33"}).find("--istio-service-exclude-cidr '10.0.0.0/33'") !=
        std::string::npos);
  CHECK(refusal({"-o", "0"}).find("--istio-local-outbound-ports-exclude '0'") != std::string::npos);
}
