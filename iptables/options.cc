#include "iptables/options.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <span>

#include "base/strings.h"
#include "iptables/capture.h"
#include "iptables/values.h"

namespace sockmesh::iptables {

namespace {

// Kernel and iptables limit the matches of one rule, and the include list becomes one rule.
constexpr size_t kMaxOwnerGroups = 64;

constexpr std::string_view kDnsCaptureVariable = "ISTIO_META_DNS_CAPTURE";

// Text is validated when everything is known; the other kinds are parsed by Istio's flag library itself,
// which drops an environment value it cannot parse.
enum class Kind : uint8_t { kText, kBoolean, kNumber, kDuration };

// Where a name may be given.
enum class Where : uint8_t { kFlagAndEnv, kFlagOnly, kEnvOnly, kTraceOnly };

struct Setting {
  std::string_view name;  // of the flag, or of the variable if env_only
  char letter;            // short form, or 0
  Kind kind;
  Where where;
  std::string_view also_env;  // a second variable that overrides the first, or empty
  Result<void> (*set)(CommandLine& line, std::string_view label, std::string_view text);
  std::string_view help;
};

// A setter that stores what `Read` makes of the text.
template <auto Member, auto Read>
Result<void> store(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(value, Read(label, text));
  line.options.*Member = std::move(value);
  return {};
}

template <auto Member>
Result<void> store_text(CommandLine& line, std::string_view, std::string_view text) {
  line.options.*Member = std::string(text);
  return {};
}

// "*", or a list.
template <auto Member, auto Read>
Result<void> store_selection(CommandLine& line, std::string_view label, std::string_view text) {
  auto& selection = line.options.*Member;
  selection.all = text == "*";
  selection.list.clear();
  if (selection.all) return {};
  SOCKMESH_TRY(list, Read(label, text));
  selection.list = std::move(list);
  return {};
}

// Ids; an empty text asks for the default, but a list of nothing but commas would leave the proxy's own
// traffic captured for ever.
template <auto Member>
Result<void> store_ids(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(ids, read_ids(label, text));
  if (ids.empty() && !text.empty()) return fail("{} '{}': expected at least one number", label, text);
  line.options.*Member = std::move(ids);
  return {};
}

template <size_t Limit>
Result<std::vector<std::string>> read_groups_up_to(std::string_view label, std::string_view text) {
  return read_groups(label, text, Limit);
}

Result<void> store_mode(CommandLine& line, std::string_view label, std::string_view text) {
  line.options.tproxy = text == "TPROXY";
  if (text != "TPROXY" && text != "REDIRECT" && !text.empty())
    line.warnings.push_back(
        fmt::format("{} '{}': expected REDIRECT or TPROXY, taken as REDIRECT", label, text));
  return {};
}

Result<void> store_excluded_cidrs(CommandLine& line, std::string_view label, std::string_view text) {
  if (text == "*")
    return fail("{} '*': expected a list of CIDR blocks; excluding everything is not possible", label);
  SOCKMESH_TRY(cidrs, read_cidrs(label, text));
  line.options.outbound_cidrs_exclude = std::move(cidrs);
  return {};
}

Result<void> store_binary(CommandLine& line, std::string_view label, std::string_view text) {
  if (text == "legacy")
    line.options.binary = BinaryChoice::kLegacy;
  else if (text == "nft")
    line.options.binary = BinaryChoice::kNft;
  else if (text.empty())
    line.options.binary = BinaryChoice::kAutomatic;
  else
    return fail("{} '{}': expected 'legacy', 'nft' or nothing", label, text);
  return {};
}

Result<void> store_trace_uid(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(ids, read_ids(label, text));
  if (ids.size() != 1) return fail("{} '{}': expected one number", label, text);
  line.trace.uid = ids[0];
  return {};
}

Result<void> store_trace_gid(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(ids, read_ids(label, text));
  if (ids.size() != 1) return fail("{} '{}': expected one number", label, text);
  line.trace.gid = ids[0];
  return {};
}

Result<void> store_direct_mark(CommandLine& line, std::string_view label, std::string_view text) {
  line.options.direct_mark.reset();
  if (text.empty()) return {};
  auto mark = PacketMark::parse(text);
  if (!mark) return fail("{} '{}': {}", label, text, mark.error().message);
  line.options.direct_mark = *mark;
  return {};
}

Result<void> store_trace_mark(CommandLine& line, std::string_view label, std::string_view text) {
  line.trace.mark = parse_mark(text);
  if (!line.trace.mark)
    return fail("{} '{}': expected a packet mark from 0 to 4294967295, decimal or with 0x", label, text);
  return {};
}

Result<void> store_trace_udp(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(udp, read_bool(label, text));
  line.trace.udp = udp;
  return {};
}

Result<void> store_trace_interface(CommandLine& line, std::string_view label, std::string_view text) {
  SOCKMESH_TRY(names, read_interfaces(label, text));
  if (names.size() != 1) return fail("{} '{}': expected one interface name", label, text);
  line.trace.interface = names[0];
  return {};
}

using enum Kind;
using O = Options;
constexpr Where kBoth = Where::kFlagAndEnv, kFlag = Where::kFlagOnly, kEnv = Where::kEnvOnly,
                kTrace = Where::kTraceOnly;

// Names, letters and order are those of istio/tools/istio-iptables/pkg/cmd; the last rows are ours.
// clang-format off
constexpr Setting kSettings[] = {
    {"envoy-port", 'p', kText, kFlag, "", store<&O::proxy_port, read_port>, "port outbound TCP is redirected to (15001)"},
    {"inbound-capture-port", 'z', kText, kBoth, "", store<&O::inbound_port, read_port>, "port inbound TCP is sent to (15006)"},
    {"inbound-tunnel-port", 'e', kText, kBoth, "", store<&O::tunnel_port, read_port>, "HBONE port, never redirected (15008)"},
    {"proxy-uid", 'u', kText, kBoth, "", store_ids<&O::proxy_uids>, "uids whose traffic is not captured (user $ENVOY_USER, else 1337)"},
    {"proxy-gid", 'g', kText, kBoth, "", store_ids<&O::proxy_gids>, "gids whose traffic is not captured (as --proxy-uid)"},
    {"istio-inbound-interception-mode", 'm', kText, kBoth, "", store_mode, "REDIRECT or TPROXY"},
    {"istio-inbound-ports", 'b', kText, kBoth, "", store_selection<&O::inbound_ports, read_ports>, "inbound ports to capture, '*' for all"},
    {"istio-local-exclude-ports", 'd', kText, kBoth, "", store<&O::inbound_ports_exclude, read_ports>, "inbound ports to leave alone, with -b '*'"},
    {"istio-exclude-interfaces", 'c', kText, kBoth, "", store<&O::exclude_interfaces, read_interfaces>, "interfaces never captured, either way"},
    {"istio-service-cidr", 'i', kText, kBoth, "", store_selection<&O::outbound_cidrs, read_cidrs>, "outbound CIDR blocks to capture, '*' for all"},
    {"istio-service-exclude-cidr", 'x', kText, kBoth, "", store_excluded_cidrs, "outbound CIDR blocks to leave alone"},
    {"istio-outbound-ports", 'q', kText, kBoth, "", store<&O::outbound_ports, read_ports>, "outbound TCP ports captured whatever the address"},
    {"istio-local-outbound-ports-exclude", 'o', kText, kBoth, "", store<&O::outbound_ports_exclude, read_ports>, "outbound ports never captured"},
    {"kube-virt-interfaces", 'k', kText, kBoth, "", store<&O::virtual_interfaces, read_interfaces>, "interfaces whose incoming traffic counts as outbound"},
    {"istio-inbound-tproxy-mark", 't', kText, kBoth, "", store<&O::tproxy_mark, read_mark>, "packet mark for TPROXY (1337)"},
    {"istio-inbound-tproxy-route-table", 'r', kText, kBoth, "", store<&O::tproxy_table, read_route_table>, "route table for TPROXY (133)"},
    {"dry-run", 'n', kBoolean, kBoth, "", store<&O::dry_run, read_bool>, "change nothing, print what would be restored"},
    {"iptables-probe-port", 0, kNumber, kBoth, "", store<&O::probe_port, read_port>, "port the probe connects to (15002)"},
    {"probe-timeout", 0, kDuration, kBoth, "", store<&O::probe_timeout, read_duration>, "time limit of the probe (5s)"},
    {"skip-rule-apply", 0, kBoolean, kBoth, "", store<&O::skip_rule_apply, read_bool>, "apply no rules and no routes"},
    {"run-validation", 0, kBoolean, kBoth, "", store<&O::run_validation, read_bool>, "insist on the capture probe; exit 126 if it fails"},
    {"redirect-dns", 0, kBoolean, kBoth, kDnsCaptureVariable, store<&O::redirect_dns, read_bool>, "capture DNS, sent to port 15053"},
    {"capture-all-dns", 0, kBoolean, kBoth, "", store<&O::capture_all_dns, read_bool>, "with --redirect-dns: not only the resolv.conf servers"},
    {"dns-served", 0, kBoolean, kFlag, "", store<&O::dns_served, read_bool>, "with --redirect-dns, which is refused without it: somebody answers on port 15053"},
    {"drop-invalid", 0, kBoolean, kBoth, "INVALID_DROP", store<&O::drop_invalid, read_bool>, "drop packets conntrack calls invalid"},
    {"dual-stack", 0, kBoolean, kBoth, "ISTIO_DUAL_STACK", store<&O::dual_stack, read_bool>, "IPv6 rules if any address is IPv6, not only the first"},
    {"network-namespace", 0, kText, kBoth, "", store_text<&O::network_namespace>, "path of the namespace to work in"},
    {"cni-mode", 0, kBoolean, kBoth, "", store<&O::cni_mode, read_bool>, "host's files, pod's network: a lock of the pod's own"},
    {"reconcile", 0, kBoolean, kBoth, "", store<&O::reconcile, read_bool>, "repair rules that drifted"},
    {"cleanup-only", 0, kBoolean, kBoth, "", store<&O::cleanup_only, read_bool>, "remove everything of ours, apply nothing"},
    {"force-apply", 0, kBoolean, kBoth, "", store<&O::force_apply, read_bool>, "apply even if nothing differs"},
    {"native-nftables", 0, kBoolean, kBoth, "", store<&O::native_nftables, read_bool>, "nft tables instead of iptables"},
    {"force-iptables-binary", 0, kText, kBoth, "", store_binary, "'legacy' or 'nft'"},
    {"ISTIO_OUTBOUND_OWNER_GROUPS", 0, kText, kEnv, "", store_selection<&O::owner_groups, read_groups_up_to<kMaxOwnerGroups>>, "groups whose traffic is captured ('*')"},
    {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", 0, kText, kEnv, "", store<&O::owner_groups_exclude, read_groups_up_to<0>>, "groups whose traffic is not captured"},
    {"ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", 0, kText, kEnv, "", store<&O::loopback_cidr, read_loopback_cidr>, "what counts as IPv4 loopback (127.0.0.1/32)"},
    {"ENVOY_USER", 0, kText, kEnv, "", store_text<&O::envoy_user>, "user whose uid is the default of --proxy-uid (istio-proxy)"},
    {"DRY_RUN_FILE_PATH", 0, kText, kEnv, "", store_text<&O::dry_run_file>, "with --dry-run: file for the recorded lines"},
    {"direct-mark", 0, kText, kBoth, "", store_direct_mark, "let the application's direct connections pass, which carry this mark; MARK or MARK/MASK (none)"},
    {"direct-pins", 0, kText, kBoth, "", store_text<&O::direct_pins>, "with --cleanup-only: folder of bpffs from which an agent's direct lane is removed, too"},
    {"host-ip", 0, kText, kFlag, "", store<&O::host_ips, read_addresses>, "stands for the interface addresses, in order (ask the kernel)"},
    {"resolv-conf", 0, kText, kFlag, "", store_text<&O::resolv_conf>, "file the DNS servers are read from (/etc/resolv.conf)"},
    {"uid", 0, kText, kTrace, "", store_trace_uid, "trace: uid of the process here that connects (0)"},
    {"gid", 0, kText, kTrace, "", store_trace_gid, "trace: its gid (0)"},
    {"mark", 0, kText, kTrace, "", store_trace_mark, "trace: mark of its socket (0)"},
    {"udp", 0, kBoolean, kTrace, "", store_trace_udp, "trace: UDP instead of TCP"},
    {"interface", 0, kText, kTrace, "", store_trace_interface, "trace: interface of arrival or departure (lo or eth0)"},
};
// clang-format on

std::string env_name(const Setting& setting) {
  std::string name(setting.name);
  if (setting.where == kEnv) return name;
  for (char& c : name) c = c == '-' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return name;
}

// The text that will be a setting's value and where it came from; one per setting, the last wins.
struct Given {
  std::string label;
  std::string text;
};
using Chosen = std::map<const Setting*, Given>;

void read_environment(const Environment& environment, Chosen& chosen, std::vector<std::string>& warnings) {
  const auto take = [&](const Setting& setting, const std::string& name) {
    const auto value = environment(name);
    if (!value) return;
    const std::string label = "environment " + name;
    if (setting.kind != Kind::kText) {
      CommandLine scratch;
      if (const auto set = setting.set(scratch, label, *value); !set) {
        warnings.push_back(set.error().message + "; ignored");
        return;
      }
    }
    chosen[&setting] = {label, *value};
  };
  for (const Setting& setting : kSettings) {
    if (setting.where == kFlag || setting.where == kTrace) continue;
    take(setting, env_name(setting));
    if (!setting.also_env.empty()) take(setting, std::string(setting.also_env));
  }
}

// The words of a command line, read once from left to right, with pflag's grammar: --name value,
// --name=value, -n value, -nvalue, -n=value; booleans take a value only after '='; letters of booleans may be
// joined.
class Words {
 public:
  Words(std::span<const std::string> words, bool trace, CommandLine& line, Chosen& chosen)
      : words_(words), trace_(trace), line_(line), chosen_(chosen) {}

  Result<std::vector<std::string>> read() {
    while (!words_.empty()) {
      const std::string word = next();
      if (word == "--") {
        positional_.insert(positional_.end(), words_.begin(), words_.end());
        break;
      }
      if (word.starts_with("--")) {
        SOCKMESH_CHECK(long_flag(std::string_view(word).substr(2)));
      } else if (word.size() > 1 && word[0] == '-') {
        SOCKMESH_CHECK(letters(std::string_view(word).substr(1)));
      } else {
        positional_.push_back(word);
      }
    }
    return std::move(positional_);
  }

 private:
  std::string next() {
    std::string word = words_.front();
    words_ = words_.subspan(1);
    return word;
  }

  bool usable(const Setting& setting) const {
    return setting.where != kEnv && (setting.where != kTrace || trace_);
  }

  Result<void> long_flag(std::string_view body) {
    const size_t equals = body.find('=');
    const std::string_view name = body.substr(0, equals);
    if (name == "help") {
      line_.command = Command::kHelp;
      return {};
    }
    const auto* setting = std::find_if(std::begin(kSettings), std::end(kSettings),
                                       [&](const Setting& s) { return s.name == name && usable(s); });
    const std::string label = fmt::format("--{}", name);
    if (setting == std::end(kSettings)) {
      unknown(label, equals != std::string_view::npos);
      return {};
    }
    if (equals != std::string_view::npos) {
      chosen_[setting] = {label, std::string(body.substr(equals + 1))};
      return {};
    }
    return take_value(*setting, label);
  }

  Result<void> letters(std::string_view body) {
    while (!body.empty()) {
      const char letter = body[0];
      body.remove_prefix(1);
      const std::string label = fmt::format("-{}", letter);
      if (letter == 'h') {
        line_.command = Command::kHelp;
        continue;
      }
      const auto* setting = std::find_if(std::begin(kSettings), std::end(kSettings), [&](const Setting& s) {
        return s.letter == letter && letter != 0 && usable(s);
      });
      if (setting == std::end(kSettings)) {
        unknown(label, !body.empty());
        return {};
      }
      if (body.starts_with('=')) {
        chosen_[setting] = {label, std::string(body.substr(1))};
        return {};
      }
      if (setting->kind == Kind::kBoolean) {
        chosen_[setting] = {label, "true"};
        continue;
      }
      if (body.empty()) return take_value(*setting, label);
      chosen_[setting] = {label, std::string(body)};
      return {};
    }
    return {};
  }

  Result<void> take_value(const Setting& setting, const std::string& label) {
    if (setting.kind == Kind::kBoolean) {
      chosen_[&setting] = {label, "true"};
      return {};
    }
    if (words_.empty()) return fail("{}: expected a value after it", label);
    chosen_[&setting] = {label, next()};
    return {};
  }

  void unknown(const std::string& label, bool has_value) {
    std::string what = label;
    if (!has_value && !words_.empty() && !words_.front().starts_with('-')) what += " " + next();
    // The agent's log flags come with every injected init container and say nothing to us.
    if (!label.starts_with("--log_"))
      line_.warnings.push_back(fmt::format("'{}': unknown flag, ignored", what));
  }

  std::span<const std::string> words_;
  bool trace_;
  CommandLine& line_;
  Chosen& chosen_;
  std::vector<std::string> positional_;
};

Result<void> read_trace_words(std::vector<std::string>& words, TraceRequest& trace) {
  if (words.size() != 3) return fail("trace: expected SRC DST PORT, got {} words", words.size());
  const auto source = IpAddress::parse(words[0]);
  if (!source) return fail("trace SRC {}", source.error().message);
  const auto destination = IpAddress::parse(words[1]);
  if (!destination) return fail("trace DST {}", destination.error().message);
  if (source->is_v6() != destination->is_v6())
    return fail("trace '{}' '{}': expected two addresses of one family", words[0], words[1]);
  SOCKMESH_TRY(port, read_port("trace PORT", words[2]));
  trace.source = *source;
  trace.destination = *destination;
  trace.port = port;
  words.clear();
  return {};
}

// Under TPROXY the proxy's own sockets have marks, and must not be taken for direct ones.
Result<void> keep_apart_from_tproxy(const Options& options) {
  if (!options.tproxy || !options.direct_mark) return {};
  for (const uint32_t mark : {options.tproxy_mark, kOutboundMark})
    if (options.direct_mark->is_in(mark))
      return fail("--direct-mark {}: expected bits that mark {} of TPROXY does not have",
                  options.direct_mark->to_string(), mark);
  return {};
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& args, const Environment& environment) {
  CommandLine line;
  std::span<const std::string> words(args);
  if (!words.empty() && words.front() == "istio-iptables") words = words.subspan(1);
  if (!words.empty()) {
    const std::string& first = words.front();
    if (first == "explain")
      line.command = Command::kExplain;
    else if (first == "check")
      line.command = Command::kCheck;
    else if (first == "trace")
      line.command = Command::kTrace;
    if (line.command != Command::kApply) words = words.subspan(1);
  }

  Chosen chosen;
  read_environment(environment, chosen, line.warnings);
  SOCKMESH_TRY(positional, Words(words, line.command == Command::kTrace, line, chosen).read());
  if (line.command == Command::kHelp) return line;
  if (line.command == Command::kTrace) SOCKMESH_CHECK(read_trace_words(positional, line.trace));
  for (const std::string& word : positional)
    line.warnings.push_back(fmt::format("'{}': unexpected word, ignored", word));

  for (const Setting& setting : kSettings) {
    const auto given = chosen.find(&setting);
    if (given == chosen.end()) continue;
    SOCKMESH_CHECK(setting.set(line, given->second.label, given->second.text));
    if (setting.name == "redirect-dns") line.redirect_dns_by = given->second.label;
  }
  SOCKMESH_CHECK(keep_apart_from_tproxy(line.options));
  return line;
}

Result<void> settle_dns_capture(CommandLine& line) {
  if (!line.options.redirect_dns || line.options.dns_served || line.options.cleanup_only) return {};
  const std::string nobody = "nobody in the pod answers DNS on port 15053, sockmesh-agent does not";
  if (line.redirect_dns_by != fmt::format("environment {}", kDnsCaptureVariable))
    return fail(
        "{}: {}, and the pod would be left without names; expected --dns-served with it if somebody "
        "else does",
        line.redirect_dns_by, nobody);
  line.warnings.push_back(fmt::format("{}: {}; DNS is not captured and names resolve as without it",
                                      line.redirect_dns_by, nobody));
  line.options.redirect_dns = false;
  return {};
}

std::string usage() {
  std::string out =
      "usage: sockmesh-init [flags]                        write the rules (istio-iptables' flags)\n"
      "       sockmesh-init explain [flags]                each rule, why it exists and what asked for it\n"
      "       sockmesh-init check [flags]                  compare the running rules with the wanted\n"
      "       sockmesh-init trace SRC DST PORT [flags]     which rule would take a connection\n\n"
      "A flag's variable is its name in capitals with '_' for '-'; a flag wins over its variable.\n\n";
  for (const Setting& setting : kSettings) {
    const std::string shown =
        setting.where == kEnv ? fmt::format("${}", setting.name) : fmt::format("--{}", setting.name);
    const std::string letter = setting.letter ? fmt::format("-{}, ", setting.letter) : "    ";
    out += fmt::format("  {}{:<38} {}\n", letter, shown, setting.help);
  }
  return out;
}

}  // namespace sockmesh::iptables
