// 10,000 Services with 50,000 endpoints as kubectl prints them: 15 MB of YAML in less than three seconds, in
// the memory of what is read and one document; and what a snapshot of them keeps. tools/bench/scale prints
// the times.
#include <malloc.h>

#include <catch2/catch.hpp>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"
#include "test_support/sanitized.h"

using namespace sockmesh::config;

namespace {

constexpr int kServices = 10'000, kEndpoints = 5;

std::string manifests() {
  std::string out;
  for (int i = 0; i < kServices; ++i) {
    const std::string ip = fmt::format("10.{}.{}.{}", 96 + i / 65536, i / 256 % 256, i % 256);
    out += fmt::format(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: svc-{0}\n  namespace: ns-{1}\n  labels:\n    app: "
        "svc-{0}\n"
        "spec:\n  type: ClusterIP\n  clusterIP: {2}\n  clusterIPs:\n  - {2}\n  selector:\n    app: svc-{0}\n "
        " ports:\n"
        "  - name: tcp-main\n    port: 9000\n    protocol: TCP\n    targetPort: 9000\n---\n"
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: svc-{0}-abcde\n  "
        "namespace: ns-{1}\n"
        "  labels:\n    kubernetes.io/service-name: svc-{0}\naddressType: IPv4\nports:\n- name: tcp-main\n  "
        "port: 9000\n"
        "  protocol: TCP\nendpoints:\n",
        i, i % 100, ip);
    for (int j = 0; j < kEndpoints; ++j) {
      const int k = i * kEndpoints + j;
      out += fmt::format(
          "- addresses:\n  - 10.{}.{}.{}\n  conditions:\n    ready: true\n    serving: true\n    "
          "terminating: false\n"
          "  nodeName: node-{}\n  targetRef:\n    kind: Pod\n    name: svc-{}-{}\n    namespace: ns-{}\n  "
          "zone: z{}\n",
          128 + k / 65536, k / 256 % 256, k % 256, k % 50, i, j, i % 100, k % 3);
    }
    out += "---\n";
  }
  return out;
}

}  // namespace

TEST_CASE("scale: 10,000 Services with 50,000 endpoints are read from YAML") {
  const std::string text = manifests();
  REQUIRE(text.size() > 8'000'000);
  const size_t before = mallinfo2().uordblks;
  Resources resources;
  std::vector<ReadProblem> problems;
  REQUIRE(read_manifest(text, "big.yaml", resources, problems));
  CHECK(problems.empty());
  CHECK(resources.services.size() == kServices);
  CHECK(resources.endpoints.size() == kServices);
  CHECK(resources.endpoints[7]->subsets.at(0).addresses.size() == kEndpoints);
  if (!sockmesh::test::sanitized()) CHECK(mallinfo2().uordblks - before < 40u << 20);
}

TEST_CASE("scale: a snapshot of 10,000 Services with 50,000 endpoints fits into 20 MB") {
  Resources resources;
  std::vector<ReadProblem> problems;
  REQUIRE(read_manifest(manifests(), "big.yaml", resources, problems));
  const size_t before = mallinfo2().uordblks;
  const auto snapshot = compile(resources, ProxyIdentity());
  CHECK(snapshot->clusters.size() > kServices);
  CHECK(snapshot->listeners.size() > kServices);
  if (!sockmesh::test::sanitized()) CHECK(mallinfo2().uordblks - before < 20u << 20);
}
