// The registry: Services and ServiceEntries as one kind of thing, a host with ports, the way istiod sees
// them. Definitions are immutable and shared; their order ("oldest first") is what settles conflicts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/resources/protocol.h"
#include "config/resources/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

struct RegistryPort {
  std::string name;
  uint16_t port = 0;
  PortRef target;
  Protocol protocol = Protocol::kAuto;
  int line = 0;
};

// How the addresses behind a host are found (docs/istio.md#outbound-clusters).
enum class Discovery : uint8_t { kEds, kStrictDns, kLogicalDns, kNone, kDynamic, kAlias };

struct ServiceDef {
  std::string host, name, ns;  // `name` of a ServiceEntry's host is the host, as in Istio
  bool kubernetes = false;
  WallTime created;  // the oldest possible when not known
  std::vector<Prefix> addresses;
  std::vector<RegistryPort> ports;  // TCP ones
  size_t declared_ports = 0;        // UDP ones counted: "the only port" is the only declared one
  Discovery discovery = Discovery::kEds;
  std::string alias_of;                // ExternalName
  std::vector<std::string> export_to;  // never empty: defaults are filled in
  std::shared_ptr<const Service> service;
  std::shared_ptr<const ServiceEntry> entry;
  model::OriginPtr origin;

  bool headless() const { return discovery == Discovery::kNone && addresses.empty(); }
  bool has_selector() const;
  const RegistryPort* port(uint16_t number) const;
};
using ServiceDefPtr = std::shared_ptr<const ServiceDef>;

// Everything with its defaults filled in, oldest first.
using Registry = std::vector<ServiceDefPtr>;

// Oldest first, then by name, then by namespace.
bool older(const ServiceDef& a, const ServiceDef& b);
// The same, and of two ServiceEntries of one host, age and namespace by the name of the entry.
bool precedes(const ServiceDefPtr& a, const ServiceDefPtr& b);

// `origin`: that of the Service, null when it is not made yet.
ServiceDefPtr define(const std::shared_ptr<const Service>& service, const MeshConfig& mesh,
                     model::OriginPtr origin = nullptr);
// One definition per host.
std::vector<ServiceDefPtr> define(const std::shared_ptr<const ServiceEntry>& entry, const MeshConfig& mesh);

}  // namespace sockmesh::config
