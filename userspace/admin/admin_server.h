// AdminServer: how people, probes and scrapers reach the agent. Istio's ports, and a Unix socket for
// sockmeshctl, all answered from the same table of paths (api.h), none of it in a worker's thread: a slow
// scrape never delays traffic.
//
//   <run-dir>/admin.sock   everything (mode 0660)
//   15000  127.0.0.1       Envoy's admin calls, as far as they can be answered truthfully
//   15020  all addresses   readiness and merged metrics; POST /quitquitquit and /drain from localhost only
//   15021  all addresses   /healthz/ready
//   15090  all addresses   /stats/prometheus
//
// Bounds: two threads answer for all of them, 64 requests wait, a request body is at most 1 MiB, reading and
// writing time out after 5 s.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admin/sources.h"

namespace sockmesh::admin {

struct AdminOptions {
  std::string socket_path;                              // "" none; at most 107 bytes (sun_path)
  std::optional<std::pair<uid_t, gid_t>> socket_owner;  // chown after bind; absent: whoever runs us

  // Port 0 lets the kernel choose (tests); absent: not served.
  std::optional<uint16_t> admin_port = 15000;
  std::optional<uint16_t> status_port = 15020;
  std::optional<uint16_t> readiness_port = 15021;
  std::optional<uint16_t> metrics_port = 15090;
  std::string app_annotations;  // ISTIO_PROMETHEUS_ANNOTATIONS: the application's page joins ours on 15020
  std::string any_address;      // where 15020, 15021, 15090 listen; "" is all addresses of both families
};

class AdminServer {
 public:
  // Binds and serves. An error when the Unix socket or the readiness port cannot be had; the other ports are
  // then a warning (warnings()). Call it before privileges are dropped when socket_owner is to be set.
  static Result<std::unique_ptr<AdminServer>> start(AdminOptions options, Sources sources);
  ~AdminServer();  // stop(), and removes the socket

  void stop();  // answers what is being answered, at most 5 s; idempotent

  const std::vector<std::string>& warnings() const;
  // The port in use for one of the above (15021 -> what the kernel chose), 0 when it is not served.
  uint16_t port(uint16_t standard) const;

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::admin
