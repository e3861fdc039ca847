// Any lines as the fields of a question to `explain`: what is accepted is explained to its end.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "admin/question.h"
#include "admin/views.h"
#include "base/strings.h"
#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"
#include "model/explain.h"

using namespace sockmesh;

namespace {

constexpr char kMesh[] = R"(apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default}
spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.1.1.1}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: tls, port: 443}, {name: tcp, port: 90}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo.default.svc.cluster.local]
  tls: [{match: [{sniHosts: [a.example.com], port: 443}], route: [{destination: {host: echo}}]}]
)";

model::SnapshotPtr mesh() {
  config::Resources resources;
  std::vector<config::ReadProblem> problems;
  config::read_manifest(kMesh, "mesh.yaml", resources, problems);
  config::ProxyIdentity proxy;
  proxy.pod = "client";
  proxy.ns = "default";
  return config::compile(resources, proxy);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const model::SnapshotPtr snapshot = mesh();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto lines = split(text, '\n');
  const auto line = [&](size_t i) { return i < lines.size() ? std::string(lines[i]) : std::string(); };
  admin::Question question;
  question.destination = line(0);
  question.direction = line(1).empty() ? "outbound" : line(1);
  question.source = line(2);
  if (lines.size() > 3) question.sni = line(3);
  question.alpn = line(4);
  if (lines.size() > 5) question.tls = line(5) == "true";
  const auto info = admin::connection_of(question, *snapshot);
  if (!info) {
    if (info.error().message.empty()) std::abort();
    return 0;
  }
  (void)model::explain(*snapshot, *info);
  return 0;
}
