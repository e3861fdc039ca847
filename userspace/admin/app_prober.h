// AppProber: makes the application's probes (app_probes.h) for the kubelet, as istio-agent does: from
// 127.0.0.6 (::6), which the rules let pass, to the pod's address, so that what is probed is the application
// and not the sidecar. Thread: the loop's.
//
// HTTP: the request's headers are passed on (hop-by-hop ones are not), the status and at most 10 KiB of the
// body come back; a redirect within the pod is followed, ten requests in all, one to elsewhere is 200. TCP:
// 200 when it connects. gRPC: 200 when grpc.health.v1 says SERVING. Otherwise 500 with the reason. As many
// probes run at a time as clients wait for them: http::DoorBounds bounds both.
#pragma once

#include <memory>
#include <optional>

#include "admin/app_probes.h"
#include "event/loop.h"
#include "http/client.h"
#include "http/server.h"
#include "model/ports.h"

namespace sockmesh::admin {

struct ProbeTarget {
  std::optional<IpAddress> ip;  // the pod's; none: 127.0.0.1
  uint16_t status_port = model::kIstioPorts.status;
};

class AppProber {
 public:
  // `loop` and `client` outlive it, and it outlives the work that it gave.
  AppProber(event::Loop& loop, http::Client& client, AppProbes probes, const ProbeTarget& target);

  static bool is_probe(const std::string& path);  // whether a request for it is ours to answer
  http::Work run(const http::Request& request, http::Reply reply);

 private:
  class HttpProbe;
  class TcpProbe;
  class GrpcProbe;

  event::Loop& loop_;
  http::Client& client_;
  const AppProbes probes_;
  const IpAddress target_, source_;
  const uint16_t status_port_;
};

// What the application gets as Host: the kubelet's, with the application's port where it named the agent's.
std::string host_for_app(const std::string& host, uint16_t status_port, uint16_t app_port);

}  // namespace sockmesh::admin
