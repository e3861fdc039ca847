// The index against Envoy's rules written down naively, on random chains and connections; and the draw
// against its weights.
#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "chains.h"

using namespace sockmesh;
using namespace sockmesh::model;

namespace {

using Chains = std::vector<const FilterChain*>;

template <typename Keep>
Chains only(const Chains& chains, Keep keep) {
  Chains kept;
  for (const FilterChain* chain : chains)
    if (keep(*chain)) kept.push_back(chain);
  return kept;
}

// How well a server name matches: 0 not at all, 1 no name asked for, more for longer ones, exact above all.
size_t name_rank(const FilterChainMatch& match, const std::string& name) {
  if (match.server_names.empty()) return 1;
  size_t best = 0;
  for (const std::string& wanted : match.server_names) {
    if (wanted == name && !name.empty()) best = 1000;
    if (wanted.starts_with("*.") && name.size() > wanted.size() - 1 && name.ends_with(wanted.substr(1)))
      best = std::max(best, wanted.size());
  }
  return best;
}

int prefix_rank(const FilterChainMatch& match, const IpAddress& ip) {
  if (match.prefix_ranges.empty()) return 0;
  int best = -1;
  for (const Prefix& prefix : match.prefix_ranges)
    if (prefix.contains(ip)) best = std::max(best, static_cast<int>(prefix.length));
  return best;
}

const FilterChain* by_the_book(const Listener& listener, const ConnectionInfo& connection) {
  Chains chains;
  for (const FilterChain& chain : listener.chains) chains.push_back(&chain);
  const uint16_t port = connection.destination.port;
  const bool port_named = !only(chains, [&](auto& c) { return c.match.destination_port == port; }).empty();
  chains = only(chains, [&](auto& c) {
    return port_named ? c.match.destination_port == port : !c.match.destination_port;
  });
  int longest = -1;
  for (auto* c : chains) longest = std::max(longest, prefix_rank(c->match, connection.destination.ip));
  chains = only(chains, [&](auto& c) {
    return longest >= 0 && prefix_rank(c.match, connection.destination.ip) == longest;
  });
  size_t best = 0;
  for (auto* c : chains) best = std::max(best, name_rank(c->match, connection.hello->server_name));
  chains = only(
      chains, [&](auto& c) { return best > 0 && name_rank(c.match, connection.hello->server_name) == best; });
  const auto seen = connection.hello->is_tls ? TransportProtocol::kTls : TransportProtocol::kRawBuffer;
  const bool named = !only(chains, [&](auto& c) { return c.match.transport == seen; }).empty();
  chains =
      only(chains, [&](auto& c) { return c.match.transport == (named ? seen : TransportProtocol::kAny); });
  if (!chains.empty()) return chains.front();
  return listener.default_chain ? &*listener.default_chain : nullptr;
}

template <typename T>
const T& pick(std::mt19937_64& random, const std::vector<T>& from) {
  return from[random() % from.size()];
}

}  // namespace

TEST_CASE("the index decides as Envoy's criteria, one after the other, do") {
  std::mt19937_64 random(20261121);
  const std::vector<std::string> prefixes = {"10.0.0.0/8",   "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32",
                                             "192.0.2.0/24", "fd00::/8",    "fd00:1::/32"};
  const std::vector<std::string> names = {"a.example.com", "b.example.com", "*.example.com", "*.com",
                                          "*.b.example.com"};
  const std::vector<std::string> addresses = {"10.1.1.1:80",    "10.1.1.2:80",     "10.1.9.9:81",
                                              "10.9.9.9:80",    "192.0.2.7:80",    "8.8.8.8:81",
                                              "[fd00:1::1]:80", "[2001:db8::1]:80"};
  const std::vector<std::string> asked = {
      "", "a.example.com", "b.example.com", "x.b.example.com", "x.org", "example.com", "com"};
  for (int round = 0; round < 3000; ++round) {
    auto made = listener("0.0.0.0_80", {"0.0.0.0:80"}, {});
    const size_t count = random() % 7;
    for (size_t i = 0; i < count; ++i) {
      FilterChain chain = to("c" + std::to_string(i));
      if (random() % 4 == 0) chain.match.destination_port = static_cast<uint16_t>(80 + random() % 2);
      for (size_t n = random() % 3; n > 0; --n)
        chain.match.prefix_ranges.push_back(Prefix::parse(pick(random, prefixes)).value());
      for (size_t n = random() % 3; n > 0; --n) chain.match.server_names.push_back(pick(random, names));
      chain.match.transport = static_cast<TransportProtocol>(random() % 5 < 3 ? 0 : random() % 3);
      made->chains.push_back(chain);
    }
    if (random() % 2 == 0) made->default_chain = to("default");
    Snapshot snapshot;
    snapshot.listeners.push_back(made);
    snapshot.index();
    for (int probe = 0; probe < 20; ++probe) {
      ConnectionInfo connection = dial(pick(random, addresses));
      connection.bound = made.get();
      TlsHello hello;
      hello.is_tls = random() % 3 != 0;
      if (hello.is_tls) hello.server_name = pick(random, asked);
      const Decision blind = match(snapshot, connection);
      connection.hello = hello;
      const FilterChain* expected = by_the_book(*made, connection);
      REQUIRE(match(snapshot, connection).chain == expected);
      // What was decided without looking is what looking decides.
      if (!blind.needs_inspection && expected) {
        REQUIRE(blind.chain);
        REQUIRE(blind.chain->route.clusters.front().cluster == expected->route.clusters.front().cluster);
      }
    }
  }
}

TEST_CASE("draws converge to the weights") {
  std::mt19937_64 random(7);
  for (const auto& weights : std::vector<std::vector<uint32_t>>{
           {80, 20}, {1, 1, 1}, {0, 5}, {5, 0}, {1, 999}, {4000000000u, 4000000000u}, {7}}) {
    Route route;
    double sum = 0;
    for (uint32_t weight : weights) {
      route.clusters.push_back({"c" + std::to_string(route.clusters.size()), weight});
      sum += weight;
    }
    std::map<std::string, int> seen;
    const int draws = 20000;
    for (int i = 0; i < draws; ++i) ++seen[draw(route, random()).cluster];
    for (const auto& part : route.clusters) {
      const double expected = sum > 0 ? part.weight / sum : 1;
      CHECK(seen[part.cluster] / static_cast<double>(draws) == Approx(expected).margin(0.02));
      if (part.weight == 0) CHECK(seen[part.cluster] == 0);
    }
  }
  // One destination takes everything, weight or none; the extremes of the generator stay inside.
  Route one;
  one.clusters = {{"only", 0}};
  CHECK(draw(one, 0).cluster == "only");
  Route two;
  two.clusters = {{"a", 1}, {"b", 1}};
  CHECK(draw(two, 0).cluster == "a");
  CHECK(draw(two, ~uint64_t{0}).cluster == "b");
}
