#include "config/registry/registry.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

constexpr char kExportTo[] = "networking.istio.io/exportTo";

std::vector<std::string> or_default(std::vector<std::string> own, const std::vector<std::string>& mesh) {
  if (!own.empty()) return own;
  return mesh.empty() ? std::vector<std::string>{"*"} : mesh;
}

std::vector<std::string> annotated_export(const Meta& meta) {
  std::vector<std::string> export_to;
  if (const auto it = meta.annotations.find(kExportTo); it != meta.annotations.end())
    for (std::string_view part : split(it->second, ','))
      if (!trim(part).empty()) export_to.emplace_back(trim(part));
  return export_to;
}

Discovery discovery_of(Resolution resolution) {
  switch (resolution) {
    case Resolution::kStatic:
      return Discovery::kEds;
    case Resolution::kDns:
      return Discovery::kStrictDns;
    case Resolution::kDnsRoundRobin:
      return Discovery::kLogicalDns;
    case Resolution::kDynamicDns:
      return Discovery::kDynamic;
    case Resolution::kNone:
      break;
  }
  return Discovery::kNone;
}

void add_port(ServiceDef& to, RegistryPort port) {
  ++to.declared_ports;
  if (port.protocol != Protocol::kUdp) to.ports.push_back(std::move(port));
}

}  // namespace

bool ServiceDef::has_selector() const {
  return service ? !service->selector.empty() : entry && entry->workload_selector.has_value();
}

const RegistryPort* ServiceDef::port(uint16_t number) const {
  for (const RegistryPort& one : ports)
    if (one.port == number) return &one;
  return nullptr;
}

bool older(const ServiceDef& a, const ServiceDef& b) {
  return std::tie(a.created, a.name, a.ns, b.kubernetes) < std::tie(b.created, b.name, b.ns, a.kubernetes);
}

bool precedes(const ServiceDefPtr& a, const ServiceDefPtr& b) {
  if (older(*a, *b) || older(*b, *a)) return older(*a, *b);
  return a->origin->name < b->origin->name;
}

ServiceDefPtr define(const std::shared_ptr<const Service>& service, const MeshConfig& mesh,
                     model::OriginPtr origin) {
  auto def = std::make_shared<ServiceDef>();
  def->name = service->meta.name;
  def->ns = service->meta.ns;
  def->host = def->name + "." + def->ns + ".svc." + mesh.domain;
  def->kubernetes = true;
  def->created = service->meta.created.value_or(WallTime::min());
  def->service = service;
  def->origin = origin ? std::move(origin) : service->meta.origin();
  def->export_to = or_default(annotated_export(service->meta), mesh.default_service_export_to);
  for (const ServicePort& port : service->ports)
    add_port(*def,
             {port.name, port.port, port.target,
              service_port_protocol(port.port, port.name, port.transport, port.app_protocol), port.line});
  if (service->type == "ExternalName") {
    def->discovery = Discovery::kAlias;
    def->alias_of = service->external_name;
  } else if (service->cluster_ips.empty()) {
    def->discovery = Discovery::kNone;
  } else {
    for (const IpAddress& ip : service->cluster_ips)
      def->addresses.push_back({ip, static_cast<uint8_t>(ip.bits())});
  }
  return def;
}

std::vector<ServiceDefPtr> define(const std::shared_ptr<const ServiceEntry>& entry, const MeshConfig& mesh) {
  std::vector<ServiceDefPtr> defs;
  const auto origin = entry->meta.origin();
  for (const std::string& host : entry->hosts) {
    auto def = std::make_shared<ServiceDef>();
    def->name = def->host = host;
    def->ns = entry->meta.ns;
    def->created = entry->meta.created.value_or(WallTime::min());
    def->entry = entry;
    def->origin = origin;
    def->addresses = entry->addresses;
    def->discovery = discovery_of(entry->resolution);
    def->export_to = or_default(entry->export_to, mesh.default_service_export_to);
    for (const IstioPort& port : entry->ports)
      add_port(*def,
               {port.name, port.number, PortRef{port.target, ""}, parse_protocol(port.protocol), port.line});
    defs.push_back(std::move(def));
  }
  return defs;
}

}  // namespace sockmesh::config
