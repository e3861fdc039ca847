// The proxy a compilation is done for: its own workload, from its Pod object where there is one. Plain value.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/registry/resource_index.h"
#include "config/resources/proxy.h"

namespace sockmesh::config {

struct Self {
  bool gateway = false;
  std::string name, ns, node;
  Labels labels;
  std::vector<IpAddress> ips;
  std::shared_ptr<const model::Locality> locality;  // null when not known
  std::shared_ptr<const Pod> pod;                   // null when not known
  bool v4 = true, v6 = false;                       // families it can dial and listen on
};

Self self_of(const Resources& resources, const ResourceIndex& index, const ProxyIdentity& identity);

}  // namespace sockmesh::config
