// AdminServer: how people, probes and scrapers reach the agent. Istio's ports, and a Unix socket for
// sockmeshctl, all answered from the same table of paths (api.h), none of it in a worker's thread: a slow
// scrape never delays traffic.
//
//   <run-dir>/admin.sock   everything (mode 0660)
//   15000  127.0.0.1       Envoy's admin calls, as far as they can be answered truthfully
//   15020  all addresses   readiness, merged metrics, the application's probes; POST /quitquitquit and /drain
//                          from localhost only
//   15021  all addresses   /healthz/ready
//   15090  all addresses   /stats/prometheus
//
// One thread has a loop for the sockets of all doors and never waits for anybody. Readiness is answered there
// and then. What takes time is made by two other threads, one for the operator's doors (socket, 15000) and
// POST from localhost, one for those that strangers reach (15020, 15090), so that neither waits for the
// other. The bounds are in admin_server.cc; what they are for is said in http/server.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admin/sources.h"
#include "base/address.h"
#include "model/ports.h"

namespace sockmesh::admin {

struct AdminOptions {
  std::string socket_path;                              // "" none; at most 107 bytes (sun_path)
  std::optional<std::pair<uid_t, gid_t>> socket_owner;  // chown after bind; absent: whoever runs us

  // Port 0 lets the kernel choose (tests); absent: not served.
  std::optional<uint16_t> admin_port = model::kIstioPorts.admin;
  std::optional<uint16_t> status_port = model::kIstioPorts.status;
  std::optional<uint16_t> readiness_port = model::kIstioPorts.readiness;
  std::optional<uint16_t> metrics_port = model::kIstioPorts.metrics;
  std::string any_address;  // where 15020, 15021, 15090 listen; "" is all addresses of both families

  std::string app_annotations;  // ISTIO_PROMETHEUS_ANNOTATIONS: the application's page joins ours on 15020
  std::string app_probers;      // ISTIO_KUBE_APP_PROBERS: its probes, served on 15020
  std::optional<IpAddress> app_address;  // where it is probed; absent: 127.0.0.1
};

// Descriptors that the admin server may have open at a time: doors, clients, and what it asks for them.
extern const size_t kMaxAdminDescriptors;

class AdminServer {
 public:
  // Binds and serves. An error when the Unix socket or the readiness port cannot be had; the other ports are
  // then a warning (warnings()). Call it before privileges are dropped when socket_owner is to be set.
  static Result<std::unique_ptr<AdminServer>> start(AdminOptions options, Sources sources);
  ~AdminServer();  // stop(), and removes the socket

  // Closes every connection at once. Returns when no source is being asked any more, which is when the (at
  // most two) answers that are being made are made; idempotent.
  void stop();

  const std::vector<std::string>& warnings() const;
  // The port in use for one of the above (15021 -> what the kernel chose), 0 when it is not served.
  uint16_t port(uint16_t standard) const;

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::admin
