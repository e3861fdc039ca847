// Lane 3's decisions as values, and their kernel form.
#include "bpf/direct_table.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <set>

using namespace sockmesh;
using namespace sockmesh::bpf;

namespace {

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }
Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

DirectTable mesh() {
  DirectTable table;
  table.destinations[at("10.96.0.1:80")] = {.kind = DIRECT_ROUTE, .route = 1};
  table.destinations[at("[fd00::1]:80")] = {.kind = DIRECT_REFUSE, .error = ECONNREFUSED};
  table.prefixes[{prefix("10.0.0.0/8"), 443}] = {.kind = DIRECT_ROUTE, .route = 1};
  table.prefixes[{prefix("0.0.0.0/0"), 0}] = {};
  table.prefixes[{prefix("::/0"), 0}] = {};
  table.routes[1] = {{{1, 90}, {2, 10}}};
  table.clusters[1] = {.balancing = DIRECT_ROUND_ROBIN,
                       .hosts = {{at("10.1.0.1:8080"), 3, 10}, {at("[fd01::1]:8080"), 1, 11}},
                       .max_connections = 5,
                       .live = 1};
  table.clusters[2] = {.balancing = DIRECT_ORIGINAL, .live = 2};
  return table;
}

std::string refusal_of(const DirectTable& table) {
  const auto checked = check(difference({}, table));
  return checked ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("a difference leads from one table to the other") {
  const DirectTable have = mesh();
  CHECK(difference(have, have).empty());
  DirectTable want = have;
  want.destinations.erase(at("10.96.0.1:80"));
  want.clusters[1].hosts.pop_back();
  want.routes[3] = {{{1, 1}}};
  const DirectChange change = difference(have, want);
  CHECK(change.prefixes.empty());
  REQUIRE(change.destinations.size() == 1);
  CHECK(!change.destinations.begin()->second);
  REQUIRE(change.clusters.size() == 1);
  CHECK(change.clusters.at(1) == want.clusters[1]);
  REQUIRE(change.routes.size() == 1);
  CHECK(change.routes.at(3) == want.routes[3]);
}

TEST_CASE("what the kernel holds reads back as it was") {
  for (const uint32_t side : {0u, 1u}) {
    for (const auto& [address, verdict] : mesh().destinations) {
      CHECK(to_kernel(address, side).side == side);
      CHECK(from_kernel(to_kernel(address, side)) == address);
      CHECK(from_kernel(to_kernel(verdict)) == verdict);
    }
    for (const auto& [key, verdict] : mesh().prefixes) {
      CHECK(to_kernel(key, side).side == side);
      CHECK(from_kernel(to_kernel(key, side)) == key);
    }
  }
  for (const auto& [number, route] : mesh().routes) CHECK(from_kernel(to_kernel(route)) == route);
  for (const auto& [number, cluster] : mesh().clusters)
    CHECK(from_kernel(to_kernel(cluster), hosts_to_kernel(cluster)) == cluster);
}

TEST_CASE("an IPv4 prefix is one of mapped addresses, and apart from IPv6") {
  const direct_prefix all = to_kernel(DirectPrefix{prefix("0.0.0.0/0"), 0}, 0);
  CHECK(all.bits == DIRECT_PREFIX_BITS + 96);
  CHECK(all.family == 4);
  const direct_prefix all_v6 = to_kernel(DirectPrefix{prefix("::/0"), 0}, 0);
  CHECK(all_v6.bits == DIRECT_PREFIX_BITS);
  CHECK(all_v6.family == 6);
  const direct_prefix ten = to_kernel(DirectPrefix{prefix("10.0.0.0/8"), 80}, 1);
  CHECK(ten.bits == DIRECT_PREFIX_BITS + 104);
  CHECK(ten.ip[12] == 10);
}

TEST_CASE("hosts of equal weight need no search, whatever the weight") {
  DirectCluster cluster{.hosts = {{at("10.0.0.1:1"), 7}, {at("10.0.0.2:1"), 7}}};
  CHECK(to_kernel(cluster).flags == DIRECT_EQUAL_WEIGHTS);
  CHECK(to_kernel(cluster).stride == 1);
  cluster.hosts[1].weight = 8;
  CHECK(to_kernel(cluster).flags == 0);
  CHECK(to_kernel(cluster).total_weight == 15);
  CHECK(hosts_to_kernel(cluster)[1].weight_end == 15);
}

TEST_CASE("round robin gives each weight its turn once in a round, and spreads them") {
  for (uint32_t total : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 100u, 128u, 1000u, 30030u}) {
    const uint64_t stride = round_robin_stride(total);
    INFO(total << " by " << stride);
    CHECK(std::gcd(stride, uint64_t{total}) == 1);
    std::set<uint64_t> seen;
    for (uint64_t turn = 0; turn < total; ++turn) seen.insert(turn * stride % total);
    CHECK(seen.size() == total);
  }
  // Weights 90 and 10: the light host's turns are not one after the other.
  int longest = 0, run = 0;
  for (uint64_t turn = 0; turn < 200; ++turn) {
    run = turn * round_robin_stride(100) % 100 >= 90 ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  CHECK(longest == 1);
}

TEST_CASE("what the kernel's half cannot hold is refused with its name, value and bound") {
  CHECK(refusal_of(mesh()).empty());
  DirectTable table;
  table.destinations[at("10.0.0.1:1")] = {.kind = DIRECT_REFUSE, .error = EINPROGRESS};
  CHECK(refusal_of(table) ==
        "10.0.0.1:1: refused with errno 115: expected ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, "
        "ECONNRESET, "
        "EPERM or EACCES");
  table = {};
  table.routes[7] = {};
  CHECK(refusal_of(table) == "route 7: 0 clusters: expected 1 to 8");
  table.routes[7].choices.assign(9, {1, 1});
  CHECK(refusal_of(table) == "route 7: 9 clusters: expected 1 to 8");
  table.routes[7] = {{{1, 0}}};
  CHECK(refusal_of(table) == "route 7: weight 0: expected 1 or more");
  table.routes[7] = {{{1, UINT32_MAX}, {2, 1}}};
  CHECK(refusal_of(table) == "route 7: weights of 4294967296 together: expected 4294967295 at most");
  table = {};
  table.clusters[3].hosts.assign(DIRECT_MAX_HOSTS + 1, {at("10.0.0.1:1")});
  CHECK(refusal_of(table) == "cluster 3: 4097 hosts: expected 4096 at most");
  table.clusters[3] = {.balancing = DIRECT_ORIGINAL, .hosts = {{at("10.0.0.1:1")}}};
  CHECK(refusal_of(table) == "cluster 3: 1 hosts: expected none, since the address stays");
  table.clusters[3] = {.balancing = DIRECT_FIXED, .hosts = {{at("10.0.0.1:1")}}, .start = 1};
  CHECK(refusal_of(table) == "cluster 3: fixed host 1: expected less than 1");
  table.clusters[3] = {.max_connections = 1};
  CHECK(refusal_of(table) == "cluster 3: max_connections without a live record: expected one to count in");
}
