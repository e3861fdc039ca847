#include "config/source/merge.h"

#include <fmt/format.h>

#include <algorithm>
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

Resources combine(const std::vector<const Resources*>& parts, ProblemList& problems) {
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
          problems.add(replaced(into[at->second]->meta, object->meta));
          into[at->second] = object;
        }
      }
    }
  });
  for (const Resources* part : parts) {
    if (!part->mesh) continue;
    if (all.mesh) problems.add(replaced(all.mesh->meta, part->mesh->meta));
    all.mesh = part->mesh;
  }
  return all;
}

size_t object_count(const Resources& resources) {
  size_t count = resources.mesh ? 1 : 0;
  for_each_list([&](auto list) { count += (resources.*list).size(); });
  return count;
}

std::vector<std::string> keep_last_good(Resources& fresh, const Resources& last, ReadReport& report) {
  const auto& left_out = report.left_out;
  const bool all_readable = report.all_readable;
  if (left_out.empty() && all_readable) return {};
  std::unordered_set<std::string> kept;
  for_each_list([&](auto list) {
    std::unordered_set<std::string> present;
    for (const auto& object : fresh.*list) present.insert(label(object->meta));
    for (const auto& object : last.*list) {
      const std::string name = label(object->meta);
      if (present.contains(name) || (all_readable && !left_out.contains(name))) continue;
      (fresh.*list).push_back(object);
      kept.insert(name);
    }
  });
  const std::string mesh =
      last.mesh ? fmt::format("ConfigMap {}/{}", last.mesh->meta.ns, last.mesh->meta.name) : "";
  if (last.mesh && !fresh.mesh && (!all_readable || left_out.contains(mesh))) {
    fresh.mesh = last.mesh;
    kept.insert(mesh);
  }
  // Without a name (yet): a problem of a whole document.
  const auto nameless = [](const std::string& object) {
    return object.empty() || object.ends_with('/') || object.ends_with(' ');
  };
  for (ReadProblem& problem : report.problems.first) {
    const bool document = nameless(problem.object) && !all_readable;
    if ((problem.object_dropped && kept.contains(problem.object)) || (document && !kept.empty())) {
      problem.text += "; until then the last good one stays in force";
    }
  }
  std::vector<std::string> unknown;
  for (const std::string& object : left_out)
    if (!kept.contains(object) && !nameless(object)) unknown.push_back(object);
  std::sort(unknown.begin(), unknown.end());
  return unknown;
}

}  // namespace sockmesh::config
