#include "iptables/process.h"

#include <catch2/catch.hpp>

namespace sockmesh::iptables {

TEST_CASE("input, output, errors, status") {
  const auto outcome = run_program({.argv = {"sh", "-c", "cat; echo oops >&2; exit 3"}, .input = "hello"});
  REQUIRE(outcome);
  CHECK(outcome->output == "hello");
  CHECK(outcome->errors == "oops\n");
  CHECK(outcome->exit_code == 3);
}

TEST_CASE("arguments are not for a shell") {
  const auto outcome = run_program({.argv = {"echo", "$HOME; `id`", "*"}, .input = {}});
  CHECK(outcome->output == "$HOME; `id` *\n");
}

TEST_CASE("the environment is added to, not replaced") {
  const auto outcome = run_program({.argv = {"sh", "-c", "echo $XTABLES_LOCKFILE $PATH"},
                                    .input = {},
                                    .environment = {"XTABLES_LOCKFILE=/x"}});
  CHECK(outcome->output.starts_with("/x /"));
}

TEST_CASE("a program that does not read its input") {
  const auto outcome = run_program({.argv = {"true"}, .input = std::string(1 << 20, 'x')});
  REQUIRE(outcome);
  CHECK(outcome->ok());
}

TEST_CASE("much of both") {
  const auto outcome = run_program({.argv = {"cat"}, .input = std::string(4 << 20, 'x')});
  REQUIRE(outcome);
  CHECK(outcome->output.size() == 4 << 20);
}

TEST_CASE("a program that is not there") {
  const auto outcome = run_program({.argv = {"no-such-program"}, .input = {}});
  REQUIRE(outcome);
  CHECK(outcome->exit_code == 127);
  CHECK(outcome->errors == "no-such-program: not found\n");
}

TEST_CASE("a program that is killed") {
  CHECK(run_program({.argv = {"sh", "-c", "kill -9 $$"}, .input = {}})->exit_code == 128 + 9);
}

TEST_CASE("a program that prints without end is stopped") {
  const auto outcome = run_program({.argv = {"yes"}, .input = {}});
  REQUIRE(!outcome);
  CHECK(outcome.error().message == "yes: printed more than 16777216 bytes");
}

}  // namespace sockmesh::iptables
