#include "direct/destinations.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace sockmesh::direct {

namespace {

using Prefixes = std::set<Prefix>;

Prefix all_of(bool ipv6) { return {IpAddress::any(ipv6), 0}; }
Prefix host(const IpAddress& ip) { return {ip, static_cast<uint8_t>(ip.bits())}; }

bool within(const Prefix& inner, const Prefix& outer) {
  return inner.length >= outer.length && outer.contains(inner.address);
}

// The upper or lower half of a block. Nothing where IPv6 begins to mean IPv4: no such address is ever asked
// for as IPv6.
std::optional<Prefix> half(const Prefix& whole, bool upper) {
  std::array<uint8_t, 16> bytes = whole.address.bytes();
  if (upper) bytes[whole.length / 8] |= static_cast<uint8_t>(0x80u >> (whole.length % 8));
  IpAddress address;
  if (whole.address.is_v6()) {
    in6_addr raw;
    std::copy(bytes.begin(), bytes.end(), raw.s6_addr);
    address = IpAddress::v6(raw);
    if (!address.is_v6()) return std::nullopt;
  } else {
    in_addr raw;
    std::copy_n(bytes.begin(), sizeof raw.s_addr, reinterpret_cast<uint8_t*>(&raw.s_addr));
    address = IpAddress::v4(raw);
  }
  return Prefix{address, static_cast<uint8_t>(whole.length + 1)};
}

// An address of the block that none of `inside` has; nothing when they cover it.
std::optional<IpAddress> outside_of(const Prefix& block, const std::vector<Prefix>& inside) {
  if (inside.empty()) return block.address;
  if (std::any_of(inside.begin(), inside.end(), [&](const Prefix& one) { return one == block; }))
    return std::nullopt;
  for (const bool upper : {false, true}) {
    const auto part = half(block, upper);
    if (!part) continue;
    std::vector<Prefix> rest;
    std::copy_if(inside.begin(), inside.end(), std::back_inserter(rest),
                 [&](const Prefix& one) { return within(one, *part); });
    if (const auto found = outside_of(*part, rest)) return found;
  }
  return std::nullopt;
}

class Builder {
 public:
  Builder(const model::Snapshot& snapshot, const model::DirectTerms& terms)
      : snapshot_(snapshot), terms_(terms), named_ports_(named_ports()) {}

  Destinations build() {
    std::map<uint16_t, Prefixes> by_port;
    for (const auto& [address, listener] : snapshot_.by_address) {
      if (!address.ip.is_any()) {
        table_.exact.push_back({address, answer(address)});
        exact_[address.port].push_back(host(address.ip));
      } else {
        cut(by_port[address.port], *listener, address.ip.is_v6(), address.port);
      }
    }
    // A port that is named anywhere is a matter of its own, also where no other listener is.
    Prefixes any_port;
    if (const model::Listener* rest = snapshot_.virtual_outbound) {
      for (const uint16_t port : named_ports_) {
        Prefixes& prefixes = by_port[port];
        for (const bool ipv6 : {false, true})
          if (!prefixes.contains(all_of(ipv6))) cut(prefixes, *rest, ipv6, port);
      }
      for (const bool ipv6 : {false, true}) cut(any_port, *rest, ipv6, 0);
    }
    for (const auto& [port, prefixes] : by_port) answer_all(port, prefixes);
    answer_all(0, any_port);
    const auto by_address = [](const auto& a, const auto& b) { return a.address < b.address; };
    std::sort(table_.exact.begin(), table_.exact.end(), by_address);
    std::sort(table_.blocks.begin(), table_.blocks.end(), [](const auto& a, const auto& b) {
      return std::tie(a.port, a.prefix) < std::tie(b.port, b.prefix);
    });
    return std::move(table_);
  }

 private:
  // By the virtual listeners, whose own ports are captured from, and by the pod's rules.
  std::set<uint16_t> named_ports() const {
    std::set<uint16_t> ports;
    for (const model::Listener* virtual_one : {snapshot_.virtual_outbound, snapshot_.virtual_inbound}) {
      if (virtual_one == nullptr) continue;
      for (const SocketAddress& address : virtual_one->addresses) ports.insert(address.port);
      for (const model::FilterChain& chain : virtual_one->chains)
        if (chain.match.destination_port) ports.insert(*chain.match.destination_port);
    }
    for (const auto* list : {&terms_.capture_ports, &terms_.excluded_ports, &terms_.included_ports})
      ports.insert(list->begin(), list->end());
    ports.erase(0);
    return ports;
  }

  // The blocks between which a listener's answers may differ, for one port or (0) those that none names.
  void cut(Prefixes& into, const model::Listener& listener, bool ipv6, uint16_t port) const {
    const auto add = [&](const Prefix& prefix) {
      if (prefix.address.is_v6() == ipv6) into.insert(prefix);
    };
    add(all_of(ipv6));
    for (const model::FilterChain& chain : listener.chains)
      if (!chain.match.destination_port || *chain.match.destination_port == port)
        std::for_each(chain.match.prefix_ranges.begin(), chain.match.prefix_ranges.end(), add);
    for (const auto* list : {&snapshot_.egress.permit, &snapshot_.egress.block, &terms_.excluded_ranges,
                             &terms_.included_ranges})
      std::for_each(list->begin(), list->end(), add);
    for (const IpAddress& own : snapshot_.self_ips) add(host(own));
    static const std::array kLocal = {Prefix{IpAddress::v4(0x7f000000), 8}, host(IpAddress::any(false)),
                                      host(IpAddress::loopback(true)), host(IpAddress::any(true))};
    std::for_each(kLocal.begin(), kLocal.end(), add);
  }

  void answer_all(uint16_t port, const Prefixes& prefixes) {
    const std::vector<Prefix>& exact = exact_[port];
    for (const Prefix& prefix : prefixes) {
      // What has an entry of its own is no example of the block.
      std::vector<Prefix> inside;
      std::copy_if(exact.begin(), exact.end(), std::back_inserter(inside),
                   [&](const Prefix& one) { return within(one, prefix); });
      for (const Prefix& other : prefixes)
        if (other != prefix && within(other, prefix)) inside.push_back(other);
      if (const auto ip = outside_of(prefix, inside))
        table_.blocks.push_back({port, prefix, answer({*ip, port != 0 ? port : unnamed_port()})});
    }
  }

  // A port that nothing in the configuration names: whatever holds for any port holds for it.
  uint16_t unnamed_port() {
    if (unnamed_port_ != 0) return unnamed_port_;
    std::set<uint16_t> taken = named_ports_;
    for (const auto& entry : snapshot_.by_address) taken.insert(entry.first.port);
    for (unnamed_port_ = 1; taken.contains(unnamed_port_);) ++unnamed_port_;
    return unnamed_port_;
  }

  Answer answer(const SocketAddress& destination) const {
    model::ConnectionInfo connection;
    connection.destination = destination;
    const model::Decision decision = match(snapshot_, connection);
    return {decision.listener, decision.chain, model::not_direct(snapshot_, connection, decision, terms_)};
  }

  const model::Snapshot& snapshot_;
  const model::DirectTerms& terms_;
  const std::set<uint16_t> named_ports_;
  Destinations table_;
  std::map<uint16_t, std::vector<Prefix>> exact_;  // by port
  uint16_t unnamed_port_ = 0;
};

const Answer* longest(const std::vector<Destinations::Block>& blocks, uint16_t port, const IpAddress& ip) {
  const auto [begin, end] = std::equal_range(blocks.begin(), blocks.end(), Destinations::Block{port, {}, {}},
                                             [](const auto& a, const auto& b) { return a.port < b.port; });
  const Destinations::Block* best = nullptr;
  for (auto at = begin; at != end; ++at)
    if (at->prefix.contains(ip) && (best == nullptr || at->prefix.length > best->prefix.length)) best = &*at;
  return best != nullptr ? &best->answer : nullptr;
}

}  // namespace

const Answer* Destinations::find(const SocketAddress& destination) const {
  const auto at =
      std::lower_bound(exact.begin(), exact.end(), destination,
                       [](const Exact& one, const SocketAddress& to) { return one.address < to; });
  if (at != exact.end() && at->address == destination) return &at->answer;
  if (const Answer* found = longest(blocks, destination.port, destination.ip)) return found;
  return longest(blocks, 0, destination.ip);
}

Destinations destinations(const model::Snapshot& snapshot, const model::DirectTerms& terms) {
  return Builder(snapshot, terms).build();
}

}  // namespace sockmesh::direct
