// What sockmesh-init prints, byte for byte: every flag alone, the combinations of Istio's own tests, and the
// words of every refusal. Pure: the facts of the host come from the command lines.
#include <unistd.h>

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

TEST_CASE("a dry run records what istio-init would have run") {
  std::filesystem::current_path(golden_folder());
  const std::string path = fmt::format("/tmp/sockmesh-dry-run-{}", getpid());
  for (const bool ipv6 : {false, true}) {
    const auto environment = [&](const std::string& name) {
      return name == "DRY_RUN_FILE_PATH" ? std::optional(path) : std::nullopt;
    };
    std::ostringstream out, err;
    CHECK(iptables::run_command({"-n", "--host-ip", ipv6 ? "fd00::1" : "10.0.0.1"}, environment, out, err) ==
          0);
    std::ifstream file(path);
    const std::string record{std::istreambuf_iterator<char>(file), {}};
    CHECK(record.starts_with("iptables-save\nip6tables-save\n* nat\n-N ISTIO_INBOUND\n"));
    CHECK(record.ends_with(ipv6 ? "COMMIT\niptables-save\nip6tables-save\n" : "COMMIT\niptables-save\n"));
  }
  std::filesystem::remove(path);
  std::ostringstream out, err;
  const auto nowhere = [](const std::string& name) {
    return name == "DRY_RUN_FILE_PATH" ? std::optional<std::string>("/nowhere/x") : std::nullopt;
  };
  CHECK(iptables::run_command({"-n", "--host-ip", "10.0.0.1"}, nowhere, out, err) == 1);
  CHECK(err.str() == "sockmesh-init: environment DRY_RUN_FILE_PATH '/nowhere/x': cannot be written\n");
}

}  // namespace sockmesh::test
