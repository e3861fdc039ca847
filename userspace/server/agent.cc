#include "server/agent.h"

#include <spdlog/spdlog.h>

namespace sockmesh::server {

Agent::Agent(event::Loop& loop, const Options& chosen, size_t max_connections, Splicing tested)
    : options(chosen), splicing(std::move(tested)), loop_(loop), limit_(max_connections) {}

Result<std::unique_ptr<Agent>> Agent::create(event::Loop& loop, const Options& options,
                                             size_t max_connections, Splicing splicing) {
  std::unique_ptr<Agent> agent(new Agent(loop, options, max_connections, std::move(splicing)));
  const WorkerShared shared{agent->limit_, agent->access_log, options.data_path, agent->splicing.maps.get(),
                            agent->splicing.unavailable};
  for (unsigned i = 0; i < options.workers; ++i) {
    SOCKMESH_TRY(worker, Worker::create(i, shared));
    agent->workers_.push_back(std::move(worker));
  }
  return agent;
}

Result<ServedPod*> Agent::serve(pod::PodPtr pod, const upstream::ResolverOptions& resolver,
                                ServedPod::Lease listening) {
  std::vector<PodTraffic*> shares;
  for (const auto& worker : workers_) {
    const size_t number = pods_.size() * workers_.size() + worker->index();
    shares.push_back(&worker->carry(pod, static_cast<uint16_t>(number)));
  }
  // Before a connection can be logged by it. Of several pods of one mesh all say the same.
  const auto configure_log = [this](const model::SnapshotPtr& now) {
    if (const auto warnings = access_log->configure(now->mesh); !warnings)
      spdlog::warn("access log: {}; it stays as it was", warnings.error().message);
  };
  auto served = ServedPod::create(loop_, std::move(pod), std::move(shares), std::move(listening), resolver,
                                  configure_log);
  if (!served) return fail(served.error().within("DNS"));
  pods_.push_back(std::move(*served));
  return pods_.back().get();
}

void Agent::carry_direct(ServedPod& pod, AppLanes lanes) {
  direct_verdict = lanes.verdict();
  if (!lanes.direct) return;
  app_lanes::DirectLane::Options direct;
  direct.number = static_cast<uint16_t>(UINT16_MAX - (pods_.size() - 1));  // those of workers count upwards
  direct.terms = std::move(lanes.terms);
  direct.pinned = !options.direct_pins.empty();
  auto lane = app_lanes::DirectLane::start(pod.shared_pod(), std::move(lanes.direct), access_log, direct);
  if (lane) {
    pod.carry_direct(std::move(*lane));
  } else {
    direct_verdict = "not available: " + lane.error().message;
    spdlog::warn("lane direct {}", direct_verdict);
  }
}

void Agent::start() {
  for (const auto& worker : workers_) worker->start();
}

void Agent::configure(const Origin& origin) {
  std::vector<Subscriber> subscribers;
  for (const auto& pod : pods_)
    subscribers.push_back({pod->pod().identity, [&served = *pod](model::SnapshotPtr snapshot) {
                             served.publication().publish(std::move(snapshot));
                           }});
  configuration_ = std::make_unique<Configuration>(loop_, origin, std::move(subscribers));
  configuration_->start();
}

void Agent::reload() { configuration_->reload(); }

void Agent::stop_accepting(std::optional<model::Direction> direction) {
  for (const auto& pod : pods_) pod->stop_accepting(direction);
}

size_t Agent::active() const {
  size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->active();
  return sum;
}

}  // namespace sockmesh::server
