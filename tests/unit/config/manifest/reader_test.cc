// What is an object, which version of it, and when one is left out because using it would send traffic
// wrongly.
#include "config/manifest/reader.h"

#include <catch2/catch.hpp>

using namespace sockmesh::config;

namespace {

struct Outcome {
  Resources resources;
  std::string problems;
  bool readable;
};

Outcome read(std::string_view text) {
  Outcome outcome;
  std::vector<ReadProblem> problems;
  outcome.readable = read_manifest(text, "f.yaml", outcome.resources, problems);
  for (const ReadProblem& problem : problems) outcome.problems += problem.to_string() + "\n";
  return outcome;
}

// An object of networking.istio.io or the core with this spec.
Outcome read_object(const std::string& kind, const std::string& spec) {
  const bool core = kind == "Service" || kind == "Pod";
  return read("apiVersion: " + std::string(core ? "v1" : "networking.istio.io/v1") + "\nkind: " + kind +
              "\nmetadata: {name: x}\nspec:\n" + spec);
}

}  // namespace

TEST_CASE("kinds: unknown ones are passed over, a group of another product too") {
  const Outcome outcome = read(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n"
      "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: b}\n---\n"
      "apiVersion: v1\nkind: Secret\n---\n"
      "apiVersion: networking.istio.io/v1\nkind: EnvoyFilter\nmetadata: {name: c}\n");
  CHECK(outcome.readable);
  CHECK(outcome.problems.empty());
  CHECK(outcome.resources.services.empty());
}

TEST_CASE("versions: v1, v1beta1 and v1alpha3 read alike, others are told") {
  for (const char* version : {"v1", "v1beta1", "v1alpha3"}) {
    const Outcome outcome =
        read(fmt::format("apiVersion: networking.istio.io/{}\nkind: DestinationRule\nmetadata: {{name: "
                         "a}}\nspec: {{host: a}}\n",
                         version));
    CHECK(outcome.problems.empty());
    CHECK(outcome.resources.destination_rules.size() == 1);
  }
  const Outcome outcome = read("apiVersion: networking.istio.io/v2\nkind: Sidecar\nmetadata: {name: a}\n");
  CHECK(
      outcome.problems ==
      "f.yaml:1: apiVersion: 'networking.istio.io/v2': expected one of the versions v1, v1beta1, v1alpha3 of "
      "networking.istio.io\n");
}

TEST_CASE("the two Gateways are told apart by their group") {
  const Outcome outcome = read(
      "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\n---\n"
      "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n");
  CHECK(outcome.resources.gateways.size() == 1);
  CHECK(outcome.resources.k8s_gateways.size() == 1);
}

TEST_CASE("lists: of mixed kinds, typed ones whose items leave the kind out, JSON") {
  const Outcome mixed = read(
      R"({"apiVersion": "v1", "kind": "List", "items": [
           {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterIP": "10.0.0.1"}},
           {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, 7]})");
  CHECK(mixed.resources.services.size() == 1);
  CHECK(mixed.resources.services[0]->meta.line == 2);
  CHECK(mixed.resources.nodes.size() == 1);
  CHECK(mixed.problems == "f.yaml:3: expected an object with apiVersion, kind and metadata\n");

  const Outcome typed =
      read("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p}\n- metadata: {name: q}\n");
  CHECK(typed.problems.empty());
  CHECK(typed.resources.pods.size() == 2);
}

TEST_CASE("documents that are no objects") {
  CHECK(read("just text\n").problems == "f.yaml:1: expected an object with apiVersion, kind and metadata\n");
  CHECK(read("kind: Service\n").problems == "f.yaml:1: apiVersion: missing: expected a value\n");
  CHECK(read("replicas: 3\n").problems ==
        "f.yaml:1: apiVersion: missing: expected a value\nf.yaml:1: kind: missing: expected a value\n");
  CHECK(read("apiVersion: v1\nkind: Service\n").problems ==
        "f.yaml:1: metadata.name: missing: expected a value (object left out)\n");
  CHECK(read("null\n---\n~\n").problems.empty());
  const Outcome broken = read("apiVersion: v1\nkind: Service\nmetadata: {name: a\n");
  CHECK_FALSE(broken.readable);
}

TEST_CASE("text that YAML takes for something else is told and used as written") {
  const Outcome outcome = read(
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    version: 1.10\n    on: yes\n    good: "
      "\"1\"\n");
  CHECK(outcome.problems ==
        "f.yaml:6: Pod default/p: metadata.labels.version: '1.10': expected text; without quotes YAML takes "
        "this for a "
        "number\n"
        "f.yaml:7: Pod default/p: metadata.labels.on: 'yes': expected text; without quotes YAML takes this "
        "for a "
        "boolean\n");
  CHECK(outcome.resources.pods.at(0)->meta.labels ==
        Labels{{"version", "1.10"}, {"on", "yes"}, {"good", "1"}});
  const Outcome quoted = read_object("Service", "  clusterIP: 10.0.0.1\n  ports: [{port: \"80\"}]\n");
  CHECK(quoted.problems ==
        "f.yaml:6: Service default/x: spec.ports[0].port: \"80\": expected a number without quotes\n");
  CHECK(quoted.resources.services.at(0)->ports.at(0).port == 80);
}

TEST_CASE("a broken part is left out, the rest of the object is in force") {
  const Outcome service = read_object("Service",
                                      "  clusterIP: 10.0.0.1\n"
                                      "  ports:\n  - {port: 80}\n  - {port: 0}\n  - {port: 81, protocol: X}\n"
                                      "  - {port: 80}\n  - {port: 82}\n");
  CHECK(service.resources.services.at(0)->ports.size() == 2);
  CHECK_THAT(service.problems,
             Catch::Contains("spec.ports[3].port: '80': expected each port once, line 7 has it"));

  const Outcome rule = read_object(
      "DestinationRule",
      "  host: a\n  trafficPolicy:\n    connectionPool: {tcp: {connectTimeout: x, maxConnections: 3}}\n"
      "  subsets:\n  - {name: v1, labels: [a]}\n  - {name: v2}\n");
  const DestinationRule& read_rule = *rule.resources.destination_rules.at(0);
  CHECK(read_rule.policy->connection_pool->max_connections == 3u);
  CHECK_FALSE(read_rule.policy->connection_pool->connect_timeout);
  CHECK(read_rule.subsets.size() == 1);

  const Outcome gateway =
      read_object("Gateway",
                  "  servers:\n  - port: {number: 1, protocol: TCP}\n    hosts: [\"*\"]\n"
                  "  - port: {number: 2, protocol: TLS}\n    hosts: [\"*\"]\n    tls: {mode: OPEN}\n"
                  "  - port: {number: 3, protocol: TLS}\n    hosts: [\"*\"]\n    tls: {}\n");
  CHECK(gateway.resources.gateways.at(0)->servers.size() == 2);
  CHECK(gateway.resources.gateways.at(0)->servers[1].tls_mode == "PASSTHROUGH");
}

TEST_CASE("an object is left out when the rest of it would send traffic wrongly") {
  struct Case {
    const char *kind, *spec, *why;
  };
  const Case cases[] = {
      {"Service", "  clusterIP: oops\n", "without its address it would have none"},
      {"Service", "  clusterIP: 10.0.0.1\n  selector: {app: {a: b}}\n", "a selector would select more"},
      {"Service", "  type: ExternalName\n", "an alias of nothing"},
      {"ServiceEntry", "  hosts: [a.b]\n  addresses: [10.0.0.0/99]\n",
       "it would take its ports on every address"},
      {"ServiceEntry", "  hosts: [a.b]\n  exportTo: [\"!\"]\n", "it would be seen by everybody"},
      {"ServiceEntry", "  hosts: [a.b]\n  resolution: DNS\n  endpoints: [{address: \"?\"}]\n",
       "it would resolve its own name"},
      {"VirtualService", "  hosts: [a]\n  gateways: [a/b/c]\n", "it would apply to the mesh"},
      {"VirtualService", "  hosts: [a]\n  tcp: [{match: [{port: x}], route: [{destination: {host: a}}]}]\n",
       "a match would match more"},
      {"VirtualService",
       "  hosts: [a]\n  tcp: [{route: [{destination: {host: a}, weight: 1}, {weight: 1}]}]\n",
       "a share would go to the others"},
      {"VirtualService",
       "  hosts: [a]\n  tcp: [{route: [{destination: {host: a}}, {destination: {host: b}, weight: 0}]}]\n",
       "nobody would get a share"},
      {"VirtualService", "  hosts: [a]\n  tls: [{match: [{port: 443}], route: [{destination: {host: a}}]}]\n",
       "a TLS match without names"},
      {"Gateway", "  selector: {app: [a]}\n", "more pods would listen"},
      {"Sidecar", "  workloadSelector: {labels: {app: [a]}}\n", "it would apply to more pods"},
  };
  for (const Case& one : cases) {
    INFO(one.kind << ": " << one.why);
    const Outcome outcome = read_object(one.kind, one.spec);
    INFO(outcome.problems);
    CHECK_THAT(outcome.problems, Catch::Contains("(object left out)"));
    const Resources& r = outcome.resources;
    CHECK(r.services.size() + r.service_entries.size() + r.virtual_services.size() + r.gateways.size() +
              r.sidecars.size() ==
          0);
  }
}

TEST_CASE("one destination needs no weight, and zero is as good as any") {
  const Outcome outcome = read_object(
      "VirtualService", "  hosts: [a]\n  tcp: [{route: [{destination: {host: a}, weight: 0}]}]\n");
  CHECK(outcome.problems.empty());
  CHECK(outcome.resources.virtual_services.size() == 1);
}

TEST_CASE("Pods: what a status may look like") {
  const Outcome outcome = read(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a, deletionTimestamp: \"2023-10-29T16:47:30Z\"}\n"
      "status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: Perhaps}, {type: Initialized, status: "
      "x}]}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nstatus: {podIPs: [{ip: 10.0.0.2}, {ip: x}]}\n");
  CHECK(outcome.resources.pods.at(0)->terminating);
  CHECK(outcome.resources.pods.at(0)->ready == false);
  CHECK_FALSE(outcome.resources.pods.at(1)->ready);
  CHECK(outcome.resources.pods.at(1)->ips.size() == 1);
  CHECK_THAT(outcome.problems,
             Catch::Contains("status.conditions[0].status: 'Perhaps': expected one of True, False"));
}

TEST_CASE(
    "EndpointSlices: FQDN ones have no addresses for us, several addresses an endpoint, ports without "
    "number") {
  const Outcome outcome = read(
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: FQDN\n"
      "endpoints: [{addresses: [a.example.com]}]\n---\n"
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: b}\naddressType: IPv4\n"
      "endpoints: [{addresses: [10.0.0.1, 10.0.0.2], conditions: {ready: ~}}]\nports: [{name: a}, {port: "
      "80}]\n");
  CHECK(outcome.problems.empty());
  CHECK(outcome.resources.endpoints.at(0)->fqdn);
  CHECK(outcome.resources.endpoints.at(1)->subsets.at(0).addresses.size() == 2);
  CHECK(outcome.resources.endpoints.at(1)->subsets.at(0).addresses[0].ready);
  CHECK(outcome.resources.endpoints.at(1)->subsets.at(0).ports.size() == 1);
}

TEST_CASE("MeshConfig: lines are those of the file, other ConfigMaps are not looked into") {
  const Outcome outcome = read(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n"
      "    connectTimeout: 1s\n    trustDomain: [a]\n");
  CHECK(outcome.problems ==
        "f.yaml:7: ConfigMap istio-system/istio: trustDomain: a list: expected one value\n");
  CHECK(outcome.resources.mesh->connect_timeout == std::chrono::seconds(1));
  const Outcome broken = read(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n"
      "    a: b\n     c: d\n");
  CHECK(broken.readable);
  CHECK_FALSE(broken.resources.mesh);
  CHECK_THAT(broken.problems,
             Catch::StartsWith("f.yaml:6: ConfigMap istio-system/istio: data.mesh: not YAML"));
  const Outcome quoted = read(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n"
      "  mesh: \"a: b\\nc: d\\nconnectTimeout: 1x\"\n");
  CHECK_THAT(quoted.problems,
             Catch::StartsWith("f.yaml:5: ConfigMap istio-system/istio: connectTimeout: '1x'"));
  CHECK(
      read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: [x]}\n").problems.empty());
}

TEST_CASE("problems are bounded, values in messages are shortened") {
  std::string text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n";
  for (int i = 0; i < 5000; ++i) text += fmt::format("    k{}: []\n", i);
  Resources resources;
  std::vector<ReadProblem> problems;
  read_manifest(text, "f.yaml", resources, problems);
  CHECK(problems.size() == 1001);
  CHECK(read_object("Service", "  clusterIP: " + std::string(5000, 'x') + "\n").problems.size() < 250);
}
