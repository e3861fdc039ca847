#include "server/run_dir.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "test_support/temp_dir.h"

using namespace sockmesh;
using namespace sockmesh::server;

TEST_CASE("a run directory holds one agent, and its pid while it lives") {
  const test::TempDir dir;
  const std::string path = dir.file("run/agent");
  {
    const auto claimed = RunDir::claim(path, getuid(), getgid());
    REQUIRE(claimed);
    CHECK(test::read_text(claimed->pid_path()) == std::to_string(getpid()) + "\n");
    const auto second = RunDir::claim(path, getuid(), getgid());
    REQUIRE_FALSE(second);
    CHECK(second.error().message ==
          "--run-dir '" + path + "': another agent uses it (pid " + std::to_string(getpid()) + ")");
    CHECK(std::filesystem::exists(claimed->pid_path()));
  }
  CHECK_FALSE(std::filesystem::exists(path + "/sockmesh-agent.pid"));
  CHECK(RunDir::claim(path, getuid(), getgid()));
}

TEST_CASE("a run directory that cannot be made is an error with its name") {
  const test::TempDir dir;
  dir.write("file", "");
  const auto claimed = RunDir::claim(dir.file("file/run"), getuid(), getgid());
  REQUIRE_FALSE(claimed);
  CHECK(claimed.error().message.find("file/run") != std::string::npos);
}
