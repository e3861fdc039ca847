#include "server/worker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>

namespace sockmesh::server {

namespace {

constexpr Duration kReportPeriod = std::chrono::seconds(5);  // Istio's for the byte counters

uint64_t seed() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
    value = static_cast<uint64_t>(monotonic_now().time_since_epoch().count());
  return value;
}

Result<std::unique_ptr<event::Loop>> make_loop(datapath::Mode mode, unsigned index) {
  if (mode != datapath::Mode::kEpoll) {
    auto loop = event::Loop::create(event::Backend::kIoUring);
    if (loop) return loop;
    if (index == 0) spdlog::info("io_uring is not to be had, epoll is used: {}", loop.error().message);
  }
  return event::Loop::create(event::Backend::kEpoll);
}

}  // namespace

struct Worker::Traffic {
  Traffic(event::Loop& loop, datapath::DataPath& data_path, telemetry::WorkerTelemetry& telemetry,
          const WorkerShared& shared)
      : upstreams(loop, shared.clusters, shared.names, shared.own_dials, shared.source_ports, seed()),
        connections({loop, data_path, telemetry, upstreams, shared.limit}, shared.settings),
        report(loop.timer([this, &telemetry] {
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

Result<std::unique_ptr<Worker>> Worker::create(unsigned index, const WorkerShared& shared) {
  SOCKMESH_TRY(loop, make_loop(shared.data_path, index));
  return std::unique_ptr<Worker>(new Worker(index, std::move(loop), shared));
}

Worker::Worker(unsigned index, std::unique_ptr<event::Loop> loop, const WorkerShared& shared)
    : index_(index),
      loop_(std::move(loop)),
      telemetry_(static_cast<uint16_t>(index), shared.access_log),
      data_path_(
          datapath::DataPath::create(*loop_, shared.data_path, shared.splice, shared.splice_unavailable)),
      traffic_(std::make_unique<Traffic>(*loop_, *data_path_, telemetry_, shared)) {}

Worker::~Worker() {
  loop_->stop();
  if (thread_.joinable()) thread_.join();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  pthread_setname_np(pthread_self(), fmt::format("worker-{}", index_).c_str());
  loop_->run();
  traffic_.reset();  // in this thread, whose loop it belongs to
}

void Worker::publish(model::SnapshotPtr snapshot) {
  loop_->post([this, snapshot = std::move(snapshot)] {
    traffic_->connections.set_snapshot(snapshot);
    for (const auto& listening : traffic_->listening) listening.acceptor->resume();
  });
}

void Worker::names_changed() {
  loop_->post([this] { traffic_->upstreams.names_changed(); });
}

void Worker::listen(Fd socket, connection::Entry entry, Lease lease) {
  // Posted work is copied about, a descriptor can't be.
  auto owned = std::make_shared<Fd>(std::move(socket));
  loop_->post([this, lease = std::move(lease), owned, entry = std::move(entry)] {
    const auto address = SocketAddress::local_of(owned->get());
    if (!address) return;
    traffic_->listening.push_back(
        {*address, lease,
         std::make_unique<connection::Acceptor>(*loop_, traffic_->connections, std::move(*owned), entry)});
  });
}

void Worker::close_listener(const Bind& bind) {
  loop_->post([this, bind] {
    std::erase_if(traffic_->listening, [&](const Traffic::Listening& listening) {
      return listening.address == bind.address && listening.acceptor->entry().bound == bind.listener;
    });
  });
}

void Worker::close_listeners(std::optional<model::Direction> direction) {
  loop_->post([this, direction] {
    std::erase_if(traffic_->listening, [&](const Traffic::Listening& listening) {
      if (direction && listening.acceptor->entry().direction != *direction) return false;
      listening.acceptor->take_waiting();
      return true;
    });
  });
}

void Worker::reset(size_t count) {
  loop_->post([this, count] { traffic_->connections.reset(count); });
}

std::future<std::vector<telemetry::ConnectionRecord>> Worker::flows() {
  auto promise = std::make_shared<std::promise<std::vector<telemetry::ConnectionRecord>>>();
  loop_->post([this, promise] { promise->set_value(telemetry_.flows()); });
  return promise->get_future();
}

}  // namespace sockmesh::server
