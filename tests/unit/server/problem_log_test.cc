#include "server/problem_log.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> problems(size_t count, const std::string& kind = "bad") {
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) out.push_back(fmt::format("{}.yaml:{}: wrong", kind, i));
  return out;
}

struct Log {
  std::vector<std::string> load(const std::vector<std::string>& list, size_t total = 0) {
    return log.lines(list, total, "see there", now);
  }
  ProblemLog log;
  MonotonicTime now{1h};
};

}  // namespace

TEST_CASE("each problem is logged once, while it stays") {
  Log log;
  CHECK(log.load({"a", "b"}) == std::vector<std::string>{"a", "b"});
  CHECK(log.load({"a", "b"}).empty());
  CHECK(log.load({"a", "c", "b"}) == std::vector<std::string>{"c"});
  CHECK(log.load({}).empty());
  CHECK(log.load({"a"}) == std::vector<std::string>{"a"});  // it was mended in between
}

TEST_CASE("of a load with many problems the first are logged, and how many there are") {
  Log log;
  const auto lines = log.load(problems(250'000));
  REQUIRE(lines.size() == ProblemLog::kLinesALoad + 1);
  CHECK(lines.front() == "bad.yaml:0: wrong");
  CHECK(lines.back() == "and 249980 more problems in this load, 250000 in all; see there");
  CHECK(log.load(problems(250'000)).empty());
}

TEST_CASE("problems that are counted and not listed are told as a number") {
  Log log;
  const auto lines = log.load({"a", "b"}, 5000);
  CHECK(lines ==
        std::vector<std::string>{"a", "b", "and 4998 more problems in this load, 5000 in all; see there"});
  CHECK(log.load({"a", "b"}, 5000).empty());
  CHECK(log.load({"a", "b"}, 5001).size() == 1);
}

TEST_CASE("churn logs no more than the rate, and then says what was left out") {
  Log log;
  size_t lines = 0;
  for (int i = 0; i < 1000; ++i) {  // 20 loads a second, each with other problems
    lines += log.load(problems(3000, fmt::format("round-{}", i))).size();
    log.now += 50ms;
  }
  CHECK(lines >= ProblemLog::kBurst);
  CHECK(lines <= ProblemLog::kBurst + 50 + 1);
  CHECK(log.log.suppressed() >= 1000 * 3000 - lines);
}

TEST_CASE("after a quiet time there is room again, and nothing is silent") {
  Log log;
  for (int i = 0; i < 10; ++i) log.load(problems(30, fmt::format("round-{}", i)));
  CHECK(log.load(problems(30, "unlogged")).empty());
  log.now += 1h;
  const auto lines = log.load({"one"});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "one");
  CHECK_THAT(lines[1], Catch::Contains("loads before were not logged; see there"));
  CHECK(log.load({"one"}).empty());
}

TEST_CASE("a problem stays one line, whatever it quotes") {
  Log log;
  CHECK(log.load({"a\nb\x1b[31m"}) == std::vector<std::string>{"a; b [31m"});
}
