// The start-up self-test on the running kernel.
#include "bpf/self_test.h"

#include <catch2/catch.hpp>
#include <iostream>

#include "test_support/eventually.h"

using namespace sockmesh;

TEST_CASE("every case of the self-test passes") {
  auto maps = bpf::SpliceMaps::load({});
  INFO((maps ? "" : maps.error().message));
  REQUIRE(maps);
  const auto report = bpf::run_self_test(**maps);
  Duration total{};
  for (const auto& verdict : report.verdicts) {
    UNSCOPED_INFO(
        verdict.name << ": " << verdict.detail << ", "
                     << std::chrono::duration_cast<std::chrono::milliseconds>(verdict.duration).count()
                     << " ms");
    total += verdict.duration;
  }
  CHECK(report.verdicts.size() == 7);
  CHECK(report.failures() == "");
  CHECK(report.passed());
  CHECK(total < test::patient(std::chrono::seconds(2)));
  CHECK((*maps)->stats().slots_used == 0);
}
