// The recorded cases and those of each rule, as tables of destinations.
#include <catch2/catch.hpp>
#include <filesystem>

#include "../../unit/direct/agreement.h"
#include "mesh_case.h"

using namespace sockmesh;
using namespace sockmesh::config;

TEST_CASE("a table of destinations answers as match does, in every recorded case") {
  size_t cases = 0, direct = 0;
  for (const char* folder : {CASES_FOLDER, SEEN_FOLDER}) {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().extension() != ".yaml") continue;
      INFO(file.path());
      const MeshCase mesh = read_case(file.path().string());
      if (mesh.proxy.role != Role::kSidecar) continue;
      direct += direct::check_agreement(*compile(mesh.resources, mesh.proxy)).direct;
      ++cases;
    }
  }
  CHECK(cases > 60);
  CHECK(direct > 1000);
}
