// What sockmesh-init prints, byte for byte: every flag alone, the combinations of Istio's own tests, and the
// words of every refusal. Pure: the facts of the host come from the command lines.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "golden_cases/golden_cases.h"
#include "iptables/commands.h"

namespace sockmesh::test {

TEST_CASE("golden files") {
  std::filesystem::current_path(golden_folder());
  for (const GoldenCase& golden : golden_cases()) {
    DYNAMIC_SECTION(golden.name) {
      std::ostringstream out, err;
      const auto environment = [&](const std::string& name) -> std::optional<std::string> {
        const auto at = golden.environment.find(name);
        return at == golden.environment.end() ? std::nullopt : std::optional(at->second);
      };
      const int status = iptables::run_command(golden.args, environment, out, err);
      std::string printed = golden.header + out.str();
      const std::string errors = err.str();
      for (const std::string_view line : split(errors, '\n', /*skip_empty=*/true))
        printed += fmt::format("! {}\n", line);
      printed += fmt::format("= {}\n", status);
      if (std::getenv("SOCKMESH_UPDATE_GOLDEN"))
        std::ofstream(golden.path) << printed;
      else
        CHECK(printed == golden.text);
    }
  }
}

}  // namespace sockmesh::test
