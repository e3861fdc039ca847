// Direct flows as events and looks tell of them: each is one connection, whatever was lost on the way.
#include "app_lanes/direct_flows.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "kernel_flow.h"
#include "telemetry/counters.h"

using namespace sockmesh;
using namespace sockmesh::app_lanes;
using telemetry::TcpMetric;

namespace {

struct Followed {
  uint64_t tcp(TcpMetric metric) const {
    telemetry::CounterTotals totals;
    flows.add_to(totals);
    uint64_t sum = 0;
    for (const auto& [key, values] : totals.tcp) sum += values[static_cast<size_t>(metric)];
    return sum;
  }
  upstream::ClusterStatePtr state() { return pod.clusters.get("store"); }
  void look(const std::vector<direct_record>& records, bool lost) {
    flows.begin_look();
    flows.seen(records);
    flows.end_look(lost);
  }

  model::SnapshotPtr snapshot = a_service();
  pod::Pod pod{config::ProxyIdentity{}};
  DirectFlows flows{pod, 1, nullptr, [this](const direct_flow&) { return LedBy{snapshot, "store"}; }};
};

}  // namespace

TEST_CASE("a flow is opened once and ended once") {
  Followed world;
  world.flows.happened(flow(DIRECT_OPENED));
  world.flows.happened(flow(DIRECT_OPENED));  // a look was quicker than its event
  CHECK(world.flows.active() == 1);
  CHECK(world.state()->active() == 1);  // counts for maxConnections
  CHECK(world.tcp(TcpMetric::kOpened) == 1);
  world.flows.happened(flow(DIRECT_ENDED));
  CHECK(world.flows.active() == 0);
  CHECK(world.state()->active() == 0);
  CHECK(world.tcp(TcpMetric::kClosed) == 1);
  CHECK(world.tcp(TcpMetric::kReceived) == 1000);
  CHECK(world.tcp(TcpMetric::kSent) == 2000);
  CHECK(world.flows.total() == 1);
  CHECK(world.flows.bytes() == 3000);
}

TEST_CASE("a flow of which only the end was told is a whole connection") {
  Followed world;
  world.flows.happened(flow(DIRECT_ENDED));
  CHECK(world.flows.active() == 0);
  CHECK(world.tcp(TcpMetric::kOpened) == 1);
  CHECK(world.tcp(TcpMetric::kClosed) == 1);
  CHECK(world.tcp(TcpMetric::kSent) == 2000);
}

TEST_CASE("looking finds flows that nobody told of") {
  Followed world;
  direct_record connecting = flow(DIRECT_SEEN, 8);
  connecting.flow.established_ns = 0;
  world.look({flow(DIRECT_SEEN), connecting}, false);
  CHECK(world.flows.active() == 1);
  CHECK(world.flows.records().at(0).bytes_sent == 2000);
}

TEST_CASE("a flow that no look saw for a while has ended unseen, if events were lost") {
  Followed world;
  world.flows.happened(flow(DIRECT_OPENED, 7));
  world.flows.happened(flow(DIRECT_OPENED, 8));
  const std::vector<direct_record> left{flow(DIRECT_SEEN, 8)};
  for (uint64_t i = 0; i + 1 < DirectFlows::kLooksToEnd; ++i) world.look(left, true);
  CHECK(world.flows.active() == 2);  // the kernel's walk may have passed over it
  world.look(left, true);
  CHECK(world.flows.active() == 1);
  for (uint64_t i = 0; i < 2 * DirectFlows::kLooksToEnd; ++i) world.look({}, false);
  CHECK(world.flows.active() == 1);  // no event was lost: its end would have been told
}

TEST_CASE("a socket that connects again is another connection") {
  Followed world;
  world.flows.happened(flow(DIRECT_ENDED));
  direct_record again = flow(DIRECT_OPENED);
  again.flow.connect_ns += 1;
  world.flows.happened(again);
  CHECK(world.flows.active() == 1);
  CHECK(world.flows.total() == 2);
}

TEST_CASE("failed connects eject a host, as the agent's own do") {
  Followed world;
  auto changed = std::make_shared<model::Snapshot>(*world.snapshot);
  auto store = std::make_shared<model::Cluster>(*changed->clusters.at("store"));
  store->outlier = model::OutlierDetection{};
  store->outlier->consecutive_5xx = 3;
  store->outlier->max_ejection_percent = 50;
  changed->clusters.insert_or_assign("store", store);
  changed->index();
  world.snapshot = changed;
  const uint64_t version = world.state()->health_version();
  direct_record refused = flow(DIRECT_FAILED);
  refused.reading.error = ECONNREFUSED;
  for (int i = 0; i < 3; ++i) {
    CHECK(world.state()->health_version() == version);
    ++refused.flow.connect_ns;
    world.flows.happened(refused);
  }
  CHECK(world.state()->health_version() != version);
  CHECK(world.state()->host("10.1.0.1:80", monotonic_now())->ejected(monotonic_now()));
  CHECK(world.state()->connect_failures == 3);
  CHECK(world.state()->active() == 0);

  refused.reading.error = 0;  // the application gave up: nobody's fault
  ++refused.flow.connect_ns;
  world.flows.happened(refused);
  CHECK(world.state()->connect_failures == 3);
}
