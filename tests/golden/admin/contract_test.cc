// userspace/admin/README.md and the code must agree on every field of every view.
#include <nlohmann/json.hpp>
#include <set>

#include "../golden.h"
#include "admin/views.h"
#include "sample.h"

namespace sockmesh::admin {

namespace {

// "flows[].id" for each field of the value, objects and arrays walked into.
void collect(const Json& value, const std::string& path, std::set<std::string>& paths) {
  if (value.is_object() && !path.ends_with("labels")) {
    for (const auto& [key, member] : value.items()) {
      const std::string name = path.empty() ? key : path + "." + key;
      paths.insert(name);
      collect(member, name, paths);
    }
  } else if (value.is_array()) {
    for (const Json& member : value) collect(member, path + "[]", paths);
  }
}

// The first cell of each table row in the section under `## heading`: | `flows[].id` | ...
std::set<std::string> documented(const std::string& heading) {
  const std::string readme = read_text(ADMIN_README);
  const size_t begin = readme.find("## " + heading + "\n");
  REQUIRE(begin != std::string::npos);
  const std::string section = readme.substr(begin, readme.find("\n## ", begin) - begin);
  std::set<std::string> paths;
  for (size_t at = section.find("\n| `"); at != std::string::npos; at = section.find("\n| `", at + 1)) {
    const size_t name = at + 4;
    paths.insert(section.substr(name, section.find('`', name) - name));
  }
  return paths;
}

// An object (or a flow) is documented once; wherever it stands, only its name is.
std::set<std::string> without_shared_parts(const std::set<std::string>& paths) {
  std::set<std::string> kept;
  for (const std::string& path : paths) {
    const bool inside = path.find("object.") != std::string::npos ||
                        path.find("destinationRule.") != std::string::npos || path.starts_with("flow.") ||
                        path.starts_with("endpoints[].");
    if (!inside) kept.insert(path);
  }
  return kept;
}

void check_section(const std::string& heading, const Json& view) {
  std::set<std::string> paths;
  collect(view, "", paths);
  if (heading != "GET /v1/endpoints") paths = without_shared_parts(paths);
  for (const std::string& path : paths) {
    INFO(heading << ": in the code, not in README.md: " << path);
    CHECK(documented(heading).count(path) == 1);
  }
  for (const std::string& path : documented(heading)) {
    INFO(heading << ": in README.md, not in the code: " << path);
    CHECK(paths.count(path) == 1);
  }
}

}  // namespace

TEST_CASE("every field of every view is documented, and nothing else is") {
  const auto flows = sample_flows();
  check_section("GET /v1/flows", flows_view(flows, kSampleNow));
  check_section("GET /v1/listeners", listeners_view(*sample_snapshot(), sample_status().unbound));
  check_section("GET /v1/clusters", clusters_view(*sample_snapshot()));
  check_section("GET /v1/endpoints", endpoints_view(*sample_snapshot(), sample_states()));
  check_section("GET /v1/status", status_view(sample_status(), {}, sample_snapshot().get(), kSampleWall));
  check_section("GET /v1/explain", explanation_view(sample_explanation(), {}, &flows.flows[0], kSampleNow));
}

TEST_CASE("the object of a decision is documented") {
  std::set<std::string> paths;
  collect(listeners_view(*sample_snapshot(), sample_status().unbound)["listeners"][1]["object"], "", paths);
  CHECK(paths == documented("Objects"));
}

}  // namespace sockmesh::admin
