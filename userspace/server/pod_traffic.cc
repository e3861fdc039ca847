#include "server/pod_traffic.h"

#include <sys/random.h>

#include "connection/acceptor.h"

namespace sockmesh::server {

namespace {

constexpr Duration kReportPeriod = std::chrono::seconds(5);  // Istio's for the byte counters

uint64_t seed() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
    value = static_cast<uint64_t>(monotonic_now().time_since_epoch().count());
  return value;
}

}  // namespace

struct PodTraffic::Carried {
  Carried(pod::Pod& pod, const Carrier& carrier, telemetry::WorkerTelemetry& telemetry)
      : upstreams(carrier.loop, pod.for_upstreams(), seed()),
        connections({carrier.loop, carrier.data_path, telemetry, upstreams, carrier.limit}),
        report(carrier.loop.timer([this, &telemetry] {
          telemetry.report_bytes();
          report->set(kReportPeriod);
        })) {
    report->set(kReportPeriod);
  }

  upstream::Upstreams upstreams;
  connection::Connections connections;
  struct Listening {
    SocketAddress address;
    Lease lease;  // before the acceptor: goes after it
    std::unique_ptr<connection::Acceptor> acceptor;
  };
  std::vector<Listening> listening;
  std::unique_ptr<event::Timer> report;
};

PodTraffic::PodTraffic(pod::PodPtr pod, uint16_t number, const Carrier& carrier)
    : pod_(std::move(pod)),
      loop_(carrier.loop),
      telemetry_(number, carrier.access_log),
      carried_(std::make_unique<Carried>(*pod_, carrier, telemetry_)) {}

PodTraffic::~PodTraffic() = default;

void PodTraffic::end() { carried_.reset(); }

void PodTraffic::publish(model::SnapshotPtr snapshot) {
  loop_.post([this, snapshot = std::move(snapshot)] {
    carried_->connections.set_snapshot(snapshot);
    for (const auto& listening : carried_->listening) listening.acceptor->resume();
  });
}

void PodTraffic::names_changed() {
  loop_.post([this] { carried_->upstreams.names_changed(); });
}

void PodTraffic::listen(Fd socket, connection::Entry entry, Lease lease) {
  // Posted work is copied about, a descriptor can't be.
  auto owned = std::make_shared<Fd>(std::move(socket));
  loop_.post([this, lease = std::move(lease), owned, entry = std::move(entry)] {
    const auto address = SocketAddress::local_of(owned->get());
    if (!address) return;
    carried_->listening.push_back(
        {*address, lease,
         std::make_unique<connection::Acceptor>(loop_, carried_->connections, std::move(*owned), entry)});
  });
}

void PodTraffic::close_listener(const Bind& bind) {
  loop_.post([this, bind] {
    std::erase_if(carried_->listening, [&](const Carried::Listening& listening) {
      return listening.address == bind.address && listening.acceptor->entry().bound == bind.listener;
    });
  });
}

void PodTraffic::close_listeners(std::optional<model::Direction> direction) {
  loop_.post([this, direction] {
    std::erase_if(carried_->listening, [&](const Carried::Listening& listening) {
      if (direction && listening.acceptor->entry().direction != *direction) return false;
      listening.acceptor->take_waiting();
      return true;
    });
  });
}

void PodTraffic::reset(size_t count) {
  loop_.post([this, count] { carried_->connections.reset(count); });
}

std::future<std::vector<telemetry::ConnectionRecord>> PodTraffic::flows() {
  auto promise = std::make_shared<std::promise<std::vector<telemetry::ConnectionRecord>>>();
  loop_.post([this, promise] { promise->set_value(telemetry_.flows()); });
  return promise->get_future();
}

}  // namespace sockmesh::server
