// Subject: what a reading command reads from. A running agent (by its run directory), or, offline, a folder
// of manifests seen with the eyes of one pod (--config DIR --pod NAME.NS).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/resources/proxy.h"
#include "config/resources/read_problem.h"
#include "config/resources/resources.h"
#include "ctl/command.h"
#include "ctl/json_text.h"
#include "model/snapshot.h"

namespace sockmesh::ctl {

struct Subject {
  std::string config, pod, role = "sidecar";
  bool offline() const { return !config.empty(); }
};
void add_subject(CLI::App& app, Subject& subject);

// One GET from the agent, as JSON. What the agent answers as an error comes back as one.
Result<Json> get(const Context& context, const std::string& target);
Result<std::string> get_text(const Context& context, const std::string& target);
Result<Json> post(const Context& context, const std::string& target);
std::string url_encode(const std::string& text);

struct Manifests {
  config::Resources resources;
  std::vector<config::ReadProblem> problems;
};
Result<Manifests> read_folder(const std::string& folder);

// The identity "NAME.NS" (a gateway with role "gateway"); the rest comes from its Pod object.
Result<config::ProxyIdentity> identity_of(const std::string& pod, const std::string& role);

// Offline: reads, compiles, tells read problems on `err`.
Result<model::SnapshotPtr> compile_offline(const Context& context, const Subject& subject);

// `target` from the agent, or `view` of the snapshot compiled offline.
Result<Json> view_of(const Context& context, const Subject& subject, const std::string& target,
                     Json (*view)(const model::Snapshot&));

}  // namespace sockmesh::ctl
