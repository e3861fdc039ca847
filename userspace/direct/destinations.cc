// Within one port and IP family the answer of match() changes only at the edges of prefixes: those of the
// listener's filter chains, of the egress lists, and of what is never direct (loopback, the pod's own
// addresses, what the rules leave out). They cut the addresses into regions: a prefix without the longer ones
// inside of it, which is exactly what a longest-prefix lookup finds. So each prefix needs one question, at an
// address of its region. A region may be empty, when longer prefixes and exact addresses cover it; then no
// lookup ends there.
//
// Ports behave alike too, but for those that somebody names: wildcard listeners, chains of virtualOutbound,
// the proxy's own ports, ports of the rules. These have entries of their own, and one port that nobody names
// stands for all others.
#include "direct/destinations.h"

#include <algorithm>
#include <bitset>
#include <vector>

#include "base/address_range.h"

namespace sockmesh::direct {

namespace {

using model::NotDirect;

Prefix host(const IpAddress& ip) { return {ip, static_cast<uint8_t>(ip.bits())}; }

Verdict ask(const model::Snapshot& snapshot, const model::DirectTerms& terms, RouteNumbers& routes,
            const SocketAddress& destination) {
  if (const auto reason = not_direct(snapshot, destination, terms)) return {reason, 0};
  model::ConnectionInfo connection;
  connection.destination = destination;
  const model::Decision decision = match(snapshot, connection);
  if (decision.needs_inspection) return {NotDirect::kFirstBytes, 0};
  if (decision.listener == nullptr || decision.chain == nullptr) return {NotDirect::kNoFilterChain, 0};
  if (const auto reason = not_direct(*decision.listener, *decision.chain, terms)) return {reason, 0};
  return {std::nullopt, routes.of(*decision.listener, *decision.chain, destination.ip.is_v6())};
}

class Builder {
 public:
  Builder(const model::Snapshot& snapshot, const model::DirectTerms& terms, RouteNumbers& routes)
      : snapshot_(snapshot), terms_(terms), routes_(routes) {}

  void build(Destinations& table) {
    table.exact.clear();
    table.exact.reserve(snapshot_.by_address.size());
    if (snapshot_.virtual_outbound != nullptr)  // else nothing is captured
      for (const auto& [address, listener] : snapshot_.by_address)
        if (!address.ip.is_any()) table.exact.emplace(address, ask(snapshot_, terms_, routes_, address));
    build_prefixes(table);
  }

  // Of a table that has its exact addresses.
  void build_prefixes(Destinations& table) {
    made_ = &table;
    table.prefixes.clear();
    if (snapshot_.virtual_outbound == nullptr) return;
    for (const auto& [address, listener] : snapshot_.by_address) used_ports_.set(address.port);
    for (const bool ipv6 : {false, true}) add_family(ipv6);
  }

 private:
  void add_family(bool ipv6) {
    const IpAddress any = IpAddress::any(ipv6);
    std::vector<Prefix> common{{any, 0}, host(any)};
    common.push_back(ipv6 ? host(IpAddress::loopback(true)) : Prefix{IpAddress::v4(0x7f000000), 8});
    for (const IpAddress& own : snapshot_.self_ips)
      if (own.is_v6() == ipv6) common.push_back(host(own));
    for (const auto* list : {&snapshot_.egress.permit, &snapshot_.egress.block, &terms_.excluded_ranges,
                             &terms_.included_ranges})
      add_blocks(*list, ipv6, common);

    std::bitset<65536> ports;
    for (const auto& [address, listener] : snapshot_.by_address)
      if (address.ip == any) ports.set(address.port);
    for (const auto* listener : {snapshot_.virtual_outbound, snapshot_.virtual_inbound})
      if (listener != nullptr)
        for (const SocketAddress& address : listener->addresses) ports.set(address.port);
    for (const model::FilterChain& chain : snapshot_.virtual_outbound->chains)
      if (chain.match.destination_port) ports.set(*chain.match.destination_port);
    for (const auto* list : {&terms_.capture_ports, &terms_.excluded_ports, &terms_.included_ports})
      for (const uint16_t port : *list) ports.set(port);

    for (uint32_t port = 1; port < ports.size(); ++port)
      if (ports[port])
        add_regions(static_cast<uint16_t>(port), static_cast<uint16_t>(port), cuts(port, any, common));
    // One that nobody names stands for all.
    ports |= used_ports_;
    for (uint32_t port = 1; port < ports.size(); ++port)
      if (!ports[port]) return add_regions(0, static_cast<uint16_t>(port), cuts(port, any, common));
  }

  static void add_blocks(const std::vector<Prefix>& from, bool ipv6, std::vector<Prefix>& to) {
    for (const Prefix& block : from)
      if (block.address.is_v6() == ipv6) to.push_back(block);
  }

  // Sorted: a block comes before those inside of it.
  std::vector<Prefix> cuts(uint32_t port, const IpAddress& any, std::vector<Prefix> made) const {
    const auto found = snapshot_.by_address.find({any, static_cast<uint16_t>(port)});
    const model::Listener& listener =
        found == snapshot_.by_address.end() ? *snapshot_.virtual_outbound : *found->second;
    for (const model::FilterChain& chain : listener.chains)
      add_blocks(chain.match.prefix_ranges, any.is_v6(), made);
    std::sort(made.begin(), made.end());
    made.erase(std::unique(made.begin(), made.end()), made.end());
    return made;
  }

  // `key` is the port of the entries, `port` the one to ask with.
  void add_regions(uint16_t key, uint16_t port, const std::vector<Prefix>& blocks) {
    struct Entry {
      Prefix block;
      Verdict verdict;
    };
    std::vector<Entry> around;  // entries that contain the block, the longest last
    for (size_t i = 0; i < blocks.size(); ++i) {
      while (!around.empty() && !around.back().block.contains(blocks[i].address)) around.pop_back();
      bool given_up = false;
      const auto ip = address_in_region(blocks, i, port, given_up);
      if (!ip && !given_up) continue;
      const Verdict verdict =
          ip ? ask(snapshot_, terms_, routes_, {*ip, port}) : Verdict{NotDirect::kNotCaptured, 0};
      // What the lookup would find anyway needs no entry.
      if (!around.empty() && around.back().verdict == verdict) continue;
      around.push_back({blocks[i], verdict});
      made_->prefixes.emplace(PortPrefix{key, blocks[i]}, verdict);
    }
  }

  // An address of blocks[at] that no longer block and no exact entry has.
  std::optional<IpAddress> address_in_region(const std::vector<Prefix>& blocks, size_t at, uint16_t port,
                                             bool& given_up) const {
    const Prefix& region = blocks[at];
    std::optional<IpAddress> ip = region.address;
    for (size_t next = at + 1; ip && region.contains(*ip);) {
      if (ip->is_v6() != region.address.is_v6()) break;
      if (next < blocks.size() && blocks[next].address <= *ip) {
        if (blocks[next].contains(*ip)) ip = successor(last_of(blocks[next]));
        ++next;
      } else if (made_->exact.contains({*ip, port})) {
        ip = successor(*ip);
      } else {
        return ip;
      }
    }
    // IPv4-mapped addresses in the middle of an IPv6 block have no spelling as such.
    given_up = ip && ip->is_v6() != region.address.is_v6();
    return std::nullopt;
  }

  const model::Snapshot& snapshot_;
  const model::DirectTerms& terms_;
  RouteNumbers& routes_;
  Destinations* made_ = nullptr;
  std::bitset<65536> used_ports_;  // by some listener
};

bool same_ports(const model::Listener* a, const model::Listener* b) {
  return (a == nullptr) == (b == nullptr) && (a == nullptr || a->addresses == b->addresses);
}

bool concerns_all(const model::Snapshot& before, const model::Snapshot& after) {
  // What the lists refuse has its chain in the snapshot, a new one in each.
  return before.egress_refused || after.egress_refused || before.self_ips != after.self_ips ||
         !same_ports(before.virtual_outbound, after.virtual_outbound) ||
         !same_ports(before.virtual_inbound, after.virtual_inbound);
}

bool has_wildcard(const model::Listener& listener) {
  return std::any_of(listener.addresses.begin(), listener.addresses.end(),
                     [](const SocketAddress& address) { return address.ip.is_any(); });
}

struct Touched {
  RouteNumbers::Listeners gone;
  std::vector<SocketAddress> addresses;
  bool prefixes = false;
};

// By listeners that only one of the two has; what stays is shared.
Touched find_touched(const model::Snapshot& before, const model::Snapshot& after) {
  const auto& a = before.listeners;
  const auto& b = after.listeners;
  size_t same = 0, behind = 0;
  while (same < a.size() && same < b.size() && a[same] == b[same]) ++same;
  while (behind + same < a.size() && behind + same < b.size() &&
         a[a.size() - 1 - behind] == b[b.size() - 1 - behind])
    ++behind;
  Touched touched;
  RouteNumbers::Listeners came;
  for (size_t i = same; i + behind < b.size(); ++i) came.insert(b[i].get());
  for (size_t i = same; i + behind < a.size(); ++i)
    if (came.erase(a[i].get()) == 0) touched.gone.insert(a[i].get());
  const auto touch = [&](const model::Listener& listener) {
    if (listener.bind_to_port || listener.direction == model::Direction::kInbound) return;
    touched.addresses.insert(touched.addresses.end(), listener.addresses.begin(), listener.addresses.end());
    touched.prefixes = true;  // an exact address may have been all there was of a prefix
  };
  for (const auto* listeners : {&came, &touched.gone})
    for (const model::Listener* listener : *listeners) touch(*listener);
  // Prefixes are made anew together, so the routes of all that have a wildcard are asked for again.
  if (touched.prefixes)
    for (const model::ListenerPtr& listener : a)
      if (has_wildcard(*listener) && touched.gone.insert(listener.get()).second) touch(*listener);
  return touched;
}

const Verdict* longest_prefix(const Destinations& destinations, uint16_t port, const IpAddress& ip) {
  for (int bits = ip.bits(); bits >= 0; --bits) {
    const auto found = destinations.prefixes.find({port, {ip.masked(bits), static_cast<uint8_t>(bits)}});
    if (found != destinations.prefixes.end()) return &found->second;
  }
  return nullptr;
}

}  // namespace

void update(Destinations& table, const model::Snapshot* before, const model::Snapshot& after,
            const model::DirectTerms& terms, RouteNumbers& routes) {
  Builder builder(after, terms, routes);
  if (before == nullptr || concerns_all(*before, after)) {
    routes.begin_all();
    return builder.build(table);
  }
  Touched touched = find_touched(*before, after);
  routes.begin_without(std::move(touched.gone));
  if (after.virtual_outbound != nullptr)
    for (const SocketAddress& address : touched.addresses) {
      if (address.ip.is_any()) continue;
      if (const auto at = table.exact.find(address); at != table.exact.end()) table.exact.erase(at);
      if (after.by_address.contains(address))
        table.exact.emplace(address, ask(after, terms, routes, address));
    }
  if (touched.prefixes) builder.build_prefixes(table);
}

Verdict lookup(const Destinations& destinations, const SocketAddress& destination) {
  if (const auto found = destinations.exact.find(destination); found != destinations.exact.end())
    return found->second;
  if (const Verdict* verdict = longest_prefix(destinations, destination.port, destination.ip))
    return *verdict;
  if (const Verdict* verdict = longest_prefix(destinations, 0, destination.ip)) return *verdict;
  return {NotDirect::kNotCaptured, 0};
}

}  // namespace sockmesh::direct
