#include "iptables/host.h"

#include <grp.h>
#include <ifaddrs.h>
#include <pwd.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

constexpr size_t kMaxResolvConfBytes =
    1 << 20;  // what anybody would call a resolv.conf is below a hundred lines

Result<std::vector<IpAddress>> interface_addresses() {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return fail(os_error("reading interface addresses"));
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw, freeifaddrs);
  std::vector<IpAddress> addresses;
  for (const ifaddrs* entry = list.get(); entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr) continue;
    const socklen_t length =
        entry->ifa_addr->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (const auto address = SocketAddress::from(entry->ifa_addr, length)) addresses.push_back(address->ip);
  }
  return addresses;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(os_error("opening " + path));
  std::string text(kMaxResolvConfBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(os_error("reading " + path));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxResolvConfBytes)
    return fail("{}: expected a resolv.conf of at most {} bytes", path, kMaxResolvConfBytes);
  return text;
}

std::vector<std::string_view> fields(std::string_view line) {
  std::vector<std::string_view> out;
  constexpr std::string_view kBlanks = " \t\r\v\f";
  while (true) {
    const size_t start = line.find_first_not_of(kBlanks);
    if (start == std::string_view::npos) return out;
    line.remove_prefix(start);
    const size_t end = std::min(line.find_first_of(kBlanks), line.size());
    out.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

bool counts(const IpAddress& address) {
  // 224.0.0.0/24 and ff02::/16 are link-local multicast; nobody configures them, Istio skips them too.
  const bool multicast = address.is_v6() ? address.bytes()[0] == 0xff && (address.bytes()[1] & 0x0f) == 2
                                         : Prefix{IpAddress::v4(0xe0000000), 24}.contains(address);
  return !address.is_loopback() && !address.is_link_local() && !multicast;
}

}  // namespace

std::vector<IpAddress> parse_resolv_conf(std::string_view text) {
  std::vector<IpAddress> servers;
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with('#') || line.starts_with(';')) continue;
    const auto words = fields(line);
    if (words.size() < 2 || words[0] != "nameserver") continue;
    if (const auto server = IpAddress::parse(words[1].substr(0, words[1].find('%'))))
      servers.push_back(*server);
  }
  return servers;
}

Result<HostAddress> choose_host_address(const std::vector<IpAddress>& addresses, bool dual_stack) {
  std::optional<HostAddress> chosen;
  for (const IpAddress& address : addresses) {
    if (!counts(address)) continue;
    if (!chosen) chosen = HostAddress{address, false};
    if (address.is_v6()) chosen->ipv6 = true;
    if (!dual_stack || chosen->ipv6) break;
  }
  if (!chosen)
    return fail("no valid local IP address found: expected one that is neither loopback nor link-local");
  return *chosen;
}

Result<HostFacts> gather_host_facts(const Options& options) {
  HostFacts facts;
  facts.addresses = options.host_ips;
  if (facts.addresses.empty()) {
    SOCKMESH_TRY(addresses, interface_addresses());
    facts.addresses = std::move(addresses);
  }
  if (options.redirect_dns && !options.capture_all_dns) {
    SOCKMESH_TRY(text, read_file(options.resolv_conf));
    facts.dns_servers = parse_resolv_conf(text);
  }
  if (options.proxy_uids.empty()) {
    if (const passwd* user = getpwnam(options.envoy_user.c_str())) facts.envoy_user_uid = user->pw_uid;
  }
  for (const auto* groups : {&options.owner_groups.list, &options.owner_groups_exclude}) {
    for (const std::string& name : *groups) {
      if (const group* entry = getgrnam(name.c_str())) facts.group_ids[name] = entry->gr_gid;
    }
  }
  return facts;
}

}  // namespace sockmesh::iptables
