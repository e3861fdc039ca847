#include "config/resources/protocol.h"

#include <array>
#include <utility>

#include "base/strings.h"

namespace sockmesh::config {

namespace {

constexpr std::array<std::pair<std::string_view, Protocol>, 11> kNames = {{
    {"TCP", Protocol::kTcp},
    {"UDP", Protocol::kUdp},
    {"TLS", Protocol::kTls},
    {"HTTPS", Protocol::kHttps},
    {"HTTP", Protocol::kHttp},
    {"HTTP2", Protocol::kHttp2},
    {"GRPC", Protocol::kGrpc},
    {"GRPC-Web", Protocol::kGrpcWeb},
    {"Mongo", Protocol::kMongo},
    {"Redis", Protocol::kRedis},
    {"MySQL", Protocol::kMysql},
}};

}  // namespace

std::string_view to_string(Protocol protocol) {
  for (const auto& [name, value] : kNames)
    if (value == protocol) return name;
  return "auto";
}

Protocol parse_protocol(std::string_view text) {
  for (const auto& [name, value] : kNames)
    if (equals_ignore_case(text, name)) return value;
  return Protocol::kAuto;
}

Protocol service_port_protocol(uint16_t port, std::string_view name, std::string_view transport,
                               const std::optional<std::string>& app_protocol) {
  if (transport == "UDP") return Protocol::kUdp;
  if (app_protocol) {
    name = *app_protocol;
    if (name == "kubernetes.io/h2c") return Protocol::kHttp2;
    if (name == "kubernetes.io/ws") return Protocol::kHttp;
    if (name == "kubernetes.io/wss") return Protocol::kHttps;
  }
  constexpr std::string_view kGrpcWeb = "grpc-web";
  if (name.size() >= kGrpcWeb.size() && equals_ignore_case(name.substr(0, kGrpcWeb.size()), kGrpcWeb))
    return Protocol::kGrpcWeb;
  const Protocol protocol = parse_protocol(name.substr(0, name.find('-')));
  if (protocol != Protocol::kAuto) return protocol;
  // SMTP, DNS, MySQL, MongoDB: in these the server speaks first, or nobody sniffs.
  return port == 25 || port == 53 || port == 3306 || port == 27017 ? Protocol::kTcp : Protocol::kAuto;
}

bool is_http(Protocol protocol) {
  return protocol == Protocol::kHttp || protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc ||
         protocol == Protocol::kGrpcWeb;
}

bool is_tls(Protocol protocol) { return protocol == Protocol::kTls || protocol == Protocol::kHttps; }

}  // namespace sockmesh::config
