// Dump: a proxy's configuration as `proxy-config` reads it: Envoy's config_dump and clusters?format=json,
// from a running agent, from a folder offline, or from a file. All keys in the spelling that istioctl prints
// (camelCase).
#pragma once

#include <string>

#include "ctl/json_text.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

struct Dump {
  Json whole;      // the config_dump
  Json bootstrap;  // object
  Json clusters;   // list of Cluster
  Json listeners;  // list of Listener
  Json statuses;   // list of ClusterStatus
};

// `file` (or "-") when not empty, else the subject. A file may hold a config_dump or a clusters?format=json.
Result<Dump> dump_of(const Context& context, const Subject& subject, const std::string& file);

Dump parse_dump(const Json& config_dump, const Json& cluster_statuses);

// "eds_cluster_config" -> "edsClusterConfig", everywhere but inside metadata, whose keys are anybody's.
Json camel_keys(const Json& value);

}  // namespace sockmesh::ctl
