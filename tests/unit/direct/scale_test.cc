// 10,000 Services with 50,000 endpoints: what one changed object costs. Prints times, and asserts none.
#include <fmt/core.h>

#include <catch2/catch.hpp>

#include "pod.h"

using namespace sockmesh;
using namespace sockmesh::direct;

namespace {

template <typename What>
double milliseconds(const What& what) {
  const MonotonicTime start = monotonic_now();
  what();
  return std::chrono::duration<double, std::milli>(monotonic_now() - start).count();
}

}  // namespace

TEST_CASE("scale: one endpoint less among 10,000 Services changes one entry") {
  constexpr uint32_t kServices = 10'000, kEndpoints = 5;
  TestPod pod;
  for (uint32_t i = 0; i < kServices; ++i) {
    const std::string name = fmt::format("outbound|9000||svc-{}.default.svc.cluster.local", i);
    const SocketAddress vip{IpAddress::v4(0x0a600000 + i), 9000};
    pod.listen(fmt::format("{}_9000", vip.ip.to_string()), {vip.to_string()}, {model::to(name)});
    std::vector<std::string> endpoints;
    for (uint32_t j = 0; j < kEndpoints; ++j)
      endpoints.push_back(SocketAddress{IpAddress::v4(0x0a800000 + i * kEndpoints + j), 9000}.to_string());
    pod.cluster(name, endpoints);
  }
  Tables first, second;
  const double everything = milliseconds([&] { first = pod.make(); });
  CHECK(first.destinations.exact.size() == kServices);

  pod.next();
  const Text name = "outbound|9000||svc-77.default.svc.cluster.local";
  auto changed = std::make_shared<model::Cluster>(*pod.snapshot->clusters.at(name));
  changed->endpoints.pop_back();
  pod.snapshot->clusters.insert_or_assign(name, changed);
  pod.snapshot->index();
  Delta change;
  const double again = milliseconds([&] { second = pod.decisions.make(pod.snapshot, kNow); });
  const double compared = milliseconds([&] { change = delta(first, second); });
  CHECK(change.clusters.replaced.size() == 1);
  CHECK(change.clusters.size() + change.exact.size() + change.prefixes.size() + change.routes.size() == 1);
  const double all = milliseconds([&] { change = delta({}, second); });
  fmt::print(
      "10,000 Services: all tables {:.2f} ms, after one change {:.2f} ms, difference {:.2f} ms ({:.2f} ms to "
      "nothing)\n",
      everything, again, compared, all);
}
