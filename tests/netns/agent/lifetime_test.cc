// How an agent ends: in order, or killed. Either way nothing of it stays, and no peer takes a cut stream for
// a whole one.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "test_support/bpf_objects.h"
#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

TEST_CASE("an agent that is told to end leaves in order") {
  TwoSidecars two;
  two.check({.flows = 5});
  const auto objects = bpf_objects(two.client.process().pid());
  INFO(two.client.errors());
  CHECK(two.client.process().stop() == 0);
  CHECK_FALSE(std::filesystem::exists(two.client.run_dir() + "/admin.sock"));
  EVENTUALLY(!any_bpf_object_exists(objects));
}

TEST_CASE("a killed agent leaves nothing, and its flows end with RST") {
  TwoSidecars two;
  const StreamRun held{.scenario = Scenario::kEcho, .flows = 10, .client_options = {"--hold-at", "30000"}};
  Process server = two.start_server(held);
  Process client = two.start_client(held);
  EVENTUALLY(client.output().find("holding") != std::string::npos);
  const auto objects = bpf_objects(two.client.process().pid());
  // Without lane 1 on this machine there are no objects; with it, a flow is spliced once it is old enough to
  // judge.
  const bool spliced = !objects.empty();
  if (spliced) EVENTUALLY(two.lane_flows("sk_skb") == 20);  // in both agents

  two.client.process().kill();
  EVENTUALLY(!any_bpf_object_exists(objects));
  // A FIN would make a cut stream look whole; flows in the kernel's lane end with RST (SO_LINGER).
  if (spliced) {
    client.signal(SIGUSR1);
    CHECK(client.wait().value_or(-1) == 1);
    CHECK(tally_of(client)["resets"] == 10);
  }
}

TEST_CASE("agents in different namespaces of one machine do not meet") {
  TwoSidecars first, second;
  first.check({.flows = 5});
  second.check({.flows = 5});
  CHECK(first.client.process().stop() == 0);
  second.check({.flows = 5});
}

}  // namespace
}  // namespace sockmesh::test
