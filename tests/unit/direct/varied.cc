#include "varied.h"

#include <algorithm>
#include <set>

#include "base/address_range.h"

namespace sockmesh::direct {

namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kBlocks = {"10.50.0.0/16", "10.50.0.0/17",  "10.96.0.0/29",  "10.96.0.4/31",
                                          "10.96.0.3/32", "0.0.0.0/1",     "192.0.2.0/24",  "fd00::/8",
                                          "fd00:1::/32",  "fd00:1::2/127", "2001:db8::/32", "::/3"};

class Varying {
 public:
  Varying(model::Snapshot& snapshot, std::mt19937_64& random) : snapshot_(snapshot), random_(random) {}

  void run() {
    if (chance(40)) snapshot_.self_ips.push_back(IpAddress::parse("fd00:1::9").value());
    if (chance(10)) snapshot_.self_ips.push_back(IpAddress::parse("10.244.9.10").value());
    for (const auto& [name, cluster] : snapshot_.clusters) names_.push_back(name);
    for (auto& [name, cluster] : snapshot_.clusters)
      if (chance(60)) cluster = varied(*cluster);
    for (auto& listener : snapshot_.listeners)
      if (chance(50)) listener = varied(*listener);
    if (chance(30)) snapshot_.egress.block_all = chance(30);
    for (size_t n = below(3); n > 0 && chance(50); --n) snapshot_.egress.block.push_back(block());
    for (size_t n = below(3); n > 0 && chance(50); --n) snapshot_.egress.permit.push_back(block());
    snapshot_.index();
  }

 private:
  size_t below(size_t n) { return random_() % n; }
  bool chance(int percent) { return below(100) < static_cast<size_t>(percent); }
  Prefix block() { return Prefix::parse(kBlocks[below(kBlocks.size())]).value(); }

  model::Endpoint endpoint(const char* address) {
    model::Endpoint made;
    made.address = SocketAddress::parse(address).value();
    return made;
  }

  model::ClusterPtr varied(const model::Cluster& from) {
    auto made = std::make_shared<model::Cluster>(from);
    if (made->type == model::ClusterType::kOriginalDst) {
      if (chance(5)) made->original_dst_port = 8443;
      return made;
    }
    made->lb = static_cast<model::LbPolicy>(below(5));
    made->hash_table_size = static_cast<uint32_t>(101 + below(400));
    made->panic_threshold_percent = chance(30) ? 50 : 0;
    if (chance(30)) made->slow_start = model::SlowStart{60s, 10, 1.0};
    const bool weights = chance(40), localities = chance(40), health = chance(40), levels = chance(40);
    for (model::Endpoint& one : made->endpoints) {
      if (weights) one.weight = static_cast<uint32_t>(below(6));
      if (levels) one.priority = static_cast<uint16_t>(below(3));
      if (health && chance(40)) one.health = model::Health::kUnhealthy;
      if (localities)
        one.locality = std::make_shared<model::Locality>(model::Locality{"r1", chance(50) ? "z1" : "z2", ""});
    }
    if (localities)
      made->locality_weights = {{{"r1", "z1", ""}, 70}, {{"r1", "z2", ""}, 20}, {{"r1", "", ""}, 10}};
    if (chance(3)) made->keepalive = model::Keepalive();
    if (chance(3)) made->proxy_protocol = model::ProxyProtocol::kV2;
    if (chance(3)) made->bind_source_v4 = IpAddress::parse("10.244.9.11").value();
    if (chance(3)) made->endpoints.push_back(endpoint("[fd00:1::7]:80"));
    if (chance(3)) made->endpoints.push_back(endpoint("10.244.9.9:80"));
    if (chance(2)) made->endpoints.emplace_back().address = model::UnixPath{"/run/x"};
    if (chance(10))
      for (model::Endpoint& one : made->endpoints)
        if (auto* at = std::get_if<SocketAddress>(&one.address))
          at->ip = IpAddress::parse("fd00:1::" + std::to_string(100 + below(50))).value();
    return made;
  }

  void vary_route(model::Route& route) {
    if (chance(40)) {
      route.clusters.clear();
      for (size_t n = 1 + below(4); n > 0; --n)
        route.clusters.push_back({chance(5) ? Text("nowhere") : names_[below(names_.size())],
                                  static_cast<uint32_t>(chance(80) ? 1 + below(9) : 0)});
    }
    route.hash_source_ip = chance(30);
    if (chance(3)) route.idle_timeout = Duration(5s);
    if (chance(3)) route.max_connection_duration = Duration(5s);
  }

  model::ListenerPtr varied(const model::Listener& from) {
    auto made = std::make_shared<model::Listener>(from);
    const bool outbound = made->direction == model::Direction::kOutbound && !made->bind_to_port;
    for (model::FilterChain& chain : made->chains) vary_route(chain.route);
    if (made->default_chain) vary_route(made->default_chain->route);
    if (!outbound) return made;
    const bool wildcard = made->addresses.front().ip.is_any();
    if (made->name != model::kVirtualOutbound && chance(30))
      made->addresses.push_back({wildcard ? IpAddress::any(true) : IpAddress::parse("fd00:1::3").value(),
                                 made->addresses.front().port});
    for (size_t n = below(4); n > 0 && wildcard; --n) {
      model::FilterChain chain;
      chain.name = chance(20) ? Text("twin") : Text("extra-" + std::to_string(n));
      chain.route.clusters = {{names_[below(names_.size())], 0}};
      vary_route(chain.route);
      for (size_t b = below(3); b > 0; --b) chain.match.prefix_ranges.push_back(block());
      if (chance(25)) chain.match.destination_port = static_cast<uint16_t>(9000 + below(5));
      if (chance(15)) chain.match.server_names = {"s.com"};
      if (chance(15)) chain.match.transport = model::TransportProtocol::kTls;
      chain.log = !chance(5);
      made->chains.insert(made->chains.begin() + static_cast<std::ptrdiff_t>(below(made->chains.size() + 1)),
                          std::move(chain));
    }
    return made;
  }

  model::Snapshot& snapshot_;
  std::mt19937_64& random_;
  std::vector<Text> names_;
};

IpAddress neighbour(const IpAddress& ip, int by) {
  std::array<uint8_t, 16> bytes = ip.bytes();
  bytes[static_cast<size_t>(ip.bits()) / 8 - 1] =
      static_cast<uint8_t>(bytes[static_cast<size_t>(ip.bits()) / 8 - 1] + by);
  if (ip.is_v4())
    return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
                         bytes[3]);
  in6_addr six;
  std::copy(bytes.begin(), bytes.end(), six.s6_addr);
  return IpAddress::v6(six);
}

}  // namespace

model::SnapshotPtr vary(const model::Snapshot& snapshot, std::mt19937_64& random) {
  auto copy = std::make_shared<model::Snapshot>(snapshot);
  Varying(*copy, random).run();
  return copy;
}

model::DirectTerms random_terms(std::mt19937_64& random) {
  model::DirectTerms terms;
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  terms.ends_flows = chance(50);
  if (chance(10)) terms.capture_ports = {9002};
  if (chance(10)) terms.excluded_ports = {9001, 443};
  if (chance(10))
    terms.excluded_ranges = {Prefix::parse("10.96.0.2/31").value(), Prefix::parse("fd00:1::/64").value()};
  if (chance(10)) terms.included_ranges = {Prefix::parse("10.0.0.0/8").value()};
  if (chance(10)) terms.included_ports = {9000};
  return terms;
}

void vary_hosts(const model::Snapshot& snapshot, upstream::ClusterRegistry& registry, MonotonicTime now,
                std::mt19937_64& random) {
  for (const auto& [name, cluster] : snapshot.clusters)
    for (const model::Endpoint& endpoint : cluster->endpoints) {
      if (std::holds_alternative<model::HostName>(endpoint.address)) continue;
      const auto state = registry.get(name);
      const auto host = state->host(to_string(endpoint.address), now - std::chrono::seconds(random() % 90));
      if (random() % 10 != 0) continue;
      host->ejected_until = (now + 10s).time_since_epoch().count();
      state->health_changed();
    }
}

void answer_names(const model::Snapshot& snapshot, upstream::NameCache& names, MonotonicTime now) {
  for (const auto& [key, cluster] : snapshot.clusters)
    for (const model::Endpoint& endpoint : cluster->endpoints)
      if (const auto* name = std::get_if<model::HostName>(&endpoint.address)) {
        upstream::Lookup lookup;
        lookup.v4.outcome = upstream::FamilyLookup::Outcome::kAddresses;
        lookup.v4.addresses = {IpAddress::parse("198.18.0.1").value(),
                               IpAddress::parse("198.18.0.2").value()};
        names.looked_up(name->name, lookup, now);
      }
}

std::vector<SocketAddress> grid(const model::Snapshot& snapshot, const model::DirectTerms& terms) {
  std::set<IpAddress> ips;
  std::set<uint16_t> ports = {1, 80, 15001, 15006, 65535};
  const auto around = [&](const IpAddress& ip) {
    for (const int by : {-1, 0, 1}) ips.insert(neighbour(ip, by));
  };
  const auto edges = [&](const Prefix& block) {
    around(block.address);
    around(last_of(block));
  };
  const auto near = [&](uint16_t port) {
    for (const int by : {-1, 0, 1}) ports.insert(static_cast<uint16_t>(port + by));
  };
  for (const char* text : {"8.8.8.8", "10.50.1.1", "127.0.0.1", "127.0.0.2", "126.255.255.255", "128.0.0.0",
                           "0.0.0.0", "255.255.255.255", "::", "::1", "::2", "2001:db8::1", "fd00:1::3",
                           "fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
    ips.insert(IpAddress::parse(text).value());
  for (const IpAddress& ip : snapshot.self_ips) around(ip);
  for (const auto& listener : snapshot.listeners) {
    for (const SocketAddress& address : listener->addresses) {
      around(address.ip);
      near(address.port);
    }
    for (const model::FilterChain& chain : listener->chains) {
      for (const Prefix& block : chain.match.prefix_ranges) edges(block);
      if (chain.match.destination_port) near(*chain.match.destination_port);
    }
  }
  for (const auto& [name, cluster] : snapshot.clusters)
    for (const model::Endpoint& endpoint : cluster->endpoints)
      if (const auto* at = std::get_if<SocketAddress>(&endpoint.address)) ips.insert(at->ip);
  for (const auto* list :
       {&snapshot.egress.permit, &snapshot.egress.block, &terms.excluded_ranges, &terms.included_ranges})
    for (const Prefix& block : *list) edges(block);
  for (const auto* list : {&terms.capture_ports, &terms.excluded_ports, &terms.included_ports})
    for (const uint16_t port : *list) near(port);
  ports.erase(0);
  std::vector<SocketAddress> out;
  for (const IpAddress& ip : ips)
    for (const uint16_t port : ports) out.push_back({ip, port});
  return out;
}

}  // namespace sockmesh::direct
