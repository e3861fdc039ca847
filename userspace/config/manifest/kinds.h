// One reader a kind: an object's fields in, one value more in Resources, unless what is broken would send
// traffic wrongly; then the object is left out (Fields::drop). Each says, where it leaves something out, what
// that does to traffic. Single-threaded.
#pragma once

#include <memory>

#include "config/manifest/fields.h"

namespace sockmesh::config {

using KindReader = void (*)(const Fields& object, Meta&& meta, Resources& out);

// core.cc: Kubernetes' own.
void read_service(const Fields& object, Meta&& meta, Resources& out);
void read_pod(const Fields& object, Meta&& meta, Resources& out);
void read_endpoints(const Fields& object, Meta&& meta, Resources& out);
void read_endpoint_slice(const Fields& object, Meta&& meta, Resources& out);
void read_node(const Fields& object, Meta&& meta, Resources& out);
void read_namespace(const Fields& object, Meta&& meta, Resources& out);

// istio.cc: networking.istio.io.
void read_workload_entry(const Fields& object, Meta&& meta, Resources& out);
void read_service_entry(const Fields& object, Meta&& meta, Resources& out);
void read_virtual_service(const Fields& object, Meta&& meta, Resources& out);
void read_gateway(const Fields& object, Meta&& meta, Resources& out);
void read_sidecar(const Fields& object, Meta&& meta, Resources& out);

// policy.cc: DestinationRule and the policies it shares with Sidecar and MeshConfig.
void read_destination_rule(const Fields& object, Meta&& meta, Resources& out);
void read_policy(const Fields& object, Meta&& meta, Resources& out);  // kinds that are not applied

// gateway_api.cc: gateway.networking.k8s.io.
void read_k8s_gateway(const Fields& object, Meta&& meta, Resources& out);
void read_k8s_route(const Fields& object, Meta&& meta, Resources& out);  // TCPRoute, TLSRoute
void read_reference_grant(const Fields& object, Meta&& meta, Resources& out);

// mesh.cc: ConfigMaps; only `istio` in istio-system is looked into.
void read_config_map(const Fields& object, Meta&& meta, Resources& out);

// ---- parts that several kinds share ----

// metadata. False (and the object is left out) without a usable name. A Pod is left out, too, when a label or
// an annotation that decides its policy cannot be read.
bool read_meta(const Fields& object, bool namespaced, Meta& meta);
// A selector that lost a term would select more than was meant: then the object is left out.
bool read_selector(const Fields& in, std::string_view key, Labels& out);
bool read_istio_port(const Fields& in, IstioPort& out);
// exportTo. A list of which nothing could be read would mean "everybody": then the object is left out.
void read_export_to(const Fields& spec, std::vector<std::string>& out);
bool read_destination(const Fields& in, Destination& out);
void read_connection_pool(const Fields& in, TrafficPolicy::ConnectionPool& out);
void read_keepalive(const Fields& in, model::Keepalive& out);
void read_outlier(const Fields& in, TrafficPolicy::Outlier& out);
void read_locality(const Fields& in, TrafficPolicy::LoadBalancer& out);

// Adds the value unless it was found useless.
template <typename T>
void keep(List<T>& list, T&& value, const Fields& object) {
  if (!object.context().dropped()) list.push_back(std::make_shared<const T>(std::forward<T>(value)));
}

// The mapping under `key` of an object that is used whole or not at all: what is there and is no mapping
// leaves the object out, as if it were absent it would mean something else.
inline Fields vital_child(const Fields& in, std::string_view key) {
  Fields part = in.child(key);
  if (in.has(key) && !part.present()) in.drop();
  return part;
}

// Fills an optional part of a value from the mapping under `key`, when there is one.
template <typename T, typename Read>
void read_part(const Fields& in, std::string_view key, std::optional<T>& out, const Read& read) {
  const Fields part = in.child(key);
  if (!part.present()) return;
  T value{};
  read(part, value);
  out = std::move(value);
}

}  // namespace sockmesh::config
