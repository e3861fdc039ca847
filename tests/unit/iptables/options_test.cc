// Defaults, precedence and grammar of the flags. The words of refusals are golden files
// (tests/golden/iptables).
#include "iptables/options.h"

#include <catch2/catch.hpp>
#include <map>

namespace sockmesh::iptables {

namespace {

CommandLine parse(const std::vector<std::string>& args,
                  const std::map<std::string, std::string>& variables = {}) {
  const auto line = parse_command_line(args, [&](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
  INFO((line ? std::string() : line.error().message));
  REQUIRE(line);
  return *line;
}

using Ports = std::vector<uint16_t>;
using Ids = std::vector<uint32_t>;

}  // namespace

TEST_CASE("defaults are Istio's") {
  const Options options = parse({}).options;
  CHECK(options.proxy_port == 15001);
  CHECK(options.inbound_port == 15006);
  CHECK(options.tunnel_port == 15008);
  CHECK(options.tproxy_mark == 1337);
  CHECK(options.tproxy_table == 133);
  CHECK(options.probe_port == 15002);
  CHECK(options.probe_timeout == std::chrono::seconds(5));
  CHECK(options.owner_groups.all);
  CHECK(options.loopback_cidr.to_string() == "127.0.0.1/32");
  CHECK(options.inbound_ports.empty());
  CHECK(options.outbound_cidrs.empty());
  CHECK(options.envoy_user == "istio-proxy");
  CHECK(!options.direct_mark);
  CHECK(options.direct_pins.empty());
}

TEST_CASE("a mark is a direct connection's, or one of TPROXY's") {
  const auto refused = [](const std::vector<std::string>& args) {
    return !parse_command_line(args, [](const std::string&) { return std::nullopt; });
  };
  // 1337 is 0x539, 1338 0x53a.
  for (const char* mark : {"1337", "1338", "1", "2", "0x100/0x300", "0x539/0x2000ffff"}) {
    CAPTURE(mark);
    CHECK(refused({"-m", "TPROXY", "--direct-mark", mark}));
    CHECK(!refused({"--direct-mark", mark}));
  }
  for (const char* mark : {"0x20000000", "4", "0x200/0x300", "1339"}) {
    CAPTURE(mark);
    CHECK(!refused({"-m", "TPROXY", "--direct-mark", mark}));
  }
  CHECK(refused({"-m", "TPROXY", "-t", "536870913", "--direct-mark", "0x20000000"}));
  CHECK(!refused({"-m", "TPROXY", "-t", "7", "--direct-mark", "0x539/0xfff"}));  // 1337 is nobody's then
  CHECK(!parse({"--direct-mark", ""}, {{"DIRECT_MARK", "7"}}).options.direct_mark);
}

TEST_CASE("every flag has its short form and its variable") {
  struct Row {
    const char* letter;
    const char* flag;
    const char* variable;
    const char* value;
    std::function<bool(const Options&)> set;
  };
  const Row rows[] = {
      {"-p", "--envoy-port", nullptr, "16001", [](const Options& o) { return o.proxy_port == 16001; }},
      {"-z", "--inbound-capture-port", "INBOUND_CAPTURE_PORT", "2",
       [](const Options& o) { return o.inbound_port == 2; }},
      {"-e", "--inbound-tunnel-port", "INBOUND_TUNNEL_PORT", "3",
       [](const Options& o) { return o.tunnel_port == 3; }},
      {"-u", "--proxy-uid", "PROXY_UID", "4,0,",
       [](const Options& o) {
         return o.proxy_uids == Ids{4, 0};
       }},
      {"-g", "--proxy-gid", "PROXY_GID", "5", [](const Options& o) { return o.proxy_gids == Ids{5}; }},
      {"-m", "--istio-inbound-interception-mode", "ISTIO_INBOUND_INTERCEPTION_MODE", "TPROXY",
       [](const Options& o) { return o.tproxy; }},
      {"-b", "--istio-inbound-ports", "ISTIO_INBOUND_PORTS", "*",
       [](const Options& o) { return o.inbound_ports.all; }},
      {"-d", "--istio-local-exclude-ports", "ISTIO_LOCAL_EXCLUDE_PORTS", ",6,,7,",
       [](const Options& o) {
         return o.inbound_ports_exclude == Ports{6, 7};
       }},
      {"-c", "--istio-exclude-interfaces", "ISTIO_EXCLUDE_INTERFACES", "eth0",
       [](const Options& o) { return o.exclude_interfaces.size() == 1; }},
      {"-i", "--istio-service-cidr", "ISTIO_SERVICE_CIDR", "10.0.0.0/8,fd00::/8",
       [](const Options& o) { return o.outbound_cidrs.list.size() == 2; }},
      {"-x", "--istio-service-exclude-cidr", "ISTIO_SERVICE_EXCLUDE_CIDR", "10.0.0.0/8",
       [](const Options& o) { return o.outbound_cidrs_exclude.size() == 1; }},
      {"-q", "--istio-outbound-ports", "ISTIO_OUTBOUND_PORTS", "8",
       [](const Options& o) { return o.outbound_ports == Ports{8}; }},
      {"-o", "--istio-local-outbound-ports-exclude", "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", "9",
       [](const Options& o) { return o.outbound_ports_exclude == Ports{9}; }},
      {"-k", "--kube-virt-interfaces", "KUBE_VIRT_INTERFACES", "net1",
       [](const Options& o) { return o.virtual_interfaces.size() == 1; }},
      {"-t", "--istio-inbound-tproxy-mark", "ISTIO_INBOUND_TPROXY_MARK", "10",
       [](const Options& o) { return o.tproxy_mark == 10; }},
      {"-r", "--istio-inbound-tproxy-route-table", "ISTIO_INBOUND_TPROXY_ROUTE_TABLE", "11",
       [](const Options& o) { return o.tproxy_table == 11; }},
      {nullptr, "--iptables-probe-port", "IPTABLES_PROBE_PORT", "12",
       [](const Options& o) { return o.probe_port == 12; }},
      {nullptr, "--probe-timeout", "PROBE_TIMEOUT", "1m1s",
       [](const Options& o) { return o.probe_timeout == std::chrono::seconds(61); }},
      {nullptr, "--network-namespace", "NETWORK_NAMESPACE", "/n",
       [](const Options& o) { return o.network_namespace == "/n"; }},
      {nullptr, "--force-iptables-binary", "FORCE_IPTABLES_BINARY", "nft",
       [](const Options& o) { return o.binary == BinaryChoice::kNft; }},
      {nullptr, nullptr, "ISTIO_OUTBOUND_OWNER_GROUPS", "java,202",
       [](const Options& o) { return !o.owner_groups.all && o.owner_groups.list.size() == 2; }},
      {nullptr, nullptr, "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "888",
       [](const Options& o) { return o.owner_groups_exclude.size() == 1; }},
      {nullptr, nullptr, "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1/8",
       [](const Options& o) { return o.loopback_cidr.to_string() == "127.0.0.1/8"; }},
      {nullptr, nullptr, "ENVOY_USER", "me", [](const Options& o) { return o.envoy_user == "me"; }},
      {nullptr, nullptr, "DRY_RUN_FILE_PATH", "/f", [](const Options& o) { return o.dry_run_file == "/f"; }},
      {nullptr, "--direct-mark", "DIRECT_MARK", "0x100/768",
       [](const Options& o) {
         return o.direct_mark == PacketMark{0x100, 0x300};
       }},
      {nullptr, "--direct-pins", "DIRECT_PINS", "/sys/fs/bpf/pod",
       [](const Options& o) { return o.direct_pins == "/sys/fs/bpf/pod"; }},
      {nullptr, "--host-ip", nullptr, "10.0.0.1,fd00::1",
       [](const Options& o) { return o.host_ips.size() == 2; }},
      {nullptr, "--resolv-conf", nullptr, "/r", [](const Options& o) { return o.resolv_conf == "/r"; }},
  };
  for (const Row& row : rows) {
    const std::string value = row.value;
    INFO((row.flag ? row.flag : row.variable));
    if (row.letter) {
      CHECK(row.set(parse({row.letter, value}).options));
      CHECK(row.set(parse({row.letter + value}).options));
      CHECK(row.set(parse({row.letter + ("=" + value)}).options));
    }
    if (row.flag) {
      CHECK(row.set(parse({row.flag, value}).options));
      CHECK(row.set(parse({row.flag + ("=" + value)}).options));
    }
    if (row.variable) CHECK(row.set(parse({}, {{row.variable, value}}).options));
  }
}

TEST_CASE("booleans") {
  const std::pair<const char*, bool Options::*> rows[] = {
      {"dry-run", &Options::dry_run},
      {"skip-rule-apply", &Options::skip_rule_apply},
      {"run-validation", &Options::run_validation},
      {"redirect-dns", &Options::redirect_dns},
      {"capture-all-dns", &Options::capture_all_dns},
      {"drop-invalid", &Options::drop_invalid},
      {"dual-stack", &Options::dual_stack},
      {"cni-mode", &Options::cni_mode},
      {"reconcile", &Options::reconcile},
      {"cleanup-only", &Options::cleanup_only},
      {"force-apply", &Options::force_apply},
      {"native-nftables", &Options::native_nftables},
  };
  for (const auto& [name, member] : rows) {
    INFO(name);
    const std::string flag = std::string("--") + name;
    std::string variable(name);
    for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
    CHECK_FALSE(parse({}).options.*member);
    CHECK(parse({flag}).options.*member);
    CHECK(parse({flag + "=T"}).options.*member);
    CHECK_FALSE(parse({flag + "=0"}).options.*member);
    CHECK(parse({}, {{variable, "true"}}).options.*member);
    CHECK_FALSE(parse({flag + "=false"}, {{variable, "true"}}).options.*member);
    // A boolean takes no word after it.
    CHECK(parse({flag, "false"}).options.*member);
  }
  CHECK(parse({"-n"}).options.dry_run);
  CHECK(parse({"-np", "7"}).options.proxy_port == 7);
}

TEST_CASE("precedence: variable, second variable, flag; the last flag wins") {
  CHECK(parse({}, {{"REDIRECT_DNS", "true"}, {"ISTIO_META_DNS_CAPTURE", "false"}}).options.redirect_dns ==
        false);
  CHECK(parse({}, {{"DROP_INVALID", "false"}, {"INVALID_DROP", "true"}}).options.drop_invalid);
  CHECK(parse({}, {{"DUAL_STACK", "true"}, {"ISTIO_DUAL_STACK", "junk"}}).options.dual_stack);
  CHECK(parse({"-b", "80"}, {{"ISTIO_INBOUND_PORTS", "*"}}).options.inbound_ports.list == Ports{80});
  CHECK(parse({"-b", "*", "-b", "80"}).options.inbound_ports.all == false);
  // Set but empty is a value.
  CHECK(parse({}, {{"ISTIO_OUTBOUND_OWNER_GROUPS", ""}}).options.owner_groups.empty());
}

TEST_CASE("DNS is captured only where somebody serves it") {
  const std::map<std::string, std::string> mesh_wide{{"ISTIO_META_DNS_CAPTURE", "true"}};
  struct Row {
    std::vector<std::string> args;
    std::map<std::string, std::string> variables;
    bool refused, captured, warned;
  };
  const Row rows[] = {
      {{}, {}, false, false, false},
      {{"--redirect-dns"}, {}, true, false, false},
      {{"check", "--redirect-dns"}, {}, true, false, false},
      {{}, {{"REDIRECT_DNS", "true"}}, true, false, false},
      {{"--redirect-dns", "--dns-served"}, {}, false, true, false},
      {{"--redirect-dns", "--cleanup-only"}, {}, false, true, false},
      {{}, mesh_wide, false, false, true},
      {{"check"}, mesh_wide, false, false, true},
      {{"--dns-served"}, mesh_wide, false, true, false},
      {{"--cleanup-only"}, mesh_wide, false, true, false},
      {{"--redirect-dns"}, mesh_wide, true, false, false},  // a flag wins over its variables
      {{"--redirect-dns=false"}, mesh_wide, false, false, false},
      {{"--dns-served"}, {}, false, false, false},
  };
  for (const Row& row : rows) {
    CommandLine line = parse(row.args, row.variables);
    CAPTURE(row.args, row.variables);
    const auto settled = settle_dns_capture(line);
    CHECK(settled.has_value() == !row.refused);
    CHECK(line.warnings.size() == (row.warned ? 1u : 0u));
    if (settled) CHECK(line.options.redirect_dns == row.captured);
  }
}

TEST_CASE("unknown flags take a word with them unless it is a flag") {
  const auto line = parse({"--new", "-b", "80", "--newer", "x", "-Z", "y", "--last"});
  CHECK(line.options.inbound_ports.list == Ports{80});
  CHECK(line.warnings.size() == 4);
  CHECK(parse({"--log_output_level=all:debug", "--log_as_json"}).warnings.empty());
}

TEST_CASE("commands") {
  CHECK(parse({"istio-iptables", "-n"}).command == Command::kApply);
  CHECK(parse({"check", "-b", "*"}).command == Command::kCheck);
  CHECK(parse({"istio-iptables", "explain"}).command == Command::kExplain);
  CHECK(parse({"-h"}).command == Command::kHelp);
  const auto line =
      parse({"trace", "10.0.0.1", "--uid", "5", "10.0.0.2", "--udp", "53", "--interface", "net1"});
  CHECK(line.command == Command::kTrace);
  CHECK(line.trace.uid == 5);
  CHECK(line.trace.udp);
  CHECK(line.trace.port == 53);
  CHECK(line.trace.interface == "net1");
}

}  // namespace sockmesh::iptables
