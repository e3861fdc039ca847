#include "config/manifest_merge.h"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

namespace sockmesh::config {

namespace {

// Calls `visit` with a pointer to each list of Resources.
template <typename Visit>
void for_each_list(const Visit& visit) {
  visit(&Resources::services);
  visit(&Resources::pods);
  visit(&Resources::endpoints);
  visit(&Resources::nodes);
  visit(&Resources::namespaces);
  visit(&Resources::workload_entries);
  visit(&Resources::service_entries);
  visit(&Resources::virtual_services);
  visit(&Resources::destination_rules);
  visit(&Resources::gateways);
  visit(&Resources::sidecars);
  visit(&Resources::policies);
  visit(&Resources::k8s_gateways);
  visit(&Resources::k8s_routes);
  visit(&Resources::reference_grants);
}

// As ReadProblem::object names it.
std::string label(const Meta& meta) {
  return meta.ns.empty() ? fmt::format("{} {}", meta.kind, meta.name)
                         : fmt::format("{} {}/{}", meta.kind, meta.ns, meta.name);
}

ReadProblem replaced(const Meta& loser, const Meta& winner) {
  return {
      *loser.file,
      loser.line,
      label(loser),
      "",
      fmt::format("declared again at {}:{}: expected once; the last one counts", *winner.file, winner.line),
      true};
}

}  // namespace

Resources combine(const std::vector<const Resources*>& parts, std::vector<ReadProblem>& problems) {
  Resources all;
  for_each_list([&](auto list) {
    auto& into = all.*list;
    std::unordered_map<std::string, size_t> index;  // of what is in `into`
    for (const Resources* part : parts) {
      for (const auto& object : part->*list) {
        const auto [at, fresh] = index.try_emplace(label(object->meta), into.size());
        if (fresh) {
          into.push_back(object);
        } else {
          problems.push_back(replaced(into[at->second]->meta, object->meta));
          into[at->second] = object;
        }
      }
    }
  });
  for (const Resources* part : parts) {
    if (!part->mesh) continue;
    if (all.mesh) problems.push_back(replaced(all.mesh->meta, part->mesh->meta));
    all.mesh = part->mesh;
  }
  return all;
}

void keep_last_good(Resources& fresh, const Resources& last, bool all_readable,
                    std::vector<ReadProblem>& problems) {
  std::unordered_set<std::string> dropped, kept;
  for (const ReadProblem& problem : problems) {
    if (problem.object_dropped) dropped.insert(problem.object);
  }
  if (dropped.empty() && all_readable) return;
  for_each_list([&](auto list) {
    std::unordered_set<std::string> present;
    for (const auto& object : fresh.*list) present.insert(label(object->meta));
    for (const auto& object : last.*list) {
      const std::string name = label(object->meta);
      if (present.contains(name) || (all_readable && !dropped.contains(name))) continue;
      (fresh.*list).push_back(object);
      kept.insert(name);
    }
  });
  const std::string mesh =
      last.mesh ? fmt::format("ConfigMap {}/{}", last.mesh->meta.ns, last.mesh->meta.name) : "";
  if (last.mesh && !fresh.mesh && (!all_readable || dropped.contains(mesh))) {
    fresh.mesh = last.mesh;
    kept.insert(mesh);
  }
  for (ReadProblem& problem : problems) {
    // Without a name (yet): a problem of a whole document.
    const bool nameless =
        problem.object.empty() || problem.object.ends_with('/') || problem.object.ends_with(' ');
    const bool document = nameless && !all_readable;
    if ((problem.object_dropped && kept.contains(problem.object)) || (document && !kept.empty())) {
      problem.text += "; until then the last good one stays in force";
    }
  }
}

}  // namespace sockmesh::config
