// The table of destinations: what stands in it, and the order in which it is asked.
#include "direct/destinations.h"

#include <catch2/catch.hpp>

#include "pod.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using model::in;
using model::NotDirect;

namespace {

Prefix block(const char* text) { return Prefix::parse(text).value(); }

}  // namespace

TEST_CASE("the exact address decides, then the longest prefix of the port, then that of every port") {
  Destinations table;
  const auto at = [&](uint16_t port, const char* text, uint32_t route) {
    table.prefixes.emplace(PortPrefix{port, block(text)}, Verdict{{}, route});
  };
  table.exact.emplace(addr("10.0.0.1:80"), Verdict{{}, 1});
  at(80, "10.0.0.0/24", 2);
  at(80, "10.0.0.0/8", 3);
  at(0, "10.0.0.1/32", 4);
  at(0, "::/0", 5);
  const auto route = [&](const char* to) { return lookup(table, addr(to)).route; };
  CHECK(route("10.0.0.1:80") == 1);
  CHECK(route("10.0.0.2:80") == 2);
  CHECK(route("10.9.0.2:80") == 3);
  CHECK(route("10.0.0.1:81") == 4);
  CHECK(route("[2001:db8::1]:80") == 5);
  CHECK(lookup(table, addr("192.0.2.1:80")).intercept == NotDirect::kNotCaptured);
  CHECK(lookup(table, addr("192.0.2.1:81")).intercept == NotDirect::kNotCaptured);
}

TEST_CASE("a wildcard listener has its port on every address but those that others have") {
  TestPod pod;
  pod.cluster("vip", {"10.1.0.1:80"});
  pod.cluster("wild", {"10.1.0.2:80"});
  pod.cluster("block", {"10.1.0.3:80"});
  pod.listen("10.96.0.0_80", {"10.96.0.0:80"}, {model::to("vip")});
  pod.listen("0.0.0.0_80", {"0.0.0.0:80"}, {model::to("block", in({"10.96.0.0/16"})), model::to("wild")});
  pod.make();
  CHECK(pod.hosts("10.96.0.0:80") == "10.1.0.1:80 x1");
  CHECK(pod.hosts("10.96.0.1:80") == "10.1.0.3:80 x1");
  CHECK(pod.hosts("10.96.255.255:80") == "10.1.0.3:80 x1");
  CHECK(pod.hosts("10.97.0.0:80") == "10.1.0.2:80 x1");
  CHECK(pod.value("10.97.0.0:81").balancing == Balancing::kOriginal);
  CHECK(pod.reason("10.1.0.9:80") == "own_address");
  CHECK(pod.reason("127.9.9.9:81") == "loopback");
  CHECK(pod.reason("10.97.0.0:15001") == "capture_port");
}

TEST_CASE("a prefix that longer ones cover whole, and what says the same again, need no entry") {
  TestPod pod;
  pod.cluster("half", {"10.1.0.1:80"});
  pod.listen("0.0.0.0_80", {"0.0.0.0:80"},
             {model::to("half", in({"10.0.0.0/9", "10.128.0.0/9", "10.128.7.0/24"})),
              model::to("elsewhere", in({"10.0.0.0/8"})), model::to(model::kPassthroughCluster)});
  const Destinations& table = pod.make().destinations;
  const auto has = [&](const char* text) { return table.prefixes.contains({80, block(text)}); };
  CHECK(has("10.0.0.0/9"));
  CHECK(has("10.128.0.0/9"));
  CHECK_FALSE(has("10.0.0.0/8"));     // nobody ends there
  CHECK_FALSE(has("10.128.7.0/24"));  // as 10.128.0.0/9
  CHECK(pod.hosts("10.128.7.1:80") == "10.1.0.1:80 x1");
  CHECK(pod.reason("10.0.0.1:80") == "direct");
}

TEST_CASE("the port that stands for all others is nobody's") {
  TestPod pod;
  pod.cluster("c", {"10.1.0.1:80"});
  pod.listen("10.1.0.9_1", {"10.1.0.9:1"}, {model::to("c")});
  pod.make();
  CHECK(pod.reason("10.1.0.9:1") == "own_address");
  CHECK(pod.reason("10.1.0.9:2") == "own_address");
}

TEST_CASE("what the egress lists refuse is refused by the kernel as well: a route without hosts") {
  TestPod pod;
  pod.cluster(model::kBlackHoleCluster, {});
  pod.snapshot->egress.block = {block("192.0.2.0/24")};
  pod.snapshot->egress.permit = {block("192.0.2.8/29")};
  pod.make();
  CHECK(pod.value("192.0.2.7:443").hosts.empty());
  CHECK(pod.value("192.0.2.7:443").balancing != Balancing::kOriginal);
  CHECK(pod.value("192.0.2.8:443").balancing == Balancing::kOriginal);
  CHECK(pod.value("192.0.3.0:443").balancing == Balancing::kOriginal);
}

TEST_CASE("where nothing is captured nothing is led anywhere") {
  TestPod pod;
  pod.cluster("c", {"10.1.0.1:80"});
  pod.listen("10.96.0.1_80", {"10.96.0.1:80"}, {model::to("c")});
  pod.snapshot->listeners.erase(pod.snapshot->listeners.begin());
  pod.make();
  CHECK(pod.reason("10.96.0.1:80") == "not_captured");
  CHECK(pod.reason("8.8.8.8:80") == "not_captured");
}
