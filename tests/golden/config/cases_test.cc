// One small mesh for each rule (cases/NAME.yaml, the rule is its first line): the listeners, clusters,
// endpoints and findings it compiles to, and the explanation of each probe (cases/NAME.txt).
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "../golden.h"
#include "describe.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

std::vector<std::string> cases() {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(CASES_FOLDER))
    if (file.path().extension() == ".yaml") paths.push_back(file.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string text_of(const MeshCase& mesh) {
  const auto snapshot = compile(mesh.resources, mesh.proxy);
  std::string text = describe(*snapshot);
  for (const Probe& probe : mesh.probes)
    text += "\nPROBE " + probe.text + "\n" + describe(explain_probe(mesh, *snapshot, probe));
  return text;
}

}  // namespace

TEST_CASE("each rule's mesh compiles to what its golden file says") {
  REQUIRE(cases().size() >= 60);
  for (const std::string& path : cases()) {
    INFO(path);
    const MeshCase mesh = read_case(path);
    check_golden(path.substr(0, path.size() - 4) + "txt", text_of(mesh));
  }
}

TEST_CASE("the order in which objects are read does not matter") {
  for (const std::string& path : cases()) {
    INFO(path);
    MeshCase mesh = read_case(path);
    const std::string text = text_of(mesh);
    const std::string version = compile(mesh.resources, mesh.proxy)->version;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      shuffle(mesh.resources, seed);
      CHECK(text_of(mesh) == text);
      CHECK(compile(mesh.resources, mesh.proxy)->version == version);
    }
  }
}
