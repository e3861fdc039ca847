#include "agreement.h"

#include <catch2/catch.hpp>
#include <set>

namespace sockmesh::direct {

namespace {

// The address `by` further on, around the end.
IpAddress next_to(const IpAddress& ip, int by) {
  std::array<uint8_t, 16> bytes = ip.bytes();
  for (int at = ip.bits() / 8 - 1; at >= 0; --at) {
    bytes[static_cast<size_t>(at)] = static_cast<uint8_t>(bytes[static_cast<size_t>(at)] + by);
    if (bytes[static_cast<size_t>(at)] != (by > 0 ? 0 : 0xff)) break;
  }
  if (ip.is_v6()) {
    in6_addr raw;
    std::copy(bytes.begin(), bytes.end(), raw.s6_addr);
    return IpAddress::v6(raw);
  }
  return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
                       bytes[3]);
}

IpAddress last_of(const Prefix& prefix) {
  std::array<uint8_t, 16> bytes = prefix.address.bytes();
  for (int bit = prefix.length; bit < prefix.address.bits(); ++bit)
    bytes[static_cast<size_t>(bit) / 8] |= static_cast<uint8_t>(0x80u >> (bit % 8));
  if (prefix.address.is_v4())
    return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
                         bytes[3]);
  in6_addr raw;
  std::copy(bytes.begin(), bytes.end(), raw.s6_addr);
  return IpAddress::v6(raw);
}

class Grid {
 public:
  Grid(const model::Snapshot& snapshot, const model::DirectTerms& terms) {
    for (const char* text :
         {"8.8.8.8", "127.0.0.1", "127.255.255.255", "128.0.0.0", "169.254.169.254", "0.0.0.0",
          "255.255.255.255", "::", "::1", "::2", "fe80::1", "2001:db8::1", "ffff::"})
      add(IpAddress::parse(text).value());
    for (const auto& entry : snapshot.by_address) add(entry.first);
    for (const auto& listener : snapshot.listeners) {
      for (const SocketAddress& address : listener->addresses) add(address.port);
      for (const model::FilterChain& chain : listener->chains) {
        if (chain.match.destination_port) add(*chain.match.destination_port);
        for (const Prefix& prefix : chain.match.prefix_ranges) add(prefix);
      }
    }
    for (const auto* list : {&snapshot.egress.permit, &snapshot.egress.block})
      for (const Prefix& prefix : *list) add(prefix);
    for (const auto* list : {&terms.excluded_ranges, &terms.included_ranges})
      for (const Prefix& prefix : *list) add(prefix);
    for (const auto* list : {&terms.capture_ports, &terms.excluded_ports, &terms.included_ports})
      for (const uint16_t port : *list) add(port);
    for (const IpAddress& own : snapshot.self_ips) add(own);
  }

  template <typename Ask>
  void each(Ask ask) const {
    for (const IpAddress& ip : ips_)
      for (const uint16_t port : ports_) ask(SocketAddress{ip, port});
  }

 private:
  void add(const IpAddress& ip) {
    for (const int by : {-1, 1}) ips_.insert(next_to(ip, by));
    ips_.insert(ip);
  }
  void add(const Prefix& prefix) {
    add(prefix.address);
    add(last_of(prefix));
  }
  void add(uint16_t port) {
    for (const int by : {-1, 0, 1}) ports_.insert(static_cast<uint16_t>(port + by));
    ports_.erase(0);
  }
  void add(const SocketAddress& address) {
    add(address.ip);
    add(address.port);
  }

  std::set<IpAddress> ips_;
  std::set<uint16_t> ports_{1, 80, 65535};
};

}  // namespace

Agreement check_agreement(const model::Snapshot& snapshot, const model::DirectTerms& terms) {
  const Destinations table = destinations(snapshot, terms);
  Agreement agreement;
  const auto text = [](const Answer& answer) {
    return (answer.chain ? answer.chain->name : Text("none")) + ": " +
           (answer.why_not ? to_string(*answer.why_not) : "direct");
  };
  Grid(snapshot, terms).each([&](const SocketAddress& to) {
    model::ConnectionInfo connection;
    connection.destination = to;
    const model::Decision decision = match(snapshot, connection);
    const Answer wanted{decision.listener, decision.chain, not_direct(snapshot, connection, decision, terms)};
    const Answer* found = table.find(to);
    ++agreement.asked;
    if (found != nullptr && *found == wanted) {
      agreement.direct += !found->why_not;
      return;
    }
    INFO(to.to_string() << " wanted " << text(wanted) << ", found " << (found ? text(*found) : "nothing"));
    REQUIRE(found != nullptr);
    REQUIRE(*found == wanted);
  });
  return agreement;
}

}  // namespace sockmesh::direct
