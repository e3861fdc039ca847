#include "telemetry/connection_scope.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "records.h"
#include "telemetry/access_log.h"
#include "telemetry/counters.h"
#include "telemetry/istio_labels.h"
#include "telemetry/worker_telemetry.h"

namespace sockmesh::telemetry {

namespace {

struct World {
  World() {
    REQUIRE(log->configure({.access_log_file = path}));
    worker = std::make_unique<WorkerTelemetry>(3, log);
  }
  ~World() { std::filesystem::remove(path); }

  std::vector<std::string> lines() {
    REQUIRE(log->flush(std::chrono::seconds(10)));
    std::ifstream in(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }
  CounterTotals totals() const {
    CounterTotals totals;
    worker->add_to(totals);
    return totals;
  }
  uint64_t tcp(TcpMetric metric) const {
    uint64_t sum = 0;
    for (const auto& [key, values] : totals().tcp) sum += values[static_cast<size_t>(metric)];
    return sum;
  }
  uint64_t cluster(ClusterMetric metric) const {
    uint64_t sum = 0;
    for (const auto& [key, values] : totals().clusters) sum += values[static_cast<size_t>(metric)];
    return sum;
  }

  const std::string path =
      (std::filesystem::temp_directory_path() / ("sockmesh-scope-" + std::to_string(::getpid()))).string();
  std::shared_ptr<AccessLog> log = std::make_shared<AccessLog>();
  std::unique_ptr<WorkerTelemetry> worker;
};

}  // namespace

TEST_CASE("connection ids carry the worker and never repeat") {
  WorkerTelemetry worker(3, nullptr);
  CHECK(worker.next_connection_id() == (uint64_t{3} << 48) + 1);
  CHECK(worker.next_connection_id() == (uint64_t{3} << 48) + 2);
}

TEST_CASE("the end of a scope is one line and one opened and closed pair, whatever came before") {
  World world;
  const bool opened = GENERATE(false, true);
  {
    ConnectionScope scope(*world.worker, some_record());
    if (opened) scope.opened();
    CHECK(world.worker->active() == 1);
    CHECK(world.tcp(TcpMetric::kOpened) == (opened ? 1 : 0));
    CHECK(world.tcp(TcpMetric::kClosed) == 0);
  }
  CHECK(world.lines().size() == 1);
  CHECK(world.tcp(TcpMetric::kOpened) == 1);
  CHECK(world.tcp(TcpMetric::kClosed) == 1);
  CHECK(world.tcp(TcpMetric::kReceived) == 6);
  CHECK(world.tcp(TcpMetric::kSent) == 12);
  CHECK(world.worker->active() == 0);
  CHECK(world.worker->flows().empty());
}

TEST_CASE("opened() twice counts once, and freezes the labels") {
  World world;
  {
    ConnectionScope scope(*world.worker, some_record());
    scope.opened();
    scope.record().flags.add(model::ResponseFlag::kUpstreamRemoteReset);
    scope.opened();
  }
  const auto totals = world.totals();
  REQUIRE(totals.tcp.size() == 1);
  const auto values = istio_label_values(totals.tcp.begin()->first);
  CHECK(values[21] == "-");  // response_flags: the reset came later
  CHECK(world.cluster(ClusterMetric::kDestroyRemote) == 1);
}

TEST_CASE("a chain that is not logged leaves no line, but is counted") {
  World world;
  {
    ConnectionScope scope(*world.worker, some_record());
    scope.record().log = false;
  }
  CHECK(world.lines().empty());
  CHECK(world.tcp(TcpMetric::kClosed) == 1);
}

TEST_CASE("open connections report the bytes that moved since the last report, and no byte twice") {
  World world;
  auto scope = std::make_unique<ConnectionScope>(*world.worker, refused_record());
  scope->record().flags = {};
  scope->record().upstream_local = at("10.12.0.11:51100");
  scope->opened();
  uint64_t moved = 0;
  scope->set_refresh([&moved](ConnectionRecord& record) { record.bytes_received = moved; });
  moved = 100;
  world.worker->report_bytes();
  CHECK(world.tcp(TcpMetric::kReceived) == 100);
  moved = 250;
  world.worker->report_bytes();
  world.worker->report_bytes();
  CHECK(world.tcp(TcpMetric::kReceived) == 250);
  CHECK(world.cluster(ClusterMetric::kTxBytes) == 250);
  scope->record().bytes_received = 300;
  scope.reset();
  CHECK(world.tcp(TcpMetric::kReceived) == 300);
}

TEST_CASE("the flow table shows refreshed copies, up to its limit") {
  World world;
  std::vector<std::unique_ptr<ConnectionScope>> scopes;
  for (int i = 0; i < 5; ++i) {
    scopes.push_back(std::make_unique<ConnectionScope>(*world.worker, some_record()));
    scopes.back()->set_refresh([](ConnectionRecord& record) { record.lane = model::Lane::kIoUring; });
  }
  const auto flows = world.worker->flows();
  REQUIRE(flows.size() == 5);
  CHECK(flows[0].lane == model::Lane::kIoUring);
  CHECK(world.worker->flows(2).size() == 2);
}

TEST_CASE("cluster counters: attempts, failures, and what is active") {
  World world;
  { const ConnectionScope refused(*world.worker, refused_record()); }
  CHECK(world.cluster(ClusterMetric::kCxTotal) == 1);
  CHECK(world.cluster(ClusterMetric::kConnectFail) == 1);
  CHECK(world.cluster(ClusterMetric::kAttemptsExceeded) == 1);
  CHECK(world.cluster(ClusterMetric::kCxActive) == 0);
  {
    ConnectionScope second_try(*world.worker, some_record());
    second_try.record().connect_attempts = 2;  // the first endpoint refused
    second_try.opened();
    CHECK(world.cluster(ClusterMetric::kCxActive) == 1);
  }
  CHECK(world.cluster(ClusterMetric::kCxTotal) == 3);
  CHECK(world.cluster(ClusterMetric::kConnectFail) == 2);
  CHECK(world.cluster(ClusterMetric::kCxActive) == 0);
}

TEST_CASE("series beyond the bound are counted together") {
  SeriesTable<TcpMetric> table(2);
  for (const char* key : {"a", "b", "c", "d", "a"}) table.at(key)[TcpMetric::kOpened].add(1);
  std::map<std::string, Totals<TcpMetric>> totals;
  table.add_to(totals);
  REQUIRE(totals.size() == 3);
  CHECK(totals["a"][0] == 2);
  CHECK(totals[std::string(kOverflowKey)][0] == 2);
}

TEST_CASE("a reader in another thread sees sums while the worker counts") {
  WorkerTelemetry worker(0, nullptr);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      CounterTotals totals;
      worker.add_to(totals);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    ConnectionRecord record = some_record();
    record.cluster = "cluster-" + std::to_string(i % 100);
    const ConnectionScope scope(worker, std::move(record));
  }
  stop = true;
  reader.join();
  CounterTotals totals;
  worker.add_to(totals);
  CHECK(totals.clusters.size() == 100);
  CHECK(totals.tcp.begin()->second[0] == 2000);
}

}  // namespace sockmesh::telemetry
