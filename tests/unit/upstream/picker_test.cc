#include "upstream/picker.h"

#include <catch2/catch.hpp>
#include <map>

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

const MonotonicTime kNow = MonotonicTime(1h);

struct Fixture {
  explicit Fixture(model::LbPolicy lb, std::vector<uint32_t> weights) {
    cluster.lb = lb;
    for (size_t i = 0; i < weights.size(); ++i) {
      Host host;
      host.address = SocketAddress{IpAddress::v4(0x0a000001 + static_cast<uint32_t>(i)), 80};
      host.weight = weights[i];
      host.state = std::make_shared<HostState>(MonotonicTime{});
      hosts.push_back(std::move(host));
    }
    for (const Host& host : hosts) pointers.push_back(&host);
  }
  // Shares of `draws` picks, in percent.
  std::vector<double> shares(int draws = 20000, std::optional<uint64_t> hash = std::nullopt) {
    auto picker = make_picker(cluster, pointers, random);
    std::vector<double> counts(hosts.size());
    for (int i = 0; i < draws; ++i) ++counts[picker->pick({kNow, hash}, random)];
    for (double& count : counts) count = count * 100 / draws;
    return counts;
  }

  model::Cluster cluster;
  std::vector<Host> hosts;
  std::vector<const Host*> pointers;
  Random random{42};
};

}  // namespace

TEST_CASE("round robin takes turns by weight") {
  Fixture equal(model::LbPolicy::kRoundRobin, {1, 1, 1, 1});
  for (const double share : equal.shares(400)) CHECK(share == Approx(25));
  Fixture weighted(model::LbPolicy::kRoundRobin, {5, 3, 2});
  const auto shares = weighted.shares(1000);
  CHECK(shares[0] == Approx(50).margin(0.2));
  CHECK(shares[1] == Approx(30).margin(0.2));
  CHECK(shares[2] == Approx(20).margin(0.2));
}

TEST_CASE("round robin spreads the turns of a heavy host") {
  Fixture fixture(model::LbPolicy::kRoundRobin, {2, 1, 1});
  auto picker = make_picker(fixture.cluster, fixture.pointers, fixture.random);
  int in_a_row = 0, longest = 0;
  for (int i = 0; i < 100; ++i) {
    in_a_row = picker->pick({kNow, {}}, fixture.random) == 0 ? in_a_row + 1 : 0;
    longest = std::max(longest, in_a_row);
  }
  CHECK(longest <= 2);
}

TEST_CASE("least request prefers the less busy of two") {
  Fixture fixture(model::LbPolicy::kLeastRequest, {1, 1, 1});
  for (const double share : fixture.shares()) CHECK(share == Approx(33.3).margin(2));
  fixture.hosts[1].state->active = 100;
  const auto shares = fixture.shares();
  CHECK(shares[1] == Approx(11.1).margin(1.5));  // only when both draws hit it
  CHECK(shares[0] == Approx(44.4).margin(2));
}

TEST_CASE("least request with weights scales them down by activity") {
  Fixture fixture(model::LbPolicy::kLeastRequest, {3, 1});
  CHECK(fixture.shares(4000)[0] == Approx(75).margin(0.5));
  fixture.hosts[0].state->active = 2;  // 3 / (2 + 1) is 1
  CHECK(fixture.shares(4000)[0] == Approx(50).margin(0.5));
}

TEST_CASE("random does not look at weights") {
  Fixture fixture(model::LbPolicy::kRandom, {100, 1});
  CHECK(fixture.shares()[0] == Approx(50).margin(2));
}

TEST_CASE("hashing sticks to a host, and without a hash spreads by weight") {
  const auto lb = GENERATE(model::LbPolicy::kRingHash, model::LbPolicy::kMaglev);
  Fixture fixture(lb, {3, 1});
  const auto sticky = fixture.shares(100, 12345u);
  CHECK((sticky[0] == 100 || sticky[1] == 100));
  CHECK(fixture.shares()[0] == Approx(75).margin(6));
}

TEST_CASE("slow start grows from the minimum to all of the weight") {
  const model::SlowStart slow{100s, 10, 1.0};
  CHECK(slow_start_factor(slow, 0s) == Approx(0.1));
  CHECK(slow_start_factor(slow, 5s) == Approx(0.1));
  CHECK(slow_start_factor(slow, 50s) == Approx(0.5));
  CHECK(slow_start_factor(slow, 100s) == 1);
  CHECK(slow_start_factor({100s, 10, 2.0}, 25s) == Approx(0.5));  // a square root
}

TEST_CASE("a warming host gets less") {
  const auto lb = GENERATE(model::LbPolicy::kRoundRobin, model::LbPolicy::kLeastRequest);
  Fixture fixture(lb, {1, 1});
  fixture.cluster.slow_start = model::SlowStart{100s, 10, 1.0};
  fixture.hosts[1].state = std::make_shared<HostState>(kNow - 25s);
  CHECK(fixture.shares(5000)[1] == Approx(20).margin(0.5));  // 0.25 against 1
}
