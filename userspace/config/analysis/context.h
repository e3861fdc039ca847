// What the analyzers share: the resources with their indexes, looked at from nobody's side, and where
// findings go. One thread.
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/registry/registry.h"
#include "config/registry/resource_index.h"
#include "config/resources/resources.h"

namespace sockmesh::config {

class Analysis {
 public:
  explicit Analysis(const Resources& resources);

  const Resources& resources;
  std::shared_ptr<const MeshConfig> mesh;  // never null
  ResourceIndex index;
  std::vector<ServiceDefPtr> registry;  // oldest first

  // The definition that `host`, as written in an object of `ns`, means; null when there is none that `ns` may
  // use.
  const ServiceDef* find_host(const std::string& host, const std::string& ns) const;
  const std::vector<ServiceDefPtr>& definitions_of(const std::string& full_host) const;  // oldest first
  std::string full_name(const std::string& host, const std::string& ns) const;
  // The DestinationRules whose host covers this one, of every namespace.
  std::vector<const DestinationRule*> rules_for(const std::string& full_host) const;
  // The Gateway a VirtualService of `ns` names: "gw", "ns/gw", "./gw".
  const Gateway* find_gateway(const std::string& name, const std::string& ns) const;
  // Whether somebody in the mesh can see both: only then one can be in the other's way.
  static bool seen_together(const ServiceDef& a, const ServiceDef& b);
  // Whether any endpoint of any port of the host has these labels; empty ones: whether there is any endpoint
  // at all.
  bool has_endpoints(const ServiceDef& def, const Labels& labels) const;

  // At line 0 it is about the object as a whole.
  void find(const char* code, const Meta& meta, int line, std::string text);

  std::vector<model::Finding> findings;

 private:
  std::unordered_map<std::string, std::vector<ServiceDefPtr>> by_host_;
  std::vector<ServiceDefPtr> wildcards_;
  std::unordered_map<std::string, std::vector<const DestinationRule*>> rules_;
  std::vector<std::pair<std::string, const DestinationRule*>> wildcard_rules_;
  std::map<std::string, const Gateway*> gateways_;  // "ns/name"
};

// Names as Istio's messages print them.
std::string slashed(const Meta& meta);         // "default/echo"
std::string dotted(const Meta& meta);          // "echo.default"
std::string label_text(const Labels& labels);  // "app=echo,version=v1"
template <typename T>
std::string go_list(const std::vector<T>& items) {  // "[80 9090]"
  return fmt::format("[{}]", fmt::join(items, " "));
}

const Meta& meta_of(const ServiceDef& def);
std::string name_of(const ServiceDef& def);  // "Service default/echo"

bool gateways_include_mesh(const VirtualService& service);

// The analyzers, by what they look at.
void analyze_annotations(Analysis& analysis);
void analyze_namespaces(Analysis& analysis);
void analyze_services(Analysis& analysis);
void analyze_service_entries(Analysis& analysis);
void analyze_workloads(Analysis& analysis);
void analyze_references(Analysis& analysis);
void analyze_destination_rules(Analysis& analysis);
void analyze_policies(Analysis& analysis);
void analyze_virtual_services(Analysis& analysis);
void analyze_sidecars(Analysis& analysis);
void analyze_gateways(Analysis& analysis);
void analyze_gateway_ports(Analysis& analysis);
void analyze_shadowing(Analysis& analysis);
void analyze_endpoints(Analysis& analysis);

}  // namespace sockmesh::config
