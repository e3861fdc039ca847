#include "server/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sockmesh::server {

namespace {

using config::Role;
using datapath::Mode;

// More threads than this help nobody: two carry what a pod sends (tools/bench/README.md).
constexpr unsigned kDefaultWorkers = 2;
constexpr unsigned kMaxWorkers = 64;

const std::map<std::string, Role> kRoles{{to_string(Role::kSidecar), Role::kSidecar},
                                         {to_string(Role::kGateway), Role::kGateway}};
const std::map<std::string, Interception> kInterceptions{
    {"REDIRECT", Interception::kRedirect}, {"TPROXY", Interception::kTproxy}, {"NONE", Interception::kNone}};
const std::map<std::string, Mode> kModes{{"auto", Mode::kAuto},
                                         {"sockmap", Mode::kSockmap},
                                         {"io_uring", Mode::kIoUring},
                                         {"epoll", Mode::kEpoll}};

const std::map<std::string, AppLaneChoice> kAppLanes{
    {"off", AppLaneChoice::kOff}, {"direct", AppLaneChoice::kDirect}, {"all", AppLaneChoice::kAll}};

// What flags give as text and values take from it once all sources were heard.
struct Texts {
  std::vector<std::string> ips;
  std::string drain = "5s", minimum_drain = "5s", drain_time = "45s";
  std::string workers;
  std::string disturbance;
  // As sockmesh-init takes them.
  std::string direct_mark, service_cidr = "*", exclude_cidr, outbound_ports, exclude_ports;
};

std::string first_of(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = environment(name); value != nullptr && *value != '\0') return value;
  return "";
}

void from_environment(CLI::App& app, const Environment& environment, Options& options, Texts& texts) {
  const auto absent = [&](const char* flag) { return app.get_option(flag)->count() == 0; };
  const auto take = [&](const char* flag, std::string& into, std::initializer_list<const char*> names) {
    if (!absent(flag)) return;
    if (std::string value = first_of(environment, names); !value.empty()) into = std::move(value);
  };
  take("--pod", options.identity.pod, {"POD_NAME"});
  take("--namespace", options.identity.ns, {"POD_NAMESPACE"});
  take("--node", options.identity.node, {"ISTIO_META_NODE_NAME", "NODE_NAME"});
  take("--cluster-id", options.identity.cluster_id, {"ISTIO_META_CLUSTER_ID"});
  take("--workers", texts.workers, {"ISTIO_CPU_LIMIT"});
  take("--direct-mark", texts.direct_mark, {"DIRECT_MARK"});
  take("--istio-service-cidr", texts.service_cidr, {"ISTIO_SERVICE_CIDR"});
  take("--istio-service-exclude-cidr", texts.exclude_cidr, {"ISTIO_SERVICE_EXCLUDE_CIDR"});
  take("--istio-outbound-ports", texts.outbound_ports, {"ISTIO_OUTBOUND_PORTS"});
  take("--istio-local-outbound-ports-exclude", texts.exclude_ports, {"ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"});
  take("--minimum-drain-duration", texts.minimum_drain, {"MINIMUM_DRAIN_DURATION"});
  options.app_annotations = first_of(environment, {"ISTIO_PROMETHEUS_ANNOTATIONS"});
  options.app_probers = first_of(environment, {"ISTIO_KUBE_APP_PROBERS"});
  options.probe_localhost = first_of(environment, {"REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"}) == "true";
  if (!absent("--ip")) options.ips_from = "--ip";
  for (const char* name : {"INSTANCE_IPS", "INSTANCE_IP"}) {
    if (!options.ips_from.empty()) break;
    const std::string ips = first_of(environment, {name});
    if (ips.empty()) continue;
    texts.ips = {ips};
    options.ips_from = name;
  }
  if (absent("--exit-on-zero-connections"))
    options.exit_on_zero_connections = first_of(environment, {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS"}) == "true";
  if (absent("--interception-mode")) {
    const auto mode = kInterceptions.find(first_of(environment, {"ISTIO_META_INTERCEPTION_MODE"}));
    if (mode != kInterceptions.end()) options.interception = mode->second;
  }
}

// ISTIO_METAJSON_LABELS: the pod's labels, {"app": "web"}. PROXY_CONFIG: Istio's ProxyConfig as JSON. What
// cannot be read in them is left at its default: they are written for istio-proxy, not for us.
void from_json_environment(const CLI::App& app, const Environment& environment, Options& options,
                           Texts& texts) {
  const auto json_of = [&](const char* name) {
    auto json = nlohmann::json::parse(first_of(environment, {name}), nullptr, false);
    return json.is_object() ? json : nlohmann::json::object();
  };
  const nlohmann::json labels = json_of("ISTIO_METAJSON_LABELS");
  for (const auto& [label, value] : labels.items())
    if (value.is_string()) options.identity.labels[label] = value.get<std::string>();

  const nlohmann::json proxy = json_of("PROXY_CONFIG");
  const auto absent = [&](const char* flag) { return app.get_option(flag)->count() == 0; };
  const auto duration = [&](const char* key, const char* flag, std::string& into) {
    if (absent(flag) && proxy.contains(key) && proxy[key].is_string()) into = proxy[key].get<std::string>();
  };
  duration("terminationDrainDuration", "--drain-duration", texts.drain);
  duration("drainDuration", "--drain-time", texts.drain_time);
  if (proxy.contains("concurrency") && proxy["concurrency"].is_number_unsigned() && texts.workers.empty())
    texts.workers = std::to_string(proxy["concurrency"].get<unsigned>());
  const auto port = [&](const char* key, const char* flag, uint16_t& into) {
    if (!absent(flag) || !proxy.contains(key) || !proxy[key].is_number_unsigned()) return;
    const auto number = proxy[key].get<uint64_t>();
    if (number > 0 && number <= 65535) into = static_cast<uint16_t>(number);
  };
  port("proxyAdminPort", "--admin-port", options.identity.ports.admin);
  port("statusPort", "--status-port", options.identity.ports.status);
}

Result<std::vector<Prefix>> parse_blocks(std::string_view flag, const std::string& text) {
  std::vector<Prefix> blocks;
  for (const std::string_view one : split(text, ',', true)) {
    auto block = Prefix::parse(trim(one));
    if (!block) return fail("{} '{}': expected CIDR blocks, separated by commas", flag, text);
    blocks.push_back(*block);
  }
  return blocks;
}

Result<std::vector<uint16_t>> parse_ports(std::string_view flag, const std::string& text) {
  std::vector<uint16_t> ports;
  for (const std::string_view one : split(text, ',', true)) {
    const auto port = parse_number<uint16_t>(trim(one));
    if (!port || *port == 0) return fail("{} '{}': expected ports, separated by commas", flag, text);
    ports.push_back(*port);
  }
  return ports;
}

// What the rules capture, in sockmesh-init's words.
Result<void> settle_captured(const Texts& texts, Options& options) {
  if (!texts.direct_mark.empty()) {
    const auto mark = PacketMark::parse(texts.direct_mark);
    if (!mark) return fail("--direct-mark '{}': {}", texts.direct_mark, mark.error().message);
    options.direct_mark = *mark;
  }
  model::DirectTerms& captured = options.captured;
  if (texts.service_cidr.empty()) {
    captured.included_ranges = {Prefix::parse("0.0.0.0/32").value()};  // none: nobody can connect there
  } else if (texts.service_cidr != "*") {
    SOCKMESH_TRY(blocks, parse_blocks("--istio-service-cidr", texts.service_cidr));
    captured.included_ranges = std::move(blocks);
  }
  SOCKMESH_TRY(excluded, parse_blocks("--istio-service-exclude-cidr", texts.exclude_cidr));
  captured.excluded_ranges = std::move(excluded);
  SOCKMESH_TRY(ports, parse_ports("--istio-outbound-ports", texts.outbound_ports));
  captured.included_ports = std::move(ports);
  SOCKMESH_TRY(excluded_ports, parse_ports("--istio-local-outbound-ports-exclude", texts.exclude_ports));
  captured.excluded_ports = std::move(excluded_ports);
  return {};
}

Result<void> settle(const Texts& texts, unsigned cores, bool uid_chosen, Options& options) {
  for (const std::string& list : texts.ips) {
    for (const std::string_view text : split(list, ',', true)) {
      auto ip = IpAddress::parse(trim(text));
      if (!ip) return fail("{} '{}': expected IP addresses, separated by commas", options.ips_from, list);
      options.identity.ips.push_back(*ip);
    }
  }
  options.workers = std::clamp(cores, 1u, kDefaultWorkers);
  if (!texts.workers.empty()) {
    const auto workers = parse_number<unsigned>(texts.workers);
    if (!workers || *workers > kMaxWorkers)
      return fail("--workers '{}': expected a number, 1 to {}, or 0 for the default", texts.workers,
                  kMaxWorkers);
    if (*workers > 0) options.workers = *workers;
  }
  const auto drain = parse_duration(texts.drain);
  if (!drain) return fail("--drain-duration '{}': {}", texts.drain, drain.error().message);
  options.drain_duration = *drain;
  const auto minimum = parse_duration(texts.minimum_drain);
  if (!minimum)
    return fail("--minimum-drain-duration '{}': {}", texts.minimum_drain, minimum.error().message);
  options.minimum_drain = *minimum;
  const auto time = parse_duration(texts.drain_time);
  if (!time) return fail("--drain-time '{}': {}", texts.drain_time, time.error().message);
  options.drain_time = *time;
  if (!texts.disturbance.empty()) {
    const auto disturbance = parse_disturbance(texts.disturbance);
    if (!disturbance) return fail("--disturb {}", disturbance.error().message);
    options.disturbance = *disturbance;
  }
  SOCKMESH_CHECK(settle_captured(texts, options));
  options.identity.tproxy = options.interception == Interception::kTproxy;
  // Istio's too (docs/istio.md#the-injected-pod): what uid 1337 sends over lo is redirected to the inbound
  // port, and in this mode that would be our own connections to the application. By gid 1337 we are still
  // known as the proxy.
  if (options.identity.tproxy && !uid_chosen) options.uid = 0;
  return {};
}

// --- the flags, a group of --help each ---

void declare_main(CLI::App& app, Options& options, Texts& texts) {
  app.set_version_flag("--version", SOCKMESH_VERSION);
  app.add_option("--role", options.identity.role, "sidecar: one pod's traffic; gateway: Gateway resources")
      ->transform(CLI::CheckedTransformer(kRoles));
  app.add_option("--config", options.config_folder, "folder of manifests, watched")->required();
  app.add_option("--run-dir", options.run_dir, "admin socket and pid file")->capture_default_str();
  app.add_option("--data-path", options.data_path, "auto, sockmap, io_uring or epoll")
      ->transform(CLI::CheckedTransformer(kModes));
  app.add_option("--workers", texts.workers,
                 "threads that carry traffic; default: min(cores, 2) [ISTIO_CPU_LIMIT]");
}

void declare_identity(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--pod", options.identity.pod, "this pod's name [POD_NAME]")->group("Identity");
  app.add_option("--namespace", options.identity.ns, "this pod's namespace [POD_NAMESPACE]")
      ->group("Identity");
  app.add_option(
         "--ip", texts.ips,
         "this pod's addresses, comma separated, and no others [INSTANCE_IPS, INSTANCE_IP: and those of its "
         "interfaces]")
      ->group("Identity");
  app.add_option("--node", options.identity.node, "[ISTIO_META_NODE_NAME, NODE_NAME]")->group("Identity");
  app.add_option("--cluster-id", options.identity.cluster_id, "[ISTIO_META_CLUSTER_ID]")
      ->capture_default_str()
      ->group("Identity");
}

void declare_ports(CLI::App& app, Options& options) {
  app.add_option("--interception-mode", options.interception,
                 "REDIRECT, TPROXY or NONE [ISTIO_META_INTERCEPTION_MODE]")
      ->transform(CLI::CheckedTransformer(kInterceptions, CLI::ignore_case))
      ->group("Ports");
  const auto port = [&](const char* flag, uint16_t& value, const char* text) {
    app.add_option(flag, value, text)->capture_default_str()->group("Ports");
  };
  port("--outbound-port", options.identity.ports.outbound, "outbound capture");
  port("--inbound-port", options.identity.ports.inbound, "inbound capture");
  port("--admin-port", options.identity.ports.admin, "admin, loopback only");
  port("--status-port", options.identity.ports.status, "readiness and merged metrics");
  port("--readiness-port", options.identity.ports.readiness, "readiness");
  port("--metrics-port", options.identity.ports.metrics, "Prometheus");
}

void declare_app_lanes(CLI::App& app, Options& options, Texts& texts) {
  const char* group = "Lanes of the application's own sockets";
  app.add_option("--app-lanes", options.app_lanes,
                 "off, direct or all; off by itself where the kernel, the cgroup "
                 "or the rules are not fit for it")
      ->transform(CLI::CheckedTransformer(kAppLanes))
      ->group(group);
  app.add_option("--pod-cgroup", options.pod_cgroup,
                 "the pod's cgroup v2 folder; default: the parent of the agent's own, if that is a pod's")
      ->group(group);
  app.add_option(
         "--direct-mark", texts.direct_mark,
         "mark of direct connections, as sockmesh-init was given it; default: 0x20000000 [DIRECT_MARK]")
      ->group(group);
  app.add_option("--direct-pins", options.direct_pins,
                 "folder of bpffs, one a pod, in which the direct lane outlives the agent; default: none")
      ->group(group);
  const auto rules = [&](const char* flag, std::string& text, const char* about) {
    app.add_option(flag, text, about)->group("What the pod's rules capture, as sockmesh-init was told");
  };
  rules("-i,--istio-service-cidr", texts.service_cidr, "outbound CIDR blocks that are captured, '*' for all");
  rules("-x,--istio-service-exclude-cidr", texts.exclude_cidr, "those that are not");
  rules("-q,--istio-outbound-ports", texts.outbound_ports, "outbound ports that are, whatever the address");
  rules("-o,--istio-local-outbound-ports-exclude", texts.exclude_ports, "outbound ports that are not");
}

void declare_process(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--uid", options.uid, "user to become; with TPROXY 0, as Istio")
      ->capture_default_str()
      ->group("Process");
  app.add_option("--gid", options.gid, "group to become")->capture_default_str()->group("Process");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->capture_default_str()
      ->group("Process");
  app.add_option("--max-connections", options.max_connections,
                 "connections to carry at most; 0: half of the descriptor limit")
      ->group("Process");
  app.add_option("--drain-duration", texts.drain, "how long to serve on after SIGTERM [PROXY_CONFIG]")
      ->capture_default_str()
      ->group("Process");
  app.add_flag("--exit-on-zero-connections", options.exit_on_zero_connections,
               "after SIGTERM wait until nobody is connected [EXIT_ON_ZERO_ACTIVE_CONNECTIONS]")
      ->group("Process");
  app.add_option("--minimum-drain-duration", texts.minimum_drain, "then, at least [MINIMUM_DRAIN_DURATION]")
      ->capture_default_str()
      ->group("Process");
  app.add_option("--drain-time", texts.drain_time,
                 "asked to drain gracefully, how long to take new connections [PROXY_CONFIG]")
      ->capture_default_str()
      ->group("Process");
}

void declare_dns(CLI::App& app, Options& options) {
  app.add_option("--resolv-conf", options.resolv_conf, "instead of /etc/resolv.conf")->group("DNS");
  app.add_option("--dns-servers", options.dns_servers, "addresses with ports, instead of resolv.conf's")
      ->group("DNS");
}

}  // namespace

const char* to_string(Interception mode) {
  switch (mode) {
    case Interception::kRedirect:
      return "REDIRECT";
    case Interception::kTproxy:
      return "TPROXY";
    case Interception::kNone:
      return "NONE";
  }
  return "?";
}

const char* to_string(AppLaneChoice choice) {
  switch (choice) {
    case AppLaneChoice::kOff:
      return "off";
    case AppLaneChoice::kDirect:
      return "direct";
    case AppLaneChoice::kAll:
      return "all";
  }
  return "?";
}

Parsed parse_options(const std::vector<std::string>& arguments, const Environment& environment,
                     unsigned cores) {
  Parsed parsed;
  Options options;
  Texts texts;
  CLI::App app("Carries a pod's TCP traffic the way an Istio sidecar does.", "sockmesh-agent");
  declare_main(app, options, texts);
  declare_identity(app, options, texts);
  declare_ports(app, options);
  declare_process(app, options, texts);
  declare_app_lanes(app, options, texts);
  declare_dns(app, options);
  app.add_option("--disturb", texts.disturbance)->group("");

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    parsed.exit_code = app.exit(error, out, err) == 0 ? 0 : 2;
    parsed.text = out.str() + err.str();
    return parsed;
  }
  from_environment(app, environment, options, texts);
  from_json_environment(app, environment, options, texts);
  if (const auto settled = settle(texts, cores, app.get_option("--uid")->count() > 0, options); !settled) {
    parsed.text = settled.error().message + "\n";
    parsed.exit_code = 2;
    return parsed;
  }
  parsed.options = std::move(options);
  return parsed;
}

}  // namespace sockmesh::server
