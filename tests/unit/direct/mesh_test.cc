// The tables against match(), route weights and the balancer: every recorded case, and meshes at random, each
// as it is compiled and once more with everything varied. SOCKMESH_MESHES=5000 for more of them.
#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "../../golden/config/mesh_case.h"
#include "../config/compiler/random_mesh.h"
#include "base/strings.h"
#include "direct/delta.h"
#include "upstream/balancer.h"
#include "varied.h"

using namespace sockmesh;
using namespace sockmesh::direct;
using namespace std::chrono_literals;
using model::NotDirect;

namespace {

const MonotonicTime kNow = MonotonicTime(10h);
constexpr int kDraws = 600;

struct Seen {
  size_t direct = 0, intercepted = 0, clusters = 0;
  std::set<NotDirect> reasons;
};

// Whatever the client sends, it goes the same way.
void require_bytes_do_not_matter(const model::Snapshot& snapshot, const SocketAddress& to,
                                 const model::FilterChain& chain) {
  for (const model::TlsHello& hello :
       {model::TlsHello{}, model::TlsHello{true, "s.com", {}}, model::TlsHello{true, "a.s.com", {"h2"}},
        model::TlsHello{true, "", {}}}) {
    model::ConnectionInfo connection;
    connection.destination = to;
    connection.hello = hello;
    const model::Decision decision = match(snapshot, connection);
    REQUIRE(decision.chain);
    const auto& a = decision.chain->route.clusters;
    const auto& b = chain.route.clusters;
    REQUIRE(std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
      return x.cluster == y.cluster && x.weight == y.weight;
    }));
  }
}

class Comparison {
 public:
  Comparison(model::SnapshotPtr snapshot, model::DirectTerms terms, uint64_t seed, Seen& seen)
      : snapshot_(std::move(snapshot)), terms_(std::move(terms)), seen_(seen), random_(seed) {}

  void run() {
    answer_names(*snapshot_, names_, kNow);
    vary_hosts(*snapshot_, registry_, kNow, random_);
    Decisions decisions(registry_, names_, terms_);
    tables_ = decisions.make(snapshot_, kNow);
    for (const NumberedRoute& route : decisions.routes()) {
      REQUIRE_FALSE(routes_.contains(route.number));
      routes_[route.number] = route;
    }
    for (const SocketAddress& to : grid(*snapshot_, terms_)) {
      INFO(to.to_string());
      compare(to);
    }
  }

 private:
  void compare(const SocketAddress& to) {
    model::ConnectionInfo connection;
    connection.destination = to;
    const model::Decision decision = match(*snapshot_, connection);
    const auto reason = not_direct(*snapshot_, connection, decision, terms_);
    const Decided decided = decide(tables_, to);
    if (decided.intercept) seen_.reasons.insert(*decided.intercept);
    ++(decided.intercept ? seen_.intercepted : seen_.direct);
    // Configuration does not know what names resolve to; another cluster of the route may have a reason too.
    if (decided.intercept == NotDirect::kOtherFamily && reason != decided.intercept) {
      REQUIRE(decision.chain);
      REQUIRE(some_dns(decision.chain->route));
      return;
    }
    INFO((reason ? to_string(*reason) : "direct")
         << ", the tables: " << (decided.intercept ? to_string(*decided.intercept) : "direct"));
    REQUIRE(reason == decided.intercept);
    if (reason) return;

    REQUIRE(decision.chain);
    const Verdict verdict = lookup(tables_.destinations, to);
    const NumberedRoute& route = routes_.at(verdict.route);
    REQUIRE(route.listener == decision.listener);
    REQUIRE(route.chain == decision.chain);
    REQUIRE(route.ipv6 == to.ip.is_v6());
    require_bytes_do_not_matter(*snapshot_, to, *decision.chain);
    if (compared_.insert(verdict.route).second) compare_route(route, *decided.route);
  }

  bool some_dns(const model::Route& route) const {
    return std::any_of(route.clusters.begin(), route.clusters.end(), [&](const auto& part) {
      const auto* cluster = snapshot_->find_cluster(part.cluster);
      return cluster && (cluster->type == model::ClusterType::kStrictDns ||
                         cluster->type == model::ClusterType::kLogicalDns);
    });
  }

  // draw() is asked with numbers that are spread evenly, so its shares are exact to one part in so many.
  void compare_route(const NumberedRoute& route, const RouteValue& value) {
    const model::Route& from = route.chain->route;
    constexpr uint64_t kAsked = 2000;
    std::map<Text, double> wanted;
    for (uint64_t i = 0; i < kAsked; ++i)
      wanted[draw(from, UINT64_MAX / kAsked * i + UINT64_MAX / kAsked / 2).cluster] += 1.0 / kAsked;
    double sum = value.parts.back().weight_end;
    std::map<Text, double> made;
    uint32_t before = 0;
    std::map<Text, uint32_t> numbers;
    for (const RoutePart& part : value.parts) {
      REQUIRE(part.weight_end > before);
      const Text name = cluster_of(from, part.cluster, numbers);
      made[name] += (part.weight_end - before) / sum;
      before = part.weight_end;
    }
    REQUIRE(made.size() == wanted.size());
    for (const auto& [name, share] : wanted) REQUIRE(made[name] == Approx(share).margin(0.002));
    for (const auto& [name, number] : numbers) compare_cluster(name, number, from.hash_source_ip, route.ipv6);
  }

  // Parts stand in the order of the route, those of weight 0 left out.
  Text cluster_of(const model::Route& from, uint32_t number, std::map<Text, uint32_t>& numbers) {
    for (const auto& [name, known] : numbers)
      if (known == number) return name;
    for (const auto& part : from.clusters) {
      const bool drawn = part.weight > 0 || from.clusters.size() == 1 ||
                         std::all_of(from.clusters.begin(), from.clusters.end(),
                                     [](const auto& one) { return one.weight == 0; });
      if (!drawn || numbers.contains(part.cluster)) continue;
      numbers[part.cluster] = number;
      return part.cluster;
    }
    FAIL("cluster " << number << " is nobody's");
    return {};
  }

  void compare_cluster(const Text& name, uint32_t number, bool hashed, bool ipv6) {
    REQUIRE(tables_.clusters.contains(number));
    const ClusterValue& value = *tables_.clusters.at(number);
    const model::ClusterPtr& cluster = snapshot_->clusters.at(name);
    REQUIRE(value.max_connections == cluster->max_connections);
    REQUIRE(value.connect_timeout == cluster->connect_timeout);
    REQUIRE((value.balancing == Balancing::kOriginal) == (cluster->type == model::ClusterType::kOriginalDst));
    if (value.balancing == Balancing::kOriginal) return;
    if (!compared_clusters_.insert(number).second) return;
    ++seen_.clusters;

    upstream::Balancer balancer(cluster, registry_.get(name), names_, random_());
    upstream::PickInput input{kNow, std::nullopt};
    if (hashed)
      input.hash = upstream::hash64(source_address(*snapshot_, ipv6).value_or(IpAddress()).to_string());
    std::map<std::string, double> drawn;
    for (int i = 0; i < kDraws; ++i) {
      const auto picked = balancer.pick(input, {});
      drawn[std::holds_alternative<upstream::Host>(picked)
                ? to_string(std::get<upstream::Host>(picked).address)
                : "nobody"] += 1;
    }
    double sum = 0;
    std::map<std::string, double> wanted;
    for (const HostValue& host : value.hosts) {
      REQUIRE(host.weight > 0);
      REQUIRE(host.address.ip.is_v6() == ipv6);
      sum += host.weight;
      wanted[host.address.to_string()] += host.weight;
    }
    if (value.hosts.empty()) wanted["nobody"] = sum = 1;
    for (const auto& [host, count] : drawn) {
      INFO(name << ", host " << host);
      REQUIRE(wanted.contains(host));
    }
    double chi = 0;
    for (const auto& [host, weight] : wanted) {
      const double expected = weight / sum * kDraws;
      INFO(name << ", host " << host << ": " << drawn[host] << " of " << expected);
      if (expected > 30) REQUIRE(drawn[host] > 0);
      chi += std::pow(drawn[host] - expected, 2) / expected;
    }
    const double freedom = static_cast<double>(wanted.size()) - 1;
    INFO(name << " " << to_string(value.balancing) << " " << to_string(cluster->lb) << ": chi-square "
              << chi);
    REQUIRE(chi <= freedom + 6 * std::sqrt(2 * freedom) + 10 * (freedom > 0));
  }

  const model::SnapshotPtr snapshot_;
  const model::DirectTerms terms_;
  Seen& seen_;
  std::mt19937_64 random_;
  upstream::ClusterRegistry registry_;
  upstream::NameCache names_;
  Tables tables_;
  std::map<uint32_t, NumberedRoute> routes_;
  std::set<uint32_t> compared_, compared_clusters_;
};

std::vector<std::string> cases_in(const char* folder) {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    if (file.path().extension() == ".yaml") paths.push_back(file.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

TEST_CASE("every recorded case is led directly to where match and the balancer lead it, or not at all") {
  Seen seen;
  size_t cases = 0;
  std::mt19937_64 random(11);
  for (const char* folder : {CASES_FOLDER, SEEN_FOLDER})
    for (const std::string& path : cases_in(folder)) {
      INFO(path);
      ++cases;
      const config::MeshCase mesh = config::read_case(path);
      const auto snapshot = config::compile(mesh.resources, mesh.proxy);
      Comparison(snapshot, {}, 1, seen).run();
      Comparison(vary(*snapshot, random), random_terms(random), 2, seen).run();
    }
  CHECK(cases > 100);
  CHECK(seen.direct > 10'000);
  CHECK(seen.clusters > 100);
}

TEST_CASE("meshes at random are led directly to where match and the balancer lead them, or not at all") {
  const char* wanted = std::getenv("SOCKMESH_MESHES");
  const int meshes = wanted ? parse_number<int>(wanted).value() : 1000;
  Seen seen;
  std::mt19937_64 random(12);
  for (int round = 0; round < meshes; ++round) {
    INFO("mesh " << round);
    const auto snapshot = config::compile(config::random_mesh(random), config::random_client());
    if (round % 4 == 0) Comparison(snapshot, {}, random(), seen).run();
    Comparison(vary(*snapshot, random), random_terms(random), random(), seen).run();
  }
  CHECK(seen.direct > static_cast<size_t>(meshes) * 50);
  CHECK(seen.intercepted > static_cast<size_t>(meshes) * 50);
  CHECK(seen.clusters > static_cast<size_t>(meshes));
  // The meshes have all of it.
  for (const NotDirect reason : model::kAllNotDirect) {
    const bool elsewhere = reason == NotDirect::kBoundByProxy || reason == NotDirect::kAcceptsProxyProtocol ||
                           reason == NotDirect::kNamesPending || reason == NotDirect::kTooMany ||
                           reason == NotDirect::kMovedInbound || reason == NotDirect::kMaxConnections;
    INFO(to_string(reason));
    CHECK(seen.reasons.contains(reason) == !elsewhere);
  }
}

namespace {

// What a connection there meets, by names.
std::string text_of(const Decisions& decisions, const Tables& tables, const SocketAddress& to) {
  const Decided decided = decide(tables, to);
  if (decided.intercept) return to_string(*decided.intercept);
  const uint32_t number = lookup(tables.destinations, to).route;
  std::string text;
  for (const NumberedRoute& route : decisions.routes())
    if (route.number == number) text = route.listener->name + " " + route.chain->name;
  for (const RoutePart& part : decided.route->parts) {
    const ClusterValue& cluster = *tables.clusters.at(part.cluster);
    text += fmt::format("; {} {} of", part.weight_end, to_string(cluster.balancing));
    for (const HostValue& host : cluster.hosts)
      text += fmt::format(" {} x{}", host.address.to_string(), host.weight);
  }
  return text;
}

template <typename Map, typename Key, typename Value>
void apply(Map& map, const Changes<Key, Value>& changes) {
  for (const Key& key : changes.removed) map.erase(map.find(key));
  for (const auto* list : {&changes.inserted, &changes.replaced})
    for (const auto& [key, value] : *list)
      if (const auto [at, fresh] = map.emplace(key, value); !fresh) at->second = value;
}

}  // namespace

TEST_CASE(
    "tables made change by change are those made anew, and their differences lead from one to the next") {
  std::mt19937_64 random(13);
  for (int round = 0; round < 60; ++round) {
    upstream::ClusterRegistry registry;
    upstream::NameCache names;
    config::Resources mesh = config::random_mesh(random);
    config::Compiler compiler({config::random_client()});
    Decisions decisions(registry, names, {});
    Tables kernel;
    for (int step = 0; step < 12; ++step) {
      INFO("mesh " << round << ", step " << step);
      config::change_one(mesh, random);
      auto snapshot = compiler.compile(mesh).front();
      if (step % 3 == 2) answer_names(*snapshot, names, kNow);
      if (step % 4 == 3) vary_hosts(*snapshot, registry, kNow, random);
      const Tables tables = decisions.make(snapshot, kNow);
      const Delta change = delta(kernel, tables);
      apply(kernel.destinations.exact, change.exact);
      apply(kernel.destinations.prefixes, change.prefixes);
      apply(kernel.routes, change.routes);
      apply(kernel.clusters, change.clusters);
      REQUIRE(delta(kernel, tables).empty());
      REQUIRE(delta(tables, kernel).empty());

      Decisions afresh(registry, names, {});
      const Tables anew = afresh.make(snapshot, kNow);
      REQUIRE(kernel.destinations.exact.size() == anew.destinations.exact.size());
      REQUIRE(kernel.routes.size() == anew.routes.size());
      REQUIRE(kernel.clusters.size() == anew.clusters.size());
      for (const SocketAddress& to : grid(*snapshot, {})) {
        if (random() % 8 != 0) continue;
        INFO(to.to_string());
        REQUIRE(text_of(decisions, kernel, to) == text_of(afresh, anew, to));
      }
    }
  }
}
