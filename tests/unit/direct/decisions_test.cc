// What routes and clusters become, and what stays from one configuration to the next.
#include "direct/decisions.h"

#include <catch2/catch.hpp>

#include "pod.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using namespace std::chrono_literals;
using model::LbPolicy;

namespace {

const char* kVip = "10.96.0.1:80";

// A service of 10.96.0.1:80 with three pods.
struct Service : TestPod {
  Service() {
    listen("10.96.0.1_80", {kVip}, {model::to("c")});
    cluster("c", {"10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"});
  }
  model::Cluster& change() {  // the cluster anew, as a configuration brings it
    auto made = std::make_shared<model::Cluster>(*snapshot->clusters.at("c"));
    next();
    snapshot->clusters.insert_or_assign("c", made);
    return *made;
  }
  model::Route& route() {  // the listener's, anew
    auto made = std::make_shared<model::Listener>(*snapshot->listeners.back());
    next();
    snapshot->listeners.back() = made;
    return made->chains[0].route;
  }
};

}  // namespace

TEST_CASE("weights of a route add up, without the parts that nobody draws") {
  Service pod;
  pod.cluster("d", {"10.1.0.4:80"});
  pod.route().clusters = {{"c", 80}, {"nowhere", 0}, {"d", 20}};
  pod.make();
  const auto route = decide(pod.tables, addr(kVip)).route;
  REQUIRE(route->parts.size() == 2);
  CHECK(route->parts[0].weight_end == 80);
  CHECK(route->parts[1].weight_end == 100);
  CHECK(pod.hosts(kVip, 1) == "10.1.0.4:80 x1");
}

TEST_CASE("a route with one part that is not direct is not direct") {
  Service pod;
  pod.route().clusters = {{"c", 99}, {"nowhere", 1}};
  pod.make();
  CHECK(pod.reason(kVip) == "no_cluster");
}

TEST_CASE("more parts, hosts or weight than a decision holds are the agent's") {
  Service pod;
  pod.route().clusters.assign(kMaxParts, {"c", 1});
  pod.make();
  CHECK(pod.reason(kVip) == "direct");
  pod.route().clusters.assign(kMaxParts + 1, {"c", 1});
  pod.make();
  CHECK(pod.reason(kVip) == "too_many");
  pod.route().clusters = {{"c", 4'000'000'000}, {"c", 4'000'000'000}};
  pod.make();
  CHECK(pod.reason(kVip) == "too_many");
  pod.route().clusters = {{"c", 1}};
  model::Cluster& cluster = pod.change();
  for (uint32_t i = 0; i < kMaxHosts; ++i)
    cluster.endpoints.emplace_back().address = SocketAddress{IpAddress::v4(0x0a020000 + i), 80};
  pod.make();
  CHECK(pod.reason(kVip) == "too_many");
}

TEST_CASE("times are the agent's to keep where it can end flows, Envoy's hour of silence among them") {
  Service plain;
  plain.make();
  CHECK_FALSE(decide(plain.tables, addr(kVip)).route->idle_timeout);
  model::DirectTerms terms;
  terms.ends_flows = true;
  Decisions decisions(plain.registry, plain.names, terms);
  const auto route = [&] {
    plain.snapshot->index();
    return decide(decisions.make(plain.snapshot, kNow), addr(kVip)).route;
  };
  CHECK(route()->idle_timeout == Duration(1h));
  plain.route().idle_timeout = Duration(0s);
  CHECK_FALSE(route()->idle_timeout);
  plain.route().idle_timeout = Duration(5s);
  plain.route().max_connection_duration = Duration(7s);
  CHECK(route()->idle_timeout == Duration(5s));
  CHECK(route()->max_connection_duration == Duration(7s));
}

TEST_CASE("hosts that were ejected are left out, and come back when their time is over") {
  Service pod;
  pod.make();
  CHECK(pod.hosts(kVip) == "10.1.0.1:80 x1, 10.1.0.2:80 x1, 10.1.0.3:80 x1");
  CHECK(pod.decisions.valid_until() == MonotonicTime::max());
  const auto state = pod.registry.get("c");
  state->host("10.1.0.2:80", kNow)->ejected_until = (kNow + 30s).time_since_epoch().count();
  state->health_changed();
  pod.make();
  CHECK(pod.hosts(kVip) == "10.1.0.1:80 x1, 10.1.0.3:80 x1");
  CHECK(pod.decisions.valid_until() == kNow + 30s);
  pod.make(kNow + 31s);
  CHECK(pod.hosts(kVip) == "10.1.0.1:80 x1, 10.1.0.2:80 x1, 10.1.0.3:80 x1");
}

TEST_CASE("a host that warms up gets more by and by") {
  Service pod;
  model::Cluster& cluster = pod.change();
  cluster.slow_start = model::SlowStart{60s, 10, 1.0};
  cluster.endpoints.pop_back();
  pod.registry.get("c")->host("10.1.0.1:80", kNow - 1h);
  pod.registry.get("c")->host("10.1.0.2:80", kNow - 30s);
  const auto share = [&](MonotonicTime now) {
    pod.make(now);
    const auto& hosts = pod.value(kVip).hosts;
    return static_cast<double>(hosts[1].weight) / hosts[0].weight;
  };
  CHECK(share(kNow) == Approx(0.5));
  CHECK(pod.decisions.valid_until() == kNow + kWarmUpStep);
  CHECK(share(kNow + 15s) == Approx(0.75));
  CHECK(share(kNow + 30s) == 1);
  CHECK(pod.decisions.valid_until() == MonotonicTime::max());
}

TEST_CASE("localities and priorities mix into one list of weights") {
  Service pod;
  model::Cluster& cluster = pod.change();
  cluster.lb = LbPolicy::kRoundRobin;
  for (size_t i = 0; i < 3; ++i)
    cluster.endpoints[i].locality =
        std::make_shared<model::Locality>(model::Locality{"r", i < 2 ? "near" : "far", ""});
  cluster.locality_weights = {{{"r", "near", ""}, 80}, {{"r", "far", ""}, 20}};
  pod.make();
  const auto& hosts = pod.value(kVip).hosts;
  REQUIRE(hosts.size() == 3);
  const double sum = hosts[0].weight + hosts[1].weight + hosts[2].weight;
  CHECK(hosts[0].weight / sum == Approx(0.4).margin(1e-6));
  CHECK(hosts[2].weight / sum == Approx(0.2).margin(1e-6));
  CHECK(pod.value(kVip).balancing == Balancing::kRoundRobin);
}

TEST_CASE("a hash of the source address is one host, since the pod's address is known") {
  Service pod;
  pod.change().lb = LbPolicy::kRingHash;
  pod.make();
  CHECK(pod.value(kVip).balancing == Balancing::kRandom);
  CHECK(pod.value(kVip).hosts.size() == 3);
  const uint32_t live = pod.value(kVip).live;
  pod.route().hash_source_ip = true;
  pod.make();
  CHECK(pod.value(kVip).balancing == Balancing::kFixed);
  CHECK(pod.value(kVip).hosts.size() == 1);
  CHECK(pod.value(kVip).live == live);  // of the cluster, however it is chosen from
  // The route stays and the cluster becomes one that hashes.
  pod.change().lb = LbPolicy::kLeastRequest;
  pod.make();
  CHECK(pod.value(kVip).balancing == Balancing::kLeastRequest);
  pod.change().lb = LbPolicy::kMaglev;
  pod.make();
  CHECK(pod.value(kVip).balancing == Balancing::kFixed);
}

TEST_CASE("names that are not resolved yet are the agent's, which can wait") {
  Service pod;
  model::Cluster& cluster = pod.change();
  cluster.type = model::ClusterType::kStrictDns;
  cluster.endpoints.clear();
  cluster.endpoints.emplace_back().address = model::HostName{"db.example.com", 5432};
  pod.make();
  CHECK(pod.reason(kVip) == "names_pending");
  upstream::Lookup lookup;
  lookup.v4.outcome = upstream::FamilyLookup::Outcome::kAddresses;
  lookup.v4.addresses = {IpAddress::parse("198.18.0.1").value()};
  pod.names.looked_up("db.example.com", lookup, kNow);
  pod.make();
  CHECK(pod.hosts(kVip) == "198.18.0.1:5432 x1");
  lookup.v4.addresses = {IpAddress::parse("10.1.0.9").value()};
  pod.names.looked_up("db.example.com", lookup, kNow);
  pod.make();
  CHECK(pod.reason(kVip) == "own_endpoint");
  lookup.v4.outcome = upstream::FamilyLookup::Outcome::kEmpty;
  lookup.v4.addresses = {};
  pod.names.looked_up("db.example.com", lookup, kNow);
  pod.make();
  CHECK(pod.reason(kVip) == "direct");  // an answer: nobody, UH
  CHECK(pod.hosts(kVip).empty());
}

TEST_CASE("numbers stay while everything around them changes") {
  Service pod;
  pod.listen("10.96.0.2_80", {"10.96.0.2:80"}, {model::to("d")});
  pod.cluster("d", {"10.1.0.4:80"});
  pod.make();
  const auto numbers = [&] {
    const Verdict verdict = lookup(pod.tables.destinations, addr(kVip));
    return std::vector<uint32_t>{verdict.route, pod.tables.routes.at(verdict.route)->parts[0].cluster,
                                 pod.value(kVip).live, pod.value(kVip).hosts.back().live};
  };
  const auto before = numbers();
  const uint32_t gone = lookup(pod.tables.destinations, addr("10.96.0.2:80")).route;
  model::Cluster& changed = pod.change();
  changed.endpoints.erase(changed.endpoints.begin());
  std::erase_if(pod.snapshot->listeners, [](const auto& one) { return one->name == "10.96.0.2_80"; });
  pod.snapshot->clusters.erase(pod.snapshot->clusters.find("d"));
  pod.make();
  CHECK(numbers() == before);
  // What the last tables still named goes to nobody at once.
  pod.next();
  pod.listen("10.96.0.3_80", {"10.96.0.3:80"}, {model::to("c")});
  pod.make();
  CHECK(lookup(pod.tables.destinations, addr("10.96.0.3:80")).route != gone);
  CHECK(numbers() == before);
}

TEST_CASE("an address whose listener goes falls to the prefix that it had covered") {
  TestPod pod;
  pod.cluster("vip", {"10.1.0.1:80"});
  pod.cluster("one", {"10.1.0.2:80"});
  pod.listen("0.0.0.0_80", {"0.0.0.0:80"},
             {model::to("one", model::in({"10.96.0.1/32"})), model::to(model::kPassthroughCluster)});
  pod.listen("10.96.0.1_80", {kVip}, {model::to("vip")});
  pod.make();
  CHECK(pod.hosts(kVip) == "10.1.0.1:80 x1");
  pod.next();
  pod.snapshot->listeners.pop_back();
  pod.make();
  CHECK(pod.hosts(kVip) == "10.1.0.2:80 x1");
  // A cluster that goes, and comes back.
  pod.next();
  pod.snapshot->clusters.erase(pod.snapshot->clusters.find("one"));
  pod.make();
  CHECK(pod.reason(kVip) == "no_cluster");
  pod.next();
  pod.cluster("one", {"10.1.0.3:80"});
  pod.make();
  CHECK(pod.hosts(kVip) == "10.1.0.3:80 x1");
  // An address of the pod's that was somebody else's.
  pod.next();
  pod.snapshot->self_ips.push_back(IpAddress::parse("10.96.0.1").value());
  pod.make();
  CHECK(pod.reason(kVip) == "own_address");
}

TEST_CASE("egress lists that come and go concern every destination") {
  TestPod pod;
  pod.cluster(model::kBlackHoleCluster, {});
  pod.listen("192.0.2.1_80", {"192.0.2.1:80"}, {model::to(model::kPassthroughCluster)});
  pod.make();
  CHECK(pod.value("192.0.2.1:80").balancing == Balancing::kOriginal);
  pod.next();
  pod.snapshot->egress.block_all = true;
  pod.make();
  CHECK(pod.value("192.0.2.1:80").hosts.empty());
  CHECK(pod.value("192.0.2.1:80").balancing != Balancing::kOriginal);
  pod.next();
  pod.snapshot->egress.block_all = false;
  pod.make();
  CHECK(pod.value("192.0.2.1:80").balancing == Balancing::kOriginal);
}

TEST_CASE("two chains of one name are two routes") {
  TestPod pod;
  pod.cluster("a", {"10.1.0.1:80"});
  pod.cluster("b", {"10.1.0.2:80"});
  auto& listener =
      pod.listen("0.0.0.0_80", {"0.0.0.0:80"}, {model::to("a", model::in({"10.50.0.0/16"})), model::to("b")});
  listener.chains[0].name = listener.chains[1].name = "twin";
  pod.make();
  CHECK(pod.hosts("10.50.0.1:80") == "10.1.0.1:80 x1");
  CHECK(pod.hosts("10.51.0.1:80") == "10.1.0.2:80 x1");
}

TEST_CASE("a change is told entry by entry") {
  Service pod;
  const Tables before = pod.make();
  CHECK(delta(before, before).empty());
  CHECK(delta(before, pod.make()).empty());
  pod.change().endpoints.pop_back();
  const Tables after = pod.make();
  const Delta change = delta(before, after);
  CHECK(change.exact.empty());
  CHECK(change.prefixes.empty());
  CHECK(change.routes.empty());
  REQUIRE(change.clusters.replaced.size() == 1);
  CHECK(change.clusters.size() == 1);
  CHECK(change.clusters.replaced[0].second->hosts.size() == 2);

  pod.next();
  std::erase_if(pod.snapshot->listeners, [](const auto& one) { return one->name == "10.96.0.1_80"; });
  const Delta removed = delta(after, pod.make());
  CHECK(removed.exact.removed == std::vector{addr(kVip)});
  CHECK(removed.routes.removed.size() == 1);
  CHECK(removed.clusters.removed.size() == 1);
  const Delta all = delta({}, after);
  CHECK(all.exact.inserted.size() == after.destinations.exact.size());
  CHECK(all.clusters.inserted.size() == after.clusters.size());
}
