// A manifest with any single field broken: the message has the file, the line and the value, and everything
// else stays in force. testdata/full.yaml has every field there is, one a line; each line is broken in turn.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "config/manifest/reader.h"

using namespace sockmesh::config;

namespace {

std::vector<std::string> full_lines() {
  std::ifstream in(SOCKMESH_TESTDATA "/full.yaml");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  REQUIRE(lines.size() > 400);
  return lines;
}

struct Outcome {
  Resources resources;
  std::vector<ReadProblem> problems;
  bool readable = false;

  std::string text() const {
    std::string out;
    for (const ReadProblem& problem : problems) out += problem.to_string() + "\n";
    return out;
  }
};

Outcome read(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  Outcome outcome;
  outcome.readable = read_manifest(text, "full.yaml", outcome.resources, outcome.problems);
  return outcome;
}

template <typename T>
void add_names(const List<T>& list, std::set<std::string>& out) {
  for (const auto& object : list) {
    const Meta& meta = object->meta;
    out.insert(meta.kind + " " + (meta.ns.empty() ? "" : meta.ns + "/") + meta.name);
  }
}

std::set<std::string> names(const Resources& r) {
  std::set<std::string> out;
  add_names(r.services, out), add_names(r.pods, out), add_names(r.endpoints, out), add_names(r.nodes, out);
  add_names(r.namespaces, out), add_names(r.workload_entries, out), add_names(r.service_entries, out);
  add_names(r.virtual_services, out), add_names(r.destination_rules, out), add_names(r.gateways, out);
  add_names(r.sidecars, out), add_names(r.k8s_gateways, out), add_names(r.k8s_routes, out);
  add_names(r.reference_grants, out);
  if (r.mesh) out.insert("ConfigMap istio-system/istio");
  return out;
}

// Of what is not read nothing can be wrong.
bool is_ignored(const std::string& line) {
  const size_t first = line.find_first_not_of(" -");
  if (first == std::string::npos || line[first] == '#') return true;
  const std::string field = line.substr(first);
  for (const char* unread : {"uri:", "group:", "name: app", "name: helper", "match:", "proxyProtocol: {}"}) {
    if (field.starts_with(unread)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("the full manifest has nothing wrong with it") {
  const Outcome outcome = read(full_lines());
  CHECK(outcome.readable);
  CHECK(outcome.text().empty());
  CHECK(names(outcome.resources).size() == 19);
}

TEST_CASE("each value in turn replaced by something of another shape") {
  const std::vector<std::string> lines = full_lines();
  const std::set<std::string> all = names(read(lines).resources);
  int broken = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (is_ignored(line)) continue;
    // "key: value" or "- value"; a key alone opens a block and is broken by the next test.
    size_t value = line.find(": ");
    if (value == std::string::npos && line.find("- ") != std::string::npos && line.back() != ':')
      value = line.find("- ");
    if (value == std::string::npos || line.ends_with("|-")) continue;
    std::vector<std::string> mutated = lines;
    mutated[i] = line.substr(0, value + 2) + "{broken: value}";
    INFO("line " << i + 1 << ": " << mutated[i]);
    const Outcome outcome = read(mutated);
    INFO(outcome.text());
    ++broken;

    bool told = false;
    std::set<std::string> dropped;
    for (const ReadProblem& problem : outcome.problems) {
      CHECK(problem.file == "full.yaml");
      told |= problem.line == static_cast<int>(i) + 1 && problem.text.find("expected") != std::string::npos;
      if (problem.object_dropped) dropped.insert(problem.object);
    }
    CHECK(told);
    // The object itself may be gone, with a problem that says so; every other one is there.
    CHECK(dropped.size() <= 1);
    std::set<std::string> missing;
    const std::set<std::string> left = names(outcome.resources);
    std::set_difference(all.begin(), all.end(), left.begin(), left.end(),
                        std::inserter(missing, missing.end()));
    CHECK(missing.size() <= 1);
    // A name that cannot be read, or the kind itself, leaves an object without a name to be told by.
    const bool nameless = line.find("kind:") != std::string::npos ||
                          line.find("apiVersion:") != std::string::npos || line.find("  name:") == 0 ||
                          line.find("  namespace:") == 0;
    if (!nameless) {
      CHECK(outcome.readable);
      CHECK(missing == dropped);
    }
    if (!missing.empty() && dropped.empty()) CHECK_FALSE(outcome.readable);
  }
  CHECK(broken > 250);
}

TEST_CASE("each block in turn replaced by text") {
  const std::vector<std::string> lines = full_lines();
  const std::set<std::string> all = names(read(lines).resources);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (line.empty() || line.back() != ':' || is_ignored(line)) continue;
    // The block's own lines are those deeper than it, or the items of a list at its own depth.
    const size_t indent = line.find_first_not_of(" -");
    std::vector<std::string> mutated(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(i) + 1);
    mutated.back() += " text";
    size_t next = i + 1;
    for (; next < lines.size() && lines[next] != "---"; ++next) {
      const size_t depth = lines[next].find_first_not_of(' ');
      if (depth < indent || (depth == indent && lines[next][depth] != '-')) break;
    }
    mutated.insert(mutated.end(), lines.begin() + static_cast<ptrdiff_t>(next), lines.end());
    INFO("line " << i + 1 << ": " << mutated[i]);
    const Outcome outcome = read(mutated);
    INFO(outcome.text());
    CHECK(outcome.readable == (line != "metadata:"));
    bool told = false;
    for (const ReadProblem& problem : outcome.problems) told |= problem.line == static_cast<int>(i) + 1;
    CHECK(told);
    CHECK(names(outcome.resources).size() >= all.size() - 1);
  }
}

TEST_CASE("each value in turn replaced by one of the same shape that makes no sense") {
  struct Case {
    std::string line, with, expect;
  };
  const Case cases[] = {
      {"    port: 9000", "    port: 70000", "'70000': expected a port number from 1 to 65535"},
      {"    port: 9000", "    port: 0", "'0': expected a port number from 1 to 65535"},
      {"    port: 9000", "    port: 080", "'080': expected a port number from 1 to 65535"},
      {"    targetPort: echo", "    targetPort: e/o", "'e/o': expected a port name such as tcp-echo"},
      {"    protocol: TCP", "    protocol: QUIC", "'QUIC': expected one of TCP, UDP, SCTP"},
      {"  type: LoadBalancer", "  type: loadbalancer",
       "expected one of ClusterIP, NodePort, LoadBalancer, ExternalName"},
      {"  clusterIP: 10.96.1.10", "  clusterIP: 10.96.1.256",
       "'10.96.1.256': expected an IP address or None"},
      {"  namespace: apps", "  namespace: Apps_", "expected a namespace"},
      {"  creationTimestamp: \"2023-10-29T16:47:30Z\"", "  creationTimestamp: yesterday",
       "'yesterday': expected a time such as"},
      {"  publishNotReadyAddresses: true", "  publishNotReadyAddresses: maybe",
       "'maybe': expected true or false"},
      {"  internalTrafficPolicy: Local", "  internalTrafficPolicy: Here",
       "'Here': expected one of Cluster, Local"},
      {"  - ip: 10.244.2.1", "  - ip: 10.244.2", "'10.244.2': expected an IPv4 or IPv6 address"},
      {"  - 10.1.0.0/16", "  - 10.1.0.0/40", "'10.1.0.0/40': expected a prefix length from 0 to 32"},
      {"  resolution: STATIC", "  resolution: static",
       "expected one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS"},
      {"  resolution: STATIC", "  resolution: NONE", "'NONE': expected no endpoints with it"},
      {"  - address: 10.9.9.9", "  - address: unix://relative", "expected unix:// and an absolute path"},
      {"  - address: 10.9.9.9", "  - address: \"a b\"",
       "'a b': expected an IP address, a host name or unix:///path"},
      {"      weight: 80", "      weight: -1", "'-1': expected a weight from 0 to 2147483647"},
      {"      weight: 80", "      weight: 80%", "'80%': expected a weight from 0 to 2147483647"},
      {"  - istio-ingress/gw", "  - a/b/c", "'a/b/c': expected a gateway as NAMESPACE/NAME, NAME or mesh"},
      {"      - echo.example.com", "      - \"*foo\"", "'*foo': expected a host name such as db.example.com"},
      {"      simple: ROUND_ROBIN", "      simple: FASTEST",
       "'FASTEST': expected one of UNSPECIFIED, LEAST_CONN"},
      {"        connectTimeout: 3s", "        connectTimeout: 3", "'3': expected a duration such as 10s"},
      {"        connectTimeout: 3s", "        connectTimeout: 0s",
       "'0s': expected a duration of 1ms or more"},
      {"          time: 60s", "          time: 500ms", "'500ms': expected whole seconds, 1s or more"},
      {"      maxEjectionPercent: 50", "      maxEjectionPercent: 101",
       "'101': expected a percentage from 0 to 100"},
      {"            r2/*: 20", "            r2/*: 30", "'110': expected weights that sum to 100"},
      {"      mode: PASSTHROUGH", "      mode: passthrough", "expected one of PASSTHROUGH, SIMPLE"},
      {"    - \"apps/*\"", "    - \"apps/\"", "'apps/': expected NAMESPACE/HOST"},
      {"    mode: REGISTRY_ONLY", "    mode: REGISTRY",
       "'REGISTRY': expected one of REGISTRY_ONLY, ALLOW_ANY"},
      {"    defaultEndpoint: 127.0.0.1:9001", "    defaultEndpoint: localhost",
       "'localhost': expected 127.0.0.1:PORT"},
      {"    captureMode: NONE", "    captureMode: SOME", "'SOME': expected one of DEFAULT, IPTABLES, NONE"},
      {"  - \".\"", "  - \"a b\"", "'a b': expected *, ., ~ or a namespace"},
      {"        from: Selector", "        from: Everywhere", "expected one of All, Same, Selector, None"},
      {"    compatibilityVersion: \"1.5\"", "    compatibilityVersion: \"1.4\"",
       "'1.4': expected one of 1.5"},
      {"    accessLogEncoding: JSON", "    accessLogEncoding: XML", "'XML': expected one of TEXT, JSON"},
      {"        - 10.0.0.0/8", "        - ten", "'ten': expected a CIDR block"},
  };
  const std::vector<std::string> lines = full_lines();
  for (const Case& one : cases) {
    const auto at = std::find(lines.begin(), lines.end(), one.line);
    INFO(one.line << " -> " << one.with);
    REQUIRE(at != lines.end());
    std::vector<std::string> mutated = lines;
    mutated[static_cast<size_t>(at - lines.begin())] = one.with;
    const Outcome outcome = read(mutated);
    INFO(outcome.text());
    REQUIRE_FALSE(outcome.problems.empty());
    CHECK_THAT(outcome.text(), Catch::Contains(one.expect));
  }
}
