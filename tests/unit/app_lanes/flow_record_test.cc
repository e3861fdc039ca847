// A direct flow in the words of the agent's own connections.
#include "app_lanes/flow_record.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "kernel_flow.h"

using namespace sockmesh;
using namespace sockmesh::app_lanes;
using namespace std::chrono_literals;

namespace {

const WallTime kWall{std::chrono::hours(500'000)};
const MonotonicTime kNow{std::chrono::seconds(5)};

ConnectionRecord record_of(const direct_record& record, const Text& cluster = "store") {
  return flow_record(record, {a_service(), cluster}, kWall, kNow);
}
ConnectionRecord ended(direct_record record) {
  ConnectionRecord known = record_of(record);
  note_end(record, known);
  return known;
}

}  // namespace

TEST_CASE("an open flow has both ends, its route, and the bytes of the application") {
  const ConnectionRecord record = record_of(flow(DIRECT_OPENED));
  CHECK(record.downstream_remote == addr("10.1.0.9:40000"));
  CHECK(record.downstream_local == addr("10.96.0.1:80"));
  CHECK(record.upstream_host == model::EndpointAddress(addr("10.1.0.1:80")));
  CHECK(record.upstream_local == addr("10.1.0.9:40000"));
  CHECK(record.listener == "10.96.0.1_80");
  CHECK(record.filter_chain == "store");
  CHECK(record.cluster == "store");
  REQUIRE(record.peer);
  CHECK(record.peer->name == "pod of 10.1.0.1:80");
  CHECK(record.lane == model::Lane::kDirect);
  CHECK(record.bytes_received == 1000);
  CHECK(record.bytes_sent == 2000);
  CHECK(record.moved[model::Lane::kDirect].received == 1000);
  CHECK(record.upstream_tcp->round_trip == 250us);
  CHECK(record.upstream_tcp->retransmits == 2);
  CHECK(record.started == kWall - 4s);  // when the SYN was sent
  CHECK(record.state == telemetry::ConnectionState::kRelaying);
}

TEST_CASE("a flow whose cluster is not known has the one that its endpoint tells, or none") {
  CHECK(record_of(flow(DIRECT_SEEN), "").cluster == "store");
  auto snapshot = a_service();
  auto split = std::make_shared<model::Listener>(*snapshot->listeners.back());
  split->chains[0].route.clusters = {{"store", 1}, {"other", 1}};
  snapshot->listeners.back() = split;
  auto other = std::make_shared<model::Cluster>(*snapshot->clusters.at("store"));
  other->name = "other";
  other->endpoints.pop_back();
  snapshot->clusters.emplace(other->name, other);
  snapshot->index();
  const auto cluster_of = [&](const char* endpoint) {
    return flow_record(flow(DIRECT_SEEN, 7, endpoint), {snapshot, ""}, kWall, kNow).cluster;
  };
  CHECK(cluster_of("10.1.0.2:80") == "store");
  CHECK(cluster_of("10.1.0.1:80").empty());  // of both
}

TEST_CASE("what was told once is not taken back by a reading that came out smaller") {
  direct_record record = flow(DIRECT_SEEN);
  ConnectionRecord known = record_of(record);
  record.reading.bytes_acked = 500;
  note_reading(record, known);
  CHECK(known.bytes_received == 1000);
}

TEST_CASE("each way to end has its flags") {
  CHECK(ended(flow(DIRECT_ENDED)).flags.to_string() == "-");
  CHECK(ended(flow(DIRECT_ENDED)).close_reason == "client");
  CHECK(ended(flow(DIRECT_ENDED)).duration == 4s);

  direct_record reset = flow(DIRECT_ENDED);
  reset.flow.first_step = BPF_TCP_CLOSE;
  reset.reading.error = ECONNRESET;
  CHECK(ended(reset).flags.to_string() == "UR");
  reset.flow.first_step = BPF_TCP_FIN_WAIT1;  // the application had shut its side down before
  CHECK(ended(reset).flags.to_string() == "UR");
  reset.reading.error = ECONNABORTED;  // by an administrator
  CHECK(ended(reset).flags.to_string() == "-");

  direct_record refused = flow(DIRECT_FAILED);
  refused.reading.error = ECONNREFUSED;
  CHECK(endpoint_failed(refused));
  CHECK(ended(refused).flags.to_string() == "UF,URX");
  CHECK(ended(refused).transport_failure == "delayed connect error: Connection refused");
  CHECK_FALSE(ended(refused).upstream_local);
  refused.reading.error = ETIMEDOUT;
  CHECK(ended(refused).transport_failure.empty());  // as Envoy's timeout, which has no text
  refused.reading.error = 0;                        // the application gave up
  CHECK_FALSE(endpoint_failed(refused));
  CHECK(ended(refused).flags.to_string() == "-");
}

TEST_CASE("a connect() that was refused for want of a host is a connection that ended with UH") {
  direct_record refused = flow(DIRECT_REFUSED);
  refused.flow.established_ns = 0;
  refused.from_state = DIRECT_COUNT_NO_HOST;
  refused.reading = {};
  refused.reading.error = ECONNREFUSED;
  refused.reading.local = bpf::to_kernel(addr("0.0.0.0:0"));
  CHECK(ended(refused).flags.to_string() == "UH");
  CHECK(ended(refused).cluster == "store");
  CHECK(ended(refused).downstream_remote == addr("10.1.0.9:0"));
  CHECK_FALSE(ended(refused).upstream_host);
  CHECK(ended(refused).connect_attempts == 0);
  CHECK_FALSE(endpoint_failed(refused));
  refused.from_state = DIRECT_COUNT_REFUSED_FULL;
  CHECK(ended(refused).flags.to_string() == "UO");
}
