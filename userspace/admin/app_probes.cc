#include "admin/app_probes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"

namespace sockmesh::admin {

namespace {

using nlohmann::json;

constexpr const char* kVariable = "ISTIO_KUBE_APP_PROBERS";

bool is_probe_path(std::string_view path) {
  const auto parts = split(path, '/');
  if (parts.size() != 4 || !parts[0].empty() || parts[2].empty()) return false;
  if (parts[1] != "app-health" && parts[1] != "app-lifecycle") return false;
  for (const std::string_view name : {"livez", "readyz", "startupz", "prestopz", "poststartz"})
    if (parts[3] == name) return true;
  return false;
}

Result<uint16_t> port_of(const json& action, uint16_t status_port) {
  const json port = action.value("port", json());
  // A named port was resolved by the injector; a name that is left cannot be.
  if (!port.is_number_integer() || port < 1 || port > 65535)
    return fail("port '{}': expected a number from 1 to 65535", port.dump());
  if (port == status_port)
    return fail("port '{}': that is the agent's own, not the application's", port.dump());
  return port.get<uint16_t>();
}

Result<std::string> text_of(const json& action, const char* field) {
  const json value = action.value(field, json());
  if (value.is_null()) return std::string();
  if (!value.is_string()) return fail("{} '{}': expected text", field, value.dump());
  return value.get<std::string>();
}

Result<AppProbe> parse_probe(const std::string& path, const json& from, uint16_t status_port) {
  if (!is_probe_path(path))
    return fail(
        "expected /app-health/CONTAINER/{{livez,readyz,startupz}} or "
        "/app-lifecycle/CONTAINER/{{prestopz,poststartz}}");
  if (!from.is_object()) return fail("'{}': expected an object", from.dump());
  AppProbe probe;
  const json* action = nullptr;
  int kinds = 0;
  const auto look = [&](const char* name, AppProbe::Kind kind) {
    const auto found = from.find(name);
    if (found == from.end() || !found->is_object()) return;
    ++kinds;
    action = &*found;
    probe.kind = kind;
  };
  look("httpGet", AppProbe::Kind::kHttp);
  look("tcpSocket", AppProbe::Kind::kTcp);
  look("grpc", AppProbe::Kind::kGrpc);
  if (kinds != 1) return fail("'{}': expected one of httpGet, tcpSocket, grpc", from.dump());

  SOCKMESH_TRY(port, port_of(*action, status_port));
  probe.port = port;
  if (probe.kind == AppProbe::Kind::kHttp) {
    SOCKMESH_TRY(target, text_of(*action, "path"));
    probe.path = target.starts_with('/') ? target : "/" + target;
    SOCKMESH_TRY(scheme, text_of(*action, "scheme"));
    if (!scheme.empty() && scheme != "HTTP" && scheme != "HTTPS")
      return fail("scheme '{}': expected HTTP or HTTPS", scheme);
    probe.tls = scheme == "HTTPS";
  }
  if (probe.kind == AppProbe::Kind::kGrpc) {
    SOCKMESH_TRY(service, text_of(*action, "service"));
    probe.service = service;
  }
  const json seconds = from.value("timeoutSeconds", json(0));
  if (!seconds.is_number_integer() || seconds < 0 || seconds > INT32_MAX)
    return fail("timeoutSeconds '{}': expected a number of seconds", seconds.dump());
  if (seconds > 0) probe.timeout = std::chrono::seconds(seconds.get<int32_t>());
  return probe;
}

}  // namespace

std::vector<std::string> AppProbes::problems() const {
  std::vector<std::string> all;
  if (!unreadable.empty()) all.push_back(unreadable);
  for (const auto& [path, probe] : by_path)
    if (!probe) all.push_back(fmt::format("{} '{}': {}", kVariable, path, probe.error().message));
  return all;
}

AppProbes parse_app_probes(const std::string& text, uint16_t status_port) {
  AppProbes probes;
  if (text.empty()) return probes;
  const json all = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object()) {
    probes.unreadable = fmt::format("{} '{}': expected a JSON object", kVariable, text);
    return probes;
  }
  for (const auto& [path, probe] : all.items())
    probes.by_path.emplace(path, parse_probe(path, probe, status_port));
  return probes;
}

// HealthCheckRequest { string service = 1; }
std::string health_request(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message.push_back('\x0a');  // field 1, length-delimited
    for (size_t length = service.size();; length >>= 7) {
      message.push_back(static_cast<char>((length & 0x7f) | (length > 0x7f ? 0x80 : 0)));
      if (length <= 0x7f) break;
    }
    message += service;
  }
  std::string framed(1, '\0');  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8)
    framed.push_back(static_cast<char>(message.size() >> shift & 0xff));
  return framed + message;
}

// HealthCheckResponse { enum ServingStatus { UNKNOWN = 0; SERVING = 1; ... } status = 1; }. Its fields are
// varints (wire type 0) as far as they are known; anything else is not an answer that we understand.
bool says_serving(const std::string& message) {
  constexpr size_t kFrame = 5;
  if (message.size() < kFrame || message[0] != '\0') return false;
  uint64_t length = 0;
  for (size_t i = 1; i < kFrame; ++i) length = length << 8 | static_cast<uint8_t>(message[i]);
  if (length != message.size() - kFrame) return false;
  uint64_t status = 0;
  size_t at = kFrame;
  const auto varint = [&]() -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at < message.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(message[at++]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value;
    }
    return std::nullopt;
  };
  while (at < message.size()) {
    const auto key = varint();
    if (!key || (*key & 7) != 0) return false;
    const auto value = varint();
    if (!value) return false;
    if (*key >> 3 == 1) status = *value;
  }
  return status == 1;
}

}  // namespace sockmesh::admin
