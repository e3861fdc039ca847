#include "connection/outcome.h"

#include <catch2/catch.hpp>

#include "connection/connections.h"

using namespace sockmesh;
using namespace sockmesh::connection;
using namespace std::chrono_literals;

TEST_CASE("the end of a relay in Envoy's flags") {
  using datapath::CloseReason;
  CHECK(flag_of(CloseReason::kMaxDuration) == model::ResponseFlag::kDurationTimeout);
  CHECK(flag_of(CloseReason::kUpstreamReset) == model::ResponseFlag::kUpstreamRemoteReset);
  for (const auto quiet : {CloseReason::kFinished, CloseReason::kIdleTimeout, CloseReason::kDownstreamReset,
                           CloseReason::kAborted})
    CHECK_FALSE(flag_of(quiet));
}

TEST_CASE("the route's times reach the relay") {
  model::Route route;
  CHECK(relay_options(route, 0s).idle_timeout == 1h);
  CHECK(relay_options(route, 0s).max_duration == 0s);
  route.idle_timeout = Duration(0s);
  CHECK(relay_options(route, 0s).idle_timeout == 0s);  // never
  route.max_connection_duration = Duration(10s);
  CHECK(relay_options(route, 3s).max_duration == 7s);  // counted from accept
  CHECK(relay_options(route, 11s).max_duration > 0s);  // over at once, not never
}

TEST_CASE("detection waits without end unless the mesh says otherwise") {
  model::MeshSettings mesh;
  CHECK_FALSE(detection_timeout(mesh));
  mesh.protocol_detection_timeout = 0s;
  CHECK_FALSE(detection_timeout(mesh));
  mesh.protocol_detection_timeout = 5s;
  CHECK(detection_timeout(mesh) == Duration(5s));
}

TEST_CASE("a process carries so many connections and no more") {
  Limit limit(2);
  CHECK(limit.take());
  CHECK(limit.take());
  CHECK_FALSE(limit.take());
  CHECK(limit.standing() == 2);
  limit.give_back();
  CHECK(limit.take());
}
