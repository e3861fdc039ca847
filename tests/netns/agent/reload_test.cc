// Configuration that changes under open flows, and configuration that is wrong.
#include <catch2/catch.hpp>
#include <csignal>

#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

// The streams of a run, each held in the middle.
struct HeldStreams {
  HeldStreams(TwoSidecars& sidecars, int flows)
      : run{.flows = flows, .bytes = 300'000, .client_options = {"--hold-at", "150000"}},
        server(sidecars.start_server(run)),
        client(sidecars.start_client(run)) {
    EVENTUALLY(client.output().find("holding") != std::string::npos);
  }
  void finish() {
    client.signal(SIGUSR1);
    INFO(client.output());
    CHECK(client.wait().value_or(-1) == 0);
    CHECK(server.wait().value_or(-1) == 0);
  }
  StreamRun run;
  Process server, client;
};

const char* const kMoved = R"(
apiVersion: v1
kind: Service
metadata: {name: other, namespace: data}
spec:
  clusterIP: 10.0.40.2
  selector: {app: store}
  ports: [{name: tcp-streams, port: 7000}]
)";

TEST_CASE("a new configuration touches no open flow") {
  TwoSidecars two;
  HeldStreams streams(two, 20);
  EVENTUALLY(two.client.open_flows() == 20);
  const auto before = two.client.ctl("flows")["flows"];
  const auto generation = two.client.ctl("status")["config"]["generation"].get<uint64_t>();

  two.mesh.apply("moved.yaml", kMoved);
  EVENTUALLY(two.client.ctl("status")["config"]["generation"].get<uint64_t>() > generation);
  // The service goes while its flows are open: they were routed by the snapshot of their time.
  two.mesh.apply("two.yaml", "");
  EVENTUALLY(two.client.ctl("explain 10.0.40.1:7000")["cluster"] == "PassthroughCluster");
  const auto after = two.client.ctl("flows")["flows"];
  REQUIRE(after.size() == 20);
  for (size_t i = 0; i < after.size(); ++i) {
    CHECK(after[i]["id"] == before[i]["id"]);
    CHECK(after[i]["cluster"] == "outbound|7000||store.data.svc.cluster.local");
  }
  streams.finish();
}

TEST_CASE("a bad manifest is named with file and line, and the last good configuration stays") {
  TwoSidecars two;
  two.mesh.apply("bad.yaml",
                 "apiVersion: v1\n"
                 "kind: Service\n"
                 "metadata: {name: bad, namespace: data}\n"
                 "spec:\n"
                 "  clusterIP: 10.0.40.9\n"
                 "  ports: [{name: tcp, port: 70000}]\n");
  EVENTUALLY(two.client.errors().find("bad.yaml:6") != std::string::npos);
  CHECK(two.client.ctl("explain 10.0.40.1:7000")["cluster"] == "outbound|7000||store.data.svc.cluster.local");
  two.check({.flows = 5});

  // Not YAML at all, in a file that was good: what it said last stays in force.
  two.mesh.apply("two.yaml", "apiVersion: v1\nkind: [Service\n");
  EVENTUALLY(two.client.errors().find("two.yaml:") != std::string::npos);
  CHECK(two.client.ctl("explain 10.0.40.1:7000")["cluster"] == "outbound|7000||store.data.svc.cluster.local");
  two.check({.flows = 5});
}

}  // namespace
}  // namespace sockmesh::test
