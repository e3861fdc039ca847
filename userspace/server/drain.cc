#include "server/drain.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace sockmesh::server {

Drain::Drain(event::Loop& loop, Agent& agent) : agent_(agent), timer_(loop.timer([this] { close(); })) {}

void Drain::begin(const admin::DrainRequest& request) {
  agent_.draining = true;
  inbound_only_ = inbound_only_ && request.inbound_only;
  if (!request.graceful) return close();
  if (!std::exchange(begun_, true)) timer_->set(agent_.options.drain_time);
}

void Drain::close() {
  timer_->cancel();
  spdlog::info("draining: no new {}connections; {} are open", inbound_only_ ? "inbound " : "",
               agent_.active());
  agent_.stop_accepting(inbound_only_ ? std::optional(model::Direction::kInbound) : std::nullopt);
}

}  // namespace sockmesh::server
