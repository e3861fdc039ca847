// The application's own probes and lifecycle hooks. Under a sidecar the kubelet's would prove nothing (a
// captured port always accepts), so Istio's injector points them at 15020 and leaves the originals in
// ISTIO_KUBE_APP_PROBERS: {"/app-health/web/readyz": {"httpGet": {"path": "/ready", "port": 8080},
// "timeoutSeconds": 1}, ...}. What they are, as values; pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh::admin {

struct AppProbe {
  enum class Kind : uint8_t { kHttp, kTcp, kGrpc };

  Kind kind = Kind::kHttp;
  uint16_t port = 0;
  std::string path = "/";                      // kHttp, with its query
  bool tls = false;                            // kHttp: scheme HTTPS
  std::string service;                         // kGrpc
  Duration timeout = std::chrono::seconds(1);  // Kubernetes' default
};

struct AppProbes {
  std::map<std::string, Result<AppProbe>> by_path;  // of a bad one: why
  std::string unreadable;  // why there is none at all; "" when that is as it should be

  std::vector<std::string> problems() const;  // all of them, each naming ISTIO_KUBE_APP_PROBERS
};

// Probes at `status_port` are refused: they would ask the agent itself, and so on.
AppProbes parse_app_probes(const std::string& text, uint16_t status_port);

// The parts of grpc.health.v1 (grpc/doc/health-checking.md) that a probe needs: the request for `service`,
// and whether an answer says SERVING; both with the five bytes that frame a gRPC message.
std::string health_request(const std::string& service);
bool says_serving(const std::string& message);

}  // namespace sockmesh::admin
