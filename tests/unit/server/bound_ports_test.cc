#include "server/bound_ports.h"

#include <catch2/catch.hpp>
#include <set>

using namespace sockmesh;
using namespace sockmesh::server;
using namespace std::chrono_literals;

namespace {

Bind bind(uint16_t port, model::Direction direction = model::Direction::kOutbound) {
  return {{IpAddress::any(false), port}, "0.0.0.0_" + std::to_string(port), direction};
}

// Ports that somebody else has until they are let go.
struct Ports {
  explicit Ports(Duration first_retry = 1ms)
      : bound(*loop,
              {[this](const Bind& one) -> Result<void> {
                 ++attempts;
                 if (taken.contains(one.address.port)) return fail("bind {}: taken", one.address.to_string());
                 open.insert(one.address.port);
                 return {};
               },
               [this](const Bind& one) { open.erase(one.address.port); }},
              first_retry) {}
  template <typename Condition>
  void turn_until(Condition holds) {
    std::unique_ptr<event::Timer> again = loop->timer([&] {
      if (holds()) return loop->stop();
      again->set(1ms);
    });
    again->set(1ms);
    loop->run();
  }

  std::set<uint16_t> taken, open;
  int attempts = 0;
  std::unique_ptr<event::Loop> loop = std::move(*event::Loop::create(event::Backend::kEpoll));
  BoundPorts bound;
};

}  // namespace

TEST_CASE("a port that is taken is said to be missing, and tried again until it is there") {
  Ports ports;
  ports.taken = {81};
  ports.bound.want({bind(80), bind(81)});
  CHECK(ports.open == std::set<uint16_t>{80});
  REQUIRE(ports.bound.missing().size() == 1);
  CHECK(ports.bound.missing()[0].bind == bind(81));
  CHECK(ports.bound.missing()[0].error == "bind 0.0.0.0:81: taken");
  ports.turn_until([&] { return ports.attempts >= 4; });  // the first two, and again
  ports.taken.clear();
  ports.turn_until([&] { return ports.open.contains(81); });
  CHECK(ports.bound.missing().empty());
}

TEST_CASE("the pauses between attempts grow") {
  Ports ports(8ms);
  ports.taken = {80};
  const auto began = monotonic_now();
  ports.bound.want({bind(80)});
  ports.turn_until([&] { return ports.attempts == 4; });  // after 8, 24 and 56 ms
  CHECK(monotonic_now() - began >= 56ms);
}

TEST_CASE("another configuration closes what it does not want, and no longer misses it") {
  Ports ports;
  ports.taken = {81};
  ports.bound.want({bind(80), bind(81)});
  ports.bound.want({bind(82)});
  CHECK(ports.open == std::set<uint16_t>{82});
  CHECK(ports.bound.missing().empty());
}

TEST_CASE("what was stopped stays closed, whatever the configuration says") {
  Ports ports;
  const Bind in = bind(80, model::Direction::kInbound), out = bind(81);
  ports.bound.want({in, out});
  ports.bound.stop(model::Direction::kInbound);
  CHECK(ports.open == std::set<uint16_t>{81});
  ports.bound.want({in, out});
  CHECK(ports.open == std::set<uint16_t>{81});
  ports.bound.stop(std::nullopt);
  ports.bound.want({in, out});
  CHECK(ports.open.empty());
}
