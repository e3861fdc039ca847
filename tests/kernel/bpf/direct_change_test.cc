// Changes of the decisions while connections are made: as a whole or not at all, and in no time.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "direct_pod.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::DirectChange;
using bpf::DirectTable;

namespace {

// Two services. What leads to the first has other numbers in every other generation, and nothing else is
// there; what leads to the second has the same numbers, and other contents and sizes. All ports name the
// generation's parity.
DirectTable configuration(uint64_t generation) {
  const uint32_t parity = generation % 2;
  const auto real = [&](bool ipv6) { return endpoint(1, static_cast<uint16_t>(1 + parity), ipv6); };
  DirectTable table;
  table.destinations[service(1, 80)] = {.kind = DIRECT_ROUTE, .route = 1 + parity};
  table.prefixes[{Prefix::parse("fd96::1/128").value(), 80}] = {.kind = DIRECT_ROUTE, .route = 3 + parity};
  for (const bool ipv6 : {false, true}) {
    const uint32_t number = (ipv6 ? 3 : 1) + parity;
    table.routes[number] = {{{number, 1}}};
    table.clusters[number] = {.hosts = {{real(ipv6), 1, number}}, .live = 10 + number};
  }
  table.destinations[service(2, 80)] = {.kind = DIRECT_ROUTE, .route = 9};
  table.routes[9] = {{{9 + parity, 5}, {11 + parity, 7}}};
  for (const uint32_t number : {9u + parity, 11u + parity}) {
    table.clusters[number].live = 20 + parity;
    for (uint32_t i = 0; i < 1 + 6 * parity; ++i)
      table.clusters[number].hosts.push_back({real(false), 1 + i % 3, 30 + parity});
  }
  return table;
}

bool is_whole(const direct_record& record) {
  const uint32_t parity = record.flow.generation % 2;
  const SocketAddress asked = bpf::from_kernel(record.flow.asked);
  if (bpf::from_kernel(record.reading.remote).port != 1 + parity) return false;
  if (asked.ip == service(2, 80).ip)
    return record.flow.route == 9 && record.flow.cluster % 2 == 1 - parity &&
           record.flow.cluster_live == 20 + parity && record.flow.host_live == 30 + parity;
  const uint32_t number = (asked.ip.is_v6() ? 3 : 1) + parity;
  return record.flow.route == number && record.flow.cluster == number && record.flow.host_live == number &&
         record.flow.cluster_live == 10 + number;
}

}  // namespace

TEST_CASE("no connection mixes two configurations, however fast they change and however long it takes") {
  struct Pace {
    int stall;  // microseconds between two lookups of one decision
    uint64_t flips, flows;
  };
  const Pace pace = GENERATE(Pace{0, 300, 30'000}, Pace{300, 100, 600});
  bpf::DirectMaps::Options options;
  options.stall = std::chrono::microseconds(pace.stall);
  DirectPod pod(options);
  pod.table = configuration(1);
  pod.apply();
  std::atomic<bool> done = false;
  std::atomic<uint64_t> connects = 0, left_alone = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      const SocketAddress asked[]{service(1, 80), service(1, 80, true), service(2, 80)};
      while (!done) {
        if (connect_to(tcp(asked[i].ip.is_v6()), asked[i]) != ECONNREFUSED) ++left_alone;
        ++connects;
      }
    });
  size_t looked_at = 0, broken = 0, odd = 0;
  const auto look = [&] {
    const auto& records = pod.records();
    for (; looked_at < records.size(); ++looked_at) {
      odd += records[looked_at].flow.generation % 2;
      broken += !is_whole(records[looked_at]);
    }
  };
  (void)eventually(
      [&] {
        for (int i = 0; i < 11; ++i) {  // so that it rests at either parity
          pod.table = configuration(pod.generation() + 1);
          pod.apply();
          look();
        }
        return pod.generation() >= pace.flips && connects >= pace.flows;
      },
      std::chrono::seconds(40));
  done = true;
  for (std::thread& thread : threads) thread.join();
  look();
  CHECK(pod.generation() >= pace.flips);
  CHECK(connects >= pace.flows);
  CHECK(looked_at > pace.flows / 30);
  CHECK(odd > looked_at / 10);
  CHECK(odd < looked_at - looked_at / 10);
  CHECK(broken == 0);
  CHECK(left_alone == 0);
  CHECK(pod.count(DIRECT_COUNT_INCOMPLETE) == 0);
  CHECK(pod.count(DIRECT_COUNT_MISSED) == 0);
  CHECK(pod.all_open() == 0);
  CHECK(pod.maps().table().value() == pod.table);
}

TEST_CASE("counts outlive a change of the configuration") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const Fd listener = listen_at(endpoint(1, 8080, ipv6));
    pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)});
    const Fd client = tcp(ipv6);
    REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
    const uint64_t began = pod.generation();
    pod.table = {};
    pod.apply();
    CHECK(pod.open(100) == 1);
    CHECK(pod.open(101) == 1);
    CHECK(pod.open_flows().at(0).flow.generation == began);
    CHECK(peer_of(client) == service(1, 80, ipv6));
    REQUIRE(disconnect(client) == 0);
    CHECK(pod.all_open() == 0);
    CHECK(connect_to(client, service(1, 80, ipv6)) == ENETUNREACH);
  }
}

TEST_CASE("a change that does not fit changes nothing") {
  bpf::DirectMaps::Options options;
  options.sizes.destinations = options.sizes.routes = options.sizes.clusters = 4;
  options.sizes.hosts = 8;
  DirectPod pod(options);
  pod.refuse(service(1, 80), EPERM);
  pod.serve(service(2, 80), 1, {endpoint(1, 1), endpoint(2, 1), endpoint(3, 1)});
  const DirectTable before = pod.table;
  const uint64_t generation = pod.generation();
  DirectTable big = before;
  big.destinations.erase(service(1, 80));
  for (int i = 3; i < 20; ++i) big.destinations[service(i, 80)] = {};
  DirectTable wide = before;
  wide.clusters[1].hosts.clear();
  for (int i = 0; i < 40; ++i) wide.clusters[1].hosts.push_back({endpoint(1, 1)});
  for (const auto& [wanted, said] :
       {std::pair{big, "a destination"}, std::pair{wide, "a host of cluster 1"}}) {
    const auto applied = pod.maps().apply(difference(before, wanted), generation + 1);
    REQUIRE(!applied);
    INFO(applied.error().message);
    CHECK(applied.error().message.find(said) != std::string::npos);
    CHECK(applied.error().message.find("its map is full") != std::string::npos);
    CHECK(pod.maps().table().value() == before);
    CHECK(pod.maps().generation() == generation);
    CHECK(connect_to(tcp(), service(1, 80)) == EPERM);
    CHECK(connect_to(tcp(), service(2, 80)) == ECONNREFUSED);
  }
  // A hash of 8 may hold a few more on several processors, but not half as many more. And the sides are whole
  // again.
  pod.table.destinations.erase(service(1, 80));
  pod.apply();
  CHECK(connect_to(tcp(), service(1, 80)) == ENETUNREACH);
  CHECK(pod.maps().table().value() == pod.table);
  pod.refuse(service(3, 80), EPERM);
  CHECK(connect_to(tcp(), service(3, 80)) == EPERM);
  CHECK(pod.maps().table().value() == pod.table);
}

TEST_CASE("one change in ten thousand services is in force in less than 10 ms") {
  DirectPod pod;
  for (uint32_t i = 0; i < 10'000; ++i) {
    const SocketAddress asked{IpAddress::v4(0x0a600000u + i), 80};
    pod.table.destinations[asked] = {.kind = DIRECT_ROUTE, .route = i};
    pod.table.routes[i] = {{{i, 1}}};
    for (int host = 0; host < 3; ++host) pod.table.clusters[i].hosts.push_back({endpoint(1 + host, 1)});
  }
  pod.apply();
  const SocketAddress asked{IpAddress::v4(0x0a600000u + 5000), 80};
  auto quickest = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 11;
       ++i) {  // so that it rests at either parity  // other processes may be in the way of some
    DirectChange change;
    change.destinations[asked] =
        bpf::DirectVerdict{.kind = DIRECT_REFUSE, .error = i % 2 == 0 ? EPERM : EACCES};
    change.clusters[4000] = pod.table.clusters[4000];
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(pod.maps().apply(change, 100 + i));
    CHECK(connect_to(tcp(), asked) == (i % 2 == 0 ? EPERM : EACCES));
    quickest = std::min(quickest, std::chrono::steady_clock::now() - start);
    REQUIRE(pod.maps().settle());
  }
  CHECK(quickest < patient(std::chrono::milliseconds(10)));
  CHECK(connect_to(tcp(), {IpAddress::v4(0x0a600000u + 9999), 80}) == ECONNREFUSED);
}
