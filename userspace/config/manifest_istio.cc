#include <algorithm>

#include "config/manifest_formats.h"
#include "config/manifest_kinds.h"

namespace sockmesh::config {

namespace {

using std::string_view_literals::operator""sv;

constexpr Choice kLocations{std::pair{"MESH_EXTERNAL"sv, false}, std::pair{"MESH_INTERNAL"sv, true}};
constexpr Choice kResolutions{
    std::pair{"NONE"sv, Resolution::kNone}, std::pair{"STATIC"sv, Resolution::kStatic},
    std::pair{"DNS"sv, Resolution::kDns}, std::pair{"DNS_ROUND_ROBIN"sv, Resolution::kDnsRoundRobin},
    std::pair{"DYNAMIC_DNS"sv, Resolution::kDynamicDns}};
constexpr Words kServerTlsModes{"PASSTHROUGH",      "SIMPLE",       "MUTUAL",
                                "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"};
constexpr Choice kCaptureModes{std::pair{"DEFAULT"sv, false}, std::pair{"IPTABLES"sv, false},
                               std::pair{"NONE"sv, true}};
constexpr Choice kOutboundModes{std::pair{"REGISTRY_ONLY"sv, true}, std::pair{"ALLOW_ANY"sv, false}};

// Compared without case, kept as written.
Result<std::string> parse_protocol(std::string_view text) {
  for (const std::string_view known : {"TCP", "TLS", "HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-WEB",
                                       "HTTP_PROXY", "MONGO", "REDIS", "MYSQL", "UDP"}) {
    if (equals_ignore_case(text, known)) return std::string(text);
  }
  return fail(
      "{}: expected a protocol: TCP, TLS, HTTP, HTTP2, HTTPS, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL or UDP",
      quoted(text));
}
constexpr Format<std::string, ScalarType::kText, parse_protocol> kProtocol;

// "ns/name", "./name" or "name".
Result<std::string> parse_gateway_ref(std::string_view text) {
  const auto parts = split(text, '/');
  const auto is_name = [](std::string_view part) { return formats::object_name(part).has_value(); };
  const bool good = parts.size() == 1   ? is_name(parts[0])
                    : parts.size() == 2 ? (parts[0] == "." || is_name(parts[0])) && is_name(parts[1])
                                        : false;
  if (!good) return fail("{}: expected a gateway as NAMESPACE/NAME, NAME or mesh", quoted(text));
  return std::string(text);
}
constexpr Format<std::string, ScalarType::kText, parse_gateway_ref> kGatewayRef;

// "host", "ns/host", "./host", "*/host".
Result<std::string> parse_scoped_host(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view ns = slash == std::string_view::npos ? "*" : text.substr(0, slash);
  const std::string_view host = slash == std::string_view::npos ? text : text.substr(slash + 1);
  const std::string_view bare = ns.size() > 1 && ns[0] == '~' ? ns.substr(1) : ns;  // "~ns/host" excludes
  if ((ns != "*" && ns != "." && ns != "~" && !formats::namespace_name(bare)) ||
      !formats::wildcard_host(host)) {
    return fail("{}: expected NAMESPACE/HOST, with * for all and . for the own namespace", quoted(text));
  }
  return std::string(text);
}
constexpr Format<std::string, ScalarType::kText, parse_scoped_host> kScopedHost;

Result<std::string> parse_export_to(std::string_view text) {
  if (text == "*" || text == "." || text == "~") return std::string(text);
  if (!formats::namespace_name(text)) return fail("{}: expected *, ., ~ or a namespace", quoted(text));
  return std::string(text);
}
constexpr Format<std::string, ScalarType::kText, parse_export_to> kExportTo;

// "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080", "unix:///path".
Result<std::string> parse_default_endpoint(std::string_view text) {
  if (text.starts_with("unix://")) return formats::workload_address(text);
  const auto address = SocketAddress::parse(text);
  if (!address || address->port == 0) {
    return fail("{}: expected 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path", quoted(text));
  }
  return std::string(text);
}
constexpr Format<std::string, ScalarType::kText, parse_default_endpoint> kDefaultEndpoint;

// An address to listen on, or the path of a Unix socket.
Result<std::string> parse_bind(std::string_view text) {
  if (text.starts_with("unix://")) return formats::workload_address(text);
  const auto ip = IpAddress::parse(text);
  if (!ip) return fail("{}: expected an IP address to listen on or unix:///path", quoted(text));
  return std::string(text);
}
constexpr Format<std::string, ScalarType::kText, parse_bind> kBind;

bool read_workload(const Fields& in, WorkloadEntrySpec& out) {
  out.line = in.line();
  const bool good =
      all_good({in.read("address", out.address, kWorkloadAddress), in.map("ports", out.ports, kPort)});
  in.map("labels", out.labels, kText);
  in.read("network", out.network, kText);
  in.read("locality", out.locality, kText);
  in.read("serviceAccount", out.service_account, kText);
  if (uint32_t weight = 0; in.has("weight") && in.read("weight", weight, kCount)) out.weight = weight;
  return good;
}

// A `match` block that lost a condition would take connections it was not meant for, and an entry left out
// would hand its connections to the next one: either way the whole VirtualService is left out.
void read_match(const Fields& in, bool tls, L4Match& match) {
  match.line = in.line();
  in.list("destinationSubnets", match.destination_subnets, kPrefix, kVital);
  in.read("port", match.port, kPort, kVital);
  read_selector(in, "sourceLabels", match.source_labels);
  in.read("sourceNamespace", match.source_namespace, kNamespaceName, kVital);
  in.list("gateways", match.gateways, kGatewayRef, kVital);
  if (tls) in.list("sniHosts", match.sni_hosts, kWildcardHost, kRequiredVital);
}

void read_route_destinations(const Fields& in, Need need, std::vector<RouteDestination>& out) {
  in.each(
      "route",
      [&](const Fields& entry) {
        RouteDestination destination;
        destination.line = entry.line();
        int64_t weight = 0;
        const bool good = all_good({read_destination(entry.child("destination"), destination.destination),
                                    entry.read("weight", weight, kWeight)});
        if (entry.has("weight")) destination.weight = weight;
        if (good) out.push_back(std::move(destination));
        return good;
      },
      need);
}

void read_l4_routes(const Fields& spec, bool tls, std::vector<L4Route>& out) {
  spec.each(
      tls ? "tls" : "tcp",
      [&](const Fields& in) {
        L4Route route;
        route.line = in.line();
        in.each(
            "match",
            [&](const Fields& entry) {
              read_match(entry, tls, route.matches.emplace_back());
              return true;
            },
            kVital);
        read_route_destinations(in, kVital, route.destinations);
        const bool all_zero =
            std::all_of(route.destinations.begin(), route.destinations.end(),
                        [](const RouteDestination& d) { return d.weight.value_or(0) == 0; });
        if (route.destinations.size() > 1 && all_zero && !in.context().dropped()) {
          in.report("route", "'0': total destination weight = 0, expected weights that are not all zero");
          return in.drop();
        }
        out.push_back(std::move(route));
        return true;
      },
      kVital);
}

bool read_server(const Fields& in, GatewayServer& server) {
  server.line = in.line();
  // A server is left out, and its port stays closed, rather than opened for other hosts or without its TLS.
  const Fields tls = in.child("tls");
  if (tls.present()) server.tls_mode = "PASSTHROUGH";  // the mode of a block that names none
  const bool good = all_good(
      {read_istio_port(in.child("port"), server.port), in.list("hosts", server.hosts, kScopedHost, kRequired),
       in.read("bind", server.bind, kBind), tls.read("mode", server.tls_mode, kServerTlsModes)});
  in.read("name", server.name, kText);
  return good;
}

}  // namespace

bool read_istio_port(const Fields& in, IstioPort& out) {
  out.line = in.line();
  const bool good =
      all_good({in.read("number", out.number, kPort, kRequired), in.read("protocol", out.protocol, kProtocol),
                in.read("targetPort", out.target, kPort)});
  in.read("name", out.name, kText);
  return good;
}

void read_export_to(const Fields& spec, std::vector<std::string>& out) {
  spec.list("exportTo", out, kExportTo, kVital);
}

bool read_destination(const Fields& in, Destination& out) {
  return all_good({in.read("host", out.host, kWildcardHost, kRequired), in.read("subset", out.subset, kText),
                   in.child("port").read("number", out.port, kPort)});
}

void read_workload_entry(const Fields& object, Meta&& meta, Resources& out) {
  WorkloadEntry entry{std::move(meta)};
  const Fields spec = object.child("spec");
  if (!read_workload(spec, entry.spec)) object.drop();
  keep(out.workload_entries, std::move(entry), object);
}

void read_service_entry(const Fields& object, Meta&& meta, Resources& out) {
  ServiceEntry entry{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.list("hosts", entry.hosts, kWildcardHost, kRequiredVital);
  // Without its addresses an entry would take its ports over on every address.
  spec.list("addresses", entry.addresses, kPrefix, kVital);
  spec.each("ports", [&](const Fields& in) {
    IstioPort port;
    const bool good = read_istio_port(in, port);
    if (good) entry.ports.push_back(std::move(port));
    return good;
  });
  spec.read("location", entry.mesh_internal, kLocations);
  spec.read("resolution", entry.resolution, kResolutions, kVital);
  spec.each("endpoints", [&](const Fields& in) {
    WorkloadEntrySpec workload;
    const bool good = read_workload(in, workload);
    if (good) entry.endpoints.push_back(std::move(workload));
    return good;
  });
  if (spec.has("endpoints") && entry.endpoints.empty() && entry.resolution == Resolution::kDns) {
    // Resolving the host itself instead of its endpoints is not what was asked for.
    spec.report("endpoints", "none is usable: expected at least one");
    spec.drop();
  }
  if (entry.resolution == Resolution::kNone && !entry.endpoints.empty()) {
    spec.report("resolution", "'NONE': expected no endpoints with it, or STATIC or DNS");
    spec.drop();
  }
  if (const Fields selector = spec.child("workloadSelector"); selector.present()) {
    read_selector(selector, "labels", entry.workload_selector.emplace());
  }
  read_export_to(spec, entry.export_to);
  keep(out.service_entries, std::move(entry), object);
}

void read_virtual_service(const Fields& object, Meta&& meta, Resources& out) {
  VirtualService service{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.list("hosts", service.hosts, kWildcardHost, kRequiredVital);
  spec.list("gateways", service.gateways, kGatewayRef, kVital);  // none at all would mean the mesh
  read_export_to(spec, service.export_to);
  read_l4_routes(spec, false, service.tcp);
  read_l4_routes(spec, true, service.tls);
  spec.each("http", [&](const Fields& in) {  // not applied at layer 4
    VirtualService::HttpRoute& route = service.http.emplace_back();
    route.line = in.line();
    route.has_match = in.has("match");
    read_route_destinations(in, kOptional, route.destinations);
    return true;
  });
  keep(out.virtual_services, std::move(service), object);
}

void read_gateway(const Fields& object, Meta&& meta, Resources& out) {
  Gateway gateway{std::move(meta)};
  const Fields spec = object.child("spec");
  read_selector(spec, "selector", gateway.selector);
  spec.each("servers", [&](const Fields& in) {
    GatewayServer server;
    const bool good = read_server(in, server);
    if (good) gateway.servers.push_back(std::move(server));
    return good;
  });
  keep(out.gateways, std::move(gateway), object);
}

void read_sidecar(const Fields& object, Meta&& meta, Resources& out) {
  Sidecar sidecar{std::move(meta)};
  const Fields spec = object.child("spec");
  if (const Fields selector = spec.child("workloadSelector"); selector.present()) {
    read_selector(selector, "labels", sidecar.workload_selector.emplace());
  }
  spec.each("egress", [&](const Fields& in) {
    Sidecar::Egress egress;
    egress.line = in.line();
    bool good =
        all_good({in.list("hosts", egress.hosts, kScopedHost, kRequired), in.read("bind", egress.bind, kBind),
                  in.read("captureMode", egress.capture_none, kCaptureModes)});
    if (const Fields port = in.child("port"); port.present())
      good = all_good({good, read_istio_port(port, egress.port.emplace())});
    if (good) sidecar.egress.push_back(std::move(egress));
    return good;
  });
  spec.each("ingress", [&](const Fields& in) {
    Sidecar::Ingress ingress;
    ingress.line = in.line();
    const bool good =
        all_good({read_istio_port(in.child("port"), ingress.port), in.read("bind", ingress.bind, kBind),
                  in.read("defaultEndpoint", ingress.default_endpoint, kDefaultEndpoint)});
    read_part(in, "connectionPool", ingress.connection_pool, read_connection_pool);
    if (good) sidecar.ingress.push_back(std::move(ingress));
    return good;
  });
  if (const Fields policy = spec.child("outboundTrafficPolicy"); policy.present()) {
    OutboundTrafficPolicy outbound;
    outbound.line = policy.line();
    outbound.registry_only = true;  // the mode of a block that names none
    if (policy.read("mode", outbound.registry_only, kOutboundModes)) sidecar.outbound = outbound;
    if (const Fields proxy = policy.child("egressProxy"); proxy.present() && sidecar.outbound) {
      if (Destination destination; read_destination(proxy, destination)) {
        sidecar.outbound->egress_proxy = std::move(destination);
      } else {
        sidecar.outbound->registry_only = true;  // what should go through a proxy must not go past it
      }
    }
  }
  read_part(spec, "inboundConnectionPool", sidecar.inbound_connection_pool, read_connection_pool);
  keep(out.sidecars, std::move(sidecar), object);
}

}  // namespace sockmesh::config
