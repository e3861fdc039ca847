// Which host of which cluster: drawn by the kernel, many times, on endpoints where mostly nobody listens,
// since a refused connection was drawn like any other.
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "direct_pod.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::DirectCluster;

namespace {

void connect_times(const SocketAddress& address, int times) {
  for (int i = 0; i < times; ++i) REQUIRE(connect_to(tcp(address.ip.is_v6()), address) == ECONNREFUSED);
}

std::vector<SocketAddress> nobody(int hosts, bool ipv6) {
  std::vector<SocketAddress> made;
  for (int i = 0; i < hosts; ++i) made.push_back(endpoint(1 + i % 4, static_cast<uint16_t>(1 + i / 4), ipv6));
  return made;
}

}  // namespace

TEST_CASE("random draws follow the weights") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const uint32_t number = ipv6 ? 2 : 1, live = 100 * number;
    const auto drawn = [&](uint32_t host) { return pod.maps().live(live + 1 + host).drawn; };
    pod.serve(service(1, 80, ipv6), number, nobody(4, ipv6));
    connect_times(service(1, 80, ipv6), 2000);
    for (uint32_t i = 0; i < 4; ++i) {
      CHECK(drawn(i) > 400);  // 500, and five times the spread
      CHECK(drawn(i) < 600);
    }
    const uint32_t before[]{drawn(0), drawn(1), drawn(2)};
    pod.serve(service(1, 80, ipv6), number, nobody(3, ipv6), [](DirectCluster& cluster) {
      cluster.hosts[0].weight = 1;
      cluster.hosts[1].weight = 3;
      cluster.hosts[2].weight = 6;
    });
    connect_times(service(1, 80, ipv6), 2000);
    CHECK(std::abs(static_cast<int>(drawn(0) - before[0]) - 200) < 70);
    CHECK(std::abs(static_cast<int>(drawn(1) - before[1]) - 600) < 110);
    CHECK(std::abs(static_cast<int>(drawn(2) - before[2]) - 1200) < 110);
  }
}

TEST_CASE("a route's clusters are drawn by their weights") {
  DirectPod pod;
  pod.serve(service(1, 80), 1, nobody(1, false));
  pod.serve(service(2, 80), 2, nobody(1, false));
  pod.table.routes[1] = {{{1, 90}, {2, 10}}};
  pod.apply();
  connect_times(service(1, 80), 2000);
  CHECK(std::abs(static_cast<int>(pod.maps().live(101).drawn) - 1800) < 70);
  CHECK(pod.maps().live(101).drawn + pod.maps().live(201).drawn == 2000);
}

TEST_CASE("round robin gives every host exactly its share, from several threads too") {
  DirectPod pod;
  for (const bool weighted : {false, true}) {
    const uint32_t number = weighted ? 2 : 1;
    pod.serve(service(number, 80), number, nobody(4, false), [&](DirectCluster& cluster) {
      cluster.balancing = DIRECT_ROUND_ROBIN;
      cluster.start = 3;
      if (weighted) cluster.hosts[0].weight = 5;
    });
    const int round = weighted ? 8 : 4;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int turn = 0; turn < 10 * round; ++turn) (void)connect_to(tcp(), service(number, 80));
      });
    for (std::thread& thread : threads) thread.join();
    for (uint32_t i = 0; i < 4; ++i)
      CHECK(pod.maps().live(100 * number + 1 + i).drawn == (weighted && i == 0 ? 200u : 40u));
  }
}

TEST_CASE("the search finds each of a thousand hosts by its weight") {
  DirectPod pod;
  uint32_t total = 0;
  pod.serve(service(1, 80), 1, nobody(1000, false), [&](DirectCluster& cluster) {
    cluster.balancing = DIRECT_ROUND_ROBIN;
    for (size_t i = 0; i < cluster.hosts.size(); ++i) total += cluster.hosts[i].weight = 1 + i % 3;
  });
  connect_times(service(1, 80), static_cast<int>(total));
  uint32_t right = 0;
  for (uint32_t i = 0; i < 1000; ++i) right += pod.maps().live(101 + i).drawn == 1 + i % 3;
  CHECK(right == 1000);
}

TEST_CASE("a fixed host is the one that user space chose") {
  DirectPod pod;
  pod.serve(service(1, 80), 1, nobody(4, false), [](DirectCluster& cluster) {
    cluster.balancing = DIRECT_FIXED;
    cluster.start = 2;
  });
  connect_times(service(1, 80), 20);
  CHECK(pod.maps().live(103).drawn == 20);
}

TEST_CASE("least request prefers the host with fewer open connections for its weight") {
  DirectPod pod;
  const Fd listener = listen_at(endpoint(1, 8080), 100);
  pod.serve(service(1, 80), 1, {endpoint(1, 8080), endpoint(2, 1)},
            [](DirectCluster& cluster) { cluster.balancing = DIRECT_FIXED; });
  std::vector<Fd> open;
  for (int i = 0; i < 20; ++i) {
    open.push_back(tcp());
    REQUIRE(connect_to(open.back(), service(1, 80)) == 0);
    open.push_back(accept_from(listener));
  }
  // Of two draws out of two hosts, three in four have the idle one among them.
  pod.table.clusters[1].balancing = DIRECT_LEAST_REQUEST;
  pod.table.clusters[1].hosts[0].address = endpoint(2, 1);
  pod.apply();
  connect_times(service(1, 80), 400);
  CHECK(pod.maps().live(102).drawn > 250);  // 300; by chance 200
  CHECK(pod.maps().live(102).drawn < 350);
  // Ten connections on the other, then three times the weight for the first: twenty on that are less.
  for (const uint32_t weight : {1u, 3u}) {
    pod.table.clusters[1] = {.balancing = weight == 1 ? DIRECT_FIXED : DIRECT_LEAST_REQUEST,
                             .hosts = {{endpoint(2, 1), weight, 101}, {endpoint(1, 8080), 1, 102}},
                             .start = 1,
                             .live = 100};
    if (weight == 3) pod.table.clusters[1].hosts[1].address = endpoint(2, 1);
    pod.apply();
    for (int i = 0; weight == 1 && i < 10; ++i) {
      open.push_back(tcp());
      REQUIRE(connect_to(open.back(), service(1, 80)) == 0);
      open.push_back(accept_from(listener));
    }
  }
  CHECK(pod.open(101) == 20);
  CHECK(pod.open(102) == 10);
  const uint32_t before = pod.maps().live(102).drawn;
  connect_times(service(1, 80), 400);
  CHECK(pod.maps().live(102).drawn - before < 80);  // both draws of it: one in sixteen; by count alone seven
}

TEST_CASE("connections that the proxy carries count like direct ones: for least request, and for the bound") {
  DirectPod pod;
  pod.serve(service(1, 80), 1, nobody(2, false),
            [](DirectCluster& cluster) { cluster.balancing = DIRECT_LEAST_REQUEST; });
  pod.maps().set_proxied(101, 5);
  connect_times(service(1, 80), 400);
  CHECK(pod.maps().live(102).drawn > 250);  // three in four have the other one among two draws

  const Fd listener = listen_at(endpoint(1, 8080));
  pod.serve(service(2, 80), 2, {endpoint(1, 8080)},
            [](DirectCluster& cluster) { cluster.max_connections = 3; });
  pod.maps().set_proxied(200, 2);
  const Fd first = tcp();
  REQUIRE(connect_to(first, service(2, 80)) == 0);
  CHECK(connect_to(tcp(), service(2, 80)) == ENETUNREACH);
  pod.maps().set_proxied(200, 1);
  CHECK(connect_to(tcp(), service(2, 80)) == 0);
}

TEST_CASE("at max_connections the next one is left to the proxy, or refused, and room comes back") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    for (const bool refuse : {false, true}) {
      const SocketAddress asked = service(1, 80, ipv6), real = endpoint(1, 8080, ipv6);
      const Fd listener = listen_at(real);
      pod.serve(asked, 1, {real}, [&](DirectCluster& cluster) {
        cluster.max_connections = 2;
        cluster.refuse_when_full = refuse;
      });
      Fd first = tcp(ipv6), second = tcp(ipv6);
      REQUIRE(connect_to(first, asked) == 0);
      REQUIRE(connect_to(second, asked) == 0);
      CHECK(connect_to(tcp(ipv6), asked) == (refuse ? ECONNREFUSED : ENETUNREACH));
      CHECK(pod.open(100) == 2);
      reset_on_close(first);
      first.reset();
      EVENTUALLY(pod.open(100) == 1);
      Fd third = tcp(ipv6);
      CHECK(connect_to(third, asked) == 0);
      for (Fd* fd : {&second, &third}) {
        reset_on_close(*fd);
        fd->reset();
      }
      EVENTUALLY(pod.all_open() == 0);
    }
  }
  CHECK(pod.count(DIRECT_COUNT_FULL) == 2);
  CHECK(pod.count(DIRECT_COUNT_REFUSED_FULL) == 2);
}
