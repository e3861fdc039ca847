// Which protocol Istio takes a port for (docs/istio.md#protocol-selection). Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sockmesh::config {

enum class Protocol : uint8_t {
  kAuto,  // undetermined: Istio sniffs
  kTcp,
  kUdp,
  kTls,
  kHttps,
  kHttp,
  kHttp2,
  kGrpc,
  kGrpcWeb,
  kMongo,
  kRedis,
  kMysql,
};

std::string_view to_string(Protocol protocol);  // "TCP", "auto"

// As ServiceEntry, Gateway and Sidecar ports declare it; an unknown word is kAuto.
Protocol parse_protocol(std::string_view text);

// Of a Kubernetes Service port: appProtocol if set, else the port name up to the first '-', else by number.
Protocol service_port_protocol(uint16_t port, std::string_view name, std::string_view transport,
                               const std::optional<std::string>& app_protocol);

bool is_http(Protocol protocol);
bool is_tls(Protocol protocol);  // TLS, HTTPS: routed by `tls` blocks

}  // namespace sockmesh::config
