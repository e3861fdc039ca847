// Every case of seen/: what a real istiod with a real Envoy decided is what we decide, except for the
// differences listed in userspace/config/README.md, each of which is named here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "../golden.h"
#include "config/registry/registry.h"
#include "simulate.h"

using namespace sockmesh;
using namespace sockmesh::config;
using Json = nlohmann::json;

namespace {

// The headings of the list in userspace/config/README.md.
enum class Difference {
  kNone,
  kNoWaiting,     // Envoy waits for bytes to tell HTTP from the rest
  kOwnerNotHttp,  // bytes that are not HTTP on an HTTP port: Envoy passes them through, or answers 400
                  // inbound
  kNotParsed,     // HTTP requests are carried, not parsed: no status, no Host routing
  kOther,         // not on the list: an error
};

std::vector<RegistryPort> ports_of(const std::shared_ptr<const Service>& service) {
  return define(service, MeshConfig{})->ports;
}

bool http_or_sniffed(Protocol protocol) { return is_http(protocol) || protocol == Protocol::kAuto; }

// The port is one that Istio parses or sniffs, so the list may apply.
bool parsed_by_istio(const MeshCase& mesh, const Probe& probe, const Fate& fate) {
  if (probe.inbound && mesh.proxy.role == Role::kSidecar) {
    if (!fate.decision.chain) return false;
    const std::string& cluster = fate.decision.chain->route.clusters.front().cluster;
    if (cluster == model::kInboundPassthroughCluster) return true;
    for (const auto& sidecar : mesh.resources.sidecars)
      for (const auto& ingress : sidecar->ingress)
        if (ingress.port.number == probe.address.port &&
            http_or_sniffed(parse_protocol(ingress.port.protocol)))
          return true;
    for (const auto& service : mesh.resources.services)
      for (const RegistryPort& port : ports_of(service))
        if (http_or_sniffed(port.protocol) && (port.target.number == probe.address.port ||
                                               (port.target.absent() && port.port == probe.address.port)))
          return true;
    return false;
  }
  // HTTP ports share a wildcard listener: any service of that port makes Envoy look.
  for (const auto& service : mesh.resources.services)
    for (const RegistryPort& port : ports_of(service))
      if (port.port == probe.address.port && http_or_sniffed(port.protocol)) return true;
  for (const auto& entry : mesh.resources.service_entries)
    for (const IstioPort& port : entry->ports)
      if (port.number == probe.address.port && http_or_sniffed(parse_protocol(port.protocol))) return true;
  return false;
}

bool same_upstream(const std::string& ours, const std::string& seen) {
  if (!ours.starts_with("198.18.*")) return ours == seen;
  return seen.starts_with("198.18.") && seen.substr(seen.rfind(':')) == ours.substr(ours.rfind(':'));
}

bool same_ending(const Ending& ours, const Json& seen) {
  return ours.cluster == seen.at("cluster") && ours.flags == seen.at("flags") &&
         same_upstream(ours.upstream, seen.at("upstream"));
}

// `times`: everything seen is possible, and the shares are within four standard deviations.
void check_shares(const Fate& fate, const Json& times, int total) {
  std::map<std::string, std::pair<double, int>> by_cluster;  // share, seen
  for (const Ending& ending : fate.endings) by_cluster[ending.cluster + ending.flags].first += ending.share;
  for (const auto& [text, count] : times.items()) {
    const auto at =
        std::find_if(fate.endings.begin(), fate.endings.end(),
                     [&, wanted = text](const Ending& ending) { return ending.text() == wanted; });
    INFO("seen: " << text);
    const bool name =
        std::any_of(fate.endings.begin(), fate.endings.end(), [&, wanted = text](const Ending& e) {
          const size_t blank = wanted.find(' ');
          return e.cluster == wanted.substr(0, blank) && same_upstream(e.upstream, wanted.substr(blank + 1));
        });
    CHECK((at != fate.endings.end() || name));
    const std::string cluster = text.substr(0, text.find(' '));
    const size_t last = text.rfind(' ');
    const bool flagged = text.find(' ') != last;
    by_cluster[cluster + (flagged ? text.substr(last + 1) : "-")].second += count.get<int>();
  }
  for (const auto& [what, share_and_seen] : by_cluster) {
    const auto [share, seen] = share_and_seen;
    INFO(what << ": share " << share << ", seen " << seen << " of " << total);
    CHECK(std::abs(seen - share * total) <= 4 * std::sqrt(total * share * (1 - share)) + 1e-9);
  }
}

Difference compare(const MeshCase& mesh, const Probe& probe, const Fate& fate, const Json& seen) {
  if (seen.empty()) return Difference::kNone;  // a held connection: nothing was logged in time
  const std::string client = seen.value("client", "");
  const bool waits = client == "silent";
  if (waits || client == "refused") {
    if (fate.client == client) return Difference::kNone;
    return waits && parsed_by_istio(mesh, probe, fate) ? Difference::kNoWaiting : Difference::kOther;
  }
  if (!fate.client.empty()) return Difference::kOther;
  if (seen.contains("times")) {
    check_shares(fate, seen.at("times"), probe.times);
    return Difference::kNone;
  }
  for (const Ending& ending : fate.endings)
    if (same_ending(ending, seen)) return Difference::kNone;
  if (!parsed_by_istio(mesh, probe, fate)) return Difference::kOther;
  if (probe.http_bytes) {
    // Where Envoy chose a cluster for the request, we chose the same.
    const std::string cluster = seen.at("cluster");
    const bool same = std::any_of(fate.endings.begin(), fate.endings.end(),
                                  [&](const Ending& ending) { return ending.cluster == cluster; });
    return cluster == "-" || same ? Difference::kNotParsed : Difference::kOther;
  }
  return Difference::kOwnerNotHttp;
}

std::set<uint16_t> http_ports(const Resources& resources) {
  std::set<uint16_t> ports;
  for (const auto& service : resources.services)
    for (const RegistryPort& port : ports_of(service))
      if (is_http(port.protocol)) ports.insert(port.port);
  for (const auto& entry : resources.service_entries)
    for (const IstioPort& port : entry->ports)
      if (is_http(parse_protocol(port.protocol))) ports.insert(port.number);
  return ports;
}

// Listeners of HTTP ports have other names: an address each, where Istio has one wildcard for all.
std::set<std::string> listeners_but_http(const std::set<std::string>& all, const std::set<uint16_t>& http,
                                         const std::set<std::string>& others) {
  std::set<std::string> kept;
  for (const std::string& text : all) {
    const auto port = static_cast<uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
    if (!http.contains(port) || others.contains(text)) kept.insert(text);
  }
  return kept;
}

std::string endpoint_text(const model::Endpoint& endpoint) {
  std::string text = to_string(endpoint.address);
  if (endpoint.health != model::Health::kHealthy) text += " unhealthy";
  if (endpoint.priority > 0) text += " priority " + std::to_string(endpoint.priority);
  if (endpoint.weight != 1) text += " weight " + std::to_string(endpoint.weight);
  return text;
}

void check_tables(const MeshCase& mesh, const model::Snapshot& snapshot, const Json& outcome) {
  std::set<std::string> listeners;
  for (const auto& listener : snapshot.listeners)
    listeners.insert(listener->name + "::" + listener->addresses.front().to_string());
  const auto seen = outcome.at("listeners").get<std::set<std::string>>();
  const auto http = http_ports(mesh.resources);
  CHECK(listeners_but_http(listeners, http, seen) == listeners_but_http(seen, http, listeners));

  std::map<std::string, std::string> clusters;
  for (const auto& [name, cluster] : snapshot.clusters) clusters[name] = to_string(cluster->type);
  CHECK(clusters == outcome.at("clusters").get<std::map<std::string, std::string>>());

  for (const auto& [name, list] : outcome.at("endpoints").items()) {
    INFO(name);
    const model::Cluster* cluster = snapshot.find_cluster(name);
    REQUIRE(cluster);
    if (cluster->type == model::ClusterType::kStrictDns || cluster->type == model::ClusterType::kLogicalDns) {
      CHECK(cluster->endpoints.size() == list.size());
      continue;
    }
    std::set<std::string> endpoints;
    for (const model::Endpoint& endpoint : cluster->endpoints) endpoints.insert(endpoint_text(endpoint));
    CHECK(endpoints == list.get<std::set<std::string>>());
  }
}

}  // namespace

TEST_CASE("what istiod and Envoy decided is what we decide") {
  std::vector<std::string> cases;
  for (const auto& file : std::filesystem::directory_iterator(SEEN_FOLDER))
    if (file.path().extension() == ".yaml") cases.push_back(file.path().string());
  std::sort(cases.begin(), cases.end());
  REQUIRE(cases.size() >= 40);
  for (const std::string& path : cases) {
    const MeshCase mesh = read_case(path);
    INFO("case " << mesh.name);
    const auto outcome = Json::parse(read_text(path.substr(0, path.size() - 4) + "json"));
    const auto snapshot = compile(mesh.resources, mesh.proxy);
    check_tables(mesh, *snapshot, outcome);
    Simulation simulation(mesh, *snapshot);
    for (const Probe& probe : mesh.probes) {
      const std::string text = probe.text;
      INFO("probe " << text);
      REQUIRE(outcome.at("probes").contains(text));
      const Fate fate = simulation.play(probe);
      std::string ours = fate.client;
      for (const Ending& ending : fate.endings) ours += ending.text() + "; ";
      INFO("ours: " << ours);
      INFO("seen: " << outcome.at("probes").at(text).dump());
      CHECK(compare(mesh, probe, fate, outcome.at("probes").at(text)) != Difference::kOther);
    }
  }
}
