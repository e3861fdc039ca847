#include "upstream/cluster_state.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::upstream;

TEST_CASE("a cluster takes connections up to its limit") {
  ClusterState cluster;
  CHECK(cluster.acquire(2));
  CHECK(cluster.acquire(2));
  CHECK_FALSE(cluster.acquire(2));
  CHECK(cluster.acquire(std::nullopt));
  CHECK(cluster.active() == 3);
  cluster.release();
  cluster.release();
  CHECK(cluster.acquire(2));
  CHECK_FALSE(cluster.acquire(0));
}

TEST_CASE("a lease gives back its place in the cluster and at the host") {
  auto cluster = std::make_shared<ClusterState>();
  const auto first = cluster->host("10.0.0.1:80", {});
  const auto second = cluster->host("10.0.0.2:80", {});
  REQUIRE(cluster->acquire(std::nullopt));
  {
    Lease lease(cluster);
    lease.move_to(first);
    CHECK(first->active == 1);
    lease.move_to(second);
    CHECK(first->active == 0);
    CHECK(second->active == 1);
    Lease moved = std::move(lease);
    CHECK(second->active == 1);
    CHECK(cluster->active() == 1);
  }
  CHECK(second->active == 0);
  CHECK(cluster->active() == 0);
}

TEST_CASE("endpoints are remembered while they stay or carry connections") {
  ClusterState cluster;
  const auto stays = cluster.host("10.0.0.1:80", {});
  const auto busy = cluster.host("10.0.0.2:80", {});
  cluster.host("10.0.0.3:80", {});
  busy->active = 1;
  cluster.keep_only({"10.0.0.1:80"});
  CHECK(cluster.host("10.0.0.1:80", {}) == stays);
  CHECK(cluster.endpoints({}).size() == 2);
}

TEST_CASE("the registry keeps clusters by name across snapshots") {
  ClusterRegistry registry;
  const auto echo = registry.get("outbound|80||echo");
  registry.get("outbound|80||gone");
  model::Snapshot snapshot;
  snapshot.clusters["outbound|80||echo"] = std::make_shared<model::Cluster>();
  registry.keep_only(snapshot);
  CHECK(registry.find("outbound|80||echo") == echo);
  CHECK(registry.find("outbound|80||gone") == nullptr);
}
