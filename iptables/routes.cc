#include "iptables/routes.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "base/fd.h"
#include "base/local_delivery.h"

// Debian 12's kernel headers have it; older ones do not.
#ifndef IFA_PROTO
#define IFA_PROTO 11
#endif

namespace sockmesh::iptables {

namespace {

constexpr size_t kReplyBytes = 64 << 10;  // the kernel fills dumps in pieces of at most 32 KiB

// One request: a header, a family's fixed part, attributes.
class Message {
 public:
  template <typename Fixed>
  Message(uint16_t type, uint16_t flags, const Fixed& fixed) : bytes_(NLMSG_HDRLEN, '\0') {
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    append(&fixed, sizeof fixed);
  }

  Message& attribute(uint16_t type, const void* data, size_t size) {
    rtattr head{};
    head.rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    head.rta_type = type;
    append(&head, sizeof head);
    append(data, size);
    return *this;
  }
  Message& number(uint16_t type, uint32_t value) { return attribute(type, &value, sizeof value); }
  Message& byte(uint16_t type, uint8_t value) { return attribute(type, &value, sizeof value); }
  Message& ip(uint16_t type, const IpAddress& address) {
    return attribute(type, address.bytes().data(), static_cast<size_t>(address.bits()) / 8);
  }

  const std::string& bytes() {
    header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return bytes_;
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  void append(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), 0);
  }
  std::string bytes_;
};

// One netlink exchange at a time.
class Rtnetlink {
 public:
  static Result<Rtnetlink> open() {
    Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd) return fail(os_error("netlink socket"));
    return Rtnetlink(std::move(fd));
  }

  // 0, or the errno the kernel answered with.
  Result<int> request(const std::string& bytes) {
    SOCKMESH_CHECK(send(bytes));
    int answer = 0;
    SOCKMESH_CHECK(receive([&](const nlmsghdr& header) {
      if (header.nlmsg_type != NLMSG_ERROR) return true;
      answer = -static_cast<const nlmsgerr*>(NLMSG_DATA(&header))->error;
      return false;
    }));
    return answer;
  }

  Result<void> dump(Message message, const std::function<void(const nlmsghdr&)>& each) {
    SOCKMESH_CHECK(send(message.bytes()));
    return receive([&](const nlmsghdr& header) {
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return false;
      each(header);
      return true;
    });
  }

 private:
  explicit Rtnetlink(Fd fd) : fd_(std::move(fd)) {}

  Result<void> send(const std::string& bytes) {
    if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) return fail(os_error("netlink request"));
    return {};
  }

  // Reads messages until `wants_more` says no.
  Result<void> receive(const std::function<bool(const nlmsghdr&)>& wants_more) {
    std::string buffer(kReplyBytes, '\0');
    while (true) {
      const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(os_error("netlink answer"));
      // By hand: the macros compare signed with unsigned.
      for (size_t at = 0; at + NLMSG_HDRLEN <= static_cast<size_t>(n);) {
        const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data() + at);
        if (header->nlmsg_len < NLMSG_HDRLEN || at + header->nlmsg_len > static_cast<size_t>(n)) break;
        if (!wants_more(*header)) return {};
        at += NLMSG_ALIGN(header->nlmsg_len);
      }
    }
  }

  Fd fd_;
};

uint8_t os_family(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }

Message address_message(uint16_t type, uint16_t flags) {
  ifaddrmsg fixed{};
  fixed.ifa_family = AF_INET6;
  fixed.ifa_prefixlen = 128;
  fixed.ifa_flags = IFA_F_NODAD;
  fixed.ifa_scope = RT_SCOPE_HOST;
  fixed.ifa_index = if_nametoindex("lo");
  return Message(type, flags, fixed)
      .ip(IFA_LOCAL, local_delivery_address(true))
      .ip(IFA_ADDRESS, local_delivery_address(true))
      .byte(IFA_PROTO, kRouteProtocol);
}

Message rule_message(Family family, const RoutePlan::Tproxy& tproxy) {
  fib_rule_hdr fixed{};
  fixed.family = os_family(family);
  fixed.action = FR_ACT_TO_TBL;
  return Message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, fixed)
      .number(FRA_FWMARK, tproxy.mark)
      .number(FRA_TABLE, tproxy.table)
      .byte(FRA_PROTOCOL, kRouteProtocol);
}

Message route_message(Family family, const RoutePlan::Tproxy& tproxy) {
  rtmsg fixed{};
  fixed.rtm_family = os_family(family);
  fixed.rtm_table = RT_TABLE_UNSPEC;
  fixed.rtm_protocol = kRouteProtocol;
  fixed.rtm_scope = RT_SCOPE_HOST;
  fixed.rtm_type = RTN_LOCAL;
  return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, fixed)
      .number(RTA_TABLE, tproxy.table)
      .number(RTA_OIF, if_nametoindex("lo"));
}

// The attributes behind a fixed part, by number.
template <typename Fixed>
const rtattr* find_attribute(const nlmsghdr& header, uint16_t type) {
  auto length = static_cast<int>(header.nlmsg_len - NLMSG_SPACE(sizeof(Fixed)));
  const char* start = static_cast<const char*>(NLMSG_DATA(&header)) + NLMSG_ALIGN(sizeof(Fixed));
  for (const auto* at = reinterpret_cast<const rtattr*>(start); RTA_OK(at, length);
       at = RTA_NEXT(at, length)) {
    if (at->rta_type == type) return at;
  }
  return nullptr;
}

template <typename Fixed, typename T>
std::optional<T> attribute_of(const nlmsghdr& header, uint16_t type) {
  const rtattr* at = find_attribute<Fixed>(header, type);
  if (!at || RTA_PAYLOAD(at) < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, RTA_DATA(at), sizeof value);
  return value;
}

// Whether a dumped object carries our protocol number.
bool is_ours(const nlmsghdr& header) {
  switch (header.nlmsg_type) {
    case RTM_NEWADDR:
      return attribute_of<ifaddrmsg, uint8_t>(header, IFA_PROTO) == kRouteProtocol;
    case RTM_NEWRULE:
      return attribute_of<fib_rule_hdr, uint8_t>(header, FRA_PROTOCOL) == kRouteProtocol;
    case RTM_NEWROUTE:
      return static_cast<const rtmsg*>(NLMSG_DATA(&header))->rtm_protocol == kRouteProtocol;
    default:
      return false;
  }
}

// Everything of the three kinds, of both families.
Result<void> dump_all(Rtnetlink& netlink, const std::function<void(const nlmsghdr&)>& each) {
  constexpr uint16_t kDump = NLM_F_DUMP;
  for (const Family family : {Family::kV4, Family::kV6}) {
    fib_rule_hdr rule{};
    rule.family = os_family(family);
    SOCKMESH_CHECK(netlink.dump(Message(RTM_GETRULE, kDump, rule), each));
    rtmsg route{};
    route.rtm_family = os_family(family);
    SOCKMESH_CHECK(netlink.dump(Message(RTM_GETROUTE, kDump, route), each));
  }
  ifaddrmsg address{};
  address.ifa_family = AF_INET6;
  return netlink.dump(Message(RTM_GETADDR, kDump, address), each);
}

std::vector<Family> families(const RoutePlan& plan) {
  return plan.ipv6 ? std::vector{Family::kV4, Family::kV6} : std::vector{Family::kV4};
}

std::string rule_words(Family family, const RoutePlan::Tproxy& tproxy) {
  return fmt::format("ip {} rule add fwmark {} lookup {}", family == Family::kV4 ? "-4" : "-6", tproxy.mark,
                     tproxy.table);
}
std::string route_words(Family family, const RoutePlan::Tproxy& tproxy) {
  return fmt::format("ip {} route add local default dev lo table {}", family == Family::kV4 ? "-4" : "-6",
                     tproxy.table);
}
constexpr const char* kAddressWords = "ip -6 addr add ::6/128 dev lo";

// Which of the wanted objects a dumped one is.
struct Seen {
  bool address = false, rule[2] = {}, route[2] = {};  // rule and route: IPv4, IPv6

  // Returns whether `plan` wants it.
  bool note(const nlmsghdr& header, const RoutePlan& plan) {
    if (header.nlmsg_type == RTM_NEWADDR) {
      const auto ip = attribute_of<ifaddrmsg, in6_addr>(header, IFA_ADDRESS);
      const bool is_it = plan.loopback6 && ip && IpAddress::v6(*ip) == local_delivery_address(true);
      return set(address, is_it);
    }
    if (!plan.tproxy) return false;
    if (header.nlmsg_type == RTM_NEWRULE) {
      const bool v6 = static_cast<const fib_rule_hdr*>(NLMSG_DATA(&header))->family == AF_INET6;
      return set(rule[v6],
                 (plan.ipv6 || !v6) &&
                     attribute_of<fib_rule_hdr, uint32_t>(header, FRA_FWMARK) == plan.tproxy->mark &&
                     attribute_of<fib_rule_hdr, uint32_t>(header, FRA_TABLE) == plan.tproxy->table);
    }
    const auto* fixed = static_cast<const rtmsg*>(NLMSG_DATA(&header));
    const bool v6 = fixed->rtm_family == AF_INET6;
    return set(route[v6], (plan.ipv6 || !v6) && fixed->rtm_type == RTN_LOCAL && fixed->rtm_dst_len == 0 &&
                              attribute_of<rtmsg, uint32_t>(header, RTA_TABLE) == plan.tproxy->table);
  }

 private:
  static bool set(bool& seen, bool is_it) {
    seen = seen || is_it;
    return is_it;
  }
};

// `words` is what it would take with ip(8), for the error.
Result<void> add(Rtnetlink& netlink, Message message, const std::string& words, AddedRoutes& added) {
  SOCKMESH_TRY(error, netlink.request(message.bytes()));
  if (error == 0) added.requests.push_back(message.bytes());
  if (error == 0 || error == EEXIST) return {};
  return fail(os_error(words, error));
}

// What asked for an object, or what the kernel printed of it, sent back as a deletion, names exactly that
// object.
Result<int> remove(Rtnetlink& netlink, std::string bytes) {
  auto* header = reinterpret_cast<nlmsghdr*>(bytes.data());
  header->nlmsg_type = static_cast<uint16_t>(header->nlmsg_type + (RTM_DELADDR - RTM_NEWADDR));
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  return netlink.request(bytes);
}

}  // namespace

Result<void> add_routes(const RoutePlan& plan, AddedRoutes& added) {
  SOCKMESH_TRY(netlink, Rtnetlink::open());
  // The kernel would take a second policy rule that is equal but for its preference, NLM_F_EXCL or not.
  Seen seen;
  SOCKMESH_CHECK(dump_all(netlink, [&](const nlmsghdr& header) { seen.note(header, plan); }));
  constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
  if (plan.loopback6 && !seen.address)
    SOCKMESH_CHECK(add(netlink, address_message(RTM_NEWADDR, kNew), kAddressWords, added));
  if (!plan.tproxy) return {};
  for (const Family family : families(plan)) {
    const bool v6 = family == Family::kV6;
    if (!seen.rule[v6])
      SOCKMESH_CHECK(
          add(netlink, rule_message(family, *plan.tproxy), rule_words(family, *plan.tproxy), added));
    if (!seen.route[v6])
      SOCKMESH_CHECK(
          add(netlink, route_message(family, *plan.tproxy), route_words(family, *plan.tproxy), added));
  }
  return {};
}

void take_back(const AddedRoutes& added) {
  auto netlink = Rtnetlink::open();
  if (!netlink) return;
  for (auto request = added.requests.rbegin(); request != added.requests.rend(); ++request)
    (void)remove(*netlink, *request);
}

Result<std::vector<std::string>> missing_routes(const RoutePlan& plan) {
  SOCKMESH_TRY(netlink, Rtnetlink::open());
  Seen seen;
  SOCKMESH_CHECK(dump_all(netlink, [&](const nlmsghdr& header) { seen.note(header, plan); }));
  std::vector<std::string> missing;
  if (plan.loopback6 && !seen.address) missing.emplace_back(kAddressWords);
  if (!plan.tproxy) return missing;
  for (const Family family : families(plan)) {
    if (!seen.rule[family == Family::kV6]) missing.push_back(rule_words(family, *plan.tproxy));
    if (!seen.route[family == Family::kV6]) missing.push_back(route_words(family, *plan.tproxy));
  }
  return missing;
}

Result<void> remove_other_routes(const RoutePlan& plan) {
  SOCKMESH_TRY(netlink, Rtnetlink::open());
  std::vector<std::string> ours;
  Seen seen;
  SOCKMESH_CHECK(dump_all(netlink, [&](const nlmsghdr& header) {
    if (is_ours(header) && !seen.note(header, plan))
      ours.emplace_back(reinterpret_cast<const char*>(&header), header.nlmsg_len);
  }));
  for (std::string& bytes : ours) {
    SOCKMESH_TRY(error, remove(netlink, std::move(bytes)));
    if (error != 0 && error != ESRCH && error != ENOENT && error != EADDRNOTAVAIL)
      return fail(os_error("removing an address or route of ours", error));
  }
  return {};
}

}  // namespace sockmesh::iptables
