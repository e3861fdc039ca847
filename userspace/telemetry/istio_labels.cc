#include "telemetry/istio_labels.h"

#include <algorithm>

#include "base/strings.h"

namespace sockmesh::telemetry {

namespace {

constexpr char kSeparator = '\x1f';
constexpr std::string_view kUnknown = "unknown";
constexpr std::string_view kLatest = "latest";

std::string_view or_else(std::string_view value, std::string_view fallback) {
  return value.empty() ? fallback : value;
}

// What the labels say of one end. An end that is not a known workload reads "unknown" throughout.
struct End {
  std::string_view workload = kUnknown, ns = kUnknown, app = kUnknown, version = kUnknown,
                   canonical_service = kUnknown, canonical_revision = kLatest, cluster = kUnknown;
};

End end_of(const model::Workload* workload) {
  if (!workload) return {};
  return {or_else(workload->name, kUnknown),
          or_else(workload->ns, kUnknown),
          or_else(workload->app, kUnknown),
          or_else(workload->version, kUnknown),
          or_else(workload->canonical_service, kUnknown),
          or_else(workload->canonical_revision, kLatest),
          or_else(workload->cluster_id, kUnknown)};
}

// The clusters that belong to no service: their own name is the service's name.
bool is_builtin(std::string_view cluster) {
  return cluster == model::kPassthroughCluster || cluster == model::kBlackHoleCluster ||
         cluster.substr(0, 25) == model::kInboundPassthroughCluster;  // 1.5: ...Ipv4, ...Ipv6
}

struct Service {
  std::string_view host, name, ns;
};

Service service_of(const ConnectionRecord& record, const End& destination) {
  Service service;
  if (is_builtin(record.cluster)) {
    service.name = record.cluster;
  } else if (record.cluster_config) {
    const model::Cluster& cluster = *record.cluster_config;
    service = {cluster.service_host, cluster.service_name, cluster.service_namespace};
  }
  // A destination proxy speaks for its own workload, so it knows a name even when no service declares the
  // port; a source proxy does not.
  const bool inbound = record.direction == model::Direction::kInbound;
  const std::string_view own = inbound ? destination.canonical_service : kUnknown;
  return {or_else(service.host, own), or_else(service.name, own), or_else(service.ns, destination.ns)};
}

}  // namespace

std::string istio_label_key(const ConnectionRecord& record) {
  const bool inbound = record.direction == model::Direction::kInbound;
  const End self = end_of(record.snapshot ? &record.snapshot->self : nullptr);
  const End peer = end_of(record.peer.get());
  const End& source = inbound ? peer : self;
  const End& destination = inbound ? self : peer;
  const Service service = service_of(record, destination);
  const std::string flags = record.flags.to_string();

  const std::array<std::string_view, kIstioLabels.size()> values = {
      inbound ? "destination" : "source",
      source.workload,
      source.canonical_service,
      source.canonical_revision,
      source.ns,
      kUnknown,  // principals exist under mutual TLS only
      source.app,
      source.version,
      source.cluster,
      destination.workload,
      destination.ns,
      kUnknown,
      destination.app,
      destination.version,
      service.host,
      destination.canonical_service,
      destination.canonical_revision,
      service.name,
      service.ns,
      destination.cluster,
      "tcp",
      flags,
      inbound ? "none" : kUnknown,  // the source side never claims to know
  };
  std::string key;
  key.reserve(512);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) key += kSeparator;
    key += values[i];
  }
  return key;
}

std::vector<std::string> istio_label_values(std::string_view key) {
  std::vector<std::string> values;
  for (const std::string_view part : split(key, kSeparator)) values.emplace_back(part);
  if (values.size() != kIstioLabels.size()) {
    values.assign(kIstioLabels.size(), std::string(kUnknown));
    const auto name = std::find(kIstioLabels.begin(), kIstioLabels.end(), "destination_service_name");
    values[static_cast<size_t>(name - kIstioLabels.begin())] = std::string(key);
  }
  return values;
}

}  // namespace sockmesh::telemetry
