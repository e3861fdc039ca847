// The rule as a table: what is in force, what was read, and whether it may take its place.
#include "config/source/admission.h"

#include <catch2/catch.hpp>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"
#include "config/source/merge.h"

using namespace sockmesh::config;
using Catch::Contains;

namespace {

const char* const kMesh =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
    "data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n---\n";
const char* const kService =
    "apiVersion: v1\nkind: Service\nmetadata: {name: store}\nspec: {clusterIP: 10.0.0.1}\n---\n";

std::string mesh_of(const std::string& config) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: '" +
         config + "'}\n---\n";
}
std::string sidecar(const std::string& ns, const std::string& spec, const std::string& name = "own") {
  return "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " + name +
         ", namespace: " + ns + "}\nspec: " + spec + "\n---\n";
}
std::string pod(const std::string& name, const std::string& metadata = "") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop" + metadata + "}\n---\n";
}

ProxyIdentity proxy(Role role = Role::kSidecar) {
  ProxyIdentity identity;
  identity.role = role;
  identity.pod = "web";
  identity.ns = "shop";
  return identity;
}

// A folder of one file, its last good objects kept as the folder does it.
class World {
 public:
  explicit World(Role role = Role::kSidecar) : proxy_(proxy(role)) {}

  // Why this text is refused, "" when it is taken.
  std::string read(const std::string& text) {
    Resources fresh;
    ReadReport report = read_manifest(text, "a.yaml", fresh);
    keep_last_good(fresh, last_, report);
    return take(std::move(fresh), report.problems.first, report.all_readable ? "" : "a.yaml:1: not YAML");
  }
  // The same, of another file: what the first one held is gone.
  std::string read_elsewhere(const std::string& text) {
    last_ = {};
    return read(text);
  }

 private:
  std::string take(Resources fresh, const std::vector<ReadProblem>& problems, const std::string& unreadable) {
    std::string why = refusal({fresh, problems, unreadable}, proxy_, in_force_ ? &*in_force_ : nullptr);
    last_ = fresh;
    if (why.empty()) in_force_ = policy_objects(fresh, proxy_);
    return why;
  }
  const ProxyIdentity proxy_;
  Resources last_;
  std::optional<PolicyObjects> in_force_;
};

const std::string kTaken;

}  // namespace

TEST_CASE("with nothing in force, what decides policy must be whole") {
  struct Row {
    std::string text, why;  // why "": taken
  };
  const std::vector<Row> rows = {
      {kMesh, ""},
      {kService, ""},  // Istio's defaults hold, since nobody says otherwise
      {"", "no object"},
      {"# only a comment\n---\n", "no object"},
      {"kind: [\n", "not YAML"},
      {std::string(kMesh) + "kind: [\n", "not YAML"},
      // MeshConfig
      {mesh_of("outboundTrafficPolicy: {mode: REGISTRY-ONLY}"), "REGISTRY-ONLY"},
      {mesh_of("outboundTrafficPolicy: {mode: [REGISTRY_ONLY]}"), "outboundTrafficPolicy.mode"},
      {mesh_of("outboundTrafficPolicy: REGISTRY_ONLY"), "outboundTrafficPolicy"},
      {mesh_of("inboundTrafficPolicy: {mode: NOWHERE}"), "NOWHERE"},
      {mesh_of("inboundTrafficPolicy: [LOCALHOST]"), "inboundTrafficPolicy"},
      {mesh_of("rootNamespace: [istio-config]"), "rootNamespace"},
      {mesh_of("defaultServiceExportTo: ."), "defaultServiceExportTo"},
      {mesh_of("defaultVirtualServiceExportTo: {}"), "defaultVirtualServiceExportTo"},
      {mesh_of("defaultDestinationRuleExportTo: x"), "defaultDestinationRuleExportTo"},
      {mesh_of("sockmesh: {egress: {block: [10.0.0.0/8, 10.0.0.0.0/8]}}"), "10.0.0.0.0/8"},
      {mesh_of("sockmesh: {egress: {block: 10.0.0.0/8}}"), "block"},
      {mesh_of("sockmesh: {egress: {blockAll: ture}}"), "ture"},
      {mesh_of("sockmesh: {egress: all}"), "egress"},
      {mesh_of("sockmesh: all"), "sockmesh"},
      {mesh_of("no mapping"), "MeshConfig"},
      {mesh_of("sockmesh: {egress: {permit: [10.0.0.0.0/8]}}"), ""},  // a permit less closes
      {mesh_of("connectTimeout: soon"), ""},
      {mesh_of("tcpKeepalive: yes please"), ""},
      // Sidecars of the own namespace and of the root namespace
      {sidecar("shop", "{outboundTrafficPolicy: {mode: NOBODY}}"), "NOBODY"},
      {sidecar("shop", "{outboundTrafficPolicy: REGISTRY_ONLY}"), "outboundTrafficPolicy"},
      {sidecar("shop", "{egress: {hosts: [./*]}}"), "egress"},
      {sidecar("shop", "{egress: [{hosts: [./*], bind: no-address}]}"), "no-address"},
      {sidecar("shop", "{egress: [{hosts: [./*]}, {hosts: no-list}]}"), "no-list"},
      {sidecar("shop", "{egress: [{hosts: [./*], port: {number: 70000, protocol: TCP}}]}"), "70000"},
      {sidecar("shop", "{ingress: [{port: {number: 80, protocol: TCP}, defaultEndpoint: nowhere}]}"),
       "nowhere"},
      {sidecar("shop", "{workloadSelector: web}"), "workloadSelector"},
      {sidecar("shop", "{workloadSelector: {labels: {app: [web]}}}"), "app"},
      {sidecar("shop", "no mapping"), "no mapping"},
      {sidecar("istio-system", "{outboundTrafficPolicy: {mode: NOBODY}}"), "NOBODY"},
      {mesh_of("rootNamespace: config") + sidecar("config", "{egress: 1}"), "egress"},
      {sidecar("elsewhere", "{outboundTrafficPolicy: {mode: NOBODY}}"), "no object"},
      {kService + sidecar("elsewhere", "{outboundTrafficPolicy: {mode: NOBODY}}"), ""},
      {kService + sidecar("shop", "{egress: [{hosts: [./*]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"),
       ""},
      // The own pod
      {pod("web", ", labels: {app: [web]}"), "labels"},
      {pod("web", ", labels: web"), "labels"},
      {pod("web", ", annotations: {sockmesh.io/egressBlock: [10.0.0.0/8]}"), "egressBlock"},
      {pod("web", ", annotations: none"), "annotations"},
      {pod("web", ", annotations: {sockmesh.io/egressPermit: [10.0.0.0/8], else: [1]}"), ""},
      {pod("web", ", labels: {version: 1}"), ""},  // told, and used as text
      {kService + pod("other", ", labels: {app: [other]}"), ""},
      // All else: known less
      {kService +
           std::string(
               "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n"),
       ""},
      {kService +
           std::string("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: bad}\n"
                       "spec: {hosts: [a.b], exportTo: everybody}\n"),
       ""},
      {kService +
           std::string("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: bad}\n"
                       "spec: {selector: {matchLabels: x}}\n"),
       ""},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const std::string why = World().read(row.text);
    if (row.why.empty()) {
      CHECK(why == kTaken);
    } else {
      CHECK_THAT(why, Contains(row.why));
    }
  }
}

TEST_CASE("with a last good version, a broken object keeps it and the rest is taken") {
  for (const std::string& broken : {mesh_of("outboundTrafficPolicy: {mode: REGISTRY-ONLY}") + kService,
                                    std::string("kind: [\n"), std::string("\xff")}) {
    World world;
    REQUIRE(world.read(std::string(kMesh) + kService) == kTaken);
    CHECK(world.read(broken) == kTaken);
    CHECK(world.read(std::string(kMesh) + kService) == kTaken);
  }
}

TEST_CASE("what decides policy never goes with an error") {
  World world;
  REQUIRE(world.read(kMesh + sidecar("shop", "{egress: [{hosts: [./*]}]}") + kService) == kTaken);
  SECTION("moved to another file, and broken there") {
    CHECK_THAT(world.read_elsewhere(mesh_of("outboundTrafficPolicy: {mode: X}") +
                                    sidecar("shop", "{egress: [{hosts: [./*]}]}")),
               Contains("X") && Contains("decides policy"));
  }
  SECTION("moved to a file that cannot be read") {
    CHECK_THAT(world.read_elsewhere("kind: ["),
               Contains("ConfigMap istio-system/istio") && Contains("is missing"));
    CHECK(world.read_elsewhere(kMesh + sidecar("shop", "{egress: [{hosts: [./*]}]}")) == kTaken);
  }
  SECTION("a Sidecar alone") {
    CHECK_THAT(world.read_elsewhere(std::string(kMesh) + "kind: ["), Contains("Sidecar shop/own"));
  }
  SECTION("deleted, with everything readable: as whoever deleted it wanted") {
    CHECK(world.read(kService) == kTaken);
    CHECK(world.read("") == kTaken);
    CHECK(world.read("kind: [") == kTaken);  // it can widen nothing any more
  }
  SECTION("a new one that is broken was never in force") {
    CHECK(world.read(kMesh + sidecar("shop", "{egress: [{hosts: [./*]}]}") +
                     sidecar("shop", "{egress: 1}", "new")) == kTaken);
  }
  SECTION("the root namespace is another one: its Sidecars are the others'") {
    CHECK(world.read(mesh_of("rootNamespace: config") + sidecar("shop", "{egress: [{hosts: [./*]}]}") +
                     "kind: [") == kTaken);
  }
}

TEST_CASE("Sidecars are nothing to a gateway") {
  CHECK(World(Role::kGateway).read(kService + sidecar("shop", "{egress: 1}")) == kTaken);
  CHECK_THAT(World(Role::kGateway).read(mesh_of("outboundTrafficPolicy: 1")),
             Contains("outboundTrafficPolicy"));
}

TEST_CASE("policy objects of a proxy") {
  Resources resources;
  const ReadReport report =
      read_manifest(kMesh + sidecar("shop", "{}") + sidecar("istio-system", "{}", "all") +
                        sidecar("other", "{}") + pod("web") + pod("db") + kService,
                    "a.yaml", resources);
  CHECK(report.problems.count == 0);
  CHECK(policy_objects(resources, proxy()) == PolicyObjects{"ConfigMap istio-system/istio", "Pod shop/web",
                                                            "Sidecar istio-system/all", "Sidecar shop/own"});
  CHECK(policy_objects(resources, proxy(Role::kGateway)) ==
        PolicyObjects{"ConfigMap istio-system/istio", "Pod shop/web"});
}

TEST_CASE("an annotation with a hole never lets more out") {
  const auto egress = [](const std::string& annotations) {
    Resources resources;
    read_manifest(pod("web", ", annotations: {" + annotations + "}"), "a.yaml", resources);
    return compile(resources, proxy());
  };
  const auto good =
      egress("sockmesh.io/egressBlock: '10.0.0.0/8, fd00::/8,', sockmesh.io/egressPermit: 10.1.0.0/16");
  CHECK(good->egress.block.size() == 2);
  CHECK(good->egress.permit.size() == 1);
  CHECK_FALSE(good->egress.block_all);
  CHECK(good->findings.empty());

  const auto bad_block = egress("sockmesh.io/egressBlock: '10.0.0.0/8, fd00::/129'");
  CHECK(bad_block->egress.block_all);
  REQUIRE(bad_block->findings.size() == 1);
  CHECK(bad_block->findings[0].code == "SM0301");
  CHECK_THAT(bad_block->findings[0].text, Contains("'fd00::/129'") && Contains("blocked"));

  const auto bad_permit = egress("sockmesh.io/egressPermit: '10.1.0.0/16 all'");
  CHECK(bad_permit->egress.permit.empty());
  CHECK_FALSE(bad_permit->egress.block_all);
  CHECK(bad_permit->findings.at(0).code == "SM0301");
}
